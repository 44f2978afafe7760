//! What can go wrong, as a closed list of codes with a message and a way on.
//!
//! Rooms have their own error types; they are converted to a [`Problem`] once, at a door.
//! The exit class of a code is decided here, so that every door agrees.

use serde::{Deserialize, Serialize};
use std::fmt;
use ts_rs::TS;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $class:ident,)*) => {
        /// A kind of failure that somebody branches on. Stable text, see [`Code::as_str`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code, for tests and documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];
            /// The code as it is printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
            /// The process exit class it belongs to.
            pub fn exit(self) -> ExitClass {
                match self { $(Code::$name => ExitClass::$class,)* }
            }
        }
    };
}

codes! {
    /// A check exited with something other than zero and no rounds are left.
    ChecksFailed = "checks_failed" => WorkNotDone,
    /// A reviewing role rejected the change and no rounds are left.
    ReviewRejected = "review_rejected" => WorkNotDone,
    /// The roles changed nothing.
    NothingChanged = "nothing_changed" => WorkNotDone,
    /// The run is not in a state where this can be done.
    WrongState = "wrong_state" => WorkNotDone,
    /// The user's branch and the run changed the same lines.
    AcceptConflict = "accept_conflict" => WorkNotDone,
    /// Uncommitted changes of the user touch files of the run.
    AcceptDirty = "accept_dirty" => WorkNotDone,
    /// A git hook of the user refused the commits of a run, or changed them.
    HookRefused = "hook_refused" => WorkNotDone,
    /// Commits could not be signed as the user's git configuration asks.
    SigningFailed = "signing_failed" => Environment,
    /// A role took more turns than its file allows.
    TurnLimit = "turn_limit" => WorkNotDone,
    /// The model repeated the same call with the same result.
    Looping = "looping" => WorkNotDone,

    /// The goal has no text.
    EmptyGoal = "empty_goal" => Usage,
    /// An argument or option is wrong.
    BadArgument = "bad_argument" => Usage,
    /// The folder does not exist or cannot be read.
    NoFolder = "no_folder" => Usage,
    /// The folder is not a git repository.
    NotARepository = "not_a_repository" => Usage,
    /// The repository has no commit yet.
    NoCommit = "no_commit" => Usage,
    /// The repository is of a kind that cannot be worked on safely.
    UnsupportedRepository = "unsupported_repository" => Usage,
    /// A merge, rebase, bisect or the like is in progress.
    RepositoryBusy = "repository_busy" => Usage,
    /// A role file is wrong.
    RoleInvalid = "role_invalid" => Usage,
    /// A flow file is wrong.
    FlowInvalid = "flow_invalid" => Usage,
    /// A stage script is wrong.
    ScriptInvalid = "script_invalid" => Usage,
    /// The project's own file is wrong.
    ProjectFileInvalid = "project_file_invalid" => Usage,
    /// No such run.
    UnknownRun = "unknown_run" => Usage,
    /// No such approval, or it is settled already.
    UnknownApproval = "unknown_approval" => Usage,
    /// The edit text cannot be read.
    EditUnreadable = "edit_unreadable" => Usage,
    /// The search text of an edit is not in the file.
    EditNotFound = "edit_not_found" => WorkNotDone,
    /// The search text of an edit is in the file more than once.
    EditAmbiguous = "edit_ambiguous" => WorkNotDone,
    /// No such message, consumer or topic.
    UnknownMessage = "unknown_message" => Usage,
    /// A message was posted with a weaker promise than its topic gives.
    GuaranteeWeaker = "guarantee_weaker" => Usage,
    /// No such job, or it has ended.
    UnknownJob = "unknown_job" => Usage,
    /// No such object, kind of object or handler, or a message it cannot take.
    ObjectInvalid = "object_invalid" => Usage,
    /// The object changed meanwhile.
    ObjectChanged = "object_changed" => WorkNotDone,
    /// Objects that called each other in a circle.
    ObjectCycle = "object_cycle" => Refused,
    /// A run cannot be forked at this event.
    ForkPoint = "fork_point" => Usage,
    /// Child runs are nested too deep.
    TooDeep = "too_deep" => Refused,
    /// A child run did not do what its parent needs.
    ChildFailed = "child_failed" => WorkNotDone,
    /// Somebody's alarm, or silence, stopped a dangerous act.
    Stopped = "stopped" => Refused,
    /// A query that cannot be parsed.
    QueryInvalid = "query_invalid" => Usage,
    /// A file of a kind that cannot be read as a document.
    DocumentUnknown = "document_unknown" => Usage,
    /// A document that is locked with a password.
    DocumentEncrypted = "document_encrypted" => Usage,
    /// A document that is damaged, or not what it says.
    DocumentDamaged = "document_damaged" => Usage,
    /// A document that is larger, or unpacks to more, than is read.
    DocumentTooLarge = "document_too_large" => Usage,

    /// A recorded question waits for the user.
    NeedsApproval = "needs_approval" => NeedsAnswer,
    /// A limit on spending is reached.
    BudgetReached = "budget_reached" => Budget,
    /// Most of what may be used is used.
    BudgetNear = "budget_near" => Budget,
    /// Unusual spending paused calls to other machines.
    CloudPaused = "cloud_paused" => Budget,
    /// The user stopped it.
    Cancelled = "cancelled" => Cancelled,
    /// The approval was rejected by the user or by time-out.
    Rejected = "rejected" => Cancelled,

    /// The model server cannot be reached.
    ModelServerDown = "model_server_down" => Environment,
    /// The model server does not have the model.
    ModelMissing = "model_missing" => Environment,
    /// No model is chosen and none was found.
    NoModel = "no_model" => Environment,
    /// The model server answered with an error.
    ModelServerError = "model_server_error" => Environment,
    /// The model server did not answer in time.
    ModelTimeout = "model_timeout" => Environment,
    /// The account at the model server is used up.
    AccountExhausted = "account_exhausted" => Environment,
    /// The model server wants a key, or refused the one it got.
    KeyRefused = "key_refused" => Environment,
    /// The server read less than it was sent, or loaded a shorter context than it was asked for.
    ContextMismatch = "context_mismatch" => Environment,
    /// The prompt does not fit the model's context.
    ContextOverflow = "context_overflow" => Environment,
    /// Nothing can confine a command here.
    NotConfined = "not_confined" => Environment,
    /// A program that is needed is not installed.
    ProgramMissing = "program_missing" => Environment,
    /// The store cannot be read or written.
    StoreFailed = "store_failed" => Environment,
    /// There is no room left on the disk.
    DiskFull = "disk_full" => Environment,
    /// The store is damaged; it is read, never written.
    StoreDamaged = "store_damaged" => Environment,
    /// The store was written by a newer version.
    StoreNewer = "store_newer" => Environment,
    /// The process that owns the store went away.
    OwnerLost = "owner_lost" => Environment,
    /// A file could not be read or written.
    Io = "io" => Environment,
    /// The repository's own files could not be read or written.
    GitFailed = "git_failed" => Environment,
    /// The run was interrupted because its process ended.
    Interrupted = "interrupted" => Environment,
    /// After a crash the outcome of an effect cannot be known.
    Indeterminate = "indeterminate" => Environment,
    /// A defect in Atelier itself.
    Internal = "internal" => Environment,

    /// The model answered nothing.
    AnswerEmpty = "answer_empty" => BadAnswer,
    /// The model's answer lacks what the role must deliver.
    AnswerInvalid = "answer_invalid" => BadAnswer,
    /// The stream ended before the answer was complete.
    AnswerIncomplete = "answer_incomplete" => BadAnswer,

    /// A role asked for something its file does not allow.
    Denied = "denied" => Refused,
    /// Local-only mode forbids another machine.
    LocalOnly = "local_only" => Refused,
    /// The user has not permitted material to leave this machine for this server.
    NotPermitted = "not_permitted" => Refused,
    /// The keys cannot be read or kept.
    KeysLocked = "keys_locked" => Environment,
    /// A path leaves the project.
    OutsideProject = "outside_project" => Refused,
}

