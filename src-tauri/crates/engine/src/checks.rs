//! Which checks a project has: declared in `.atelier/project.yaml`, else detected from its files.
//!
//! The declaration is read from the user's folder, never from the run's tree: a role cannot choose its own proof.

use crate::declared::{self, Declared};
use atelier_protocol::view::DeclaredCheck;
use std::path::Path;

/// A kind of project: the file that tells, and how its tests are run without the network.
struct Known {
    file: &'static str,
    /// A program beside it that is taken in place of the first word of the command, where it is there.
    wrapper: Option<&'static str>,
    argv: &'static [&'static str],
}

const fn known(file: &'static str, argv: &'static [&'static str]) -> Known {
    Known { file, wrapper: None, argv }
}

/// What is looked for when nothing is declared; the first that is there is taken. What names its package manager comes
/// before what does not, and files that may only call others come last.
const DETECTED: &[Known] = &[
    known("Cargo.toml", &["cargo", "test", "--offline", "--quiet"]),
    known("go.mod", &["go", "test", "./..."]),
    known("pyproject.toml", &["python3", "-m", "pytest", "-q"]),
    known("pytest.ini", &["python3", "-m", "pytest", "-q"]),
    known("tox.ini", &["python3", "-m", "pytest", "-q"]),
    known("pnpm-lock.yaml", &["pnpm", "test"]),
    known("yarn.lock", &["yarn", "test"]),
    known("package.json", &["npm", "test", "--silent"]),
    Known { file: "pom.xml", wrapper: Some("mvnw"), argv: &["mvn", "--offline", "--quiet", "test"] },
    Known { file: "build.gradle", wrapper: Some("gradlew"), argv: &["gradle", "--offline", "--quiet", "test"] },
    Known { file: "build.gradle.kts", wrapper: Some("gradlew"), argv: &["gradle", "--offline", "--quiet", "test"] },
    known("justfile", &["just", "test"]),
    known("Justfile", &["just", "test"]),
    known("Makefile", &["make", "test"]),
    known("makefile", &["make", "test"]),
];

/// The checks of the project at `root`, which says that of itself. An empty declaration means: none, on purpose.
pub(crate) fn of(declared: &Declared, root: &Path) -> Vec<DeclaredCheck> {
    declared.checks.clone().unwrap_or_else(|| detected(root))
}

/// The files that are looked for.
pub fn looked_for() -> Vec<String> {
    let mut names = vec![declared::FILE.to_owned()];
    for Known { file, .. } in DETECTED {
        if !names.iter().any(|name| name == file) {
            names.push((*file).to_owned());
        }
    }
    names
}

fn detected(root: &Path) -> Vec<DeclaredCheck> {
    let found = DETECTED.iter().find(|known| root.join(known.file).is_file() && has_test(root, known.file));
    let check = found.map(|known| {
        let mut argv: Vec<String> = known.argv.iter().map(|part| (*part).to_owned()).collect();
        if let (Some(wrapper), Some(first)) = (known.wrapper.filter(|name| root.join(name).is_file()), argv.first_mut())
        {
            *first = format!("./{wrapper}");
        }
        let source = known.file.to_owned();
        let (name, timeout_ms) = ("test".to_owned(), declared::TIMEOUT_MS);
        DeclaredCheck { name, argv, timeout_ms, source, only_new: false, network: Vec::new() }
    });
    check.into_iter().collect()
}

/// A file that names its tasks has nothing to run where none is called `test`.
fn has_test(root: &Path, file: &str) -> bool {
    let text = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let task = |line: &str| {
        let name = line.strip_prefix("test").unwrap_or_default();
        name.trim_start().starts_with(':') && !name.trim_start().starts_with(":=")
    };
    match file {
        "package.json" | "pnpm-lock.yaml" | "yarn.lock" => {
            let package = serde_json::from_str::<serde_json::Value>(&text("package.json"));
            package.is_ok_and(|package| {
                package["scripts"]["test"].as_str().is_some_and(|script| !script.contains("no test specified"))
            })
        }
        "Makefile" | "makefile" => text(file).lines().any(task),
        // A recipe may take parameters before its colon.
        "justfile" | "Justfile" => text(file).lines().any(|line| {
            line.split_once(':')
                .is_some_and(|(head, _)| head.trim_start_matches('@').split_whitespace().next() == Some("test"))
                && !line.contains(":=")
        }),
        "tox.ini" => text(file).lines().any(|line| line.trim() == "[pytest]"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::error::{Code, Problem};

    fn declared(root: &Path) -> Result<Vec<DeclaredCheck>, Problem> {
        declared::read(root).map(|declared| of(&declared, root))
    }

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

    #[test]
    fn each_kind_of_project_is_known_by_its_files() {
        let found = |files: &[(&str, &str)]| {
            let dir = tempfile::tempdir().unwrap();
            for (file, text) in files {
                std::fs::write(dir.path().join(file), text).unwrap();
            }
            declared(dir.path()).unwrap().first().map_or("nothing".to_owned(), |check| check.argv.join(" "))
        };
        let package = ("package.json", r#"{"scripts":{"test":"vitest run"}}"#);
        let lines = [
            found(&[("Cargo.toml", ""), ("Makefile", "test:\n")]),
            found(&[("go.mod", "")]),
            found(&[("pyproject.toml", "")]),
            found(&[package]),
            found(&[package, ("pnpm-lock.yaml", "")]),
            found(&[package, ("yarn.lock", "")]),
            found(&[("yarn.lock", "")]),
            found(&[("pom.xml", "")]),
            found(&[("build.gradle.kts", ""), ("gradlew", "")]),
            found(&[("justfile", "build:\n  x\n@test filter='':\n  y\n")]),
            found(&[("justfile", "test := 'x'\nbuild: test\n")]),
            found(&[("Makefile", "test := x\nall: test\n")]),
            found(&[("Makefile", "test : all\n")]),
            found(&[("tox.ini", "[tox]\n")]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        cargo test --offline --quiet
        go test ./...
        python3 -m pytest -q
        npm test --silent
        pnpm test
        yarn test
        nothing
        mvn --offline --quiet test
        ./gradlew --offline --quiet test
        just test
        nothing
        nothing
        make test
        nothing
        ");
    }
}
