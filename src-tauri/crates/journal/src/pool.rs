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

/// Connections that nobody uses.
#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// How often the file was replaced: who read an earlier one gives nothing back.
    replaced: u64,
}

/// Read connections to the database at one path.
pub(crate) struct Pool {
    path: PathBuf,
    idle: Mutex<Idle>,
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
            let (idle, replaced) = {
                let mut idle = pool.idle();
                (idle.connections.pop(), idle.replaced)
            };
            let connection = match idle {
                Some(connection) => connection,
                None => reader::connect(&pool.path)?,
            };
            let result = read(&connection);
            let mut idle = pool.idle();
            if idle.replaced == replaced {
                idle.connections.push(connection);
            }
            result
        });
        task.await.map_err(|_| Ending)
    }

    /// Lets the connections go, because the file is about to be replaced.
    pub fn forget(&self) {
        let mut idle = self.idle();
        idle.connections.clear();
        idle.replaced += 1;
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
