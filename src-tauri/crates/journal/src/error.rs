//! What can go wrong with a store, one small enum per family of operation.
//!
//! Each turns into a [`Problem`] with what could not be done, why, and what the user can do next.
//! Nobody matches on texts: what callers branch on is a variant here or the problem's code.

use atelier_protocol::{Code, Hash, Problem, RunId, Seq};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What can be done about damage.
const DAMAGED: &str = "Nothing was changed. Restore the folder from a backup, or salvage what can still be read into a \
                       new folder.";

/// A consumer's offset in words.
fn place(offset: Option<Seq>) -> String {
    offset.map_or_else(|| "its beginning".to_owned(), |seq| seq.to_string())
}

/// Why a store could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The store, or an event in it, was written by a newer build. Its files are left as they are.
    #[error("the store at {} was written by a newer version: {what}", path.display())]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// What this build does not know, such as `schema 3` or `event plan_written 2`.
        what: String,
    },
    /// The store's files are damaged. They are left as they are.
    #[error("the store at {} is damaged: {reason}", path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file belongs to another store than the one asked for.
    #[error("{} holds the store `{found}`, not `{wanted}`", path.display())]
    OtherStore {
        /// The store's file.
        path: PathBuf,
        /// The store that is in it.
        found: String,
        /// The store that was asked for.
        wanted: String,
    },
    /// Another process owns the store but does not answer on its socket.
    #[error("another process owns the store `{store}` and does not answer: {reason}")]
    Unanswered {
        /// The store.
        store: String,
        /// What was tried last.
        reason: String,
    },
    /// The owner speaks another version of the socket's protocol.
    #[error("the process that owns the store `{store}` speaks version {found} of the socket, this one {wanted}")]
    OtherDoor {
        /// The store.
        store: String,
        /// The owner's version.
        found: u32,
        /// Ours.
        wanted: u32,
    },
    /// The socket cannot be made or is not safe to use.
    #[error("the socket of the store `{store}` cannot be used: {reason}")]
    Socket {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{} cannot be used: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        OpenError::Io { path: path.to_owned(), reason: error.to_string() }
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            OpenError::Newer { .. } => {
                (Code::StoreNewer, "Update Atelier to the version that wrote it; until then it can only be read.")
            }
            OpenError::Damaged { .. } => (Code::StoreDamaged, DAMAGED),
            OpenError::OtherStore { .. } => {
                (Code::StoreFailed, "Put the folder back where it belongs; nothing was changed.")
            }
            OpenError::Unanswered { .. } => {
                (Code::StoreFailed, "Wait until the other window or command is ready, or end it, and try again.")
            }
            OpenError::OtherDoor { .. } => {
                (Code::StoreNewer, "Close the other window or command, or use the same version for both.")
            }
            OpenError::Socket { .. } => {
                (Code::StoreFailed, "Check who may write in the run folder, or set ATELIER_HOME to a folder of yours.")
            }
            OpenError::Io { .. } => (Code::Io, "Check that the folder exists, is yours and has free space."),
        };
        Problem::new(code, message, hint)
    }
}

