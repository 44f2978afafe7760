//! The private working copy of a run.
//!
//! `<dir>/repo` is a git directory of its own that borrows the user's objects, `<dir>/tree` holds the files. The two
//! do not know of each other: there is no `.git` in `tree`, and `repo` is only ever opened by its own path with its own
//! configuration, so that nothing written in `tree` (a `.git`, hooks, configuration) can have an effect.
//! Files stand there byte for byte as in the commit; line ends and filters are not converted.
//! Submodules are empty folders and stay at the commit of the base.

use crate::fault::{Fault, git, io};
use crate::fork::Origin;
use crate::open::UserRepo;
use crate::provide::{self, Provide};
use crate::settled::Settled;
use crate::{durable, listing, paths, put};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::RunId;
use git2::{ErrorCode, Oid, Repository, RepositoryOpenFlags};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Why something about a run's tree could not be done.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is no complete tree at that place.
    #[error("there is no working copy at {}", dir.display())]
    NoTree {
        /// The place.
        dir: PathBuf,
    },
    /// Another run or base has its tree at that place, or something else is there.
    #[error("{} holds something else than this run's working copy", dir.display())]
    OtherTree {
        /// The place.
        dir: PathBuf,
    },
    /// No such commit.
    #[error("there is no commit {commit}")]
    NoCommit {
        /// What was asked for.
        commit: String,
    },
    /// A file cannot be recorded.
    #[error("`{path}` cannot be recorded: {why}")]
    Unrecordable {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// What is to be given to the tree cannot be.
    #[error("`{path}` cannot be given to it: {why}")]
    Unprovidable {
        /// The path in the project.
        path: String,
        /// Why not.
        why: String,
    },
    /// Later changes touched the same places.
    #[error("later changes touch the same places in {}", paths.join(", "))]
    BuiltUpon {
        /// The files.
        paths: Vec<String>,
    },
    /// What is to be taken back is not there any more.
    #[error("nothing of that change is left in the files")]
    NothingLeft,
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TreeError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            TreeError::NoTree { .. } => (Code::WrongState, "Discard the run and start it again."),
            TreeError::OtherTree { .. } => (Code::Indeterminate, "Move that folder away, then resume the run."),
            TreeError::NoCommit { .. } => (Code::BadArgument, "Choose a commit of this run or project."),
            TreeError::Unrecordable { .. } => {
                (Code::Io, "Remove that file or change its name or permissions, then resume the run.")
            }
            TreeError::BuiltUpon { paths } => {
                return Problem::new(
                    Code::AcceptConflict,
                    format!("The change cannot be taken back alone: {self}."),
                    "Take the later operations back first, the newest first; `atelier ops list` shows them.",
                )
                .with_details(paths.iter().cloned());
            }
            TreeError::Unprovidable { .. } => {
                (Code::ProjectFileInvalid, "Mend the list `setup` in `.atelier/project.yaml`, then resume the run.")
            }
            TreeError::NothingLeft => (Code::WrongState, "There is nothing to do."),
            TreeError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run's working copy cannot be used: {self}."), hint)
    }
}

/// Which tree is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeSpec {
    /// The run.
    pub run: RunId,
    /// The folder for `repo` and `tree`; made where it is missing.
    pub dir: PathBuf,
    /// The commit it starts at.
    pub base: String,
    /// What the user gives to it that is not committed.
    pub provide: Vec<Provide>,
}

/// The private working copy of a run. Holds only paths and ids, so it can be shared between threads.
#[derive(Debug, Clone)]
pub struct RunTree {
    dir: PathBuf,
    root: PathBuf,
    run: RunId,
    base: Oid,
}

/// The run's own branch in its private repository.
pub(crate) const BRANCH: &str = "refs/heads/run";
/// The commit the run started at, in its private repository.
pub(crate) const BASE: &str = "refs/atelier/base";

