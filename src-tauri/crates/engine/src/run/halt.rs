//! Why work on a run ends, and what makes it go on.
//!
//! A halt is what an action says; whether the run then rests, fails or is let go is decided in `run` alone.

use crate::supervisor::disk_full;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::RunId;

/// Why nobody works on a run any more, and what makes it go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rested {
    /// It came to its end.
    Ended {
        /// The run that waited for it and goes on now.
        wakes: Option<RunId>,
    },
    /// It waits for the user; an answer makes it go on, or that time.
    Waits {
        /// Milliseconds since 1970 UTC.
        until_ms: u64,
        /// When it was looked.
        now_ms: u64,
    },
    /// It waits for another run to end, which is to be worked on.
    Calls {
        /// That run.
        child: RunId,
    },
    /// It rests until somebody resumes it.
    Rests,
    /// It was stopped from outside; nothing of that is recorded.
    Stopped,
    /// The store is somebody else's now, or closed.
    Gone,
    /// The disk is full; it goes on once there is room.
    NoRoom,
}

/// Why work on a run ends before its machine says so.
#[derive(Debug)]
pub enum Halt {
    /// Something outside must be mended; resuming goes on.
    Park(Problem),
    /// It cannot be done.
    Fail(Problem),
    /// The user stopped it.
    Stopped,
    /// The store is somebody else's now, or closed; nothing may be recorded.
    Gone,
    /// The disk is full: nothing can be recorded now.
    NoRoom,
}

impl From<Halt> for Problem {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Park(problem) | Halt::Fail(problem) => problem,
            Halt::Stopped => {
                Problem::new(Code::Cancelled, "The run was stopped.", "Look at it with `atelier runs show`.")
            }
            Halt::Gone => Problem::new(
                Code::OwnerLost,
                "The run ended meanwhile, or another process owns the project now.",
                "Look at it with `atelier runs show`.",
            ),
            Halt::NoRoom => disk_full(),
        }
    }
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        match problem.code {
            Code::OwnerLost => Halt::Gone,
            Code::Cancelled => Halt::Stopped,
            Code::DiskFull => Halt::NoRoom,
            _ => Halt::Park(problem),
        }
    }
}

/// What came of one action.
pub(crate) type Done = Result<(), Halt>;
