//! What may leave the machine.
//!
//! Local-only mode stops everything. Else a question about a server itself may go to it, and material of a project only
//! where the user has permitted that project, server and host. Unclear means no.

use atelier_protocol::event::CloudPermission;
use atelier_protocol::ids::ProjectId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Under whose name permissions for hosts are kept that a project's own commands reach.
pub const COMMANDS: &str = "commands";

/// The rule in force. Shared; a change holds from the next request on.
#[derive(Debug)]
pub struct EgressPolicy {
    local_only: AtomicBool,
    permissions: RwLock<Vec<CloudPermission>>,
}

impl EgressPolicy {
    /// A rule that permits nothing yet. With `local_only`, no socket to another machine is ever opened.
    pub fn new(local_only: bool) -> Self {
        Self { local_only: AtomicBool::new(local_only), permissions: RwLock::default() }
    }
    /// Whether requests to other machines are refused.
    pub fn local_only(&self) -> bool {
        self.local_only.load(Ordering::SeqCst)
    }
    /// Changes the rule.
    pub fn set_local_only(&self, local_only: bool) {
        self.local_only.store(local_only, Ordering::SeqCst);
    }
    /// Permits exactly these.
    pub fn set_permissions(&self, permissions: Vec<CloudPermission>) {
        *self.permissions.write().unwrap_or_else(PoisonError::into_inner) = permissions;
    }
    /// Whether the project's material may go to this server, or by its [`COMMANDS`], to this host.
    pub fn permits(&self, project: &ProjectId, provider: &str, host: &str) -> bool {
        let permissions = self.permissions.read().unwrap_or_else(PoisonError::into_inner);
        permissions.iter().any(|p| p.project == *project && p.provider == provider && p.host == host)
    }
}

/// The host and port of an address, as permissions name them; `None` where it names none.
pub fn host_of(url: &str) -> Option<String> {
    crate::place::Place::of(url).ok().map(|place| place.host)
}
