//! Records what the bus does, and wakes whoever waits for jobs.
//!
//! The one place through which the bus appends: a test ends a process here, just before or just after any append.

use atelier_journal::{Append, AppendError, Journal, Receipt};
use atelier_protocol::event::Event;
use std::sync::Arc;
use tokio::sync::watch;

/// The writing end of the bus. A clone is the same.
#[derive(Clone)]
pub struct Pen {
    journal: Journal,
    jobs: Arc<watch::Sender<u64>>,
    #[cfg(test)]
    fuse: Option<Arc<Fuse>>,
}

impl Pen {
    /// Writes to a journal.
    pub fn new(journal: Journal) -> Self {
        let (jobs, _) = watch::channel(0);
        Self {
            journal,
            jobs: Arc::new(jobs),
            #[cfg(test)]
            fuse: None,
        }
    }

    /// Appends, all or nothing. Runs are told of by those who work on them, never by the bus.
    pub async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        if let Some(stray) = append.events.iter().find_map(|event| event.run.as_ref()) {
            return Err(AppendError::Failed { reason: format!("the bus would record an event of run {stray}") });
        }
        #[cfg(test)]
        if let Some(fuse) = &self.fuse {
            fuse.before()?;
        }
        let receipt = self.journal.append_marked(append).await?;
        #[cfg(test)]
        if let Some(fuse) = &self.fuse {
            fuse.after()?;
        }
        let about_jobs = |event: &Event| matches!(event, Event::JobQueued { .. } | Event::JobEnded { .. });
        if receipt.events.iter().any(|event| about_jobs(&event.event)) {
            self.jobs.send_modify(|changes| *changes += 1);
        }
        Ok(receipt)
    }

    /// Changes whenever something was recorded about a job that a worker may wait for.
    pub fn jobs(&self) -> watch::Receiver<u64> {
        self.jobs.subscribe()
    }

    /// The same pen in a process that dies at its `n`-th append.
    #[cfg(test)]
    pub fn dying(self, n: u64, after: bool) -> Self {
        let fuse = Fuse { left: std::sync::atomic::AtomicU64::new(n), after };
        Self { fuse: Some(Arc::new(fuse)), ..self }
    }

    /// Whether the process is dead.
    #[cfg(test)]
    pub fn is_dead(&self) -> bool {
        self.fuse.as_ref().is_some_and(|fuse| fuse.left.load(std::sync::atomic::Ordering::SeqCst) == 0)
    }
}

/// Ends a process at one of its appends: from then on nothing is written any more.
#[cfg(test)]
struct Fuse {
    left: std::sync::atomic::AtomicU64,
    after: bool,
}

#[cfg(test)]
impl Fuse {
    fn before(&self) -> Result<(), AppendError> {
        use std::sync::atomic::Ordering::SeqCst;
        match self.left.load(SeqCst) {
            0 => Err(AppendError::Closed),
            1 if !self.after => {
                self.left.store(0, SeqCst);
                Err(AppendError::Closed)
            }
            _ => Ok(()),
        }
    }

    fn after(&self) -> Result<(), AppendError> {
        use std::sync::atomic::Ordering::SeqCst;
        match self.left.fetch_sub(1, SeqCst) {
            1 => Err(AppendError::Closed),
            _ => Ok(()),
        }
    }
}
