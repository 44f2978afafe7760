//! New objects as one synced pack, instead of many files that each would have to be synced.
//!
//! While work is under way its objects stay in memory; what becomes part of a commit is then written in one piece. So
//! looking (a tree's id, a merge that turns out to conflict) leaves nothing behind.

use crate::durable;
use crate::fault::{Fault, git};
use atelier_protocol::mutant::{self, Mutant};
use git2::{Oid, Repository};
use std::path::Path;

/// Above libgit2's own stores (loose 1, packs 2), so that it is asked to write first.
const FIRST: i32 = 1000;

/// Keeps objects that are written through `repo` in memory until it is dropped.
pub(crate) fn hold_in_memory(repo: &Repository) -> Result<(), Fault> {
    let odb = repo.odb().map_err(git("preparing to write objects"))?;
    // The store belongs to the object database that `repo` uses from now on.
    odb.add_new_mempack_backend(FIRST).map_err(git("preparing to write objects"))?;
    Ok(())
}

/// Writes these objects of `repo` as a pack into the object folder `objects` and syncs it. A pack is named by what is in
/// it, so repeating this changes nothing.
pub(crate) fn write(repo: &Repository, ids: impl IntoIterator<Item = Oid>, objects: &Path) -> Result<(), Fault> {
    let doing = || git("writing objects");
    let mut pack = repo.packbuilder().map_err(doing())?;
    for id in ids {
        pack.insert_object(id, None).map_err(doing())?;
    }
    if pack.object_count() == 0 {
        return Ok(());
    }
    let folder = objects.join("pack");
    durable::make_dir(&folder)?;
    pack.write(&folder, 0).map_err(doing())?;
    if mutant::is(Mutant::RefBeforeObjects) {
        return Ok(());
    }
    let name = pack.name().map_err(doing())?.unwrap_or_default();
    for ending in ["pack", "idx"] {
        durable::sync_file(&folder.join(format!("pack-{name}.{ending}")))?;
    }
    durable::sync_dir(&folder)
}
