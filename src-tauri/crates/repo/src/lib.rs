//! Private run trees, checkpoints, diff, hand-over, accept and export.
//!
//! The one room that writes in a user's repository, and before an accept it writes there only objects,
//! the keep-ref `refs/atelier/base/<run>` and the branch `refs/heads/atelier/<run>`. The one program it starts is git, to
//! sign what is accepted and to push: no fsmonitor, no external filters, and hooks only lie ready here, for whoever can confine them.
//! Everything blocks; callers bring the thread.
//! Every effect comes as plan, perform and settle; journalling around them is the caller's work.

mod accept;
mod archive;
mod carry;
mod checkpoint;
mod diff;
mod discard;
mod durable;
mod export;
mod fault;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
mod fork;
mod hand_over;
mod held;
mod history;
mod imperative;
mod land;
mod landing;
mod left_out;
mod listing;
mod merge;
mod message;
mod open;
mod pack;
mod parts;
mod paths;
mod plan;
mod program;
mod provide;
mod push;
mod put;
mod rebase;
mod rehearse;
mod remake;
mod reverse;
mod reviewed;
mod run_tree;
mod scan;
mod seen;
mod settled;
mod staging;
mod supported;

#[cfg(test)]
mod tests;

pub use accept::{Accept, AcceptRefusal};
pub use archive::{ArchiveError, read_archive, write_archive};
pub use carry::CarryError;
pub use diff::Tip;
pub use discard::{Discard, DiscardError};
pub use durable::sync_tree;
pub use export::{ExportError, Exported};
pub use fault::Fault;
pub use fork::Files;
pub use hand_over::{HandOver, HandOverError, branch_of};
pub use history::{History, Told};
pub use message::{Kind, Message, lint};
pub use open::{Identity, OpenError, UserRepo};
pub use plan::{PlannedCommit, plan_commits};
pub use provide::Provide;
pub use push::PushError;
pub use rebase::{Rebase, RebaseError, Rebased};
pub use rehearse::{Hook, Rehearsal};
pub use reverse::{Reversal, Withdrawal};
pub use reviewed::{Checks, ReviewProof, ReviewedPatch, Unreviewed};
pub use run_tree::{RunTree, TreeError, TreeSpec};
pub use settled::Settled;
