//! Writes edits the way a model is asked to, so that prompts show the very format that is read back.

use crate::change::{Block, Edit, Locator};
use crate::parse::{Format, fence_for, is_path_line, on_its_line, width_for};
use std::fmt::Write as _;

/// The edits as text that [`crate::parse()`] reads back as the same edits.
///
/// `None` where the format cannot say them: a removal, bytes that are not UTF-8, text without a final newline or
/// with CR LF, a path that does not fit a line, two edits in a row for one file. Only whole files and search texts are
/// written: the other formats have writers of their own (git, diff).
pub fn render(format: Format, edits: &[Edit]) -> Option<String> {
    let mut text = String::new();
    for (at, edit) in edits.iter().enumerate() {
        let path = edit.path();
        if !is_path_line(path) {
            return None;
        }
        let taken = match format {
            Format::WholeFile => edits.iter().take(at).any(|other| other.path() == path),
            _ => at > 0 && edits.get(at - 1).is_some_and(|other| other.path() == path),
        };
        if taken {
            return None;
        }
        match (format, edit) {
            (Format::WholeFile, Edit::Write { content, .. }) => whole(&mut text, path, content)?,
            (Format::SearchReplace, Edit::Replace { blocks, .. }) if !blocks.is_empty() => {
                for block in blocks {
                    pair(&mut text, path, block)?;
                }
            }
            _ => return None,
        }
    }
    Some(text)
}

fn whole(text: &mut String, path: &str, content: &[u8]) -> Option<()> {
    let content = std::str::from_utf8(content).ok().filter(|content| is_lines(content))?;
    let fence = "`".repeat(fence_for(content));
    writeln!(text, "{}\n{fence}\n{content}{fence}\n", on_its_line(path)).ok()
}

fn pair(text: &mut String, path: &str, block: &Block) -> Option<()> {
    let (search, replace) = (std::str::from_utf8(&block.search).ok()?, std::str::from_utf8(&block.replace).ok()?);
    let blank = !search.is_empty() && search.trim().is_empty();
    if !is_lines(search) || !is_lines(replace) || blank || block.locator != Locator::default() {
        return None;
    }
    let width = width_for(block);
    let marks = |mark: &str| mark.repeat(width);
    writeln!(
        text,
        "{}\n{} SEARCH\n{}{}\n{}{} REPLACE\n",
        on_its_line(path),
        marks("<"),
        search,
        marks("="),
        replace,
        marks(">")
    )
    .ok()
}

/// Whether a text is whole lines that survive being read by lines.
fn is_lines(text: &str) -> bool {
    (text.is_empty() || text.ends_with('\n')) && !text.contains("\r\n")
}