/// The class of a process exit, the same in every door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ExitClass {
    /// 0
    Done,
    /// 1: checks failed, run failed, nothing to do.
    WorkNotDone,
    /// 2: usage, configuration or input.
    Usage,
    /// 3: an approval or an answer is needed.
    NeedsAnswer,
    /// 4: a budget is reached.
    Budget,
    /// 5: cancelled or declined.
    Cancelled,
    /// 6: server down, model missing, store unreadable.
    Environment,
    /// 7: the model's answer was unusable.
    BadAnswer,
    /// 8: refused by policy or safety.
    Refused,
}

impl ExitClass {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            ExitClass::Done => 0,
            ExitClass::WorkNotDone => 1,
            ExitClass::Usage => 2,
            ExitClass::NeedsAnswer => 3,
            ExitClass::Budget => 4,
            ExitClass::Cancelled => 5,
            ExitClass::Environment => 6,
            ExitClass::BadAnswer => 7,
            ExitClass::Refused => 8,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure as a person sees it: what could not be done, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What kind of failure.
    pub code: Code,
    /// What could not be done, and why. One or two sentences.
    pub message: String,
    /// What the user can do next.
    pub hint: String,
    /// Paths, candidates or raw text that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Problem {
    /// A problem with a message and a way on.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into(), details: Vec::new() }
    }
    /// The same problem with details.
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_print_as_they_serialise() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
    }
}
