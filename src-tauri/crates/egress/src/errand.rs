//! On whose behalf a request is made, and the key that goes with it.
//!
//! A key is bound to one host and header. It never takes part in `Debug`, and its memory is cleared when it is dropped.

use atelier_protocol::ids::{ProjectId, RoleId, RunId};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;

/// On whose behalf requests are made.
#[derive(Debug, Clone, Default)]
pub struct Errand {
    /// The project whose material they carry.
    pub project: Option<ProjectId>,
    /// The run.
    pub run: Option<RunId>,
    /// The role.
    pub role: Option<RoleId>,
    /// The model server's id in the settings.
    pub provider: Option<String>,
    /// Whether the server, although it is on this machine, passes what it is sent on to another one.
    pub passed_on: bool,
    /// The key that the server wants.
    pub credential: Option<Arc<Credential>>,
}

/// A key for one host.
pub struct Credential {
    host: String,
    header: &'static str,
    prefix: &'static str,
    secret: SecretString,
}

impl Credential {
    /// A key that is sent to the host of `base_url`, and to no other, as `header: prefix key`; `None` where the address
    /// names no host, or is spoken to in the open.
    pub fn new(base_url: &str, header: &'static str, prefix: &'static str, secret: SecretString) -> Option<Self> {
        let place = crate::place::Place::of(base_url).ok().filter(|place| !place.is_open())?;
        Some(Self { host: place.host, header, prefix, secret })
    }

    /// The header for a request to `host`, if the key is meant for it.
    pub(crate) fn header_for(&self, host: &str) -> Option<(&'static str, SecretString)> {
        let value = || format!("{}{}", self.prefix, self.secret.expose_secret());
        (self.host == host).then(|| (self.header, SecretString::from(value())))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("host", &self.host).field("header", &self.header).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(base: &str) -> Option<Credential> {
        Credential::new(base, "authorization", "Bearer ", SecretString::from("sk-planted-1234567890"))
    }

    #[test]
    fn a_key_goes_to_its_own_host_and_port_alone() {
        let key = key("https://api.example.org/v1").unwrap();
        assert_eq!(key.header_for("api.example.org:443").unwrap().1.expose_secret(), "Bearer sk-planted-1234567890");
        for other in ["api.example.org:8443", "example.org:443", "api.example.org.evil.test:443", "127.0.0.1:443"] {
            assert!(key.header_for(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_key_is_not_for_an_address_in_the_open() {
        assert!(key("http://api.example.org/v1").is_none());
        assert!(key("http://127.0.0.1:8080").is_some());
        assert!(key("nothing").is_none());
    }

    #[test]
    fn a_key_is_not_printed() {
        let errand = Errand { credential: key("https://api.example.org").map(Arc::new), ..Errand::default() };
        assert!(!format!("{errand:?}").contains("planted"));
    }
}
