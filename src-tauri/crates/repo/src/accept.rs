//! A run's way to the user's branch: what is planned, why it may not be, and whether it happened. How it is found out is
//! `merge`'s part, the acts themselves are `land`'s.
//!
//! Text filters (line ends, `ident`) apply to the user's files as with git. External filters such as LFS are never run:
//! where a file of the run has one, the accept is refused. Signatures are `remake`'s part, hooks `rehearse`'s.

use crate::fault::{Fault, git};
use crate::hand_over::branch_ref;
use crate::open::{OpenError, UserRepo};
use crate::paths::{files, shown};
use crate::run_tree::ref_target;
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::AcceptMode;
use atelier_protocol::ids::RunId;
use git2::{Oid, Repository};

/// An accept that is planned. Everything it needs is in the user's repository, so it can be put together again from
/// the journal after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The run.
    pub run: RunId,
    /// The user's branch; `HEAD` where it is detached.
    pub branch: String,
    /// The commit it is at.
    pub from: String,
    /// The commit it will be at.
    pub to: String,
    /// How.
    pub mode: AcceptMode,
}

/// Why a run could not be accepted. Nothing was changed, unless it is a [`Fault`] in the middle: then performing the same
/// accept again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum AcceptRefusal {
    /// The user's branch and the run changed the same lines.
    #[error("your branch and the run changed the same places in {}", files(paths.len()))]
    Conflict {
        /// The files.
        paths: Vec<String>,
    },
    /// The user's uncommitted changes touch files of the run.
    #[error("your uncommitted changes touch {} of the run", files(paths.len()))]
    Dirty {
        /// The files.
        paths: Vec<String>,
    },
    /// Files of the run need an external filter, such as LFS.
    #[error("a filter program is needed for {} of the run", files(paths.len()))]
    Filtered {
        /// The files.
        paths: Vec<String>,
    },
    /// Your branch moved on, so it cannot simply move forward.
    #[error("your branch has commits that the run does not, so it cannot move forward to it")]
    NotForward,
    /// A part was chosen that the run's changes do not have.
    #[error("the run's changes have no {what}")]
    NoPart {
        /// What was chosen.
        what: String,
    },
    /// The message is not in the form of Conventional Commits.
    #[error("the message is not in form ({})", why.join("; "))]
    Message {
        /// What is wrong with it.
        why: Vec<String>,
    },
    /// The branch has the commits already.
    #[error("your branch has these commits already")]
    AlreadyThere,
    /// The branch does not have the commits that are to be taken off it.
    #[error("`{branch}` does not have these commits any more")]
    NotThere {
        /// The branch.
        branch: String,
    },
    /// Commits on top of the accept changed the same places.
    #[error("later commits on your branch changed the same places in {}", files(paths.len()))]
    BuiltUpon {
        /// The files.
        paths: Vec<String>,
    },
    /// The branch went on since the accept was taken back.
    #[error("your branch went on since the accept was taken back")]
    AcceptAnew,
    /// The branch moved or another one was checked out since the plan was made.
    #[error("`{branch}` is no longer where it was ({found})")]
    Moved {
        /// The branch of the plan.
        branch: String,
        /// What was found.
        found: String,
    },
    /// The commits could not be signed as the user's configuration asks.
    #[error("its commits could not be signed: {why}")]
    Unsigned {
        /// What git said.
        why: String,
    },
    /// A hook changed what is to be committed.
    #[error("a git hook changed {} of those to be committed", files(paths.len()))]
    HookRewrote {
        /// The files.
        paths: Vec<String>,
    },
    /// A hook left no message.
    #[error("a git hook left no message for a commit")]
    HookEmptied,
    /// The result could not be laid out for hooks.
    #[error("the result cannot be laid out for your git hooks ({why})")]
    Unrehearsed {
        /// Why not.
        why: String,
    },
    /// There is no such commit in the user's repository.
    #[error("the commit {commit} is not in the repository")]
    NoCommit {
        /// The commit.
        commit: String,
    },
    /// The repository cannot be worked on now.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AcceptRefusal {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let none: &[String] = &[];
        let (code, hint, paths) = match self {
            AcceptRefusal::Conflict { paths } => (
                Code::AcceptConflict,
                "Look at both sides with `atelier runs conflicts` and say what is taken with `runs accept --resolve`, or merge \
                 the run's branch by hand, start the run again from where your branch is now, or discard it.",
                paths.as_slice(),
            ),
            AcceptRefusal::Dirty { paths } => {
                (Code::AcceptDirty, "Commit or stash your changes in these files, then accept again.", paths.as_slice())
            }
            AcceptRefusal::Filtered { paths } => (
                Code::UnsupportedRepository,
                "Merge the run's branch with git (`git merge atelier/<run>`), which runs the filters.",
                paths.as_slice(),
            ),
            AcceptRefusal::NotForward => {
                (Code::WrongState, "Accept it with a merge or squashed into one commit.", none)
            }
            AcceptRefusal::NoPart { .. } => {
                (Code::BadArgument, "Look at the changes with `atelier runs show --diff` and choose again.", none)
            }
            AcceptRefusal::Message { .. } => (
                Code::BadArgument,
                "Write `type(scope): subject` in at most 72 characters, then an empty line, then more.",
                none,
            ),
            AcceptRefusal::NotThere { .. } => (Code::WrongState, "There is nothing to take back here.", none),
            AcceptRefusal::BuiltUpon { paths } => (
                Code::AcceptConflict,
                "Take the change back by hand in these files, or with `git revert`, which leaves the conflicts in your files.",
                paths.as_slice(),
            ),
            AcceptRefusal::AcceptAnew => (Code::WrongState, "Accept the run again with `atelier runs accept`.", none),
            AcceptRefusal::AlreadyThere => (Code::WrongState, "There is nothing left to do.", none),
            AcceptRefusal::Moved { .. } => (Code::WrongState, "Look at your branch, then accept again.", none),
            AcceptRefusal::Unsigned { .. } => (
                Code::SigningFailed,
                "Try it with `git commit -S` in a repository of your own, or accept without signatures (`--no-gpg-sign`).",
                none,
            ),
            AcceptRefusal::HookRewrote { paths } => (
                Code::HookRefused,
                "What it leaves was not checked: have the run make that change, or accept without hooks (`--no-verify`).",
                paths.as_slice(),
            ),
            AcceptRefusal::HookEmptied | AcceptRefusal::Unrehearsed { .. } => {
                (Code::HookRefused, "Mend the hook, or accept without hooks (`--no-verify`).", none)
            }
            AcceptRefusal::NoCommit { .. } => (Code::WrongState, "Hand the run over again.", none),
            AcceptRefusal::Open(error) => return error.problem(),
            AcceptRefusal::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run cannot be accepted: {self}."), hint).with_details(paths.iter().cloned())
    }
}

