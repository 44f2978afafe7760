//! Opens the user's repository, or says why it cannot be worked on safely.
//!
//! Every refusal comes before the first write. git's own rule about repositories that belong to another user is kept
//! (`safe.directory` lifts it, as for git): such a folder's `.git/config` could point the work tree at other files.
//! Only paths are held; each operation opens the repository anew, by its git directory and never by discovery,
//! so that it sees what the user's own git did in between and the value can be shared between threads.

use crate::fault::{Fault, git, io};
use crate::supported::{in_progress, refuse_unsupported};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Base;
use git2::{ErrorCode, Repository, RepositoryOpenFlags, Signature, Time};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Why a folder cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such folder.
    #[error("there is no folder {}", path.display())]
    NoFolder {
        /// What was given.
        path: PathBuf,
    },
    /// Neither it nor a folder above it is a repository.
    #[error("{} is not in a git repository", path.display())]
    NotARepository {
        /// What was given.
        path: PathBuf,
    },
    /// It was to be initialised, but it is in a repository already.
    #[error("{} is in a git repository already", path.display())]
    AlreadyARepository {
        /// What was given.
        path: PathBuf,
    },
    /// It has no work tree.
    #[error("{} is a bare repository", path.display())]
    Bare {
        /// The git directory.
        path: PathBuf,
    },
    /// It has no commit yet.
    #[error("the repository {} has no commit yet", root.display())]
    NoCommit {
        /// The work tree's root.
        root: PathBuf,
    },
    /// Only a part of its files is checked out.
    #[error("the repository {} uses a sparse checkout", root.display())]
    Sparse {
        /// The git directory.
        root: PathBuf,
    },
    /// It is of a format or uses an extension that is not supported here.
    #[error("the repository uses {what}")]
    Unsupported {
        /// What it uses, such as `extensions.refStorage = reftable`.
        what: String,
    },
    /// It belongs to another user of the machine.
    #[error("the repository {} belongs to another user", path.display())]
    NotYours {
        /// The git directory.
        path: PathBuf,
    },
    /// A merge, rebase, bisect or the like is in progress.
    #[error("{what} is in progress in the repository")]
    InProgress {
        /// What, such as `a merge`.
        what: &'static str,
    },
    /// Another git program holds the index.
    #[error("the repository is locked by {}", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
    },
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl OpenError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            OpenError::NoFolder { .. } => (Code::NoFolder, "Choose a folder that exists and that you may read.".into()),
            OpenError::NotARepository { .. } => (
                Code::NotARepository,
                "To initialise one, use the window or `atelier run --init` (it commits the files as they are); or choose another folder."
                    .into(),
            ),
            OpenError::AlreadyARepository { .. } => {
                (Code::BadArgument, "Open it; there is nothing to initialise.".to_owned())
            }
            OpenError::Bare { .. } => {
                (Code::UnsupportedRepository, "Clone it, or add a work tree with `git worktree add`, and open that.".into())
            }
            OpenError::NoCommit { .. } => {
                (Code::NoCommit, "Make a first commit: `git add -A && git commit -m \"chore: first commit\"`.".into())
            }
            OpenError::Sparse { .. } => (
                Code::UnsupportedRepository,
                "Run `git sparse-checkout disable`, or open a full clone of the repository.".into(),
            ),
            OpenError::Unsupported { .. } => {
                (Code::UnsupportedRepository, "Open a plain full clone (SHA-1, files as ref storage) of it.".into())
            }
            OpenError::NotYours { path } => (
                Code::UnsupportedRepository,
                format!(
                    "If you trust it, run `git config --global --add safe.directory {}`, or make the folder yours.",
                    path.display()
                ),
            ),
            OpenError::InProgress { .. } => {
                (Code::RepositoryBusy, "Finish or abort it with git (`git status` says how), then open again.".into())
            }
            OpenError::Locked { lock } => (
                Code::RepositoryBusy,
                format!(
                    "Wait until the other git program is done. If none is running, delete {} and open again.",
                    lock.display()
                ),
            ),
            OpenError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The project cannot be opened: {self}."), hint)
    }
}

