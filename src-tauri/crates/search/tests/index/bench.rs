//! A project folder with an index beside it, for the tests.

use atelier_protocol::Problem;
use atelier_protocol::view::{Found, Hit, IndexView};
use atelier_search::{Ask, Index, IndexError};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A project folder and an index beside it.
pub struct Bench {
    pub home: TempDir,
    pub index: Option<Index>,
}

impl Bench {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self { home: tempfile::tempdir().unwrap(), index: None };
        fs::create_dir(bench.root()).unwrap();
        for (path, text) in files {
            bench.write(path, text);
        }
        bench.opened()
    }
    pub fn indexed(files: &[(&str, &str)]) -> Self {
        let bench = Self::new(files);
        bench.refresh();
        bench
    }
    pub fn root(&self) -> PathBuf {
        self.home.path().join("project")
    }
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("index")
    }
    pub fn opened(mut self) -> Self {
        self.index = None; // the lock is free before it is taken again
        self.index = Some(Index::open(&self.dir()).unwrap());
        self
    }
    pub fn index(&self) -> &Index {
        self.index.as_ref().unwrap()
    }
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let file = self.root().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    /// Writes a file and tells the index.
    pub fn save(&self, path: &str, text: impl AsRef<[u8]>) {
        self.write(path, text);
        self.index().changed(&self.root(), [path.to_owned()]).unwrap();
    }
    /// Waits until everything that was told of is in the index.
    pub fn settled(&self) {
        while self.index().status().unwrap().pending > 0 {
            std::thread::yield_now();
        }
    }
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).unwrap();
    }
    pub fn refresh(&self) -> IndexView {
        IndexView { ms: 0, ..self.index().refresh(&self.root()).unwrap() }
    }
    /// Files, updated and removed of a refresh.
    pub fn counts(&self) -> [u32; 3] {
        let view = self.refresh();
        [view.files, view.updated, view.removed]
    }
    pub fn asked(&self, query: &str, limit: usize) -> Result<Found, IndexError> {
        self.index().search(&self.root(), Ask { query, limit, ..Ask::default() })
    }
    pub fn hits(&self, query: &str) -> Vec<Hit> {
        self.asked(query, 10).unwrap().hits
    }
    pub fn places(&self, query: &str) -> Vec<String> {
        self.hits(query).iter().map(|hit| format!("{}:{}-{}", hit.path, hit.lines[0], hit.lines[1])).collect()
    }
    pub fn paths(&self, query: &str) -> Vec<String> {
        self.hits(query).into_iter().map(|hit| hit.path).collect()
    }
}

pub fn problem(error: IndexError) -> Problem {
    error.into()
}
