//! What is done to a project's store while nobody owns it: putting a copy in its place, saving what a damaged one holds.
//!
//! The store's lock is held meanwhile, so no owner comes in between. What was there is moved aside, never removed.

use crate::packed::below;
use crate::places::Places;
use atelier_journal::{Chain, Salvaged, StoreLock, open_read_only, salvage};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::StoreId;
use atelier_repo::sync_tree;
use std::fs;
use std::path::{Path, PathBuf};

/// A store that nobody owns while this is held.
pub struct Idle {
    dir: PathBuf,
    store: StoreId,
    _lock: StoreLock,
}

impl Idle {
    /// Holds a store that nobody owns.
    pub(crate) fn hold(places: &Places, store: StoreId) -> Result<Idle, Problem> {
        let lock = StoreLock::hold(&places.run, &store)?.ok_or_else(|| {
            Problem::new(
                Code::WrongState,
                "A window or another command works on this project's store.",
                "Close it, then try again.",
            )
        })?;
        Ok(Idle { dir: places.store(&store), store, _lock: lock })
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts a copy in the store's place. One that holds something is replaced only where that is wanted; it is kept
    /// beside, and its new place is the answer.
    pub async fn restore(&self, from: &Path, replace: bool) -> Result<Option<PathBuf>, Problem> {
        let copy = open_read_only(from.to_owned()).await?;
        if *copy.store() != self.store {
            return Err(Problem::new(
                Code::BadArgument,
                format!("{} is a copy of the store `{}`, not of this project's.", from.display(), copy.store()),
                "Choose the project that it belongs to with `--project`.",
            ));
        }
        if let Chain::Broken { seq, reason } = copy.verify().await? {
            return Err(Problem::new(
                Code::StoreDamaged,
                format!("{} is damaged at event {seq}: {reason}.", from.display()),
                "Choose another copy, or save what can be read of this one with `atelier state salvage --from`.",
            ));
        }
        drop(copy);
        if self.holds_something() && !replace {
            return Err(Problem::new(
                Code::WrongState,
                format!("The project's store at {} holds a history already.", self.dir.display()),
                "Say `--replace` to put the copy in its place; what is there is kept beside it.",
            ));
        }
        let beside = |ending: &str| self.dir.with_file_name(format!("{}.{ending}", self.store));
        let coming = beside("coming");
        if coming.exists() {
            fs::remove_dir_all(&coming).map_err(|error| io(&coming, &error))?;
        }
        copy_folder(from, &coming).map_err(|error| io(&coming, &error))?;
        let kept = match self.dir.exists() {
            true => {
                let kept = (1..).map(|n| beside(&format!("before-{n}"))).find(|place| !place.exists());
                let kept = kept.unwrap_or_else(|| beside("before"));
                fs::rename(&self.dir, &kept).map_err(|error| io(&kept, &error))?;
                Some(kept)
            }
            false => None,
        };
        fs::rename(&coming, &self.dir).map_err(|error| io(&self.dir, &error))?;
        Ok(kept)
    }

    /// Saves everything that can be read of a store into a new folder; the store itself, where `from` names no other.
    pub async fn salvage(&self, from: Option<&Path>, to: &Path) -> Result<Salvaged, Problem> {
        let from = from.unwrap_or(&self.dir).to_owned();
        Ok(salvage(from, to.to_owned()).await?)
    }

    pub(crate) fn holds_something(&self) -> bool {
        fs::read_dir(&self.dir).is_ok_and(|mut entries| entries.next().is_some())
    }
}

/// Copies what is below a folder, and waits until it is on the disk.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for (name, about) in below(from)? {
        match about.is_dir() {
            true => fs::create_dir(to.join(name))?,
            false => drop(fs::copy(from.join(&name), to.join(&name))?),
        }
    }
    sync_tree(to).map_err(std::io::Error::other)
}

fn io(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        Code::Io,
        format!("{} cannot be used: {error}.", path.display()),
        "Check free space and who may write there; nothing was removed.",
    )
}
