//! Indentation that a model wrote otherwise: spaces for tabs, tabs for spaces, or without the depth of the place.
//!
//! What is written in the file's stead is taken from the file: a new line gets an indentation that the file uses
//! for this depth, and where that is not one and the same the edit is refused.

use crate::text::{Level, Text, key, lines, trim_start, unended};
use std::collections::{HashMap, HashSet};

/// How the indentation of the file follows from that of the search text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Indent {
    /// The same columns, where a tab is this wide.
    Columns(usize),
    /// This text before every line.
    Deeper(Vec<u8>),
}

/// Widths of a tab that are tried.
const WIDTHS: [usize; 4] = [4, 2, 8, 3];

fn space(line: &[u8]) -> &[u8] {
    let body = unended(line);
    &body[..body.len() - trim_start(body).len()]
}

fn is_blank(line: &[u8]) -> bool {
    key(Level::Bare, line).is_empty()
}

/// Columns of an indentation, tabs reaching the next multiple of `width`.
fn columns(space: &[u8], width: usize) -> usize {
    space.iter().fold(0, |at, byte| if *byte == b'\t' { (at / width + 1) * width } else { at + 1 })
}

/// How `here` follows from `wanted`; both are alike but for the space around each line. `None` where it does not, and
/// where the indentations are the same.
pub(crate) fn relation(wanted: &[&[u8]], here: &[&[u8]], diff: bool) -> Option<Indent> {
    let pairs: Vec<(&[u8], &[u8])> = wanted
        .iter()
        .zip(here)
        .filter(|(line, _)| !is_blank(line))
        .map(|(wanted, here)| (space(wanted), space(here)))
        .collect();
    if pairs.iter().all(|(wanted, here)| wanted == here) {
        return None;
    }
    let same_columns = |width: &usize| pairs.iter().all(|(a, b)| columns(a, *width) == columns(b, *width));
    if let Some(width) = WIDTHS.into_iter().find(same_columns) {
        return Some(Indent::Columns(width));
    }
    let (first, deeper) = pairs.first()?;
    let prefix = deeper.strip_suffix(*first).filter(|prefix| !prefix.is_empty())?;
    let shifted = pairs.iter().all(|(wanted, here)| here.strip_suffix(*wanted) == Some(prefix));
    let dedented = pairs.iter().any(|(wanted, _)| wanted.is_empty());
    // One short line at any depth says too little: `}` fits everywhere.
    let says_enough = wanted.iter().filter(|line| key(Level::Bare, line).len() > 1).count() >= 2
        || wanted.iter().any(|line| key(Level::Bare, line).len() >= 16);
    (shifted && dedented && says_enough && !diff).then(|| Indent::Deeper(prefix.to_vec()))
}

/// How wide the tabs are that the spaces of an edit without any stand for, where the lines that it repeats from the file
/// `now` tell: none of those that are indented by spaces is there as it is written, some are with tabs, of one width.
pub(crate) fn width_shown<'a>(now: &[u8], repeated: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    memchr::memchr(b'\t', now)?;
    let spaced = repeated.flat_map(lines).map(|line| key(Level::Trailing, line)).filter(|line| line.starts_with(GAP));
    let mut spaced = spaced.peekable();
    // Most edits have none, and need no look at the file.
    spaced.peek()?;
    let there: HashSet<&[u8]> = lines(now).map(|line| key(Level::Trailing, line)).collect();
    let mut widths = WIDTHS.to_vec();
    let mut shown = false;
    for line in spaced {
        if there.contains(line) {
            return None;
        }
        let (space, rest) = line.split_at(space(line).len());
        let tabbed = |width: &usize| {
            let tabs = vec![b'\t'; space.len() / width];
            space.len().is_multiple_of(*width) && there.contains([&tabs, rest].concat().as_slice())
        };
        let fitting: Vec<usize> = widths.iter().copied().filter(tabbed).collect();
        if !fitting.is_empty() {
            (widths, shown) = (fitting, true);
        }
    }
    match widths[..] {
        [width] if shown => Some(width),
        _ => None,
    }
}

/// How a file uses tabs: what says whether spaces in a new line may stand for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tabs {
    /// Lines that are indented by tabs, and those that are indented by several spaces.
    indents: usize,
    spaced: usize,
    /// Lines with a tab behind their indentation, and those with several spaces there.
    inner: usize,
    gaps: usize,
}

impl Tabs {
    pub(crate) fn of(text: &Text) -> Self {
        let mut tabs = Self::default();
        for index in 0..text.count() {
            let line = text.line(index);
            if is_blank(line) {
                continue;
            }
            let (space, rest) = unended(line).split_at(space(line).len());
            tabs.indents += usize::from(space.contains(&b'\t'));
            tabs.spaced += usize::from(space.starts_with(GAP));
            tabs.inner += usize::from(memchr::memchr(b'\t', rest).is_some());
            tabs.gaps += usize::from(memchr::memmem::find(rest, GAP).is_some());
        }
        tabs
    }

    /// Whether `line` has spaces where such a file has tabs.
    pub(crate) fn may_be_meant(self, line: &[u8]) -> bool {
        if is_blank(line) {
            return false;
        }
        let (space, rest) = unended(line).split_at(space(line).len());
        let indented = space.starts_with(GAP) && self.indents > 8 * self.spaced;
        indented || (memchr::memmem::find(rest, GAP).is_some() && self.inner > self.gaps)
    }
}

/// Fewer spaces than these stand for no tab.
const GAP: &[u8] = b"  ";

/// So many times as often as all others of its depth an indentation by tabs is the file's, and the others slips or texts.
const MOSTLY: usize = 50;

