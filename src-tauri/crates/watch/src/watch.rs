//! A watch on a folder: its thread, what it tells, and how it does.

use crate::inbox::{Inbox, Told};
use crate::native::{Failed, Native};
use crate::rounds::Rounds;
use crate::tree;
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a folder is watched.
#[derive(Debug, Clone)]
pub struct Options {
    /// A change is told when nothing more came for so long.
    pub quiet: Duration,
    /// It is told after so long in any case.
    pub longest: Duration,
    /// How often it is looked whether the folder is still there.
    pub idle: Duration,
    /// How often it is looked around, at least, where the system has no watches left.
    pub round: Duration,
    /// Watches that may be taken.
    pub most_watches: usize,
    /// Paths that are remembered until they are told; more are told as everything.
    pub most_paths: usize,
    /// Files outside of what counts whose change is told apart, such as a repository's HEAD.
    pub marks: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(40),
            longest: Duration::from_millis(300),
            idle: Duration::from_secs(2),
            round: Duration::from_secs(2),
            most_watches: usize::MAX,
            most_paths: 10_000,
            marks: Vec::new(),
        }
    }
}

/// What is different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Files and removed folders by their paths in the folder, with `/`.
    pub paths: BTreeSet<String>,
    /// It is not known what: everything has to be looked at.
    pub everything: bool,
    /// One of the marks is different.
    pub marks: bool,
}

