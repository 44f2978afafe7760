//! A thread that does one thing aside, whenever it is asked to and not at it already.

use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// Ends with what it is at when this is dropped.
pub(crate) struct Aside {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// A thread of this name that does `work` each time it is asked.
    pub fn start(name: &str, mut work: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        // Without a place to wait: what is asked for while it is at work would be done when nobody needs it any more.
        let (begin, asked) = mpsc::sync_channel(0);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            while asked.recv().is_ok() {
                work();
            }
        })?;
        Ok(Self { begin: Some(begin), thread: Some(thread) })
    }

    /// Asks it. Refused while it is at work.
    pub fn ask(&self) -> bool {
        self.begin.as_ref().is_some_and(|begin| begin.try_send(()).is_ok())
    }

    /// One whose work is the receiving end's.
    #[cfg(test)]
    pub fn asking(begin: SyncSender<()>) -> Self {
        Self { begin: Some(begin), thread: None }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
