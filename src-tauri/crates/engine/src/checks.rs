//! Which checks a project has: declared in `.atelier/project.yaml`, else detected from its files.
//!
//! The declaration is read from the user's folder, never from the run's tree: a role cannot choose its own proof.

use atelier_protocol::error::{Code, Problem};
use atelier_protocol::view::DeclaredCheck;
use atelier_protocol::yaml;
use serde::Deserialize;
use std::path::Path;

/// Time limit of a check that names none, in milliseconds.
const DEFAULT_TIMEOUT_MS: u64 = 600_000;

/// What is looked for when nothing is declared: the file, the check's name, its command.
const DETECTED: &[(&str, &str, &[&str])] = &[
    ("Cargo.toml", "test", &["cargo", "test", "--offline", "--quiet"]),
    ("go.mod", "test", &["go", "test", "./..."]),
    ("pyproject.toml", "test", &["python3", "-m", "pytest", "-q"]),
    ("pytest.ini", "test", &["python3", "-m", "pytest", "-q"]),
    ("package.json", "test", &["npm", "test", "--silent"]),
    ("Makefile", "test", &["make", "test"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(default)]
    checks: Vec<FileCheck>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCheck {
    name: String,
    argv: Vec<String>,
    /// Seconds.
    #[serde(default)]
    timeout: Option<u64>,
}

/// The checks of the project at `root`. An empty declaration means: none, on purpose.
pub fn declared(root: &Path) -> Result<Vec<DeclaredCheck>, Problem> {
    let file = ".atelier/project.yaml";
    match std::fs::read_to_string(root.join(file)) {
        Ok(text) => read(file, &text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(detected(root)),
        Err(e) => Err(Problem::new(
            Code::ProjectFileInvalid,
            format!("{file} cannot be read: {e}"),
            "Make the file readable or remove it.",
        )),
    }
}

/// The files that are looked for.
pub fn looked_for() -> Vec<String> {
    let mut names = vec![".atelier/project.yaml".to_owned()];
    names.extend(DETECTED.iter().map(|(file, ..)| (*file).to_owned()));
    names
}

fn read(file: &str, text: &str) -> Result<Vec<DeclaredCheck>, Problem> {
    let problem = |error: yaml::YamlError| {
        Problem::new(
            Code::ProjectFileInvalid,
            format!("The project's file is wrong: {error}"),
            "Mend the line; a check is `{name: test, argv: [cargo, test], timeout: 600}`.",
        )
    };
    let parsed: File = yaml::read(file, text).map_err(problem)?;
    let mut checks: Vec<DeclaredCheck> = Vec::new();
    for check in parsed.checks {
        let wrong = |message: String| {
            let line = yaml::line_of(text, &format!("name: {}", check.name));
            problem(yaml::YamlError { file: file.to_owned(), line, column: 0, message })
        };
        if check.argv.is_empty() {
            return Err(wrong(format!("the check `{}` has no command", check.name)));
        }
        if checks.iter().any(|c| c.name == check.name) {
            return Err(wrong(format!("two checks are called `{}`", check.name)));
        }
        checks.push(DeclaredCheck {
            name: check.name,
            argv: check.argv,
            timeout_ms: check.timeout.map_or(DEFAULT_TIMEOUT_MS, |seconds| seconds.saturating_mul(1000)),
            source: file.to_owned(),
        });
    }
    Ok(checks)
}

fn detected(root: &Path) -> Vec<DeclaredCheck> {
    let found = DETECTED.iter().find(|(file, ..)| root.join(file).is_file() && has_test(root, file));
    found
        .map(|(file, name, argv)| DeclaredCheck {
            name: (*name).to_owned(),
            argv: argv.iter().map(|part| (*part).to_owned()).collect(),
            timeout_ms: DEFAULT_TIMEOUT_MS,
            source: (*file).to_owned(),
        })
        .into_iter()
        .collect()
}

/// A package.json or Makefile without a `test` entry has nothing to run.
fn has_test(root: &Path, file: &str) -> bool {
    let text = || std::fs::read_to_string(root.join(file)).unwrap_or_default();
    match file {
        "package.json" => serde_json::from_str::<serde_json::Value>(&text()).is_ok_and(|package| {
            package["scripts"]["test"].as_str().is_some_and(|script| !script.contains("no test specified"))
        }),
        "Makefile" => text().lines().any(|line| line.starts_with("test:")),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_wins_over_detection_and_may_be_empty() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "[package]").unwrap();
        assert_eq!(declared(dir.path()).unwrap()[0].argv[0], "cargo");
        std::fs::create_dir(dir.path().join(".atelier")).unwrap();
        let file = dir.path().join(".atelier/project.yaml");
        std::fs::write(&file, "schema: 1\nchecks:\n  - {name: unit, argv: [sh, check.sh], timeout: 5}\n").unwrap();
        let check = &declared(dir.path()).unwrap()[0];
        assert_eq!((check.name.as_str(), check.timeout_ms), ("unit", 5000));
        std::fs::write(&file, "schema: 1\n").unwrap();
        assert_eq!(declared(dir.path()).unwrap(), []);
        std::fs::write(&file, "schema: 1\nchecks:\n  - {name: unit, argv: []}\n").unwrap();
        let problem = declared(dir.path()).unwrap_err();
        assert_eq!(problem.code, Code::ProjectFileInvalid);
        assert!(problem.message.contains("project.yaml:3: the check `unit` has no command"), "{problem}");
    }

    #[test]
    fn a_package_without_a_test_script_has_no_check() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("package.json"), r#"{"scripts":{"build":"x"}}"#).unwrap();
        assert_eq!(declared(dir.path()).unwrap(), []);
    }
}
