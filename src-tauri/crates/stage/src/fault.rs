//! What can go wrong with an answer, and when.
//!
//! A fault stands between the parts of an answer, so it strikes at a piece; `at_byte` moves it to a byte of the body, and
//! `after` and `times` choose the requests.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// In the first so many requests that reach it; without it, in every one.
    #[serde(default)]
    pub times: Option<u32>,
    /// Not in the first so many requests that reach it.
    #[serde(default)]
    pub after: u32,
    /// What ends a body: after so many of its bytes, wherever that is; nothing where the body is shorter.
    #[serde(default)]
    pub at_byte: Option<usize>,
    /// `refuse`: the status. `error`: the status whose kind the error names.
    #[serde(default)]
    pub status: Option<u16>,
    /// `refuse`: the `retry-after` header.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// `refuse`: more headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// `refuse` and `error`: the server's words.
    #[serde(default)]
    pub error: Option<String>,
    /// `refuse`: the whole body, in place of the dialect's own error body.
    #[serde(default)]
    pub body: Option<String>,
    /// `malformed_call`: the tool.
    #[serde(default)]
    pub tool: Option<String>,
    /// `malformed_call`: the arguments as they are sent.
    #[serde(default)]
    pub arguments: Option<String>,
    /// `raw`: bytes that are put into the body as they are.
    #[serde(default)]
    pub raw: Option<String>,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A status other than 200, in place of the answer.
    Refuse,
    /// The connection is closed before any byte of the answer.
    HangUp,
    /// The connection is reset: before any byte where nothing was said before, else in the middle of the body.
    Reset,
    /// The connection is cut in the middle of the body.
    Disconnect,
    /// The body ends cleanly without the dialect's last word.
    NoEnd,
    /// The body is shorter than its head says.
    Short,
    /// Nothing more comes, and the connection stays open. Said first, not even the head comes.
    Stall,
    /// The head comes, and then nothing.
    StallAfterHead,
    /// A 200 with no body at all.
    Empty,
    /// An error inside the stream, and its end.
    Error,
    /// A tool call whose arguments are no JSON.
    MalformedCall,
    /// Bytes that are not of the dialect.
    Raw,
}

impl FaultKind {
    /// As it stands in a script.
    pub(crate) fn word(self) -> &'static str {
        match self {
            FaultKind::Refuse => "refuse",
            FaultKind::HangUp => "hang_up",
            FaultKind::Reset => "reset",
            FaultKind::Disconnect => "disconnect",
            FaultKind::NoEnd => "no_end",
            FaultKind::Short => "short",
            FaultKind::Stall => "stall",
            FaultKind::StallAfterHead => "stall_after_head",
            FaultKind::Empty => "empty",
            FaultKind::Error => "error",
            FaultKind::MalformedCall => "malformed_call",
            FaultKind::Raw => "raw",
        }
    }
}

impl Fault {
    /// What is wrong with it. A key that its kind does not read would be a fault that is never seen.
    pub(crate) fn wrong(&self) -> Option<String> {
        use FaultKind::{Disconnect, Error, MalformedCall, NoEnd, Raw, Refuse, Reset, Stall};
        let kind = self.kind;
        let given = [
            ("status", self.status.is_some(), matches!(kind, Refuse | Error)),
            ("retry_after", self.retry_after.is_some(), kind == Refuse),
            ("headers", !self.headers.is_empty(), kind == Refuse),
            ("body", self.body.is_some(), kind == Refuse),
            ("error", self.error.is_some(), matches!(kind, Refuse | Error)),
            ("tool", self.tool.is_some(), kind == MalformedCall),
            ("arguments", self.arguments.is_some(), kind == MalformedCall),
            ("raw", self.raw.is_some(), kind == Raw),
            ("at_byte", self.at_byte.is_some(), matches!(kind, Disconnect | NoEnd | Reset | Stall)),
        ];
        if let Some((key, ..)) = given.iter().find(|(_, given, read)| *given && !*read) {
            return Some(format!("a fault of kind `{}` has no `{key}`", kind.word()));
        }
        match kind {
            Refuse if !self.status.is_none_or(|status| (300..600).contains(&status)) => {
                Some("the `status` of a refusal is between 300 and 599".to_owned())
            }
            MalformedCall if self.tool.is_none() => Some("`malformed_call` needs `tool`".to_owned()),
            Raw if self.raw.is_none() => Some("`raw` needs `raw`, the bytes".to_owned()),
            _ => None,
        }
    }

    /// Whether it strikes in a request that reaches it as the `reached`-th, from 0.
    pub(crate) fn strikes(&self, reached: u32) -> bool {
        reached >= self.after && self.times.is_none_or(|times| reached - self.after < times)
    }
}
