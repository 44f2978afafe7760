//! A user's repository for tests, and a picture of everything in it that belongs to the user.
//!
//! Made with git2 in a temporary folder; no git program is needed and no configuration of the machine is read.
//! For tests only (this crate's own, and other rooms' with the feature `fixture`).

#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made is a failed test")]

use crate::{RunTree, TreeSpec, UserRepo};
use atelier_protocol::ids::RunId;
use git2::{ConfigLevel, IndexAddOption, Oid, Repository, Signature, Time};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// When the fixture's commits were made, milliseconds since 1970.
pub const AT_MS: u64 = 1_700_000_000_000;

/// Keeps git2 in this process from reading the machine's and the user's git configuration.
pub fn isolate() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global] {
            #[expect(unsafe_code, reason = "libgit2 keeps these paths in plain global memory")]
            // SAFETY: every test opens its repositories through this fixture, so no other thread is in libgit2 yet.
            unsafe {
                git2::opts::set_search_path(level, "").unwrap();
            }
        }
    });
}

/// A repository on branch `main` with one commit, and a data folder beside it.
pub struct Project {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Project {
    /// A repository with these files in its one commit.
    pub fn new(files: &[(&str, &str)]) -> Project {
        isolate();
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("project");
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        let repo = Repository::init_opts(&root, &options).unwrap();
        let mut config = repo.config().unwrap();
        config.set_str("user.name", "Ada").unwrap();
        config.set_str("user.email", "ada@example.org").unwrap();
        config.set_str("core.autocrlf", "false").unwrap();
        let project = Project { dir, root };
        for (path, text) in files {
            project.write(path, text);
        }
        project.commit_all("feat: first");
        project
    }

    /// The work tree's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder for data that is not the user's.
    pub fn data(&self) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join("data")
    }

    /// A path in the work tree.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file of the work tree, with the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        write(&self.root, path, content);
    }

    /// Reads a file of the work tree as text.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// The repository as git2 has it.
    pub fn git(&self) -> Repository {
        Repository::open(&self.root).unwrap()
    }

    /// Stages what the work tree has at a path (or that it has nothing there).
    pub fn stage(&self, path: &str) {
        let repo = self.git(); // the index reads files by way of it
        let mut index = repo.index().unwrap();
        if self.path(path).symlink_metadata().is_ok() {
            index.add_path(Path::new(path)).unwrap();
        } else {
            index.remove_path(Path::new(path)).unwrap();
        }
        index.write().unwrap();
    }

    /// Commits every file that is not ignored; the commit's id.
    pub fn commit_all(&self, message: &str) -> String {
        let repo = self.git();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::new("Ada", "ada@example.org", &Time::new(1_700_000_000, 0)).unwrap();
        let parent = repo.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap().to_string()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> String {
        self.git().head().unwrap().peel_to_commit().unwrap().id().to_string()
    }

    /// Where a reference is.
    pub fn target(&self, name: &str) -> Option<String> {
        self.git().refname_to_id(name).ok().map(|id: Oid| id.to_string())
    }

    /// The room's view of it.
    pub fn open(&self) -> UserRepo {
        UserRepo::open(&self.root).unwrap()
    }

    /// What a run that starts now would ask for.
    pub fn spec(&self, run: &RunId) -> TreeSpec {
        TreeSpec {
            run: run.clone(),
            dir: self.data().join("runs").join(run.as_str()),
            base: self.head(),
            provide: Vec::new(),
        }
    }

    /// The tree of a run that starts now.
    pub fn tree(&self, run: &RunId) -> RunTree {
        self.open().make_tree(&self.spec(run)).unwrap()
    }

    /// Everything in the repository that belongs to the user.
    pub fn state(&self) -> UserState {
        user_state(&self.root)
    }
}

/// The n-th run id.
pub fn run_id(n: u8) -> RunId {
    RunId::new(AT_MS, [n; 10])
}

/// Writes a file below `root`, with the folders above it.
pub fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// Path to content: every file, folder and link, except git's objects.
pub type UserState = BTreeMap<String, String>;

/// Reads the work tree at `root` and its git directory: every file's bytes and mode, HEAD, index, configuration, references,
/// reflogs, the work tree list and the names of all folders, empty ones too. Objects are left out: those that nothing
/// refers to are nobody's.
pub fn user_state(root: &Path) -> UserState {
    let mut state = UserState::new();
    picture(root, root, "files", &mut state);
    let Ok(repo) = Repository::open(root) else {
        picture(&root.join(".git"), &root.join(".git"), "git", &mut state); // one that is to be refused
        return state;
    };
    picture(repo.commondir(), repo.commondir(), "git", &mut state);
    for reference in repo.references().unwrap() {
        let reference = reference.unwrap();
        let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
        state.insert(format!("ref {name}"), format!("{:?} {:?}", reference.target(), reference.symbolic_target().ok()));
    }
    state
}

/// Only the files of the work tree at `root`, for a repository that git cannot read.
pub fn files_of(root: &Path, state: &mut UserState) {
    picture(root, root, "files", state);
}

fn picture(top: &Path, folder: &Path, label: &str, state: &mut UserState) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let inner = path.strip_prefix(top).unwrap();
        if (label == "files" && inner == Path::new(".git")) || (label == "git" && inner == Path::new("objects")) {
            continue;
        }
        let found = fs::symlink_metadata(&path).unwrap();
        let name = format!("{label} {}", inner.to_string_lossy());
        if found.is_dir() {
            state.insert(name, "folder".to_owned());
            picture(top, &path, label, state);
        } else if found.is_symlink() {
            state.insert(name, format!("link to {}", fs::read_link(&path).unwrap().display()));
        } else {
            let bytes = fs::read(&path).unwrap();
            state.insert(name, format!("{} {}", mode(&found), String::from_utf8_lossy(&bytes).escape_debug()));
        }
    }
}

#[cfg(unix)]
fn mode(found: &fs::Metadata) -> String {
    use std::os::unix::fs::PermissionsExt;
    format!("{:o}", found.permissions().mode())
}

#[cfg(not(unix))]
fn mode(found: &fs::Metadata) -> String {
    found.permissions().readonly().to_string()
}
