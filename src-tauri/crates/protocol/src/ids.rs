//! Names of things: runs, projects, approvals, calls, steps, stores, sequence numbers.
//!
//! An id is a UUIDv7 (RFC 9562 section 5.7) written as 26 characters of lower-case base32hex
//! (RFC 4648 section 7), so that text order is time order and an id is a valid file name and git ref part.
//! Nothing here reads a clock or makes randomness; both are handed in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use ts_rs::TS;

static BASE32: LazyLock<data_encoding::Encoding> = LazyLock::new(|| {
    let mut spec = data_encoding::Specification::new();
    spec.symbols.push_str("0123456789abcdefghijklmnopqrstuv");
    #[expect(clippy::expect_used, reason = "a constant alphabet of 32 distinct symbols is always valid")]
    spec.encoding().expect("valid alphabet")
});

/// Text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: expected 26 characters of 0-9 and a-v")]
pub struct BadId {
    /// What was given.
    pub text: String,
}

/// Builds the text of a UUIDv7 from a time in milliseconds since 1970 and ten random bytes.
pub fn uuid_v7(at_ms: u64, random: [u8; 10]) -> String {
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = 0x70 | (bytes[6] & 0x0f); // version 7
    bytes[8] = 0x80 | (bytes[8] & 0x3f); // RFC 9562 variant
    BASE32.encode(&bytes)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        #[serde(try_from = "String", into = "String")]
        #[ts(as = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes an id from a time (milliseconds since 1970) and ten random bytes.
            pub fn new(at_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid_v7(at_ms, random))
            }
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                match BASE32.decode(text.as_bytes()) {
                    Ok(bytes) if bytes.len() == 16 => Ok(Self(text.to_owned())),
                    _ => Err(BadId { text: text.to_owned() }),
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// One execution of a flow for a goal.
    RunId
    /// A folder the user opened.
    ProjectId
    /// A recorded question to the user.
    ApprovalId
    /// One request to a model.
    CallId
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        #[serde(transparent)]
        #[ts(as = "String")]
        pub struct $name(String);

        impl $name {
            /// Wraps a name.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A role's id, such as `developer`.
    RoleId
    /// A step of a flow in one round, such as `build.1`.
    StepId
    /// A store: `home`, or a project's id.
    StoreId
}

impl StepId {
    /// The step `name` of a flow in round `round` (1-based).
    pub fn of(name: &str, round: u32) -> Self {
        Self(format!("{name}.{round}"))
    }
    /// The step's name in its flow, without the round.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(name, _)| name)
    }
    /// The round, 1-based.
    pub fn round(&self) -> u32 {
        self.0.rsplit_once('.').and_then(|(_, round)| round.parse().ok()).unwrap_or(1)
    }
}

impl StoreId {
    /// The store of settings, projects and model cards.
    pub fn home() -> Self {
        Self("home".to_owned())
    }
}

impl From<&ProjectId> for StoreId {
    fn from(project: &ProjectId) -> Self {
        Self(project.as_str().to_owned())
    }
}

/// The number of an event in its store, from 1. Below 2^53, so that a page can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, TS)]
#[serde(transparent)]
#[ts(type = "number")]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Seq = Seq(0);
    /// The number after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_order_is_time_order() {
        let early = RunId::new(1_000, [0xff; 10]);
        let late = RunId::new(1_001, [0x00; 10]);
        assert!(early.as_str() < late.as_str());
        assert_eq!(early.as_str().len(), 26);
    }

    #[test]
    fn an_id_reads_back_and_other_text_is_refused() {
        let id = RunId::new(1_790_000_000_000, [7; 10]);
        assert_eq!(id.as_str().parse::<RunId>(), Ok(id.clone()));
        assert_eq!(serde_json::from_str::<RunId>(&format!("\"{id}\"")).unwrap(), id);
        assert!("../../etc".parse::<RunId>().is_err());
        assert!("zz".parse::<RunId>().is_err());
        assert!(serde_json::from_str::<RunId>("\"UPPER\"").is_err());
    }

    #[test]
    fn a_step_knows_its_name_and_round() {
        let step = StepId::of("build", 2);
        assert_eq!((step.as_str(), step.name(), step.round()), ("build.2", "build", 2));
    }
}
