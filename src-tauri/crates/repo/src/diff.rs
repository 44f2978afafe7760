//! Differences between two states, for reading and for splitting into commits.
//!
//! Attributes are not read: a `.gitattributes` that an agent writes cannot hide a change from the reader.

use crate::fault::{Fault, git};
use crate::listing::{Entry, plain_mode};
use crate::open::UserRepo;
use crate::paths::shown;
use crate::run_tree::{RunTree, TreeError, find_commit};
use atelier_protocol::event::{FileChange, FileStatus};
use atelier_protocol::view::{DiffLine, DiffView, FileDiff, Hunk, Side};
use git2::{Delta, Diff, DiffDelta, DiffFindOptions, DiffLineType, DiffOptions, Oid, Patch, Repository};

/// A file whose diff has more lines is shown without hunks.
const MOST_LINES: usize = 5_000;
/// Lines of context around a change.
const CONTEXT: u32 = 3;
/// Larger files are treated as binary; git's own line diff is quadratic in the worst case.
const MOST_BYTES: i64 = 16 << 20;

/// The newer side of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tip<'a> {
    /// A commit.
    Commit(&'a str),
    /// The files of the tree as they are now.
    Files,
}

/// A changed file with what git knows of it.
pub(crate) struct Change {
    /// For people.
    pub(crate) file: FileChange,
    /// The path it has now; for a deleted file the one it had.
    pub(crate) path: Vec<u8>,
    /// The path it had before, where that is another.
    pub(crate) old_path: Option<Vec<u8>>,
    /// What it is now; `None` where it is gone.
    pub(crate) new: Option<Entry>,
}

impl RunTree {
    /// What changed from the commit `from` to `tip`.
    pub fn diff(&self, from: &str, tip: Tip<'_>) -> Result<DiffView, TreeError> {
        let repo = self.repo()?;
        let old = tree_of(&repo, find_commit(&repo, from)?)?;
        let (new, name) = match tip {
            Tip::Commit(commit) => (tree_of(&repo, find_commit(&repo, commit)?)?, commit.to_owned()),
            Tip::Files => {
                let tree = self.present(&repo)?;
                (tree, tree.to_string())
            }
        };
        Ok(DiffView { base: from.to_owned(), tip: name, files: file_diffs(&repo, old, new)? })
    }
}

impl UserRepo {
    /// What changed between two commits of the user's repository, such as those of a run whose tree is gone.
    pub fn diff(&self, from: &str, to: &str) -> Result<DiffView, TreeError> {
        let repo = without_attributes(&self.repo()?)?;
        let old = tree_of(&repo, find_commit(&repo, from)?)?;
        let new = tree_of(&repo, find_commit(&repo, to)?)?;
        Ok(DiffView { base: from.to_owned(), tip: to.to_owned(), files: file_diffs(&repo, old, new)? })
    }
}

/// The changed files between two trees, by path, with renames.
pub(crate) fn changes(repo: &Repository, old: Oid, new: Oid) -> Result<Vec<Change>, Fault> {
    let diff = with_patches(repo, old, new)?;
    let mut all = Vec::new();
    for (index, delta) in diff.deltas().enumerate() {
        let patch = Patch::from_diff(&diff, index).map_err(git("comparing a file"))?;
        all.push(change(&delta, patch.as_ref())?);
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

fn tree_of(repo: &Repository, commit: Oid) -> Result<Oid, Fault> {
    Ok(repo.find_commit(commit).map_err(git("reading a commit"))?.tree_id())
}

/// The user's repository with neither a work tree nor an index from which attributes could be read; a run's private
/// repository has neither anyway.
fn without_attributes(repo: &Repository) -> Result<Repository, Fault> {
    let doing = || git("opening the repository for a comparison");
    let bare =
        Repository::open_bare(repo.path()).or_else(|_| Repository::open_bare(repo.commondir())).map_err(doing())?;
    let mut nothing = git2::Index::new().map_err(doing())?;
    bare.set_index(&mut nothing).map_err(doing())?;
    Ok(bare)
}

/// The difference of two trees as it is shown.
pub(crate) fn with_patches(repo: &Repository, old: Oid, new: Oid) -> Result<Diff<'_>, Fault> {
    let doing = || git("comparing two states");
    let (old, new) = (repo.find_tree(old).map_err(doing())?, repo.find_tree(new).map_err(doing())?);
    let mut options = DiffOptions::new();
    options
        .context_lines(CONTEXT)
        .interhunk_lines(0)
        .include_typechange(true)
        .indent_heuristic(true)
        .max_size(MOST_BYTES);
    let mut diff = repo.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options)).map_err(doing())?;
    let mut find = DiffFindOptions::new();
    find.renames(true);
    diff.find_similar(Some(&mut find)).map_err(doing())?;
    Ok(diff)
}

