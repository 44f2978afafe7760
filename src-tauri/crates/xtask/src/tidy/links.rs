//! Relative links in the documents lead somewhere.

use super::{File, Finding};
use std::collections::BTreeSet;

/// The documents that are checked.
const DOCUMENTS: &[&str] = &["README.md", "src-tauri/ARCHITECTURE.md"];

/// Finds links to files that are not in the repository, and to headings that are not in the file.
pub fn relative(files: &[File]) -> Vec<Finding> {
    let mut places: BTreeSet<String> = BTreeSet::new();
    for file in files {
        let mut path = file.path.as_str();
        places.insert(path.to_owned());
        while let Some((folder, _)) = path.rsplit_once('/') {
            places.insert(folder.to_owned());
            path = folder;
        }
    }
    let mut findings = Vec::new();
    for document in files.iter().filter(|file| DOCUMENTS.contains(&file.path.as_str())) {
        let mut fenced = false;
        for (line, text) in document.lines() {
            if text.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(text) {
                if let Some(message) = broken(&document.path, target, &places, files) {
                    findings.push(document.at(line, "link", message));
                }
            }
        }
    }
    findings
}

/// What the links of a line point at: `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split([')', ' ']).next());
    let named = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
    inline.chain(named).collect()
}

fn broken(document: &str, target: &str, places: &BTreeSet<String>, files: &[File]) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let Some(place) = resolve(document, path) else { return Some(format!("`{target}` leads out of the repository")) };
    if !place.is_empty() && !places.contains(&place) {
        return Some(format!("`{target}` does not exist"));
    }
    let text = files.iter().find(|file| file.path == place).map(|file| file.text.as_str());
    match (heading, text) {
        (Some(heading), Some(text)) if !headings(text).contains(heading) => {
            Some(format!("`{target}` names no heading"))
        }
        _ => None,
    }
}

/// The path that `relative` means in `document`; `None` where it leaves the repository.
fn resolve(document: &str, relative: &str) -> Option<String> {
    if relative.is_empty() {
        return Some(document.to_owned());
    }
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The names that headings get in links: lower case, spaces as dashes, no punctuation.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |title: &str| -> String {
        let kept = title.to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    titles.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let readme = "\
# Atelier
See [the map](src-tauri/ARCHITECTURE.md), [a part](src-tauri/ARCHITECTURE.md#the-house), [a folder](src-tauri/crates).
[gone](docs/none.md) and [no heading](src-tauri/ARCHITECTURE.md#attic) and [out](../x) and [web](https://example.org/x)
```
[not a link](nowhere)
```
[named]: nothing.txt
[here](#atelier)
";
        let files = [
            file("README.md", readme),
            file("src-tauri/ARCHITECTURE.md", "## The house\n[up](../README.md)\n"),
            file("src-tauri/crates/a.rs", ""),
        ];
        let found: Vec<_> = relative(&files).iter().map(|f| (f.line, f.message.clone())).collect();
        assert_eq!(
            found,
            [
                (3, "`docs/none.md` does not exist".to_owned()),
                (3, "`src-tauri/ARCHITECTURE.md#attic` names no heading".to_owned()),
                (3, "`../x` leads out of the repository".to_owned()),
                (7, "`nothing.txt` does not exist".to_owned()),
            ]
        );
    }
}
