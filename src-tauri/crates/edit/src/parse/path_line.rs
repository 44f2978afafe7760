//! Whether a line names a file, the way models decorate such lines, and how to write one.
//!
//! A line counts only where the path is all it says; a sentence that mentions a path does not.

/// Files without an extension that need no decoration to be taken for a file.
const KNOWN: &[&str] = &[
    "AUTHORS",
    "BUILD",
    "Brewfile",
    "CHANGELOG",
    "CODEOWNERS",
    "CONTRIBUTING",
    "COPYING",
    "Containerfile",
    "Dockerfile",
    "Gemfile",
    "Jenkinsfile",
    "Justfile",
    "LICENSE",
    "Makefile",
    "NOTICE",
    "Pipfile",
    "Procfile",
    "README",
    "Rakefile",
    "TODO",
    "VERSION",
    "Vagrantfile",
    "WORKSPACE",
    "justfile",
    "makefile",
];

/// Extensions by which a word in prose is taken for the name of a file.
const EXTENSIONS: &[&str] = &[
    "bash", "c", "cc", "cfg", "conf", "cpp", "cs", "css", "csv", "dart", "ex", "exs", "go", "gradle", "h", "hpp", "hs",
    "html", "ini", "java", "js", "json", "jsonc", "jsx", "kt", "lock", "lua", "md", "mdx", "mjs", "php", "pl", "proto",
    "py", "r", "rb", "rs", "rst", "scala", "scss", "sh", "sql", "svelte", "swift", "tf", "toml", "ts", "tsx", "txt",
    "vue", "xml", "yaml", "yml", "zig",
];

const LABELS: &[&str] = &["file path", "filename", "file name", "new file", "file", "path"];

/// The path that `line` names and nothing else; without decoration and a leading `./`.
pub(super) fn path_on(line: &str) -> Option<String> {
    let mut text = line.trim();
    for prefix in ["// ", "<!-- ", "- ", "* ", "• "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    text = text.strip_suffix("-->").unwrap_or(text).trim();
    let heading = text.trim_start_matches('#');
    if heading.starts_with(' ') {
        text = heading.trim();
    }
    if let Some((number, rest)) = text.split_once(". ")
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        text = rest.trim();
    }
    if text.ends_with(')')
        && let Some((path, _)) = text.rsplit_once(" (")
    {
        text = path.trim();
    }
    let mut sure = false;
    loop {
        let before = text;
        text = text.trim().trim_end_matches(':').trim();
        if let Some((label, rest)) = text.split_once(':')
            && LABELS.iter().any(|known| label.trim_matches(['*', '_', ' ']).eq_ignore_ascii_case(known))
        {
            text = rest.trim_start_matches('*').trim();
            sure = true;
        }
        for mark in ["**", "__", "`", "\"", "'"] {
            if let Some(inner) = text.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark))
                && !inner.is_empty()
            {
                text = inner;
                sure = true;
            }
        }
        if text == before {
            break;
        }
    }
    while let Some(shorter) = text.strip_prefix("./") {
        text = shorter;
    }
    (if sure { is_decorated_path(text) } else { is_plain_path(text) }).then(|| text.to_owned())
}

fn is_decorated_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 1024
        && text.chars().any(char::is_alphanumeric)
        && !text.contains(['`', '<', '>', '|', '*', '"'])
        && !text.chars().any(char::is_control)
        && !text.contains("://")
        && (!text.contains(char::is_whitespace) || text.contains(['/', '.']))
        && !text.ends_with(['.', ',', ';', '!', '?', ' '])
}

fn is_plain_path(text: &str) -> bool {
    is_decorated_path(text)
        && !text.contains(char::is_whitespace)
        && !text.contains('\'')
        && !text.starts_with('-')
        && !text.ends_with(')')
        && text.chars().any(char::is_alphabetic)
        && (text.contains(['/', '.']) || KNOWN.contains(&text))
}

/// Whether [`path_on`] reads `path` back from the line [`on_its_line`] makes of it.
pub(crate) fn is_path_line(path: &str) -> bool {
    path_on(&on_its_line(path)).as_deref() == Some(path)
}

/// The line that names `path`.
pub(crate) fn on_its_line(path: &str) -> String {
    if path_on(path).as_deref() == Some(path) { path.to_owned() } else { format!("`{path}`") }
}

/// The words of a sentence that look like the name of a file.
pub(super) fn mentioned(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'' | '(' | ')' | ',' | '*')).filter_map(
        |word| {
            let word = word.trim_end_matches(['.', ':', ';', '!', '?']);
            let word = word.strip_prefix("./").unwrap_or(word);
            let named = word
                .rsplit_once('.')
                .is_some_and(|(stem, ending)| stem.chars().any(char::is_alphanumeric) && EXTENSIONS.contains(&ending));
            (named && !word.contains("://")).then_some(word)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decorations_of_a_path_are_taken_off() {
        for line in [
            "src/lib.rs",
            "./src/lib.rs",
            "`src/lib.rs`",
            "`src/lib.rs`:",
            "**src/lib.rs**",
            "**`src/lib.rs`**",
            "### src/lib.rs",
            "## `src/lib.rs`",
            "File: src/lib.rs",
            "**File:** `src/lib.rs`",
            "file path: src/lib.rs",
            "1. `src/lib.rs`",
            "- src/lib.rs",
            "\"src/lib.rs\"",
            "'src/lib.rs'",
            "// src/lib.rs",
            "# src/lib.rs",
            "`src/lib.rs` (new file)",
            "src/lib.rs:",
            "  src/lib.rs  ",
            "<!-- src/lib.rs -->",
            "**src/lib.rs:**",
        ] {
            assert_eq!(path_on(line).as_deref(), Some("src/lib.rs"), "{line:?}");
        }
        assert_eq!(path_on("Makefile").as_deref(), Some("Makefile"));
        assert_eq!(path_on("`my notes/a b.md`").as_deref(), Some("my notes/a b.md"));
        assert_eq!(path_on("../../etc/passwd").as_deref(), Some("../../etc/passwd"), "refused later, by name");
    }

    #[test]
    fn sentences_and_code_are_not_paths() {
        for line in [
            "",
            "Here is the change:",
            "Now I edit src/lib.rs:",
            "Then",
            "Output:",
            "Done.",
            "e.g.",
            "...",
            "}",
            "2.5",
            "https://example.org/a.rs",
            "foo.bar();",
            "use a::b;",
            "--flag.x",
            "**Note**: see below",
            "`a b`",
            "<div>",
        ] {
            assert_eq!(path_on(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_sentence_mentions_files_by_their_extension() {
        let words: Vec<_> = mentioned("In `src/a.rs` and ./b.py, call Config.load (see e.g. c.md).").collect();
        assert_eq!(words, ["src/a.rs", "b.py", "c.md"]);
    }
}