fn file_diffs(repo: &Repository, old: Oid, new: Oid) -> Result<Vec<FileDiff>, Fault> {
    let diff = with_patches(repo, old, new)?;
    let mut all = Vec::new();
    for (index, delta) in diff.deltas().enumerate() {
        let patch = Patch::from_diff(&diff, index).map_err(git("comparing a file"))?;
        let change = change(&delta, patch.as_ref())?;
        let binary = change.file.insertions.is_none();
        let (hunks, cut) = match &patch {
            Some(patch) if !binary => hunks(patch)?,
            _ => (Vec::new(), false),
        };
        all.push((change.path, FileDiff { change: change.file, binary, cut, hunks }));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all.into_iter().map(|(_, file)| file).collect())
}

pub(crate) fn change(delta: &DiffDelta<'_>, patch: Option<&Patch<'_>>) -> Result<Change, Fault> {
    let old_path = delta.old_file().path_bytes().unwrap_or_default();
    let new_path = delta.new_file().path_bytes().unwrap_or(old_path);
    let status = match delta.status() {
        Delta::Added | Delta::Copied => FileStatus::Added,
        Delta::Deleted => FileStatus::Deleted,
        Delta::Renamed => FileStatus::Renamed,
        _ => FileStatus::Modified,
    };
    let path = if status == FileStatus::Deleted { old_path } else { new_path };
    let old_path = (status == FileStatus::Renamed).then(|| old_path.to_vec());
    // Whether a file is binary is known once its content was looked at, which making the patch does.
    let lines = match patch {
        Some(patch) if !patch.delta().flags().is_binary() => {
            let (_, added, removed) = patch.line_stats().map_err(git("counting lines"))?;
            Some((count(added), count(removed)))
        }
        Some(_) => None,
        None if delta.flags().is_binary() => None,
        None => Some((0, 0)),
    };
    let new = delta.new_file();
    Ok(Change {
        file: FileChange {
            path: shown(path),
            old_path: old_path.as_deref().map(shown),
            status,
            insertions: lines.map(|(added, _)| added),
            deletions: lines.map(|(_, removed)| removed),
        },
        path: path.to_vec(),
        old_path,
        new: (status != FileStatus::Deleted).then(|| Entry { mode: plain_mode(i32::from(new.mode())), id: new.id() }),
    })
}

fn hunks(patch: &Patch<'_>) -> Result<(Vec<Hunk>, bool), Fault> {
    let doing = || git("reading a difference");
    let mut lines_in_all = 0;
    for index in 0..patch.num_hunks() {
        lines_in_all += patch.num_lines_in_hunk(index).map_err(doing())?;
    }
    if lines_in_all > MOST_LINES {
        return Ok((Vec::new(), true));
    }
    let mut all = Vec::new();
    for index in 0..patch.num_hunks() {
        let (head, count_of_lines) = patch.hunk(index).map_err(doing())?;
        let mut lines: Vec<DiffLine> = Vec::new();
        for at in 0..count_of_lines {
            let line = patch.line_in_hunk(index, at).map_err(doing())?;
            let side = match line.origin_value() {
                DiffLineType::Context => Side::Context,
                DiffLineType::Addition => Side::Added,
                DiffLineType::Deletion => Side::Removed,
                // `\ No newline at end of file` follows the line it speaks about.
                DiffLineType::ContextEOFNL | DiffLineType::AddEOFNL | DiffLineType::DeleteEOFNL => {
                    if let Some(last) = lines.last_mut() {
                        last.no_newline = true;
                    }
                    continue;
                }
                _ => continue,
            };
            let text = line.content();
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            lines.push(DiffLine {
                side,
                old: line.old_lineno(),
                new: line.new_lineno(),
                text: shown(text),
                no_newline: false,
            });
        }
        all.push(Hunk {
            old_start: head.old_start(),
            new_start: head.new_start(),
            header: after_second_at(head.header()),
            lines,
        });
    }
    Ok((all, false))
}

/// The text after the second `@@`.
fn after_second_at(header: &[u8]) -> String {
    let text = shown(header);
    text.splitn(3, "@@").nth(2).unwrap_or_default().trim().to_owned()
}

fn count(lines: usize) -> u32 {
    u32::try_from(lines).unwrap_or(u32::MAX)
}
