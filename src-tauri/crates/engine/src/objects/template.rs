//! Template files: what a kind of object keeps and what it does about messages, all declared.
//!
//! Read strictly: a name that stands for nothing, a first state that does not fit, a missing migration is refused with
//! file and line. A kind that ships with Atelier cannot be replaced by a project's file. The `cases` of a file are its
//! own examples; `check` plays them.

use crate::objects::handler::{Act, NAMES, Written};
use crate::objects::shape::Shape;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::hash::Hash;
use atelier_protocol::yaml::{self, YamlError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The templates that ship with Atelier: file name and text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("objects/board.yaml", include_str!("../../../../../assets/objects/board.yaml")),
    ("objects/counter.yaml", include_str!("../../../../../assets/objects/counter.yaml")),
    ("objects/memory.yaml", include_str!("../../../../../assets/objects/memory.yaml")),
];

/// The handler that every object has: it ends for good.
pub const TERMINATE: &str = "terminate";

/// Bytes of state that an object may have where its template says nothing.
const MOST_BYTES: usize = 64 * 1024;
/// Seconds without a message after which an object leaves memory, where its template says nothing.
const IDLE_S: u64 = 300;

/// A kind of object.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The kind.
    pub kind: String,
    /// What it is, in a sentence.
    pub about: String,
    /// The version of the state's schema, from 1.
    pub version: u32,
    /// What the state must be.
    pub state: Shape,
    /// The first state.
    pub first: Value,
    /// Bytes of JSON that the state may have.
    pub most_bytes: usize,
    /// Milliseconds without a message after which an object leaves memory.
    pub idle_ms: u64,
    /// What it does about messages.
    pub handlers: BTreeMap<String, Handler>,
    /// How a state of an older version becomes one of the next.
    pub migrations: BTreeMap<u32, Vec<Act>>,
    /// The file's own examples.
    pub cases: Vec<Case>,
    /// Hash of the file's text.
    pub hash: Hash,
    /// The file.
    pub file: String,
}

/// What is done about one kind of message.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    /// What it is for.
    pub about: String,
    /// What it is told.
    pub takes: Shape,
    /// What it does.
    pub does: Vec<Act>,
}

/// Messages, and what must come of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The state to begin with, and its version; the first state where there is none.
    #[serde(default)]
    pub from: Option<From>,
    /// The messages, in order.
    #[serde(default)]
    pub tell: Vec<Told>,
    /// The state at the end.
    #[serde(default)]
    pub state: Option<Value>,
    /// What the last message answered.
    #[serde(default)]
    pub answer: Option<Value>,
    /// What the last message is refused with.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A state that a case begins with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The version of its schema.
    pub version: u32,
    /// The state.
    pub state: Value,
}

/// A message of a case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The handler.
    pub handler: String,
    /// What it is told.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// Who tells.
    #[serde(default = "somebody")]
    pub by: String,
}

