//! Texts without marks of their own: code with its outline, logs, diffs, notes. A part is some lines of the file.

use crate::Outline;
use crate::decode;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::source::Source;
use atelier_protocol::document::{Anchor, DocumentFormat as Format};
use std::collections::BTreeMap;

/// Lines of a part.
const LINES: usize = 200;

pub(crate) fn read(
    source: &Source<'_>,
    draft: &mut Draft,
    format: Format,
    outline: Outline<'_>,
) -> Result<(), ReadError> {
    let text =
        decode::text(&source.bytes, draft).ok_or_else(|| ReadError::damaged(format)("it is no text".to_owned()))?;
    match format {
        Format::Code => {
            let fence = source.name.rsplit_once('.').map_or("", |(_, ending)| ending);
            let definitions = outline(&source.name, &text);
            let listed: Vec<String> =
                definitions.iter().map(|(name, [first, last])| format!("- `{name}` lines {first}-{last}")).collect();
            if !listed.is_empty() {
                draft.part(Anchor::Whole, Some("Outline".to_owned()), format!("Outline:\n{}\n", listed.join("\n")));
            }
            lines(&text, draft, Some(fence));
        }
        Format::Log => {
            if let Some(summary) = levels(&text) {
                draft.part(Anchor::Whole, Some("Summary".to_owned()), summary);
            }
            lines(&text, draft, Some(""));
        }
        Format::Diff => diff(&text, draft),
        _ => lines(&text, draft, None),
    }
    Ok(())
}

/// The lines of a text in parts; within a fence where it is no prose.
pub(crate) fn lines(text: &str, draft: &mut Draft, fence: Option<&str>) {
    let all: Vec<&str> = text.lines().collect();
    for (n, lines) in all.chunks(LINES).enumerate() {
        if draft.is_full() {
            return;
        }
        let (first, last) = (n * LINES + 1, n * LINES + lines.len());
        let mut part = lines.join("\n");
        if let Some(name) = fence {
            // A fence is longer than any in the text.
            let ticks = "`".repeat(longest_ticks(&part).max(2) + 1);
            part = format!("{ticks}{name}\n{part}\n{ticks}\n");
        } else {
            part.push('\n');
        }
        draft.part(anchor(first, last), None, part);
    }
}

fn anchor(first: usize, last: usize) -> Anchor {
    let line = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Anchor::Lines { lines: [line(first), line(last)] }
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// How many lines of each level, and the first lines of the worst.
fn levels(text: &str) -> Option<String> {
    const LEVELS: [(&str, &[&str]); 5] = [
        ("error", &["ERROR", "FATAL", "CRITICAL", "PANIC"]),
        ("warning", &["WARN", "WARNING"]),
        ("info", &["INFO", "NOTICE"]),
        ("debug", &["DEBUG"]),
        ("trace", &["TRACE"]),
    ];
    let (mut counts, mut worst): (BTreeMap<usize, usize>, Vec<(usize, &str)>) = (BTreeMap::new(), Vec::new());
    for (n, line) in text.lines().enumerate() {
        let head: String = line.chars().take(100).collect::<String>().to_ascii_uppercase();
        let words = || head.split(|c: char| !c.is_ascii_alphabetic());
        let Some(level) = LEVELS.iter().position(|(_, names)| words().any(|word| names.contains(&word))) else {
            continue;
        };
        *counts.entry(level).or_default() += 1;
        if level == 0 && worst.len() < 20 {
            worst.push((n + 1, line));
        }
    }
    if counts.is_empty() {
        return None;
    }
    let counted: Vec<String> = counts.iter().map(|(level, count)| format!("{count} {}", LEVELS[*level].0)).collect();
    let mut summary = format!("{} lines: {}\n", text.lines().count(), counted.join(", "));
    for (n, line) in worst {
        summary.push_str(&format!("- line {n}: {}\n", line.chars().take(200).collect::<String>()));
    }
    Some(summary)
}

/// A part for each file that a diff changes.
fn diff(text: &str, draft: &mut Draft) {
    let all: Vec<&str> = text.lines().collect();
    let begins = |at: usize| {
        all[at].starts_with("diff --git ")
            || (all[at].starts_with("--- ")
                && all.get(at + 1).is_some_and(|next| next.starts_with("+++ "))
                && !all[..at].iter().rev().take(6).any(|line| line.starts_with("diff --git ")))
    };
    let mut starts: Vec<usize> = (0..all.len()).filter(|at| begins(*at)).collect();
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([all.len()]);
    for (from, to) in starts.iter().copied().zip(ends) {
        let lines = &all[from..to];
        let count = |mark: char, head: &str| {
            lines.iter().filter(|line| line.starts_with(mark) && !line.starts_with(head)).count()
        };
        let named = lines.iter().find_map(|line| line.strip_prefix("+++ ").filter(|name| *name != "/dev/null"));
        let named = named.or_else(|| lines.iter().find_map(|line| line.strip_prefix("--- ")));
        let name = named.map(|name| name.trim_start_matches("b/").trim_start_matches("a/").to_owned());
        let (added, removed) = (count('+', "+++"), count('-', "---"));
        let told =
            name.as_ref().map(|name| format!("`{name}`: {added} added, {removed} removed\n\n")).unwrap_or_default();
        let body = lines.join("\n");
        let ticks = "`".repeat(longest_ticks(&body).max(2) + 1);
        draft.part(anchor(from + 1, to), name, format!("{told}{ticks}diff\n{body}\n{ticks}\n"));
    }
}
