//! Which folders and files of the tree count: the same rules as the search index has.

use ignore::WalkBuilder;
use std::collections::HashSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that is not ignored: each folder and file with its metadata, the root among them.
pub(crate) fn walk(root: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    walked(root, |_| true)
}

/// The same of what is at or below one folder. Looks into the folders on the way and no others.
pub(crate) fn below(root: &Path, folder: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let on_the_way: HashSet<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
    let (on_the_way, top) = (Arc::new(on_the_way), folder.to_owned());
    let within = top.clone();
    walked(root, move |path| path.starts_with(&top) || on_the_way.contains(path))
        .filter(move |(path, _)| path.starts_with(&within))
}

fn walked(
    root: &Path,
    wanted: impl Fn(&Path) -> bool + Send + Sync + 'static,
) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let inside_a_repository =
        !root.join(".git").exists() && root.ancestors().skip(1).any(|above| above.join(".git").exists());
    WalkBuilder::new(root)
        .hidden(false)
        .git_global(false)
        .require_git(false)
        .parents(inside_a_repository)
        .follow_links(false)
        .filter_entry(move |entry| !is_own(entry.path()) && wanted(entry.path()))
        .build()
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let metadata = entry.path().symlink_metadata().ok()?;
            Some((entry.into_path(), metadata))
        })
}

/// Whether it is version control's own folder.
pub(crate) fn is_own(path: &Path) -> bool {
    matches!(path.file_name().and_then(|name| name.to_str()), Some(".git" | ".hg" | ".svn" | ".jj"))
}

/// Whether the file says what is ignored.
pub(crate) fn is_rules(path: &Path) -> bool {
    matches!(path.file_name().and_then(|name| name.to_str()), Some(".gitignore" | ".ignore"))
}
