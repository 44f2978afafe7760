//! Turns a set of edits into the exact bytes of each file, all of them or none.

use crate::change::{Block, ChangeSet, Edit, FileChange, LineRange};
use crate::draft::{Draft, Outlook};
use crate::encoding::Encoding;
use crate::entities::{Reading, reading, reading_of_content};
use crate::indent::width_shown;
use crate::path::Paths;
use crate::refusal::Refusal;
use atelier_protocol::hash::Hash;
use std::collections::{HashMap, HashSet};

/// The largest file that is edited, in bytes.
pub const LARGEST_FILE: usize = 64 << 20;

/// Applies `edits` in their order to the files that `read` gives: `Ok(None)` where there is no such file,
/// `Err` with a reason where it cannot be read. The file of an edit is read once; a path that is not one of the
/// project's is looked up by its ends.
///
/// The first edit that cannot be applied refuses the whole set.
pub fn apply(read: impl Fn(&str) -> Result<Option<Vec<u8>>, String>, edits: &[Edit]) -> Result<ChangeSet, Refusal> {
    let read = |path: &str| {
        let bytes = read(path).map_err(|reason| Refusal::Unreadable { path: path.to_owned(), reason })?;
        match &bytes {
            Some(bytes) if bytes.len() > LARGEST_FILE => {
                Err(Refusal::TooLarge { path: path.to_owned(), what: "it has more than 64 MiB" })
            }
            _ => Ok(bytes),
        }
    };
    let mut paths = Paths::default();
    let mut of_path: Vec<(String, &Edit)> = Vec::with_capacity(edits.len());
    for edit in edits {
        of_path.push((paths.resolve(edit.path(), read)?, edit));
    }
    let mut by_path: HashMap<&str, Vec<&Edit>> = HashMap::new();
    for (path, edit) in &of_path {
        by_path.entry(path).or_default().push(edit);
    }
    let mut gone: HashSet<(&String, Option<&String>)> = HashSet::new();
    let mut files = Files { drafts: Vec::new(), places: HashMap::new() };
    for (path, edit) in &of_path {
        let at = files.open(path, read, by_path.get(path.as_str()).map(Vec::as_slice).unwrap_or_default())?;
        let Some(file) = files.drafts.get_mut(at) else { continue };
        file.touched |= !matches!(edit, Edit::Expect { .. });
        let target = match edit {
            Edit::Delete { .. } => Some(None),
            Edit::Move { to, .. } => Some(Some(to)),
            _ => None,
        };
        // Said twice, it is meant once.
        if let Some(target) = target
            && !gone.insert((path, target))
            && !file.is_there()
        {
            continue;
        }
        match edit {
            Edit::Write { content, .. } => file.write(content)?,
            Edit::Replace { blocks, .. } => file.replace(blocks)?,
            Edit::Lines { ranges, .. } => file.replace_lines(ranges)?,
            Edit::Delete { .. } => file.delete()?,
            Edit::Expect { hash, .. } => {
                if file.before.as_deref().map(Hash::of).as_ref() != Some(hash) {
                    return Err(Refusal::Stale { path: path.clone() });
                }
            }
            Edit::Move { to, .. } => {
                let to = paths.resolve_new(to)?;
                let target = files.open(&to, read, &[])?;
                if files.drafts.get(target).is_some_and(Draft::is_there) {
                    return Err(Refusal::Occupied { path: path.clone(), to });
                }
                let Some(taken) = files.drafts.get_mut(at).map(Draft::take) else { continue };
                let taken = taken?;
                if let Some(target) = files.drafts.get_mut(target) {
                    target.put(taken);
                }
            }
        }
    }
    let drafts = files.drafts.into_iter().filter(|draft| draft.touched);
    let files: Vec<FileChange> = drafts.map(Draft::finish).collect::<Result<_, _>>()?;
    let there: HashSet<&str> =
        files.iter().filter(|file| file.after.is_some()).map(|file| file.path.as_str()).collect();
    for path in &there {
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(file) = folders.find(|folder| there.contains(folder)) {
            let reason = "another edit of the same set puts a file below it, so it must be a folder";
            return Err(Refusal::BadPath { path: file.to_owned(), reason });
        }
    }
    Ok(ChangeSet { files })
}

struct Files {
    /// In the order of their first mention.
    drafts: Vec<Draft>,
    places: HashMap<String, usize>,
}

impl Files {
    fn open(
        &mut self,
        path: &str,
        read: impl Fn(&str) -> Result<Option<Vec<u8>>, Refusal>,
        edits: &[&Edit],
    ) -> Result<usize, Refusal> {
        if let Some(at) = self.places.get(path) {
            return Ok(*at);
        }
        let before = read(path)?;
        let outlook = outlook(path, before.as_deref(), edits);
        self.drafts.push(Draft::new(path.to_owned(), before, outlook));
        self.places.insert(path.to_owned(), self.drafts.len() - 1);
        Ok(self.drafts.len() - 1)
    }
}

/// What all edits of one file say together about how it and they are to be read.
fn outlook(path: &str, before: Option<&[u8]>, edits: &[&Edit]) -> Outlook {
    let blocks = || {
        edits.iter().flat_map(|edit| match edit {
            Edit::Replace { blocks, .. } => blocks.as_slice(),
            _ => &[],
        })
    };
    let ranges = || {
        edits.iter().flat_map(|edit| match edit {
            Edit::Lines { ranges, .. } => ranges.as_slice(),
            _ => &[],
        })
    };
    let contents = || {
        edits.iter().filter_map(|edit| match edit {
            Edit::Write { content, .. } => Some(content.as_slice()),
            _ => None,
        })
    };
    let repeated = blocks()
        .map(|block: &Block| block.search.as_slice())
        .chain(ranges().filter_map(|range: &LineRange| range.old.as_deref()));
    let new = blocks().map(|block| block.replace.as_slice()).chain(ranges().map(|range| range.text.as_slice()));
    let all = || repeated.clone().chain(new.clone()).chain(contents());
    let edit_is_text = all().all(|text| std::str::from_utf8(text).is_ok()) && all().any(|text| !text.is_ascii());
    let encoding = before.map_or(Encoding::Bytes, |bytes| Encoding::of(bytes, edit_is_text));
    let now = before.map(|bytes| encoding.decode(bytes)).unwrap_or_default();
    let content = contents().map(|content| reading_of_content((path, &now), content));
    let content = content.reduce(|a, b| if a == b { a } else { Reading::Unclear }).unwrap_or_default();
    let all: Vec<&Block> = blocks().collect();
    let (first, second) = all.split_at(all.len() / 2);
    let again = first.len() > 1 && first == second;
    let tabless = before.is_some() && !repeated.clone().chain(new.clone()).any(|text| text.contains(&b'\t'));
    let tab_width = if tabless { width_shown(&now, repeated.clone()) } else { None };
    Outlook {
        tabless,
        tab_width,
        blocks: reading((path, &now), repeated.clone(), new.clone()),
        content,
        encoding,
        repeated: again,
    }
}