/// The reference in the user's repository that keeps a run's base from being collected.
pub(crate) fn keep_ref(run: &RunId) -> String {
    format!("refs/atelier/base/{run}")
}

impl UserRepo {
    /// Makes the tree and the keep-ref `refs/atelier/base/<run>`. Does nothing where both are there; a half-made tree
    /// is replaced.
    pub fn make_tree(&self, spec: &TreeSpec) -> Result<RunTree, TreeError> {
        self.make(spec, None)
    }

    /// The same, for a fork with the files and checkpoints of its origin.
    pub(crate) fn make(&self, spec: &TreeSpec, origin: Option<&Origin>) -> Result<RunTree, TreeError> {
        let repo = self.repo()?;
        let base = find_commit(&repo, &spec.base)?;
        self.keep(&repo, spec, base)?;
        let part = spec.dir.join("part");
        if spec.dir.join("repo").exists() {
            let tree = RunTree::open(&spec.dir)?;
            if tree.run != spec.run || tree.base != base {
                return Err(TreeError::OtherTree { dir: spec.dir.clone() });
            }
            paths::remove_all(&part).map_err(io("removing", &part))?;
            return Ok(tree);
        }
        let files = repo.find_commit(base).and_then(|c| c.tree()).map_err(git("reading the base"))?;
        let files = listing::listing(&repo, &files)?;
        Provide::refuse_any(&spec.provide, &files)?;
        let (tree, git_dir) = (spec.dir.join("tree"), spec.dir.join("repo"));
        if tree.exists() && !part.exists() {
            return Err(TreeError::OtherTree { dir: spec.dir.clone() }); // `part` is there until the tree is complete
        }
        for old in [&tree, &part] {
            paths::remove_all(old).map_err(io("removing", old))?;
        }
        let (new_tree, new_git_dir) = (part.join("tree"), part.join("repo"));
        durable::make_dir(&spec.dir)?;
        fs::create_dir_all(&new_tree).map_err(io("making", &new_tree))?;
        self.lay_out(&repo, spec, base, origin.map_or(base, |origin| origin.commit), &new_git_dir)?;
        match origin {
            None => put::put_all(|| self.repo(), &new_tree, &files)?,
            Some(origin) => {
                origin.copy_since(base, &new_git_dir.join("objects"))?;
                for (path, entry) in &origin.files {
                    put::put(origin.repo(), &new_tree, path, *entry)?;
                }
            }
        }
        spec.provide.iter().try_for_each(|one| one.put(self.root(), &new_tree))?;
        // Whoever sees `repo` sees a complete tree, also after a power loss.
        durable::sync_tree(&new_tree)?;
        fs::rename(&new_tree, &tree).map_err(io("moving", &new_tree))?;
        fs::rename(&new_git_dir, &git_dir).map_err(io("moving", &new_git_dir))?;
        durable::sync_dir(&spec.dir)?;
        paths::remove_all(&part).map_err(io("removing", &part))?;
        RunTree::open(&spec.dir)
    }

    /// Whether the tree and its keep-ref are there.
    pub fn settle_tree(&self, spec: &TreeSpec) -> Settled {
        if !spec.dir.join("repo").exists() {
            return Settled::NotLanded;
        }
        let tree = match RunTree::open(&spec.dir) {
            Ok(tree) => tree,
            Err(e) => return Settled::Unknown(e.to_string()),
        };
        if tree.run != spec.run || tree.base.to_string() != spec.base {
            return Settled::Unknown(format!("{} belongs to run {} at {}", spec.dir.display(), tree.run, tree.base));
        }
        match self.repo().and_then(|repo| ref_target(&repo, &keep_ref(&spec.run))) {
            Ok(Some(kept)) if kept == tree.base => Settled::Landed,
            Ok(None) => Settled::NotLanded,
            Ok(Some(other)) => Settled::Unknown(format!("{} is at {other}", keep_ref(&spec.run))),
            Err(e) => Settled::Unknown(e.to_string()),
        }
    }

