//! Where Atelier keeps its files: one answer for every door.
//!
//! `ATELIER_HOME` names a folder that holds `data config cache run`; without it the platform's convention decides.

use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::{ProjectId, RunId, StoreId};
use std::path::{Path, PathBuf};

/// The folders of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Stores and run trees. Never deleted by us without being asked.
    pub data: PathBuf,
    /// What the user set up outside the stores: the sealed file of keys.
    pub config: PathBuf,
    /// Indexes and build caches. May be deleted at any time.
    pub cache: PathBuf,
    /// Locks and sockets.
    pub run: PathBuf,
}

impl Places {
    /// The folders under one home, as `ATELIER_HOME` means it.
    pub fn under(home: &Path) -> Places {
        Places {
            data: home.join("data"),
            config: home.join("config"),
            cache: home.join("cache"),
            run: home.join("run"),
        }
    }

    /// `ATELIER_HOME` if it is set, else the platform's convention.
    ///
    /// # Errors
    /// The user has no home folder.
    pub fn of_this_user() -> Result<Places, Problem> {
        if let Some(home) = std::env::var_os("ATELIER_HOME").filter(|home| !home.is_empty()) {
            return Ok(Places::under(Path::new(&home)));
        }
        let dirs = directories::ProjectDirs::from("dev", "Atelier", "atelier").ok_or_else(|| {
            Problem::new(Code::Io, "This user has no home folder.", "Set ATELIER_HOME to a folder of yours.")
        })?;
        Ok(Places {
            data: dirs.data_local_dir().to_owned(),
            config: dirs.config_dir().to_owned(),
            cache: dirs.cache_dir().to_owned(),
            run: dirs.runtime_dir().map_or_else(|| dirs.data_local_dir().join("run"), Path::to_owned),
        })
    }

    /// The folder of a store.
    pub fn store(&self, store: &StoreId) -> PathBuf {
        self.data.join("stores").join(store.as_str())
    }

    /// The folder of the private trees of a project's runs.
    pub fn trees(&self, project: &ProjectId) -> PathBuf {
        self.data.join("trees").join(project.as_str())
    }

    /// The folder of a run's private tree.
    pub fn tree(&self, project: &ProjectId, run: &RunId) -> PathBuf {
        self.trees(project).join(run.as_str())
    }

    /// The folder of a project's search index.
    pub fn index(&self, project: &ProjectId) -> PathBuf {
        self.cache.join("index").join(project.as_str())
    }

    /// The folder of what can be found beside a project's files.
    pub fn shelf(&self, project: &ProjectId) -> PathBuf {
        self.cache.join("shelf").join(project.as_str())
    }

    /// The folder of the vectors of a project's passages.
    pub fn vectors(&self, project: &ProjectId) -> PathBuf {
        self.cache.join("vectors").join(project.as_str())
    }

    /// The writable build cache of a project's checks.
    pub fn build_cache(&self, project: &ProjectId) -> PathBuf {
        self.cache.join("build").join(project.as_str())
    }

    /// What the project's commands with network had Cargo fetch.
    pub fn cargo_home(&self, project: &ProjectId) -> PathBuf {
        self.build_cache(project).join("cargo-home")
    }

    /// The private home folder that the process has which reads documents. Nothing is ever in it.
    pub fn reader_home(&self) -> PathBuf {
        self.cache.join("reader-home")
    }

    /// The private home folder that commands of a project see.
    pub fn command_home(&self, project: &ProjectId) -> PathBuf {
        self.cache.join("command-home").join(project.as_str())
    }
}
