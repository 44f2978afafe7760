//! Texts with headings: Markdown, reStructuredText, AsciiDoc, LaTeX, Org. A part is what stands between two headings,
//! by its lines in the file.
//!
//! Headings become Markdown's; everything else stays as it is written, so that a quotation is a quotation. It is not a
//! renderer.

use crate::decode;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::source::Source;
use atelier_protocol::document::{Anchor, DocumentFormat as Format};

/// A heading: the lines it takes, its level from 1, and its text.
struct Heading {
    lines: usize,
    level: usize,
    text: String,
}

pub(crate) fn read(source: &Source<'_>, draft: &mut Draft, format: Format) -> Result<(), ReadError> {
    let text =
        decode::text(&source.bytes, draft).ok_or_else(|| ReadError::damaged(format)("it is no text".to_owned()))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut levels: Vec<(char, bool)> = Vec::new();
    let (mut at, mut from, mut fence) = (0, 0, None::<String>);
    let (mut part, mut heading) = (String::new(), None);
    if format == Format::Markdown && lines.first() == Some(&"---") {
        // What stands before the text itself (front matter) may name the title.
        if let Some(end) = lines.iter().skip(1).position(|line| *line == "---") {
            let named = lines[1..=end].iter().find_map(|line| line.strip_prefix("title:"));
            draft.title = named.map(|title| title.trim().trim_matches(['"', '\'']).to_owned());
            (at, from) = (end + 2, end + 2);
        }
    }
    while at < lines.len() {
        let line = lines[at];
        if let Some(open) = &fence {
            if line.trim() == open || (open == "```" && line.trim_start().starts_with("```")) {
                fence = None;
            }
        } else if let Some(open) = opens(line, format) {
            fence = Some(open);
        } else if let Some(found) = found(&lines, at, format, &mut levels) {
            end(draft, &mut part, &mut heading, [from, at]);
            from = at;
            at += found.lines;
            draft.title = draft.title.take().or_else(|| (found.level == 1).then(|| found.text.clone()));
            part = format!("{} {}\n", "#".repeat(found.level.clamp(1, 6)), found.text);
            heading = Some(found.text);
            continue;
        }
        if format == Format::Latex {
            part.push_str(&latex(line, draft));
        } else {
            if let Some(title) = line.strip_prefix("#+TITLE:").filter(|_| format == Format::Org) {
                draft.title = Some(title.trim().to_owned());
            }
            part.push_str(line);
        }
        part.push('\n');
        at += 1;
    }
    end(draft, &mut part, &mut heading, [from, lines.len()]);
    Ok(())
}

fn end(draft: &mut Draft, part: &mut String, heading: &mut Option<String>, [from, to]: [usize; 2]) {
    let line = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let text = std::mem::take(part);
    draft.part(Anchor::Lines { lines: [line(from + 1), line(to.max(from + 1))] }, heading.take(), text);
}

/// A line after which headings are none, and the line that ends that.
fn opens(line: &str, format: Format) -> Option<String> {
    let line = line.trim();
    match format {
        Format::Markdown if line.starts_with("```") => Some("```".to_owned()),
        Format::Markdown if line.starts_with("~~~") => Some("~~~".to_owned()),
        Format::Asciidoc
            if line.len() >= 4 && ["----", "....", "====", "****", "____", "////"].contains(&&line[..4]) =>
        {
            let first = line.chars().next()?;
            line.chars().all(|c| c == first).then(|| line.to_owned())
        }
        Format::Org if line.to_ascii_uppercase().starts_with("#+BEGIN_") => {
            let name = line.get(8..)?.split_whitespace().next()?;
            Some(format!("{}{name}", if line.starts_with("#+b") { "#+end_" } else { "#+END_" }))
        }
        Format::Latex if line.starts_with("\\begin{verbatim}") => Some("\\end{verbatim}".to_owned()),
        Format::Latex if line.starts_with("\\begin{lstlisting}") => Some("\\end{lstlisting}".to_owned()),
        _ => None,
    }
}