    pub(crate) fn keep(&self, repo: &Repository, spec: &TreeSpec, base: Oid) -> Result<(), TreeError> {
        let name = keep_ref(&spec.run);
        match ref_target(repo, &name)? {
            Some(at) if at == base => {}
            Some(_) => return Err(TreeError::OtherTree { dir: self.common_dir().join(&name) }),
            None => {
                durable::unlock(self.common_dir(), &name)?;
                repo.reference(&name, base, false, "atelier: base of a run").map_err(git("writing a reference"))?;
            }
        }
        Ok(durable::sync_ref(self.common_dir(), &name)?)
    }

    /// Writes the private git directory by hand, so that no template and no configuration of the machine gets in.
    pub(crate) fn lay_out(
        &self,
        repo: &Repository,
        spec: &TreeSpec,
        base: Oid,
        tip: Oid,
        to: &Path,
    ) -> Result<(), TreeError> {
        for folder in ["objects/info", "objects/pack", "refs/heads", "refs/atelier", "info"] {
            let folder = to.join(folder);
            fs::create_dir_all(&folder).map_err(io("making", &folder))?;
        }
        let write = |name: &str, text: &[u8]| durable::write(&to.join(name), text);
        write("objects/info/alternates", &self.alternates()?)?;
        let exclude = to.join("info/exclude");
        let mut excluded = self.excludes(repo);
        excluded.extend(format!("\n{}", provide::excluded(&spec.provide)).into_bytes());
        durable::write(&exclude, &excluded)?;
        // A history that the user's clone cuts off ends there for the run too.
        if let Ok(cut) = fs::read(self.common_dir().join("shallow")) {
            write("shallow", &cut)?;
        }
        write(BASE, format!("{base}\n").as_bytes())?;
        write(BRANCH, format!("{tip}\n").as_bytes())?;
        // Above that size objects are packed whole: looking for deltas takes longer than all the rest of a checkpoint, and
        // what is handed over is packed anew by whoever collects the user's repository. libgit2 1.9 takes that size from the
        // wrong key, `pack.deltaCacheSize`.
        write(
            "config",
            format!(
                "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\
                 \tlogAllRefUpdates = false\n\tautocrlf = false\n\tbigFileThreshold = 1\n\texcludesFile =\n\tattributesFile =\n\
                 [pack]\n\tdeltaCacheSize = 1\n[atelier]\n\trun = {}\n",
                spec.run
            )
            .as_bytes(),
        )?;
        write("HEAD", format!("ref: {BRANCH}\n").as_bytes())?;
        // The files are on the disk; now their names, innermost first.
        ["objects/info", "objects", "refs/heads", "refs/atelier", "refs", "info", ""]
            .iter()
            .try_for_each(|folder| Ok(durable::sync_dir(&to.join(folder))?))
    }

