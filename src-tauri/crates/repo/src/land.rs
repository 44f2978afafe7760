//! Performs an accept in the user's work tree.
//!
//! The order makes every crash harmless: first the run's files are staged beside the index, then each is moved into place
//! by one rename, then the index is written, then the branch moves. Until the last act the branch is where it was and
//! `perform_accept` can be repeated. HEAD itself is written only where it is detached.

use crate::accept::{Accept, AcceptRefusal, HEAD, reached};
use crate::durable;
use crate::fault::{Fault, git, io};
use crate::held::STAGING;
use crate::landing::Landing;
use crate::listing::Entry;
use crate::open::UserRepo;
use crate::paths::{look, remove_all, remove_empty_parents, remove_file, shown, to_os};
use crate::scan::{index_entry, stat_entry};
use crate::staging::FILES;
use atelier_protocol::event::AcceptMode;
use atelier_protocol::ids::RunId;
use git2::{Oid, Repository};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// An act of an accept. Tests stop before one, as a crash would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// The run's files are written beside the index.
    Stage,
    /// A file of the user's work tree is removed.
    Remove(String),
    /// A file of the user's work tree is put in place.
    Put(String),
    /// The index is written.
    Index,
    /// The branch moves.
    Branch,
    /// The staged files are removed.
    CleanUp,
}

/// A commit of the user's within the moments that an accept takes.
const MOVED_LATE: &str = "it moved while the run's files were written, which are in your work tree now";

type Pass<'a> = &'a mut dyn FnMut(Act) -> Result<(), Fault>;

impl UserRepo {
    /// `pass` is told before each act and can stop there.
    pub(crate) fn land(&self, plan: &Accept, pass: Pass<'_>) -> Result<(), AcceptRefusal> {
        let repo = self.repo()?;
        self.release_index(&plan.run)?;
        self.refuse_busy(&repo)?;
        let commit = |id: &str| Oid::from_str(id).map_err(|_| AcceptRefusal::NoCommit { commit: id.to_owned() });
        let (from, to) = (commit(&plan.from)?, commit(&plan.to)?);
        let (branch, at) = self.head_of(&repo)?;
        let branch = branch.unwrap_or_else(|| HEAD.to_owned());
        if branch != plan.branch {
            return Err(AcceptRefusal::Moved {
                branch: plan.branch.clone(),
                found: format!("`{branch}` is checked out"),
            });
        }
        if at != from && reached(&repo, at, from, to) {
            pass(Act::CleanUp)?;
            return Ok(self.clean_up(plan)?);
        }
        if at != from {
            return Err(AcceptRefusal::Moved { branch, found: format!("it is at {at}") });
        }
        let landing = Landing::between(&repo, from, to)?;
        landing.refuse_filters(&repo)?;
        landing.refuse_dirty(&repo, self.root())?;

        let staging = self.staging(&plan.run);
        pass(Act::Stage)?;
        self.stage(&landing, &staging)?;
        self.write_files(&repo, &landing, &staging, pass)?;
        pass(Act::Index)?;
        self.write_index(&landing, &staging)?;
        pass(Act::Branch)?;
        self.move_branch(&repo, plan, from, to)?;
        pass(Act::CleanUp)?;
        Ok(self.clean_up(plan)?)
    }

    /// Where the run's files wait: in the git directory, so that nothing that watches the work tree sees half a file.
    pub(crate) fn staging(&self, run: &RunId) -> PathBuf {
        self.git_dir().join(format!("{STAGING}{run}"))
    }

    fn clean_up(&self, plan: &Accept) -> Result<(), Fault> {
        let staging = self.staging(&plan.run);
        remove_all(&staging).map_err(io("removing", &staging))
    }