fn found(lines: &[&str], at: usize, format: Format, levels: &mut Vec<(char, bool)>) -> Option<Heading> {
    let line = lines[at];
    let marked = |mark: u8, most: usize| {
        let level = line.bytes().take_while(|byte| *byte == mark).count();
        let text = line.get(level..)?.strip_prefix(' ')?.trim();
        ((1..=most).contains(&level) && !text.is_empty()).then(|| Heading {
            lines: 1,
            level,
            text: text.trim_end_matches(char::from(mark)).trim().to_owned(),
        })
    };
    match format {
        Format::Markdown => marked(b'#', 6).or_else(|| underlined(lines, at)),
        Format::Asciidoc => marked(b'=', 6),
        Format::Org => marked(b'*', 12),
        Format::Latex => {
            const NAMES: [(&str, usize); 7] = [
                ("part", 1),
                ("chapter", 1),
                ("section", 2),
                ("subsection", 3),
                ("subsubsection", 4),
                ("paragraph", 5),
                ("title", 1),
            ];
            let rest = line.trim_start().strip_prefix('\\')?;
            let (name, text) = rest.split_once('{')?;
            let (_, level) = *NAMES.iter().find(|(known, _)| name.trim_end_matches('*') == *known)?;
            let text = text.rsplit_once('}').map_or(text, |(text, _)| text);
            Some(Heading { lines: 1, level, text: plain(text) })
        }
        Format::Rst => ruled(lines, at, levels),
        _ => None,
    }
}

/// Markdown's other way: a line under the heading.
fn underlined(lines: &[&str], at: usize) -> Option<Heading> {
    let (text, under) = (lines[at].trim(), lines.get(at + 1)?.trim_end());
    let level = match under.chars().next()? {
        '=' if under.chars().all(|c| c == '=') => 1,
        '-' if under.len() > 2 && under.chars().all(|c| c == '-') => 2,
        _ => return None,
    };
    let before = at.checked_sub(1).and_then(|before| lines.get(before)).is_none_or(|line| line.trim().is_empty());
    let is_text = !text.is_empty() && !text.starts_with(['-', '*', '>', '|', '#', '=']);
    (before && is_text).then(|| Heading { lines: 2, level, text: text.to_owned() })
}

/// reStructuredText: a ruled line under the heading, and perhaps one over it; which rule means which level is the
/// file's own choice, in the order they come.
fn ruled(lines: &[&str], at: usize, levels: &mut Vec<(char, bool)>) -> Option<Heading> {
    let rule = |line: &str| {
        let line = line.trim_end();
        let first = line.chars().next().filter(|c| c.is_ascii_punctuation())?;
        (line.len() >= 2 && line.chars().all(|c| c == first)).then_some((first, line.chars().count()))
    };
    let (over, text_at) = match rule(lines[at]) {
        Some((mark, _)) => (Some(mark), at + 1),
        None => (None, at),
    };
    let text = lines.get(text_at)?.trim();
    let (mark, width) = rule(lines.get(text_at + 1)?)?;
    let fits =
        !text.is_empty() && rule(text).is_none() && width >= text.chars().count() && over.is_none_or(|o| o == mark);
    if !fits || (over.is_none() && lines[at].starts_with(' ')) {
        return None;
    }
    let style = (mark, over.is_some());
    let level = match levels.iter().position(|known| *known == style) {
        Some(known) => known + 1,
        None => {
            levels.push(style);
            levels.len()
        }
    };
    Some(Heading { lines: if over.is_some() { 3 } else { 2 }, level, text: text.to_owned() })
}

/// A line of LaTeX without remarks and without the commands that only set type.
fn latex(line: &str, draft: &mut Draft) -> String {
    let mut end = line.len();
    for (at, _) in line.match_indices('%') {
        if at == 0 || line.as_bytes()[at - 1] != b'\\' {
            end = at;
            break;
        }
    }
    let line = &line[..end];
    let head = line.trim_start();
    if let Some(title) = head.strip_prefix("\\title{") {
        draft.title = Some(plain(title.trim_end().trim_end_matches('}')));
    }
    const SET: &[&str] =
        &["\\documentclass", "\\usepackage", "\\begin{document}", "\\end{document}", "\\maketitle", "\\title{"];
    if SET.iter().any(|command| head.starts_with(command)) { String::new() } else { plain(line) }
}

/// Text whose `\emph{}`, `\textbf{}` and the like are Markdown's.
fn plain(text: &str) -> String {
    let mut text =
        text.replace("\\&", "&").replace("\\%", "%").replace("\\_", "_").replace("\\$", "$").replace("\\#", "#");
    for (open, mark) in [("\\emph{", "*"), ("\\textit{", "*"), ("\\textbf{", "**"), ("\\texttt{", "`")] {
        while let Some(at) = text.find(open) {
            let Some(close) = text[at..].find('}').map(|close| at + close) else { break };
            let inner = text[at + open.len()..close].to_owned();
            text.replace_range(at..=close, &format!("{mark}{inner}{mark}"));
        }
    }
    text
}
