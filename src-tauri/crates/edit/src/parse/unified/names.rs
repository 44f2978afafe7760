//! Which file a part of a diff is about: git's prefixes, quotes and renames.
//!
//! A prefix is taken off only where both sides, or git's own line, say that it is one: `a/x` may be a file in a folder `a`.

/// What is said about one file before its hunks.
#[derive(Default)]
pub(super) struct Section {
    pub from: Option<String>,
    pub to: Option<String>,
    /// The line it begins with.
    pub line: usize,
    pub git: bool,
    /// Something that needs no hunk: a new mode, a new name, a new or removed file.
    pub complete: bool,
    pub rename: Option<(Option<String>, Option<String>)>,
    pub made: bool,
    pub removed: bool,
    pub hunks: usize,
}

impl Section {
    /// The old and the new path; `None` for `/dev/null`.
    pub(super) fn paths(&self) -> (Option<String>, Option<String>) {
        if let Some((Some(from), Some(to))) = &self.rename {
            return (Some(from.clone()), Some(to.clone()));
        }
        let from = self.from.as_deref().filter(|name| *name != "/dev/null");
        let to = self.to.as_deref().filter(|name| *name != "/dev/null");
        let (from, to) = match (from, to) {
            (Some(from), Some(to)) => {
                let [a, b] = [from, to].map(prefixed);
                match (a, b) {
                    // `a/x b/x`, or with git's other letters: prefixes. `a/x a/x` is a folder called `a`.
                    (Some((a, old)), Some((b, new))) if a != b => (Some(old.to_owned()), Some(new.to_owned())),
                    (Some((_, old)), _) if old == to => (Some(to.to_owned()), Some(to.to_owned())),
                    (_, Some((_, new))) if new == from => (Some(from.to_owned()), Some(from.to_owned())),
                    _ => (Some(from.to_owned()), Some(to.to_owned())),
                }
            }
            (Some(path), None) => (Some(self.alone(path, 'a')), None),
            (None, Some(path)) => (None, Some(self.alone(path, 'b'))),
            (None, None) => (None, None),
        };
        (from.filter(|_| !self.made), to.filter(|_| !self.removed))
    }

    /// A path without its prefix, where the other side has none to compare with.
    fn alone(&self, path: &str, usual: char) -> String {
        let prefix = prefixed(path).filter(|(letter, _)| self.git || *letter == usual);
        prefix.map_or(path, |(_, path)| path).to_owned()
    }
}

/// One of git's prefixes and what follows.
fn prefixed(name: &str) -> Option<(char, &str)> {
    let (letter, rest) = name.split_once('/')?;
    let mut chars = letter.chars();
    match (chars.next(), chars.next()) {
        (Some(c @ ('a' | 'b' | 'c' | 'i' | 'o' | 'w')), None) if !rest.is_empty() => Some((c, rest)),
        _ => None,
    }
}

fn bare(name: &str) -> &str {
    prefixed(name).map_or(name, |(_, path)| path)
}

/// The path in a `---` or `+++` line: before a tab, without quotes.
pub(super) fn name_of(rest: &str) -> String {
    let name = rest.split('\t').next().unwrap_or(rest).trim_end();
    unquoted(name.trim())
}

/// Both names of a `diff --git` line, where they are quoted or one and the same.
pub(super) fn git_names(names: &str) -> Option<(String, String)> {
    if let Some(rest) = names.strip_prefix('"') {
        let close = quote_end(rest)?;
        let second = rest[close + 1..].trim();
        return Some((unquoted(&names[..close + 2]), unquoted(second)));
    }
    let names = names.trim_end();
    let halves = || names.match_indices(' ').map(|(at, _)| (&names[..at], &names[at + 1..]));
    // As git writes them without its prefixes, or others for them.
    let same = |(a, b): &(&str, &str)| !a.is_empty() && bare(a) == bare(b);
    let (a, b) = halves().find(same).or_else(|| halves().find(|(_, b)| b.starts_with('"') || b.starts_with("b/")))?;
    Some((a.to_owned(), unquoted(b)))
}

fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| match c {
        '\\' if !escaped => {
            escaped = true;
            None
        }
        '"' if !escaped => Some(at),
        _ => {
            escaped = false;
            None
        }
    })
}

/// A path without quotes; git's have C's escapes.
pub(super) fn unquoted(name: &str) -> String {
    let name = name.trim();
    for mark in ['`', '\''] {
        if let Some(inner) = name.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)) {
            return inner.to_owned();
        }
    }
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return name.to_owned() };
    let mut bytes = Vec::new();
    let mut rest = inner.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        match rest {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [c, tail @ ..] => {
                bytes.push(match c {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => *other,
                });
                rest = tail;
            }
            [] => bytes.push(b'\\'),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