    fn write_files(
        &self,
        repo: &Repository,
        landing: &Landing<'_>,
        staging: &Path,
        pass: Pass<'_>,
    ) -> Result<(), AcceptRefusal> {
        // What a crashed accept has put in place already is left as it is.
        let unlike_new = landing.unlike(repo, &landing.to)?;
        let mut folders = BTreeSet::new();
        for (path, touch) in &landing.touches {
            let (None, Some(relative)) = (&touch.new, to_os(path)) else { continue };
            let place = self.root().join(&relative);
            if look(self.root(), &relative).map_err(io("reading", &place))?.is_some_and(|found| !found.is_dir()) {
                pass(Act::Remove(shown(path)))?;
                remove_file(&place).map_err(io("removing", &place))?;
                remove_empty_parents(self.root(), &relative);
                folders.extend(place.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned));
            }
        }
        for (path, touch) in &landing.touches {
            let (Some(_), Some(relative), true) = (&touch.new, to_os(path), unlike_new.contains(path)) else {
                continue;
            };
            let place = self.root().join(&relative);
            pass(Act::Put(shown(path)))?;
            if let Some(folder) = place.parent() {
                durable::make_dir(folder)?;
            }
            remove_empty_folders(&place);
            move_file(&staging.join(FILES).join(&relative), &place)?;
            folders.extend(place.parent().map(Path::to_owned));
        }
        // One that was left empty may have been removed since.
        folders.iter().filter(|folder| folder.exists()).try_for_each(|folder| durable::sync_dir(folder))?;
        Ok(())
    }

    /// Brings the touched entries, and only those, to what the run has. Nobody else can write the index meanwhile.
    fn write_index(&self, landing: &Landing<'_>, staging: &Path) -> Result<(), AcceptRefusal> {
        let doing = || git("writing the index");
        let held = self.lock_index(staging)?;
        let copy = staging.join("index");
        match fs::copy(held.index(), &copy) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            other => drop(other.map_err(io("reading", held.index()))?),
        }
        let mut index = git2::Index::open(&copy).map_err(doing())?;
        for (path, touch) in &landing.touches {
            let Some(relative) = to_os(path) else { continue };
            if touch.new.is_none() {
                match index.remove(&relative, 0) {
                    Err(e) if e.code() == git2::ErrorCode::NotFound => {}
                    other => other.map_err(doing())?,
                }
            }
        }
        for (path, touch) in &landing.touches {
            let (Some(Entry { mode, id }), Some(relative)) = (touch.new, to_os(path)) else { continue };
            let stat = fs::symlink_metadata(self.root().join(relative)).ok();
            let entry = stat.and_then(|stat| stat_entry(path, mode, &stat, id));
            // Without stat data git compares the content when it next looks, which costs time only.
            index.add(&entry.unwrap_or_else(|| index_entry(path, Entry { mode, id }))).map_err(doing())?;
        }
        index.write().map_err(doing())?;
        Ok(held.replace(&fs::read(&copy).map_err(io("reading", &copy))?)?)
    }

    fn move_branch(&self, repo: &Repository, plan: &Accept, from: Oid, to: Oid) -> Result<(), AcceptRefusal> {
        let run = crate::hand_over::branch_of(&plan.run);
        let name = plan.reference();
        let log = match plan.mode {
            AcceptMode::FastForward => format!("merge {run}: Fast-forward"),
            AcceptMode::Merge => format!("merge {run}: Merge made by Atelier"),
            AcceptMode::Squash => format!("merge {run}: Squash made by Atelier"),
            AcceptMode::Back => format!("reset: the accept of {run} taken back"),
            AcceptMode::Revert => format!("revert: {run}"),
        };
        match repo.reference_matching(&name, to, true, from, &log) {
            Ok(_) => {}
            Err(e) if e.code() == git2::ErrorCode::Modified => {
                return Err(AcceptRefusal::Moved { branch: plan.branch.clone(), found: MOVED_LATE.to_owned() });
            }
            Err(e) => return Err(git("moving your branch")(e).into()),
        }
        let folder = if plan.branch == HEAD { self.git_dir() } else { self.common_dir() };
        Ok(durable::sync_ref(folder, &name)?)
    }
}

/// One rename; where the git directory is on another file system, a copy beside the place and one rename.
fn move_file(staged: &Path, place: &Path) -> Result<(), Fault> {
    match fs::rename(staged, place) {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {}
        other => return other.map_err(io("writing", place)),
    }
    let mut beside = place.as_os_str().to_owned();
    beside.push(".atelier-new");
    let beside = PathBuf::from(beside);
    remove_file(&beside).map_err(io("removing", &beside))?;
    copy(staged, &beside).map_err(io("writing", &beside))?;
    fs::rename(&beside, place).map_err(io("writing", place))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if from.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()
}

/// Removes a folder that holds nothing but folders; anything else is left.
fn remove_empty_folders(folder: &Path) {
    if fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            remove_empty_folders(&entry.path());
        }
        let _ = fs::remove_dir(folder); // what cannot be removed makes the rename fail, with its own reason
    }
}
