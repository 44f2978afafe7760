//! Reads our YAML files: roles, flows, stage scripts, project files.
//!
//! Every such file carries `schema: 1`. An error names file, line, column and what is wrong.
//! Aliases, tags and several documents in one file are not part of any of our schemas.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The one schema version that this program reads.
pub const SCHEMA: u32 = 1;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// The file as it was named to us.
    pub file: String,
    /// Line, from 1; 0 where it is the file as a whole.
    pub line: u32,
    /// Column, from 1; 0 where it is the line or file as a whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}: {}", self.file, self.message),
            (line, 0) => write!(f, "{}:{line}: {}", self.file, self.message),
            (line, column) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for YamlError {}

/// Reads `text` of the file called `file` as a `T`, after looking at its `schema` number.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<u32>,
    }
    let whole_file = |message: String| YamlError { file: file.to_owned(), line: 0, column: 0, message };
    let head: Head = serde_saphyr::from_str(text).map_err(|e| located(file, &e))?;
    match head.schema {
        Some(SCHEMA) => {}
        None => return Err(whole_file(format!("`schema: {SCHEMA}` is missing"))),
        Some(other) => {
            return Err(whole_file(format!(
                "`schema: {other}` is not known here; this version reads `schema: {SCHEMA}`"
            )));
        }
    }
    serde_saphyr::from_str(text).map_err(|e| located(file, &e))
}

/// The line (from 1) on which `key:` first stands in `text`; 0 where it does not.
/// For errors that are found after reading, such as a step that names no step.
pub fn line_of(text: &str, needle: &str) -> u32 {
    text.lines().position(|line| line.contains(needle)).map_or(0, |at| u32::try_from(at + 1).unwrap_or(0))
}

fn located(file: &str, error: &serde_saphyr::Error) -> YamlError {
    let place = error.location();
    YamlError {
        file: file.to_owned(),
        line: place.map_or(0, |p| u32::try_from(p.line()).unwrap_or(0)),
        column: place.map_or(0, |p| u32::try_from(p.column()).unwrap_or(0)),
        message: first_line(&error.without_snippet().to_string()),
    }
}

/// The library's text carries its own place and a picture of the line; ours stands in front already.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or(text);
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line =
        line.split_once(" at line ").filter(|(_, place)| place.contains("column")).map_or(line, |(rest, _)| rest);
    match line.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((place, rest)) if place.contains("column") => rest.to_owned(),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        schema: u32,
        id: String,
        #[serde(default)]
        limits: Limits,
    }
    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        turns: u32,
    }

    #[test]
    fn a_bad_key_is_named_with_file_line_and_column() {
        let text = "schema: 1\nid: x\nlimits:\n  turns: 3\n  trns: 4\n";
        let error = read::<Sample>("roles/x.yaml", text).unwrap_err();
        assert_eq!((error.file.as_str(), error.line, error.column), ("roles/x.yaml", 5, 3));
        assert!(error.message.contains("trns") && !error.message.contains("line"), "{}", error.message);
        assert!(!error.message.contains('\n'));
    }

    #[test]
    fn a_wrong_type_and_a_broken_file_are_named() {
        let wrong = read::<Sample>("a.yaml", "schema: 1\nid: x\nlimits:\n  turns: many\n").unwrap_err();
        assert_eq!(wrong.line, 4, "{wrong}");
        let broken = read::<Sample>("a.yaml", "schema: 1\nid: [\n").unwrap_err();
        assert!(broken.line >= 2, "{broken}");
    }

    #[test]
    fn another_schema_is_refused() {
        let none = read::<Sample>("a.yaml", "id: x\n").unwrap_err();
        assert_eq!(none.to_string(), "a.yaml: `schema: 1` is missing");
        let newer = read::<Sample>("a.yaml", "schema: 2\nid: x\n").unwrap_err();
        assert_eq!(newer.to_string(), "a.yaml: `schema: 2` is not known here; this version reads `schema: 1`");
    }
}
