//! A few read connections to one database, used off the async threads.
//!
//! A connection is made when none is idle; more than [`CONNECTIONS`] reads at the same time wait. Nothing is written.

use crate::reader;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Reads that run at the same time; more wait.
const CONNECTIONS: usize = 4;

/// The program is ending: nothing can be read any more.
pub(crate) struct Ending;

/// Read connections to the database at one path.
pub(crate) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    gate: Arc<Semaphore>,
}

impl Pool {
    pub fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), gate: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `read` on a thread that may block, with a connection of its own.
    pub async fn with<T, E>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, Ending>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.gate).acquire_owned().await.map_err(|_| Ending)?;
        let pool = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = pool.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => reader::connect(&pool.path)?,
            };
            let result = read(&connection);
            pool.idle().push(connection);
            result
        });
        task.await.map_err(|_| Ending)
    }

    /// Lets the idle connections go, because the file is about to be replaced.
    pub fn forget(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