/// How a watch does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The system tells of changes.
    Watching {
        /// Folders that are watched.
        folders: usize,
    },
    /// It is looked around from time to time, because the system has no watches left.
    Polling {
        /// How long lies between two rounds, in milliseconds.
        every_ms: u64,
        /// Why.
        reason: String,
    },
    /// The folder is not there; it is waited for.
    Gone,
}

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder cannot be read.
    #[error("the folder `{}` cannot be watched: {source}", root.display())]
    Root {
        /// The folder.
        root: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A watch on a folder. It ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<Status>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.inbox.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watch {
    /// Watches `root`. When this returns, no later change is missed. `tell` is called on the watch's own thread.
    pub fn start(root: &Path, options: Options, tell: impl FnMut(Change) + Send + 'static) -> Result<Self, WatchError> {
        let failed = |source| WatchError::Root { root: root.to_owned(), source };
        let real = root.canonicalize().map_err(failed)?;
        fs::read_dir(&real).map_err(failed)?;
        let inbox = Arc::new(Inbox::new(options.most_paths));
        let status = Arc::new(Mutex::new(Status::Gone));
        let mut work = Work {
            identity: identity(&real),
            root: real,
            inbox: Arc::clone(&inbox),
            status: Arc::clone(&status),
            means: Means::None,
            options,
            tell,
        };
        work.begin();
        let thread = std::thread::Builder::new().name("folder watch".to_owned()).spawn(move || work.go_on());
        Ok(Self { inbox, status, thread: Some(thread.map_err(failed)?) })
    }

    /// How it does now.
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What tells of changes now.
enum Means {
    None,
    Native(Native),
    Rounds { rounds: Rounds, every: Duration, next: Instant, reason: String },
}

struct Work<T> {
    root: PathBuf,
    /// The folder's device and number, to see that it is another now.
    identity: Option<(u64, u64)>,
    inbox: Arc<Inbox>,
    status: Arc<Mutex<Status>>,
    means: Means,
    options: Options,
    tell: T,
}

impl<T: FnMut(Change)> Work<T> {
    /// Watches everything that counts now.
    fn begin(&mut self) {
        self.means = Means::None;
        match Native::new(&self.inbox, self.options.most_watches) {
            Ok(native) => self.means = Means::Native(native),
            Err(failed) => return self.look_around(failed),
        }
        self.cover();
    }

    /// Brings the watches to what counts now.
    fn cover(&mut self) {
        let also = self.folders_of_marks();
        if let Means::Native(native) = &mut self.means
            && let Err(failed) = native.all(&self.root, &also)
        {
            self.look_around(failed);
        }
        self.say();
    }

    fn folders_of_marks(&self) -> Vec<PathBuf> {
        let folders: BTreeSet<&Path> = self.options.marks.iter().filter_map(|mark| mark.parent()).collect();
        folders.into_iter().filter(|folder| folder.is_dir()).map(Path::to_owned).collect()
    }

    /// Watches the folders of marks that are there by now, as after `git init` or a clone; one of them may be made while the
    /// one above it is being watched.
    fn cover_marks(&mut self, change: &mut Change) {
        change.marks = true;
        loop {
            let folders = self.folders_of_marks();
            let Means::Native(native) = &mut self.means else { return };
            let before = native.len();
            if let Err(failed) = folders.iter().try_for_each(|folder| native.add(folder)) {
                change.everything = true;
                return self.look_around(failed);
            }
            if native.len() == before {
                return;
            }
        }
    }

    /// From now on it is looked around.
    fn look_around(&mut self, failed: Failed) {
        let reason = match failed {
            Failed::Exhausted => {
                "the system has no watches left; raise fs.inotify.max_user_watches to be told of changes"
            }
            Failed::Other(_) => "the system's watches do not work here",
        };
        tracing::warn!(reason, "changes are looked for from time to time");
        let mut rounds = Rounds::default();
        let begun = Instant::now();
        rounds.next(&self.root, &self.options.marks);
        // A round may take one part in a hundred of the time.
        let every = self.options.round.max(begun.elapsed() * 100);
        self.means = Means::Rounds { rounds, every, next: Instant::now() + every, reason: reason.to_owned() };
        self.say();
    }

    fn say(&self) {
        let status = match &self.means {
            Means::None => Status::Gone,
            Means::Native(native) => Status::Watching { folders: native.len() },
            Means::Rounds { every, reason, .. } => Status::Polling {
                every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
                reason: reason.clone(),
            },
        };
        *lock(&self.status) = status;
    }

    fn go_on(&mut self) {
        loop {
            let idle = match &self.means {
                Means::Rounds { next, .. } => next.saturating_duration_since(Instant::now()).min(self.options.idle),
                Means::None | Means::Native(_) => self.options.idle,
            };
            let Some(told) = self.inbox.take(idle, self.options.quiet, self.options.longest) else { return };
            if let Some(change) = self.change(told) {
                (self.tell)(change);
            }
        }
    }

    /// What is to be told, and what it means for the watches.
    fn change(&mut self, told: Told) -> Option<Change> {
        let now = identity(&self.root);
        if now != self.identity {
            // Removed, or removed and made again: nothing that was known holds.
            self.identity = now;
            match now {
                Some(_) => self.begin(),
                None => {
                    self.means = Means::None;
                    self.say();
                }
            }
            return Some(Change { everything: true, marks: true, ..Change::default() });
        }
        now?;
        if told.exhausted {
            self.look_around(Failed::Exhausted);
            return Some(Change { everything: true, marks: true, ..Change::default() });
        }
        if let Means::Rounds { rounds, every, next, .. } = &mut self.means {
            if Instant::now() < *next && !told.everything {
                return None;
            }
            let begun = Instant::now();
            let different = rounds.next(&self.root, &self.options.marks);
            *every = self.options.round.max(begun.elapsed() * 100);
            *next = Instant::now() + *every;
            let mut change = Change::default();
            different.iter().for_each(|path| self.note(path, &mut change));
            return Some(change).filter(|change| *change != Change::default());
        }
        if told.paths.contains(&self.root) {
            // The folder itself was removed or changed. It may be another one by now, even with the same number.
            self.begin();
            return Some(Change { everything: true, marks: true, ..Change::default() });
        }
        if told.everything {
            self.cover();
            return Some(Change { everything: true, marks: true, ..Change::default() });
        }
        let mut change = Change::default();
        if told.paths.iter().any(|path| tree::is_rules(path) && path.starts_with(&self.root)) {
            // Other folders count now.
            self.cover();
            change.everything = true;
        }
        for path in &told.paths {
            self.follow(path, &mut change);
        }
        self.say();
        if change.everything {
            change.paths.clear();
        }
        Some(change).filter(|change| *change != Change::default())
    }

    /// Takes one path into the change, and sets or drops watches where it is a folder.
    fn follow(&mut self, path: &Path, change: &mut Change) {
        let Means::Native(native) = &mut self.means else { return };
        let leads_to_mark = |mark: &PathBuf| mark != path && mark.starts_with(path);
        if self.options.marks.iter().any(leads_to_mark) && !self.root.starts_with(path) {
            native.forget(path); // it may be another folder of this name
            return self.cover_marks(change);
        }
        let is_mark = self.options.marks.iter().any(|mark| mark == path);
        if is_mark || !path.starts_with(&self.root) || tree::is_own(path) {
            return self.note(path, change);
        }
        let found = path.symlink_metadata().ok();
        if !found.as_ref().is_some_and(Metadata::is_dir) {
            if native.knows(path) {
                native.forget(path);
            }
            return self.note(path, change);
        }
        // A folder that is new here, perhaps by another name before: its watches come first, then what is in it is
        // looked at, so that nothing falls between.
        let mut met: Vec<PathBuf> = Vec::new();
        let mut failed = None;
        if native.knows(path) {
            native.forget(path);
        }
        for (path, metadata) in tree::below(&self.root, path) {
            if metadata.is_dir() {
                if let Err(why) = native.add(&path) {
                    failed = Some(why);
                    break;
                }
                // What came into it before it was watched.
                let inside = fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok);
                met.extend(inside.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir())).map(|e| e.path()));
            }
        }
        if let Some(failed) = failed {
            self.look_around(failed);
            change.everything = true;
        }
        met.iter().for_each(|path| self.note(path, change));
    }

    /// Notes a path that is in the folder, or a mark.
    fn note(&self, path: &Path, change: &mut Change) {
        if self.options.marks.iter().any(|mark| mark == path) {
            change.marks = true;
        }
        let Ok(inside) = path.strip_prefix(&self.root) else { return };
        if inside.as_os_str().is_empty() || inside.components().any(|part| tree::is_own(part.as_ref())) {
            return;
        }
        let parts: Option<Vec<&str>> = inside.components().map(|part| part.as_os_str().to_str()).collect();
        match parts {
            Some(parts) => drop(change.paths.insert(parts.join("/"))),
            None => change.everything = true, // it has no name that could be told
        }
    }
}

/// What tells a folder from another at the same place.
fn identity(root: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(root).ok().filter(Metadata::is_dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let made = metadata.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some((0, u64::try_from(made.as_nanos()).unwrap_or(u64::MAX)))
    }
}