/// Why events were not appended. None of the events of that append is in the store, except
/// where `Failed` follows a commit that broke half-way: then a new owner decides by reading.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The run has other events than expected; read it again and decide anew.
    #[error("run {run} has {actual} events, {expected} were expected")]
    Conflict {
        /// The run.
        run: RunId,
        /// How many events the caller expected.
        expected: u64,
        /// How many there are.
        actual: u64,
    },
    /// Another process has become the owner; this one must stop.
    #[error("epoch {ours} of the store is over, its owner is at epoch {theirs} now")]
    Fenced {
        /// Our epoch.
        ours: u32,
        /// The epoch in the store.
        theirs: u32,
    },
    /// The key was used before: what the append would do is done.
    #[error("the key `{key}` of `{scope}` was used by event {first}")]
    Repeated {
        /// What the key is unique in.
        scope: String,
        /// The key.
        key: String,
        /// The first event that was appended with it.
        first: Seq,
    },
    /// The consumer is not where the append expects it; read its offset again.
    #[error("the consumer `{consumer}` is at {}, {} was expected", place(*actual), place(*expected))]
    Moved {
        /// The consumer.
        consumer: String,
        /// Where the caller expected it.
        expected: Option<Seq>,
        /// Where it is.
        actual: Option<Seq>,
    },
    /// There was nothing to append.
    #[error("an append without events and marks")]
    Empty,
    /// An event is larger than the store takes.
    #[error("a `{kind}` of {bytes} bytes is larger than the {limit} bytes a store takes")]
    TooLarge {
        /// The event's kind; `key` or `consumer` for the name of a mark.
        kind: String,
        /// The payload's size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// There is no room on the disk. The next append succeeds once there is.
    #[error("the disk is full")]
    DiskFull,
    /// The store turned out to be damaged.
    #[error("the store is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// The events could not be written.
    #[error("the store cannot be written: {reason}")]
    Failed {
        /// The cause.
        reason: String,
    },
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            AppendError::Conflict { .. } => {
                (Code::WrongState, "Something else happened to the run meanwhile; look at it and try again.")
            }
            AppendError::Fenced { .. } => {
                (Code::OwnerLost, "Another window or command has taken over; try again there.")
            }
            AppendError::Repeated { .. } => (Code::WrongState, "It was done before; nothing was done now."),
            AppendError::Moved { .. } => {
                (Code::WrongState, "Something else moved the consumer meanwhile; look at it and try again.")
            }
            AppendError::DiskFull => (Code::DiskFull, "Make room on the disk; then go on where it stopped."),
            AppendError::Damaged { .. } => (Code::StoreDamaged, DAMAGED),
            AppendError::Empty => (Code::Internal, "This is a defect in Atelier; please report it."),
            AppendError::TooLarge { .. } => (Code::StoreFailed, "Work on smaller files or with less output at a time."),
            AppendError::Closed => (Code::OwnerLost, "Open the project again."),
            AppendError::Failed { .. } => {
                (Code::StoreFailed, "Check free space and the disk, then open the project again.")
            }
        };
        Problem::new(code, message, hint)
    }
}

/// Why the history could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The event is sealed; it cannot be read without its key.
    #[error("event {seq} is sealed with the key `{key}`")]
    Sealed {
        /// The event.
        seq: Seq,
        /// The key's id.
        key: String,
    },
    /// The event is of a kind or version that this build does not know.
    #[error("event {seq} is a `{kind}` of version {v}, which this version does not know")]
    Newer {
        /// The event.
        seq: Seq,
        /// Its kind.
        kind: String,
        /// The version of its payload.
        v: u32,
    },
    /// What is stored is not what was written.
    #[error("event {seq} is damaged: {reason}")]
    Damaged {
        /// The event.
        seq: Seq,
        /// What was found.
        reason: String,
    },
    /// The database is damaged, so that not even its rows can be found.
    #[error("the store is damaged: {reason}")]
    Broken {
        /// What was found.
        reason: String,
    },
    /// The store could not be read.
    #[error("the store cannot be read: {reason}")]
    Failed {
        /// The cause.
        reason: String,
    },
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            ReadError::Sealed { .. } => (Code::StoreFailed, "Unlock the store with its key."),
            ReadError::Newer { .. } => (Code::StoreNewer, "Update Atelier to the version that wrote it."),
            ReadError::Damaged { .. } | ReadError::Broken { .. } => (Code::StoreDamaged, DAMAGED),
            ReadError::Failed { .. } => (Code::StoreFailed, "Check the disk, then open the project again."),
        };
        Problem::new(code, message, hint)
    }
}