impl UserRepo {
    /// Performs it: files, then the index, then the branch. Only what the run changed is written; everything else that is
    /// uncommitted or staged stays as it is. Performing it again after a crash at any point finishes it.
    pub fn perform_accept(&self, plan: &Accept) -> Result<(), AcceptRefusal> {
        self.land(plan, &mut |_| Ok(()))
    }

    /// Whether the branch has the commits.
    pub fn settle_accept(&self, plan: &Accept) -> Settled {
        let found = self.repo().and_then(|repo| {
            self.release_index(&plan.run)?;
            self.release_branch(plan)?;
            let at = ref_target(&repo, &plan.reference())?;
            let id = |text: &str| Oid::from_str(text).map_err(git("reading an id"));
            let (from, to) = (id(&plan.from)?, id(&plan.to)?);
            Ok(match at {
                // It was to go back, and the user went on from where it was.
                Some(at) if !has(&repo, to, from) && has(&repo, at, from) => (Some(from), false),
                at => (at, at.is_some_and(|at| reached(&repo, at, from, to))),
            })
        });
        match found {
            Ok((Some(at), _)) if at.to_string() == plan.from => Settled::NotLanded,
            Ok((_, true)) => Settled::Landed,
            Ok((Some(at), false)) => Settled::Unknown(format!("`{}` is at {at}", plan.branch)),
            Ok((None, false)) => Settled::Unknown(format!("there is no `{}`", plan.branch)),
            Err(e) => Settled::Unknown(e.to_string()),
        }
    }
}

/// What a detached HEAD is called in a plan.
pub(crate) const HEAD: &str = "HEAD";

impl Accept {
    /// The reference that moves.
    pub(crate) fn reference(&self) -> String {
        if self.branch == HEAD { HEAD.to_owned() } else { branch_ref(&self.branch) }
    }
}

/// The files of a merge that conflict, by path.
pub(crate) fn conflicting(merged: &git2::Index) -> Result<Vec<String>, Fault> {
    let mut paths = std::collections::BTreeSet::new();
    for conflict in merged.conflicts().map_err(git("merging"))? {
        let conflict = conflict.map_err(git("merging"))?;
        let sides = [conflict.our, conflict.their, conflict.ancestor];
        paths.extend(sides.iter().flatten().next().map(|entry| shown(&entry.path)));
    }
    Ok(paths.into_iter().collect())
}

/// Whether a branch that was to go from `from` to `to` did: it may have gone on from there, and `to` may be the older one.
pub(crate) fn reached(repo: &Repository, at: Oid, from: Oid, to: Oid) -> bool {
    has(repo, at, to) && (has(repo, to, from) || !has(repo, at, from))
}

/// Whether the history of `at` has the commit `wanted`.
pub(crate) fn has(repo: &Repository, at: Oid, wanted: Oid) -> bool {
    at == wanted || repo.graph_descendant_of(at, wanted).unwrap_or(false)
}
