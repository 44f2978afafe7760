//! Takes parts of a change: whole files, or single hunks of their diff.
//!
//! Hunks are counted as in the diff that is shown. What is not chosen stays as it was before the change, to the byte.

use crate::accept::AcceptRefusal;
use crate::diff::{Change, change, with_patches};
use crate::fault::{Fault, git};
use crate::listing::{Entry, listing};
use crate::paths::shown;
use crate::scan::write_tree;
use atelier_protocol::event::Part;
use git2::{DiffLineType, Oid, Patch, Repository, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// The files of `base` with the chosen parts of the change to `new` in them, as a git tree.
pub(crate) fn choose(repo: &Repository, base: &Tree<'_>, new: &Tree<'_>, only: &[Part]) -> Result<Oid, AcceptRefusal> {
    let doing = || git("putting the chosen parts together");
    let mut wanted: BTreeMap<&str, Option<BTreeSet<u32>>> = BTreeMap::new();
    for part in only {
        let hunks = wanted.entry(&part.path).or_insert_with(|| Some(BTreeSet::new()));
        match (part.hunk, hunks) {
            (None, hunks) => *hunks = None,
            (Some(hunk), Some(hunks)) => drop(hunks.insert(hunk)),
            (Some(_), None) => {}
        }
    }
    let mut files = listing(repo, base)?;
    let diff = with_patches(repo, base.id(), new.id())?;
    for (index, delta) in diff.deltas().enumerate() {
        let patch = Patch::from_diff(&diff, index).map_err(doing())?;
        let found = change(&delta, patch.as_ref())?;
        let Some(hunks) = wanted.remove(found.file.path.as_str()) else { continue };
        let count = patch.as_ref().map_or(0, Patch::num_hunks);
        let missing = hunks.iter().flatten().find(|hunk| **hunk as usize >= count);
        if let Some(hunk) = missing {
            return Err(AcceptRefusal::NoPart { what: format!("hunk {} in `{}`", hunk + 1, found.file.path) });
        }
        let whole = hunks.as_ref().is_none_or(|hunks| hunks.len() == count);
        let new = match (whole, &hunks, &patch, found.new) {
            (false, Some(hunks), Some(patch), Some(entry)) => {
                Some(Entry { id: partial(repo, &files, &found, patch, hunks)?, ..entry })
            }
            (_, _, _, entry) => entry,
        };
        if let Some(old) = &found.old_path {
            files.remove(old);
        }
        match new {
            Some(entry) => drop(files.insert(found.path, entry)),
            None => drop(files.remove(&found.path)),
        }
    }
    if let Some(path) = wanted.keys().next() {
        return Err(AcceptRefusal::NoPart { what: format!("change of `{path}`") });
    }
    write_tree(repo, &files).map_err(|e| AcceptRefusal::NoPart { what: format!("state with only these parts ({e})") })
}

/// The content of a file with some hunks of its change.
fn partial(
    repo: &Repository,
    files: &crate::listing::Listing,
    found: &Change,
    patch: &Patch<'_>,
    hunks: &BTreeSet<u32>,
) -> Result<Oid, Fault> {
    let doing = || git("putting the chosen parts together");
    let old = files.get(found.old_path.as_ref().unwrap_or(&found.path));
    let before = match old {
        Some(entry) => repo.find_blob(entry.id).map_err(doing())?.content().to_vec(),
        None => Vec::new(),
    };
    let lines: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    let (mut out, mut at) = (Vec::with_capacity(before.len()), 0usize);
    for index in 0..patch.num_hunks() {
        let (head, count) = patch.hunk(index).map_err(doing())?;
        // Where no line is replaced, git names the line that the new ones come after.
        let start = head.old_start() as usize - usize::from(head.old_lines() > 0);
        out.extend(lines.get(at..start).unwrap_or_default().concat());
        at = start + head.old_lines() as usize;
        if !u32::try_from(index).is_ok_and(|index| hunks.contains(&index)) {
            out.extend(lines.get(start..at).unwrap_or_default().concat());
            continue;
        }
        for place in 0..count {
            let line = patch.line_in_hunk(index, place).map_err(doing())?;
            if matches!(line.origin_value(), DiffLineType::Context | DiffLineType::Addition) {
                out.extend_from_slice(line.content());
            }
        }
    }
    out.extend(lines.get(at..).unwrap_or_default().concat());
    tracing::debug!(path = %shown(&found.path), hunks = hunks.len(), "a part of a file's change was taken");
    repo.blob(&out).map_err(doing())
}
