//! What may leave the machine, and the record of what did.

use std::sync::atomic::{AtomicBool, Ordering};

/// The rule in force. Shared; a change holds from the next request on.
#[derive(Debug)]
pub struct EgressPolicy {
    local_only: AtomicBool,
}

impl EgressPolicy {
    /// A rule. With `local_only`, no socket to another machine is ever opened.
    pub fn new(local_only: bool) -> Self {
        Self { local_only: AtomicBool::new(local_only) }
    }
    /// Whether requests to other machines are refused.
    pub fn local_only(&self) -> bool {
        self.local_only.load(Ordering::SeqCst)
    }
    /// Changes the rule.
    pub fn set_local_only(&self, local_only: bool) {
        self.local_only.store(local_only, Ordering::SeqCst);
    }
}

/// A request to another machine, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Why it was made.
    pub purpose: &'static str,
    /// The host and port.
    pub host: String,
    /// Whether it was let through.
    pub allowed: bool,
    /// Bytes of the body; 0 for a refused request.
    pub bytes_out: u64,
}
