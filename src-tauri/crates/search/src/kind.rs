//! Whether a file is code or documentation, by its name.

use atelier_protocol::view::HitKind;

/// Endings of texts that are written for people.
const DOCUMENTS: &[&str] = &["md", "markdown", "mdx", "rst", "txt", "adoc", "asciidoc", "org", "tex", "textile", "pod"];
/// Files without ending that are.
const NAMES: &[&str] =
    &["readme", "license", "licence", "copying", "changelog", "changes", "history", "news", "authors"];
/// Endings of files that hold no code: data, settings, pictures as text.
const DATA: &[&str] =
    &["csv", "tsv", "json", "jsonl", "lock", "svg", "xml", "yaml", "yml", "toml", "ini", "cfg", "conf"];

pub(crate) fn of(path: &str) -> HitKind {
    let (name, ending) = parts(path);
    let document = match ending {
        Some(ending) => DOCUMENTS.iter().any(|known| known.eq_ignore_ascii_case(ending)),
        None => NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)),
    };
    if document { HitKind::Doc } else { HitKind::Code }
}

/// Whether hits of a kind are cut from the project's own text files.
pub(crate) fn is_of_files(kind: HitKind) -> bool {
    matches!(kind, HitKind::Code | HitKind::Doc)
}

/// The name of a kind as the index has it.
pub(crate) fn word(kind: HitKind) -> &'static str {
    match kind {
        HitKind::Code => "code",
        HitKind::Doc => "doc",
        HitKind::Commit => "commit",
        HitKind::Chat => "chat",
        HitKind::Spec => "spec",
        HitKind::Decision => "decision",
        HitKind::Document => "document",
        HitKind::Note => "note",
    }
}

/// Whether a file is data or settings rather than something that is programmed.
pub(crate) fn is_data(path: &str) -> bool {
    let (_, ending) = parts(path);
    ending.is_some_and(|ending| DATA.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

fn parts(path: &str) -> (&str, Option<&str>) {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, Some(ending)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_people_are_documents_and_the_rest_is_code() {
        for path in ["README.md", "docs/a.RST", "LICENSE", "sub/CHANGES", "notes.txt"] {
            assert_eq!(of(path), HitKind::Doc, "{path}");
        }
        for path in ["src/a.rs", "Makefile", ".gitignore", "readme.rs", "a.md/b.c", "package.json"] {
            assert_eq!(of(path), HitKind::Code, "{path}");
        }
        assert!(is_data("a/package.json") && is_data("Cargo.lock") && !is_data("json.rs") && !is_data(".json"));
    }
}