/// Why a blob could not be kept or found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// The text is not a hash.
    #[error("`{text}` is not a content hash")]
    NotAHash {
        /// What was given.
        text: String,
    },
    /// The file's content is not what its name says.
    #[error("blob {hash} is damaged: its content hashes to {found}")]
    Damaged {
        /// What was asked for.
        hash: Hash,
        /// What is there.
        found: Hash,
    },
    /// There is no room on the disk.
    #[error("the disk is full: blob file {} cannot be written", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("blob file {} cannot be used: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            BlobError::NotAHash { .. } => (Code::BadArgument, "A content hash is `blake3:` and 64 hexadecimal digits."),
            BlobError::Damaged { .. } => (Code::StoreDamaged, DAMAGED),
            BlobError::DiskFull { .. } => (Code::DiskFull, "Make room on the disk; then go on where it stopped."),
            BlobError::Io { .. } => (Code::Io, "Check free space and who may write in the store's folder."),
        };
        Problem::new(code, message, hint)
    }
}

/// Why projections could not be read or kept up. The journal is not touched by any of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProjectionError {
    /// No such projection.
    #[error("there is no projection `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The journal they follow cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// A snapshot is larger than what is kept.
    #[error("a snapshot of {bytes} bytes is larger than the {limit} bytes that are kept")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// There is no room on the disk.
    #[error("the disk is full: the projections are behind")]
    DiskFull,
    /// The store was closed before they came so far.
    #[error("the store is closed")]
    Closed,
    /// Their file could not be read or written.
    #[error("the projections cannot be used: {reason}")]
    Failed {
        /// The cause.
        reason: String,
    },
}

impl From<rusqlite::Error> for ProjectionError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => ProjectionError::DiskFull,
            _ => ProjectionError::Failed { reason: error.to_string() },
        }
    }
}

impl From<ProjectionError> for Problem {
    fn from(error: ProjectionError) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            ProjectionError::Unknown { .. } => (Code::BadArgument, "Ask for one of those that there are."),
            ProjectionError::Journal(error) => return error.into(),
            ProjectionError::TooLarge { .. } => (Code::Internal, "This is a defect in Atelier; please report it."),
            ProjectionError::DiskFull => (Code::DiskFull, "Make room on the disk; they go on by themselves then."),
            ProjectionError::Closed => (Code::OwnerLost, "Open the project again."),
            ProjectionError::Failed { .. } => {
                (Code::StoreFailed, "Check the disk. The file `projections.db` may be deleted: it is made anew.")
            }
        };
        Problem::new(code, message, hint)
    }
}

/// Why a store could not be copied. The store itself is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CopyError {
    /// Something is there already; nothing is written over.
    #[error("{} exists already", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no room on the disk.
    #[error("the disk is full: {} cannot be written", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The store is damaged, so that a copy would be too; salvage it instead.
    #[error("the store is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{} cannot be used: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
}

impl CopyError {
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => CopyError::DiskFull { path },
            _ => CopyError::Io { path, reason: error.to_string() },
        }
    }

    pub(crate) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => CopyError::DiskFull { path },
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                CopyError::Damaged { reason }
            }
            _ => CopyError::Io { path, reason },
        }
    }
}

impl From<BlobError> for CopyError {
    fn from(error: BlobError) -> Self {
        let message = error.to_string();
        match error {
            BlobError::DiskFull { path } => CopyError::DiskFull { path },
            BlobError::Io { path, reason } => CopyError::Io { path, reason },
            BlobError::Damaged { .. } | BlobError::NotAHash { .. } => CopyError::Damaged { reason: message },
        }
    }
}

impl From<BlobError> for ReadError {
    fn from(error: BlobError) -> Self {
        ReadError::Failed { reason: error.to_string() }
    }
}

impl From<CopyError> for Problem {
    fn from(error: CopyError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            CopyError::Exists { .. } => (Code::BadArgument, "Name a folder that does not exist yet."),
            CopyError::DiskFull { .. } => (Code::DiskFull, "Make room, or copy to another disk."),
            CopyError::Damaged { .. } => (Code::StoreDamaged, DAMAGED),
            CopyError::Io { .. } => (Code::Io, "Check that both folders exist, are yours and have free space."),
        };
        Problem::new(code, message, hint)
    }
}
