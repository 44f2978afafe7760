//! What left this machine, or was stopped at the door, and what the user has permitted.
//!
//! Plain data of the home store. Nothing here holds what was said: no address beyond the host, no header, no body.

use crate::ids::{ApprovalId, ProjectId, RoleId, RunId};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A request, as the ledger keeps it before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EgressEntry {
    /// What ties it to its end; unique in the store.
    pub id: String,
    /// Why it was made, such as `chat` or `models`; for a program of a run, what the program is for.
    pub purpose: String,
    /// The role on whose behalf it was made.
    pub role: Option<RoleId>,
    /// The run it was made for.
    pub run: Option<RunId>,
    /// The project whose material it may carry.
    pub project: Option<ProjectId>,
    /// The model server's id in the settings.
    pub provider: Option<String>,
    /// The host and port.
    pub host: String,
    /// Whether everything stays on this machine. False also where a server here passes it on to another one.
    pub local: bool,
    /// Why it was refused; `None` where it was let through.
    pub refused: Option<String>,
    /// Bytes of its body; 0 for a refused request.
    pub bytes_out: u64,
}

/// How a request that was let through ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EgressEnd {
    /// The request.
    pub id: String,
    /// The HTTP status; `None` where no answer came, and for a tunnel, whose inside is not read.
    pub status: Option<u16>,
    /// Bytes of the answer's body that arrived.
    pub bytes_in: u64,
    /// Bytes that a tunnel carried out, beyond what was known when it began.
    pub more_out: u64,
    /// From sending until the last byte, or until it was given up, in milliseconds.
    pub ms: u64,
}

/// A line for the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum EgressNote {
    /// A request is about to be sent, or was refused.
    Begun {
        /// The request.
        entry: EgressEntry,
    },
    /// A request ended.
    Ended {
        /// How.
        end: EgressEnd,
    },
}

/// A request of the ledger with its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EgressRow {
    /// When it was recorded, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The request.
    pub entry: EgressEntry,
    /// How it ended; `None` while it is open, for a refused one, and where its process was killed.
    pub end: Option<EgressEnd>,
}

/// What a command did with one host: reached it, or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Reached {
    /// The host and port.
    pub host: String,
    /// Why it was refused; `None` where it was let through.
    pub refused: Option<String>,
    /// Connections, or attempts.
    pub times: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// Bytes that came back.
    pub bytes_in: u64,
}

/// All requests to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EgressTotal {
    /// The host and port.
    pub host: String,
    /// Whether they stayed on this machine.
    pub local: bool,
    /// Requests that were let through.
    pub requests: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// Bytes that came back.
    pub bytes_in: u64,
}

/// The ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EgressView {
    /// Requests, newest first, as far as they were asked for.
    pub rows: Vec<EgressRow>,
    /// All there ever was, by host.
    pub totals: Vec<EgressTotal>,
}

/// A permission to send a project's material to a model server on another machine, or to let its commands reach a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CloudPermission {
    /// The project.
    pub project: ProjectId,
    /// The model server's id in the settings, or `commands`.
    pub provider: String,
    /// Its host and port. A server that moves to another host needs a permission anew.
    pub host: String,
    /// The question that was answered yes; `None` where the user gave it without being asked.
    pub approval: Option<ApprovalId>,
}

/// A kind of thing that is masked before anything leaves this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Sensitive {
    /// A private key in PEM or OpenSSH form.
    PrivateKey,
    /// A key or token of a known service, by its prefix.
    ApiKey,
    /// A password, key or token by the name it is assigned to, or in an address.
    Password,
    /// A long random text that is most likely a key.
    Token,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A bank account number (IBAN) whose checksum is right.
    Iban,
    /// A payment card number whose checksum is right.
    Card,
}

/// How much of a kind was masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Masked {
    /// The kind.
    pub kind: Sensitive,
    /// How many different ones.
    pub count: u32,
}

/// A part of what would leave: a file or a snippet of one, or text of Atelier's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Leaving {
    /// What it is, such as `src/lib.rs lines 1-80` or `goal and rules`.
    pub name: String,
    /// Its size in bytes, before masking.
    pub bytes: u64,
}
