//! What an accept will change in the user's work tree and index, and what stands in its way.
//!
//! A path is free where the index and the file each are as the user's branch or as the run has them: then nothing of the
//! user's own can be lost, and a half-performed accept can be performed again. Content is compared by content, not by the
//! index's memory of it, and line ends as git compares them.

use crate::accept::AcceptRefusal;
use crate::fault::{Fault, git, io};
use crate::listing::{Entry, SUBMODULE, plain_mode};
use crate::paths::{look, parents, shown, to_os};
use git2::{AttrCheckFlags, AttrValue, DiffOptions, Index, IndexEntry, IndexEntryExtendedFlag, Oid, Repository, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One path that the accept changes.
#[derive(Debug, Clone)]
pub(crate) struct Touch {
    /// What the user's branch has.
    pub(crate) old: Option<Entry>,
    /// What it will have.
    pub(crate) new: Option<Entry>,
}

/// The whole change of an accept, by path.
pub(crate) struct Landing<'repo> {
    pub(crate) from: Tree<'repo>,
    pub(crate) to: Tree<'repo>,
    pub(crate) touches: BTreeMap<Vec<u8>, Touch>,
}

impl<'repo> Landing<'repo> {
    /// The change from one commit's files to another's.
    pub(crate) fn between(repo: &'repo Repository, from: Oid, to: Oid) -> Result<Landing<'repo>, AcceptRefusal> {
        let doing = || git("comparing your branch with the run's");
        let files_of = |commit: Oid| repo.find_commit(commit).and_then(|c| c.tree()).map_err(doing());
        let (from, to) = (files_of(from)?, files_of(to)?);
        let mut options = DiffOptions::new();
        options.include_typechange(true).skip_binary_check(true);
        let diff = repo.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options)).map_err(doing())?;
        let mut touches = BTreeMap::new();
        for delta in diff.deltas() {
            let (old, new) = (delta.old_file(), delta.new_file());
            let entry = |file: &git2::DiffFile<'_>| {
                file.exists().then(|| Entry { mode: plain_mode(i32::from(file.mode())), id: file.id() })
            };
            let path = new.path_bytes().or_else(|| old.path_bytes()).unwrap_or_default().to_vec();
            touches.insert(path, Touch { old: entry(&old), new: entry(&new) });
        }
        Ok(Landing { from, to, touches })
    }

    /// Refused where a touched file has an external filter or encoding, which libgit2 would leave out in silence, or is a
    /// submodule.
    pub(crate) fn refuse_filters(&self, repo: &Repository) -> Result<(), AcceptRefusal> {
        let mut paths = Vec::new();
        for (path, touch) in &self.touches {
            let submodule = [&touch.old, &touch.new].into_iter().flatten().any(|entry| entry.mode == SUBMODULE);
            if submodule || has_filter(repo, path)? || self.brings_filter(repo, path, touch)? {
                paths.push(shown(path));
            }
        }
        if paths.is_empty() { Ok(()) } else { Err(AcceptRefusal::Filtered { paths }) }
    }

    /// Refused where uncommitted changes of the user are in the way.
    pub(crate) fn refuse_dirty(&self, repo: &Repository, root: &Path) -> Result<(), AcceptRefusal> {
        let mut dirty = BTreeSet::new();
        let index = repo.index().map_err(git("reading the index"))?;
        self.index_in_the_way(&index, &mut dirty);
        let unlike_old = self.unlike(repo, &self.from)?;
        let unlike_new = self.unlike(repo, &self.to)?;
        dirty.extend(unlike_old.intersection(&unlike_new).cloned());
        for (path, touch) in &self.touches {
            if touch.new.is_some() {
                self.files_in_the_way(root, path, &mut dirty)?;
            }
        }
        if dirty.is_empty() {
            return Ok(());
        }
        Err(AcceptRefusal::Dirty { paths: dirty.iter().map(|path| shown(path)).collect() })
    }

    /// The touched paths whose file is not as `tree` has it.
    pub(crate) fn unlike(&self, repo: &Repository, tree: &Tree<'_>) -> Result<BTreeSet<Vec<u8>>, Fault> {
        let mut options = DiffOptions::new();
        options
            .disable_pathspec_match(true)
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .include_ignored(true)
            .recurse_ignored_dirs(true)
            .include_typechange(true)
            .skip_binary_check(true);
        for path in self.touches.keys() {
            options.pathspec(path.as_slice());
        }
        let mut unlike = BTreeSet::new();
        if self.touches.is_empty() {
            return Ok(unlike); // no path at all would mean every path
        }
        let diff = repo.diff_tree_to_workdir(Some(tree), Some(&mut options)).map_err(git("comparing your files"))?;
        for delta in diff.deltas() {
            let path = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes()).unwrap_or_default();
            if self.touches.contains_key(path) {
                unlike.insert(path.to_vec());
            }
        }
        Ok(unlike)
    }

    fn index_in_the_way(&self, index: &Index, dirty: &mut BTreeSet<Vec<u8>>) {
        let mut staged: BTreeSet<Vec<u8>> = BTreeSet::new();
        for entry in index.iter() {
            let unmerged = entry.flags & 0x3000 != 0; // the stage (git, index-format)
            match self.touches.get(&entry.path) {
                Some(touch) if unmerged || !(is(&entry, touch.old) || is(&entry, touch.new)) => {
                    dirty.insert(entry.path.clone());
                }
                _ => {}
            }
            staged.insert(entry.path);
        }
        for (path, touch) in &self.touches {
            if staged.contains(path) {
                continue;
            }
            if touch.old.is_some() && touch.new.is_some() {
                dirty.insert(path.clone()); // its removal is staged
            }
            if touch.new.is_none() {
                continue;
            }
            // A staged file where the run needs a folder, or staged files below where it needs a file.
            dirty.extend(parents(path).filter(|p| staged.contains(*p) && !self.leaves(p)).map(<[u8]>::to_vec));
            let below = [path.as_slice(), b"/"].concat();
            let inside = staged.range(below.clone()..).take_while(|p| p.starts_with(&below));
            dirty.extend(inside.filter(|p| !self.leaves(p)).cloned());
        }
    }

    /// A file of the user where the run needs a folder, or a folder with other files where it needs a file.
    fn files_in_the_way(&self, root: &Path, path: &[u8], dirty: &mut BTreeSet<Vec<u8>>) -> Result<(), Fault> {
        let Some(relative) = to_os(path) else { return Ok(()) };
        for above in parents(path) {
            let Some(place) = to_os(above).map(|p| root.join(p)) else { continue };
            let found = fs::symlink_metadata(&place);
            if found.is_ok_and(|found| !found.is_dir()) && !self.leaves(above) {
                dirty.insert(above.to_vec());
            }
        }
        let place = root.join(&relative);
        if look(root, &relative).map_err(io("reading", &place))?.is_some_and(|found| found.is_dir()) {
            self.others_below(&place, path, dirty)?;
        }
        Ok(())
    }

    fn others_below(&self, folder: &Path, path: &[u8], dirty: &mut BTreeSet<Vec<u8>>) -> Result<(), Fault> {
        for entry in fs::read_dir(folder).map_err(io("reading", folder))? {
            let entry = entry.map_err(io("reading", folder))?;
            let name = entry.file_name();
            let below = [path, b"/", crate::paths::name_bytes(&name).unwrap_or_default()].concat();
            if entry.file_type().map_err(io("reading", folder))?.is_dir() {
                self.others_below(&entry.path(), &below, dirty)?;
            } else if !self.leaves(&below) {
                dirty.insert(below);
            }
        }
        Ok(())
    }

    /// Whether the accept removes this path.
    fn leaves(&self, path: &[u8]) -> bool {
        self.touches.get(path).is_some_and(|touch| touch.new.is_none())
    }

    /// A `.gitattributes` of the run that names a filter would change how other files are read.
    fn brings_filter(&self, repo: &Repository, path: &[u8], touch: &Touch) -> Result<bool, Fault> {
        if path.rsplit(|b| *b == b'/').next() != Some(b".gitattributes") {
            return Ok(false);
        }
        let Some(new) = touch.new else { return Ok(false) };
        let blob = repo.find_blob(new.id).map_err(git("reading the attributes"))?;
        let text = shown(blob.content());
        Ok(text.contains("filter=") || text.contains("working-tree-encoding="))
    }
}

fn has_filter(repo: &Repository, path: &[u8]) -> Result<bool, Fault> {
    let Some(path) = to_os(path) else { return Ok(false) };
    for name in ["filter", "working-tree-encoding"] {
        let value = repo.get_attr_bytes(&path, name, AttrCheckFlags::FILE_THEN_INDEX);
        let value = value.map_err(git("reading the attributes"))?;
        if matches!(AttrValue::from_bytes(value), AttrValue::String(_) | AttrValue::Bytes(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is(entry: &IndexEntry, wanted: Option<Entry>) -> bool {
    let to_be_added = entry.flags_extended & IndexEntryExtendedFlag::INTENT_TO_ADD.bits() != 0;
    !to_be_added && wanted.is_some_and(|wanted| (wanted.mode, wanted.id) == (entry.mode, entry.id))
}