/// What a project is recognised by, wherever its folder is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The root of the work tree, canonical.
    pub root: PathBuf,
    /// The git directory that all linked work trees share, canonical.
    pub common_dir: PathBuf,
    /// The first commit of the history, along first parents.
    pub root_commit: String,
}

/// A user's repository that can be worked on.
#[derive(Debug, Clone)]
pub struct UserRepo {
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

impl UserRepo {
    /// Opens the repository that contains the folder `path`; the project is the root of its work tree.
    /// `GIT_DIR` and the like are not read.
    pub fn open(path: &Path) -> Result<UserRepo, OpenError> {
        let folder = folder(path)?;
        let git_dir = match Repository::discover_path(&folder, std::iter::empty::<&OsStr>()) {
            Ok(found) => plain(fs::canonicalize(&found).map_err(io("reading", &found))?),
            Err(e) if e.code() == ErrorCode::NotFound => return Err(OpenError::NotARepository { path: folder }),
            Err(e) => return Err(git("looking for the repository")(e).into()),
        };
        let common_dir = common_dir_of(&git_dir)?;
        refuse_unsupported(&git_dir, &common_dir)?;
        let repo = open_git_dir(&git_dir)?;
        let Some(root) = repo.workdir().filter(|_| !repo.is_bare()) else {
            return Err(OpenError::Bare { path: git_dir });
        };
        let root = plain(fs::canonicalize(root).map_err(io("reading", root))?);
        if !folder.starts_with(&root) || folder.starts_with(&git_dir) {
            return Err(OpenError::NotARepository { path: folder });
        }
        let opened = UserRepo { root, git_dir, common_dir };
        opened.refuse_busy(&repo)?;
        opened.head_of(&repo)?;
        if let Err(e) = repo.index() {
            return Err(OpenError::Unsupported {
                what: format!("an index that cannot be read here ({})", e.message()),
            });
        }
        Ok(opened)
    }

    /// Makes a repository of the folder `path`, with branch `main` and one commit of the files that `.gitignore` does
    /// not name. Only for an explicit wish of the user. Refused where the folder is in a repository already.
    pub fn init(path: &Path, at_ms: u64) -> Result<UserRepo, OpenError> {
        let folder = folder(path)?;
        if Repository::discover_path(&folder, std::iter::empty::<&OsStr>()).is_ok() {
            return Err(OpenError::AlreadyARepository { path: folder });
        }
        let made = first_commit(&folder, at_ms);
        if let Err(fault) = made {
            let _ = fs::remove_dir_all(folder.join(".git")); // ours: a moment ago there was none
            return Err(fault.into());
        }
        UserRepo::open(&folder)
    }

    /// The root of the work tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git directory that all linked work trees share.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// What the project is recognised by. Walks the history along first parents.
    pub fn identity(&self) -> Result<Identity, OpenError> {
        let repo = self.repo()?;
        let mut first = self.head_of(&repo)?.1;
        let doing = git("reading the history");
        let root = (|| {
            let mut walk = repo.revwalk()?;
            walk.simplify_first_parent()?;
            walk.push(first)?;
            for id in walk {
                first = id?;
            }
            Ok(first)
        })();
        Ok(Identity {
            root: self.root.clone(),
            common_dir: self.common_dir.clone(),
            root_commit: root.map_err(doing)?.to_string(),
        })
    }

    /// The state a run would start from now.
    pub fn base(&self) -> Result<Base, OpenError> {
        let (branch, commit) = self.head_of(&self.repo()?)?;
        Ok(Base { commit: commit.to_string(), branch })
    }

    /// The commit that is checked out.
    pub fn head_commit(&self) -> Result<String, OpenError> {
        Ok(self.base()?.commit)
    }

    /// Opens the repository anew, by its git directory.
    pub(crate) fn repo(&self) -> Result<Repository, Fault> {
        crate::durable::sync_git();
        let flags = RepositoryOpenFlags::NO_SEARCH;
        Repository::open_ext(&self.git_dir, flags, std::iter::empty::<&OsStr>()).map_err(git("opening the repository"))
    }

