//! Packs what a project that nobody works on keeps besides its history, and unpacks it when it is wanted again.
//!
//! Packed are the trees of its runs, and what was made for searching it: index, shelf, vectors. The history stays as it
//! is. The store's lock is held meanwhile, so nobody works on any of it. Trees come back when somebody opens the project,
//! the rest when it is searched; an archive of the latter that cannot be read costs making it anew.

use crate::desk::{Desk, blocking};
use crate::mend::Idle;
use crate::packed::{Packed, archive, pack, unpack};
use crate::places::Places;
use crate::seat::Seat;
use crate::workshop::Workshop;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::{ProjectId, StoreId};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::PackingSettings;
use atelier_protocol::view::KnownProject;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Workshop {
    /// Packs the project in a folder.
    ///
    /// # Errors
    /// Somebody works on it, it was never opened, or the disk says no; then it is as it was.
    pub async fn pack_project(&self, path: &Path) -> Result<Packed, Problem> {
        let known = self.known(path).await?;
        let places = self.shared.options.places.clone();
        blocking(move || {
            let _alone = Idle::hold(&places, StoreId::from(&known.id))?;
            pack_all(&places, &known.id)
        })
        .await
    }

    /// Packs the projects that nobody has opened for so long. Those that somebody works on are left alone. Names and sizes
    /// of what was packed.
    pub async fn pack_dormant(&self, age: Duration) -> Result<Vec<(String, Packed)>, Problem> {
        let (projects, places) = (self.known_projects().await?, self.shared.options.places.clone());
        blocking(move || pack_older(&projects, &places, age)).await
    }

    /// Bytes that a project's archives take; nought where nothing of it is packed.
    pub fn packed_size(&self, project: &ProjectId) -> u64 {
        let sizes = parts(&self.shared.options.places, project).map(|dir| archive(&dir).metadata());
        sizes.into_iter().flatten().map(|about| about.len()).sum()
    }
}

impl Desk {
    /// Brings back what was made for searching, before it is opened. What cannot be read is made anew.
    pub(crate) fn unpack_for_search(&self, dir: &Path) {
        match unpack(dir) {
            Ok(bytes) => drop(self.beside.unpacked.fetch_add(bytes, Ordering::Relaxed)),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "what was packed cannot be unpacked; it is made anew");
                let _ = fs::remove_file(archive(dir));
            }
        }
    }

    /// Brings back the trees of runs, before any of them is looked for.
    pub(crate) async fn unpack_trees(&self) -> Result<(), Problem> {
        let (places, project) = (self.places.clone(), self.project.clone());
        let bytes = blocking(move || unpack_trees(&places, &project)).await?;
        self.beside.unpacked.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that were packed and are not any more; told once.
    pub(crate) fn told_unpacked(&self) -> Option<u64> {
        Some(self.beside.unpacked.swap(0, Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}

/// How long nobody has opened a project that is packed without being asked; `None` where the user wants none to be.
pub(crate) fn age(settings: &PackingSettings) -> Option<Duration> {
    settings.after_days.map(|days| DAY.saturating_mul(days))
}

/// Packs what nobody has opened for so long, in the background of a program that stays.
pub(crate) async fn pack_by_itself(home: Seat, places: Places, age: Duration) {
    let packed = match home.submit(Op::ListProjects).await {
        Ok(Reply::Projects(projects)) => blocking(move || pack_older(&projects, &places, age)).await,
        Ok(_) => return,
        Err(problem) => Err(problem),
    };
    match packed {
        Ok(done) => done.iter().for_each(|(name, packed)| tracing::info!(name, ?packed, "packed")),
        Err(problem) => tracing::warn!(%problem, "dormant projects stay unpacked"),
    }
}

fn pack_older(projects: &[KnownProject], places: &Places, age: Duration) -> Result<Vec<(String, Packed)>, Problem> {
    let mut done = Vec::new();
    for project in projects {
        let store = StoreId::from(&project.id);
        let idle = last_used(&places.store(&store)).and_then(|used| used.elapsed().ok());
        if idle.is_none_or(|idle| idle < age) {
            continue;
        }
        let Ok(_alone) = Idle::hold(places, store) else { continue };
        let packed = pack_all(places, &project.id)?;
        if packed.before > 0 {
            done.push((project.name.clone(), packed));
        }
    }
    Ok(done)
}

fn parts(places: &Places, project: &ProjectId) -> [PathBuf; 4] {
    [places.trees(project), places.index(project), places.shelf(project), places.vectors(project)]
}

fn pack_all(places: &Places, project: &ProjectId) -> Result<Packed, Problem> {
    let mut all = Packed::default();
    for dir in parts(places, project) {
        all += pack(&dir).map_err(|error| io(&dir, &error))?;
    }
    Ok(all)
}

/// Brings back the trees of a project's runs; bytes. Nobody else works on the project meanwhile.
pub(crate) fn unpack_trees(places: &Places, project: &ProjectId) -> Result<u64, Problem> {
    let dir = places.trees(project);
    unpack(&dir).map_err(|error| io(&archive(&dir), &error))
}

/// When somebody last owned a store: each owner writes into it.
fn last_used(store: &Path) -> Option<SystemTime> {
    fs::read_dir(store).ok()?.flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

fn io(path: &Path, error: &std::io::Error) -> Problem {
    let message = format!("{} cannot be packed or unpacked: {error}.", path.display());
    Problem::new(Code::Io, message, "Check free space and permissions; nothing was removed.")
}
