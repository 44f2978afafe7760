//! A store in a folder of its own, removed when it is not needed any more.

use atelier_journal::{Opened, Owned, StoreConfig, open};
use atelier_protocol::StoreId;
use atelier_protocol::ports::Clock;
use futures_core::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Wall;

impl Clock for Wall {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub struct Place {
    root: PathBuf,
}

impl Place {
    pub fn new(folder: &Path, name: &str) -> Self {
        let root = folder.join(name);
        let _ = std::fs::remove_dir_all(&root);
        Self { root }
    }

    pub async fn open(&self) -> Owned {
        let config = StoreConfig {
            dir: self.root.join("store"),
            run_dir: self.root.join("run"),
            store: StoreId::new("bench"),
            door: "bench".into(),
            clock: Arc::new(Wall),
        };
        match open(config).await.unwrap() {
            Opened::Owner(owned) => owned,
            Opened::Guest(_) => panic!("somebody else measures in this folder"),
        }
    }

    /// Bytes of the database and its log.
    pub fn bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.root.join("store").join(name)).map_or(0, |file| file.len());
        size("journal.db") + size("journal.db-wal")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
