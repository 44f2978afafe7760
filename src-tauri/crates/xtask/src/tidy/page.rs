//! Rules of the page: Tauri behind one file, colours in one file.

use super::{File, Finding};

/// The one file that may know Tauri.
const TAURI: &str = "ui/src/ipc/tauri.ts";
/// The one file with colours.
const TOKENS: &str = "ui/src/styles/tokens.css";

fn is_page(path: &str) -> bool {
    path.starts_with("ui/src/") && [".ts", ".js", ".svelte", ".css", ".html"].iter().any(|end| path.ends_with(end))
}

/// Only one file imports Tauri, so that the page also runs in a browser from a recorded journal.
pub fn tauri(file: &File) -> Vec<Finding> {
    if !is_page(&file.path) || file.path == TAURI {
        return Vec::new();
    }
    file.lines()
        .filter(|(_, text)| text.contains("@tauri-apps"))
        .map(|(line, _)| file.at(line, "page", format!("only {TAURI} knows Tauri")))
        .collect()
}

/// Colours stand in one file.
pub fn colours(file: &File) -> Vec<Finding> {
    if !is_page(&file.path) || file.path == TOKENS || file.path.contains(".test.") {
        return Vec::new();
    }
    let style_only = file.path.ends_with(".css");
    let mut in_style = style_only;
    let mut findings = Vec::new();
    for (line, text) in file.lines() {
        if text.contains("<style") {
            in_style = true;
        }
        let found = function(text)
            .or_else(|| hex(text).filter(|_| in_style || text.contains("style") || text.contains("color")));
        if let Some(colour) = found {
            findings.push(file.at(line, "page", format!("`{colour}`: colours stand in {TOKENS}")));
        }
        if text.contains("</style") {
            in_style = style_only;
        }
    }
    findings
}

/// A colour written as a function.
fn function(text: &str) -> Option<String> {
    let names = ["rgb(", "rgba(", "hsl(", "hsla(", "hwb(", "lab(", "lch(", "oklab(", "oklch("];
    names.into_iter().find_map(|name| {
        let starts =
            |at: usize| !text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "-_.".contains(c));
        // Made of nothing but variables, it is put together from what the one file holds.
        let own = |at: usize| !text[at + name.len()..].trim_start().trim_start_matches("from ").starts_with("var(");
        text.match_indices(name).find(|(at, _)| starts(*at) && own(*at)).map(|_| format!("{name}...)"))
    })
}

/// A colour written as `#` and 3, 4, 6 or 8 hex digits.
fn hex(text: &str) -> Option<String> {
    text.match_indices('#').find_map(|(at, _)| {
        let digits: String = text[at + 1..].chars().take_while(char::is_ascii_hexdigit).collect();
        let after = text[at + 1 + digits.len()..].chars().next();
        let ends = !after.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_');
        ([3, 4, 6, 8].contains(&digits.len()) && ends).then(|| format!("#{digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn tauri_outside_its_file_is_found() {
        let text = "import { a } from './a';\nimport { invoke } from '@tauri-apps/api/core';\n";
        assert_eq!(lines(&tauri(&file("ui/src/app.ts", text))), [2]);
        assert_eq!(tauri(&file(TAURI, text)), []);
        assert_eq!(tauri(&file("ui/package.json", text)), []);
    }

    #[test]
    fn colours_outside_their_file_are_found() {
        let css =
            "a { color: #fff; }\nb { color: var(--ink); }\nc { background: oklch(0.5 0.1 20); }\n#face { top: 0 }\n";
        assert_eq!(lines(&colours(&file("ui/src/a.css", css))), [1, 3, 4]);
        assert_eq!(colours(&file(TOKENS, css)), []);
        let svelte =
            "<a href=\"#abc\">x</a>\n<b style=\"color:#123456\">y</b>\n<style>\n  p { color: #abcd; }\n</style>\n";
        assert_eq!(lines(&colours(&file("ui/src/A.svelte", svelte))), [2, 4]);
        assert_eq!(colours(&file("ui/src/a.css", "a { color: hsl(var(--hue) var(--s) var(--l)); }")), []);
        assert_eq!(colours(&file("ui/src/a.ts", "const id = '#123'; slab(2);\n")), []);
    }
}
