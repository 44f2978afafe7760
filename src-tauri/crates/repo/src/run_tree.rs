//! The private working copy of a run.
//!
//! `<dir>/repo` is a git directory of its own that borrows the user's objects, `<dir>/tree` holds the files. The two
//! do not know of each other: there is no `.git` in `tree`, and `repo` is only ever opened by its own path with its own
//! configuration, so that nothing written in `tree` (a `.git`, hooks, configuration) can have an effect.
//! Files stand there byte for byte as in the commit; line ends and filters are not converted.

use crate::fault::Fault;
use crate::open::UserRepo;
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::RunId;
use std::path::{Path, PathBuf};

/// Why something about a run's tree could not be done.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is no complete tree at that place.
    #[error("there is no working copy at {}", dir.display())]
    NoTree {
        /// The place.
        dir: PathBuf,
    },
    /// Another run or base has its tree at that place.
    #[error("the working copy at {} belongs to another run or base", dir.display())]
    OtherTree {
        /// The place.
        dir: PathBuf,
    },
    /// No such commit.
    #[error("there is no commit {commit}")]
    NoCommit {
        /// What was asked for.
        commit: String,
    },
    /// A file cannot be recorded.
    #[error("`{path}` cannot be recorded: {why}")]
    Unrecordable {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TreeError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            TreeError::NoTree { .. } => (Code::WrongState, "Discard the run and start it again."),
            TreeError::OtherTree { .. } => (Code::Indeterminate, "Move that folder away, then resume the run."),
            TreeError::NoCommit { .. } => (Code::BadArgument, "Choose a commit of this run or project."),
            TreeError::Unrecordable { .. } => {
                (Code::Io, "Remove that file or change its name or permissions, then resume.")
            }
            TreeError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run's working copy cannot be used: {self}."), hint)
    }
}

/// Which tree is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeSpec {
    /// The run.
    pub run: RunId,
    /// The folder for `repo` and `tree`; made where it is missing.
    pub dir: PathBuf,
    /// The commit it starts at.
    pub base: String,
}

/// The private working copy of a run. Holds only paths and ids, so it can be shared between threads.
#[derive(Debug, Clone)]
pub struct RunTree {
    dir: PathBuf,
    root: PathBuf,
    run: RunId,
    base: git2::Oid,
}

impl UserRepo {
    /// Makes the tree and the keep-ref `refs/atelier/base/<run>`. Does nothing where both are there; a half-made tree
    /// is replaced.
    pub fn make_tree(&self, spec: &TreeSpec) -> Result<RunTree, TreeError> {
        Err(TreeError::NoTree { dir: spec.dir.clone() })
    }

    /// Whether the tree and its keep-ref are there.
    pub fn settle_tree(&self, spec: &TreeSpec) -> Settled {
        Settled::Unknown(spec.base.clone())
    }
}

impl RunTree {
    /// Opens the complete tree in `dir`.
    pub fn open(dir: &Path) -> Result<RunTree, TreeError> {
        Err(TreeError::NoTree { dir: dir.to_owned() })
    }

    /// The folder of the files.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that holds it all.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The commit it started at.
    pub fn base(&self) -> String {
        self.base.to_string()
    }
}