    /// The user's object folder and every one it borrows from in turn, as the text of a file `alternates`. All are named,
    /// since a relative name in a borrowed folder is not followed by libgit2.
    pub(crate) fn alternates(&self) -> Result<Vec<u8>, Fault> {
        let mut all = vec![self.common_dir().join("objects")];
        let mut next = 0;
        while let Some(objects) = all.get(next).cloned() {
            next += 1;
            let text = fs::read(objects.join("info/alternates")).unwrap_or_default();
            for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty() && !l.starts_with(b"#")) {
                let Some(named) = paths::to_os(line) else { continue };
                let Ok(found) = fs::canonicalize(objects.join(named)) else { continue };
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        let mut text = Vec::new();
        for objects in all {
            let line = paths::name_bytes(objects.as_os_str()).filter(|line| !line.contains(&b'\n'));
            let odd = || std::io::Error::other("git cannot borrow objects from a folder with such a name");
            text.extend_from_slice(line.ok_or_else(|| io("borrowing from", &objects)(odd()))?);
            text.push(b'\n');
        }
        Ok(text)
    }

    /// What the user has excluded outside `.gitignore` files, as it is now: the private repository reads no
    /// configuration but its own.
    fn excludes(&self, repo: &Repository) -> Vec<u8> {
        let mut text = fs::read(self.common_dir().join("info/exclude")).unwrap_or_default();
        let named = repo.config().ok().and_then(|config| config.get_path("core.excludesFile").ok());
        let usual = || Some(git2::Config::find_xdg().ok()?.parent()?.join("ignore"));
        if let Some(file) = named.or_else(usual) {
            text.push(b'\n');
            text.extend(fs::read(file).unwrap_or_default());
        }
        text
    }
}

impl RunTree {
    /// Opens the complete tree in `dir`.
    pub fn open(dir: &Path) -> Result<RunTree, TreeError> {
        let none = || TreeError::NoTree { dir: dir.to_owned() };
        let (git_dir, root) = (dir.join("repo"), dir.join("tree"));
        if !git_dir.join("HEAD").exists() || !root.is_dir() {
            return Err(none());
        }
        let repo = open_private(&git_dir)?;
        let run = repo.config().and_then(|c| c.get_string("atelier.run")).ok().and_then(|text| text.parse().ok());
        let base = ref_target(&repo, BASE)?;
        let (run, base) = run.zip(base).ok_or_else(none)?;
        Ok(RunTree { dir: dir.to_owned(), root, run, base })
    }

    /// The folder of the files.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that holds it all.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The commit it started at.
    pub fn base(&self) -> String {
        self.base.to_string()
    }

    pub(crate) fn base_id(&self) -> Oid {
        self.base
    }

    /// The private repository, which knows of no work tree: attributes that an agent writes into one cannot hide anything
    /// from a diff.
    pub(crate) fn repo(&self) -> Result<Repository, Fault> {
        open_private(&self.dir.join("repo"))
    }

    /// Waits until a reference of the private repository is on the disk.
    pub(crate) fn sync_ref(&self, name: &str) -> Result<(), Fault> {
        let file = self.dir.join("repo").join(name);
        durable::sync_file(&file)?;
        file.parent().map_or(Ok(()), durable::sync_dir)
    }

    /// Removes what a killed process left of writing a reference. A run has one process that writes its tree.
    pub(crate) fn unlock(&self, name: &str) -> Result<(), Fault> {
        durable::unlock(&self.dir.join("repo"), name)
    }

    /// The private object folder.
    pub(crate) fn objects(&self) -> PathBuf {
        self.dir.join("repo").join("objects")
    }

    /// The file that remembers which files were seen with which content.
    pub(crate) fn seen_file(&self) -> PathBuf {
        self.dir.join("repo").join("seen")
    }
}

pub(crate) fn open_private(git_dir: &Path) -> Result<Repository, Fault> {
    durable::sync_git();
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE | RepositoryOpenFlags::NO_DOTGIT;
    let doing = || git("opening the run's repository");
    let repo = Repository::open_ext(git_dir, flags, std::iter::empty::<&OsStr>()).map_err(doing())?;
    let own = git2::Config::open(&git_dir.join("config")).map_err(doing())?;
    repo.set_config(&own).map_err(doing())?;
    Ok(repo)
}

/// Where a direct reference is; `None` where there is none.
pub(crate) fn ref_target(repo: &Repository, name: &str) -> Result<Option<Oid>, Fault> {
    match repo.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
        Err(e) => Err(git("reading a reference")(e)),
    }
}

/// The commit with this full id.
pub(crate) fn find_commit(repo: &Repository, id: &str) -> Result<Oid, TreeError> {
    let none = || TreeError::NoCommit { commit: id.to_owned() };
    let oid = Oid::from_str(id).map_err(|_| none())?;
    match repo.find_commit(oid) {
        Ok(commit) => Ok(commit.id()),
        Err(_) => Err(none()),
    }
}
