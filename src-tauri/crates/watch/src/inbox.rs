//! What the system told, until somebody takes it: a set of paths that never grows beyond a bound.
//!
//! More than that many paths are the same as "look at everything", which is cheaper then anyway.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was told since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub paths: HashSet<PathBuf>,
    /// Something was lost: nothing but looking at everything will do.
    pub everything: bool,
    /// The system has no watches left.
    pub exhausted: bool,
    stop: bool,
}

/// The place where it is told.
#[derive(Debug)]
pub(crate) struct Inbox {
    told: Mutex<Told>,
    woken: Condvar,
    most: usize,
}

impl Inbox {
    pub fn new(most: usize) -> Self {
        Self { told: Mutex::default(), woken: Condvar::new(), most }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn paths(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut told = self.lock();
        if !told.everything {
            told.paths.extend(paths);
            if told.paths.len() > self.most {
                told.paths = HashSet::new();
                told.everything = true;
            }
        }
        self.woken.notify_all();
    }

    pub fn everything(&self) {
        let mut told = self.lock();
        told.everything = true;
        told.paths = HashSet::new();
        self.woken.notify_all();
    }

    pub fn exhausted(&self) {
        self.lock().exhausted = true;
        self.woken.notify_all();
    }

    pub fn stop(&self) {
        self.lock().stop = true;
        self.woken.notify_all();
    }

    /// Waits for something, at most `idle`, then until nothing more comes for `quiet`, at most `longest`. `None` where
    /// it is to end.
    pub fn take(&self, idle: Duration, quiet: Duration, longest: Duration) -> Option<Told> {
        let empty = |told: &Told| told.paths.is_empty() && !told.everything && !told.exhausted && !told.stop;
        let told = self.lock();
        let waited = self.woken.wait_timeout_while(told, idle, |told| empty(told));
        let (mut told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + longest;
        while !empty(&told) && !told.stop {
            let left = until.saturating_duration_since(Instant::now()).min(quiet);
            let (known, all) = (told.paths.len(), told.everything);
            let waited = self.woken.wait_timeout(told, left);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            told = after;
            let still = told.paths.len() == known && told.everything == all;
            if (timeout.timed_out() && still) || Instant::now() >= until {
                break;
            }
        }
        if told.stop {
            return None;
        }
        Some(std::mem::take(&mut *told))
    }
}