    /// The files that are written when HEAD becomes another commit or branch.
    pub fn head_files(&self) -> Vec<PathBuf> {
        vec![self.git_dir.join("HEAD"), self.git_dir.join("logs").join("HEAD")]
    }

    /// The git directory of this work tree, not shared with linked ones.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Refused while another git program works in it or a merge or the like is in progress.
    pub(crate) fn refuse_busy(&self, repo: &Repository) -> Result<(), OpenError> {
        if let Some(what) = in_progress(repo.state()) {
            return Err(OpenError::InProgress { what });
        }
        let lock = self.git_dir.join("index.lock");
        if lock.symlink_metadata().is_ok() && !self.holds_index() {
            return Err(OpenError::Locked { lock });
        }
        Ok(())
    }

    /// The checked-out branch (`None` where HEAD is detached) and commit.
    pub(crate) fn head_of(&self, repo: &Repository) -> Result<(Option<String>, git2::Oid), OpenError> {
        let head = match repo.head() {
            Ok(head) => head,
            Err(e) if matches!(e.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                return Err(OpenError::NoCommit { root: self.root.clone() });
            }
            Err(e) => return Err(git("reading HEAD")(e).into()),
        };
        let commit = head.peel_to_commit().map_err(git("reading HEAD"))?.id();
        let branch = match head.is_branch() {
            true => Some(head.shorthand().map_err(git("reading the name of the branch"))?.to_owned()),
            false => None,
        };
        Ok((branch, commit))
    }
}

/// Who commits: the identity in the user's git configuration, else Atelier. The time is given, in UTC.
pub(crate) fn author(repo: &Repository, at_ms: u64) -> Result<Signature<'static>, Fault> {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
    let configured = repo.signature().ok();
    let known = configured.as_ref().and_then(|s| Some((s.name().ok()?, s.email().ok()?)));
    let (name, email) = known.unwrap_or(FALLBACK);
    Signature::new(name, email, &Time::new(seconds, 0)).map_err(git("reading the configured identity"))
}

/// The identity where the user has configured none.
pub(crate) const FALLBACK: (&str, &str) = ("Atelier", "atelier@localhost");

fn folder(path: &Path) -> Result<PathBuf, OpenError> {
    match fs::canonicalize(path) {
        Ok(found) if found.is_dir() => Ok(plain(found)),
        _ => Err(OpenError::NoFolder { path: path.to_owned() }),
    }
}

/// Windows' canonical paths start with `\\?\`, which libgit2 does not read.
fn plain(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        Some(rest) if cfg!(windows) && !rest.starts_with("UNC") => PathBuf::from(rest),
        _ => path,
    }
}

fn open_git_dir(git_dir: &Path) -> Result<Repository, OpenError> {
    let flags = RepositoryOpenFlags::NO_SEARCH;
    Repository::open_ext(git_dir, flags, std::iter::empty::<&OsStr>()).map_err(|e| match e.code() {
        ErrorCode::Owner => OpenError::NotYours { path: git_dir.to_owned() },
        _ => git("opening the repository")(e).into(),
    })
}

fn common_dir_of(git_dir: &Path) -> Result<PathBuf, OpenError> {
    let pointer = git_dir.join("commondir");
    let Ok(text) = fs::read_to_string(&pointer) else {
        return Ok(git_dir.to_owned());
    };
    let joined = git_dir.join(text.trim_end_matches(['\n', '\r']));
    Ok(plain(fs::canonicalize(&joined).map_err(io("reading", &joined))?))
}

fn first_commit(folder: &Path, at_ms: u64) -> Result<(), Fault> {
    let doing = || git("initialising the repository");
    let mut options = git2::RepositoryInitOptions::new();
    options.initial_head("main").no_reinit(true).external_template(false);
    let repo = Repository::init_opts(folder, &options).map_err(doing())?;
    let mut index = repo.index().map_err(doing())?;
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).map_err(doing())?;
    index.write().map_err(doing())?;
    let tree = index.write_tree().and_then(|id| repo.find_tree(id)).map_err(doing())?;
    let who = author(&repo, at_ms)?;
    repo.commit(Some("HEAD"), &who, &who, "chore: first commit\n", &tree, &[]).map_err(doing())?;
    Ok(())
}