fn somebody() -> String {
    "case".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    kind: String,
    about: String,
    version: u32,
    state: Map<String, Value>,
    first: Value,
    #[serde(default)]
    most_bytes: Option<usize>,
    #[serde(default)]
    idle_s: Option<u64>,
    handlers: BTreeMap<String, FileHandler>,
    #[serde(default)]
    migrations: Vec<FileMigration>,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHandler {
    #[serde(default)]
    about: String,
    #[serde(default)]
    takes: Map<String, Value>,
    does: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMigration {
    from: u32,
    does: Vec<Written>,
}

/// Reads and checks one template file.
pub fn read(file: &str, text: &str) -> Result<Template, YamlError> {
    let parsed: File = yaml::read(file, text)?;
    let wrong = |needle: &str, message: String| YamlError {
        file: file.to_owned(),
        line: yaml::line_of(text, needle),
        column: 0,
        message,
    };
    if !is_kind(&parsed.kind) {
        return Err(wrong("kind:", format!("`kind: {}` must be lower-case letters, digits and `_`", parsed.kind)));
    }
    if parsed.version == 0 {
        return Err(wrong("version:", "`version` begins at 1".to_owned()));
    }
    let state = Shape::fields(&parsed.state).map_err(|why| wrong("state:", format!("the state: {why}")))?;
    state.fits(&parsed.first).map_err(|why| wrong("first:", format!("the first state: {why}")))?;
    let mut handlers = BTreeMap::new();
    for (name, written) in &parsed.handlers {
        let here = |why: String| wrong(&format!("  {name}:"), format!("the handler `{name}`: {why}"));
        if name == TERMINATE {
            return Err(here("every object has it; give yours another name".to_owned()));
        }
        let takes = Shape::fields(&written.takes).map_err(here)?;
        let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        if let Some(taken) = written.takes.keys().find(|taken| names.contains(taken)) {
            return Err(here(format!("`{taken}` stands for something already")));
        }
        names.extend(written.takes.keys().cloned());
        let does = acts(&written.does, names).map_err(here)?;
        handlers.insert(name.clone(), Handler { about: written.about.clone(), takes, does });
    }
    let mut migrations = BTreeMap::new();
    for migration in &parsed.migrations {
        let here = |why: String| wrong("migrations:", format!("the migration from {}: {why}", migration.from));
        let does = acts(&migration.does, NAMES.iter().map(|name| (*name).to_owned()).collect()).map_err(here)?;
        if does.iter().any(|act| matches!(act, Act::Call { .. })) {
            return Err(here("a migration asks no other object".to_owned()));
        }
        migrations.insert(migration.from, does);
    }
    if let Some(missing) = (1..parsed.version).find(|from| !migrations.contains_key(from)) {
        return Err(wrong("version:", format!("there is no migration from version {missing}")));
    }
    Ok(Template {
        kind: parsed.kind,
        about: parsed.about,
        version: parsed.version,
        state,
        first: parsed.first,
        most_bytes: parsed.most_bytes.unwrap_or(MOST_BYTES),
        idle_ms: parsed.idle_s.unwrap_or(IDLE_S).saturating_mul(1000),
        handlers,
        migrations,
        cases: parsed.cases,
        hash: Hash::of(text.as_bytes()),
        file: file.to_owned(),
    })
}

fn acts(written: &[Written], mut names: Vec<String>) -> Result<Vec<Act>, String> {
    written.iter().map(|act| Act::read(act, &mut names)).collect()
}

/// Whether it can be the kind of an object.
pub fn is_kind(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// The kinds of a project: the shipped ones, and those of `<project>/.atelier/objects`.
pub fn load(project: Option<&Path>) -> Result<BTreeMap<String, Template>, Problem> {
    let mut kinds = BTreeMap::new();
    for (file, text) in SHIPPED {
        let template = read(file, text).map_err(|e| problem(&e))?;
        kinds.insert(template.kind.clone(), template);
    }
    for path in project.iter().flat_map(|root| yaml_files(&root.join(".atelier/objects"))) {
        let name = format!(".atelier/objects/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let template = read_file(&name, &path)?;
        if let Some(other) = kinds.get(&template.kind) {
            return Err(Problem::new(
                Code::ObjectInvalid,
                format!("{name}: the kind `{}` is defined in {} already.", template.kind, other.file),
                "Give it another name.",
            ));
        }
        kinds.insert(template.kind.clone(), template);
    }
    Ok(kinds)
}

/// The YAML files of a folder, in order of their names; none where it does not exist.
pub(crate) fn yaml_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml")).collect();
    files.sort();
    files
}

/// Reads a template file of the user's.
pub fn read_file(name: &str, path: &Path) -> Result<Template, Problem> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Problem::new(Code::ObjectInvalid, format!("{name} cannot be read: {e}"), "Name a template file (YAML).")
    })?;
    read(name, &text).map_err(|e| problem(&e))
}

/// The problem that a wrong template file is.
pub fn problem(error: &YamlError) -> Problem {
    Problem::new(
        Code::ObjectInvalid,
        format!("The object template is wrong: {error}"),
        "Mend the line and run `atelier objects check`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = SHIPPED[1].1;

    #[test]
    fn what_is_wrong_is_named_with_file_and_line() {
        for (from, to, why) in [
            ("kind: counter", "kind: Counter", "`kind: Counter` must be"),
            ("first: { count: 0 }", "first: { count: none }", "the first state: `count` must be a whole number"),
            ("by: $by_how_much", "by: $more", "the handler `add`: `$more` stands for nothing here"),
            ("  add:", "  terminate:", "every object has it"),
            ("version: 1", "version: 2", "there is no migration from version 1"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = read("c.yaml", &GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.message.contains(why) && error.line > 0, "{error}");
        }
    }

    #[test]
    fn a_project_adds_kinds_and_never_replaces_one() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(".atelier/objects");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("own.yaml"), GOOD.replace("kind: counter", "kind: tally")).unwrap();
        assert!(load(Some(project.path())).unwrap().contains_key("tally"));
        std::fs::write(folder.join("own.yaml"), GOOD).unwrap();
        let problem = load(Some(project.path())).unwrap_err();
        assert!(problem.message.contains("`counter` is defined in objects/counter.yaml already"), "{problem}");
    }
}