/// The indentations of a file by their columns, each with how many lines have it.
pub(crate) struct Depths<'a> {
    width: usize,
    known: HashMap<usize, HashMap<&'a [u8], usize>>,
    /// Whether some line is indented by tabs, and whether some line has a tab behind its indentation.
    tabs: bool,
    inner_tabs: bool,
    mixed: bool,
}

impl<'a> Depths<'a> {
    pub(crate) fn of(text: &'a Text, width: usize) -> Self {
        let mut depths = Self { width, known: HashMap::new(), tabs: false, inner_tabs: false, mixed: false };
        for index in 0..text.count() {
            let line = text.line(index);
            if is_blank(line) {
                continue;
            }
            let space = space(line);
            depths.tabs |= space.contains(&b'\t');
            depths.mixed |= space.contains(&b'\t') && space.contains(&b' ');
            depths.inner_tabs |= memchr::memchr(b'\t', &line[space.len()..]).is_some();
            *depths.known.entry(columns(space, width)).or_default().entry(space).or_default() += 1;
        }
        depths
    }

    /// A line with the file's indentation for its depth; `None` where the file does not say which.
    fn line(&self, line: &[u8]) -> Option<Vec<u8>> {
        let space = space(line);
        let rest = &line[space.len()..];
        let run = vec![b' '; self.width];
        if self.inner_tabs && memchr::memmem::find(unended(rest), &run).is_some() {
            return None;
        }
        let depth = columns(space, self.width);
        let indent = match self.known.get(&depth) {
            Some(known) => the_one(known)?.to_vec(),
            None if !self.tabs => vec![b' '; depth],
            None if !self.mixed && depth.is_multiple_of(self.width) => vec![b'\t'; depth / self.width],
            None => return None,
        };
        Some([&indent, rest].concat())
    }
}

/// The indentation that a file has for a depth; `None` where it has two.
fn the_one<'a>(known: &HashMap<&'a [u8], usize>) -> Option<&'a [u8]> {
    let all: usize = known.values().sum();
    let (space, lines) = known.iter().max_by_key(|(_, lines)| **lines)?;
    let others = all - lines;
    (others == 0 || space.contains(&b'\t') && *lines >= MOSTLY * others).then_some(*space)
}

/// `replace` with the indentation that the file has where `relation` holds; `None` where that is not clear.
pub(crate) fn reindented(text: &Text, relation: &Indent, replace: &[u8]) -> Option<Vec<u8>> {
    match relation {
        Indent::Deeper(prefix) => Some(
            lines(replace)
                .flat_map(|line| if is_blank(line) { [&[][..], line] } else { [prefix.as_slice(), line] })
                .flatten()
                .copied()
                .collect(),
        ),
        Indent::Columns(width) => {
            let depths = Depths::of(text, *width);
            let mut bytes = Vec::with_capacity(replace.len());
            for line in lines(replace) {
                if is_blank(line) {
                    bytes.extend_from_slice(line);
                } else {
                    bytes.extend(depths.line(line)?);
                }
            }
            Some(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: &str, here: &str) -> Option<Indent> {
        let [a, b] = [wanted, here].map(|text| lines(text.as_bytes()).collect::<Vec<_>>());
        relation(&a, &b, false)
    }

    #[test]
    fn tabs_and_spaces_agree_by_columns() {
        assert_eq!(of("    a\n        b\n", "\ta\n\t\tb\n"), Some(Indent::Columns(4)));
        assert_eq!(of("  a\n", "\ta\n"), Some(Indent::Columns(2)));
        assert_eq!(of("\ta\n", "        a\n"), Some(Indent::Columns(8)));
        assert_eq!(of("    a\n    b\n", "\ta\n\t\tb\n"), None);
        assert_eq!(of("a\n", "a\n"), None);
    }

    #[test]
    fn repeated_lines_show_how_wide_a_tab_was() {
        let shown = |now: &str, repeated: &str| width_shown(now.as_bytes(), [repeated.as_bytes()].into_iter());
        let file = "a\n\tb\n\t\tc\n    d\n";
        assert_eq!(shown(file, "a\n    b\n        c\n"), Some(4));
        assert_eq!(shown(file, "a\n  b\n"), Some(2));
        assert_eq!(shown(file, "a\n"), None, "nothing is shown");
        assert_eq!(shown(file, "    b\n    d\n"), None, "a line is there with its spaces");
        assert_eq!(shown("    b\n", "    b\n"), None);
    }

    #[test]
    fn a_depth_that_all_lines_lack_must_be_clear() {
        assert_eq!(of("foo()\n  bar()\n", "    foo()\n      bar()\n"), Some(Indent::Deeper(b"    ".to_vec())));
        assert_eq!(of("}\n", "    }\n"), None);
        assert_eq!(of("  foo()\n    bar()\n", "    foo()\n      bar()\n"), None, "not all of it is missing");
    }

    #[test]
    fn new_lines_get_the_indentation_the_file_has_for_their_depth() {
        let again = |file: &str, replace: &str| {
            let text = Text::new(file.into(), 1);
            reindented(&text, &Indent::Columns(4), replace.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(again("\ta\n\t\tb\n", "    x\n\n            y\n").as_deref(), Some("\tx\n\n\t\t\ty\n"));
        assert_eq!(again("    a\n", "\tx\n").as_deref(), Some("    x\n"));
        assert_eq!(again("\ta\n    b\n", "    x\n"), None, "the file has both");
        let mostly = "\ta\n".repeat(50) + "    b\n";
        assert_eq!(again(&mostly, "    x\n").as_deref(), Some("\tx\n"), "but for a slip it has one");
        let spaces = "    a\n".repeat(50) + "\tb\n";
        assert_eq!(again(&spaces, "    x\n"), None, "the place is one of the few with a tab");
        assert_eq!(again("\ta\t// b\n", "    x    // y\n"), None, "a tab may have stood inside the line");
    }
}
