//! Exercises: a folder with a stub, tests that fail on it, a reference solution that makes them pass, and wrong ones.
//!
//! Two layouts are read. Our own: `task.yaml` beside `stub/`, `tests/` (both laid over each other at the project's root),
//! `solution/` and `wrong/NAME/` (each laid over them). And the one of Exercism's tracks, `.meta/config.json` with the
//! files of the stub, the tests and the example.

use atelier_protocol::yaml;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files by their paths from the project's root.
pub type Files = BTreeMap<String, Vec<u8>>;

/// An exercise.
#[derive(Debug, Clone)]
pub struct Exercise {
    /// The name of its folder.
    pub name: String,
    /// What the user types.
    pub goal: String,
    /// The command that runs the tests.
    pub check: Vec<String>,
    /// The project at the start, tests included.
    pub before: Files,
    /// The files of the tests, which no role may write.
    pub tests: BTreeSet<String>,
    /// The project as the reference leaves it.
    pub after: Files,
    /// The project as each wrong solution leaves it, by name.
    pub wrong: BTreeMap<String, Files>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    #[serde(rename = "schema")]
    _schema: u32,
    goal: String,
    check: Vec<String>,
    /// Files of the stub that the reference removes.
    #[serde(default)]
    removes: Vec<String>,
}

/// The exercises of a folder, in order of their names.
///
/// # Errors
/// Names the exercise and what is wrong with it; so does a folder without any.
pub fn all(folder: &Path) -> Result<Vec<Exercise>, String> {
    let mut places: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|place| place.join("task.yaml").is_file() || place.join(".meta/config.json").is_file())
        .collect();
    places.sort();
    if places.is_empty() {
        return Err(format!("{} has no folder with a `task.yaml` or a `.meta/config.json`", folder.display()));
    }
    places.iter().map(|place| one(place).map_err(|why| format!("{}: {why}", place.display()))).collect()
}

fn one(place: &Path) -> Result<Exercise, String> {
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match std::fs::read_to_string(place.join("task.yaml")) {
        Ok(text) => own(place, name, &text),
        Err(_) => exercism(place, name),
    }
}

fn own(place: &Path, name: String, text: &str) -> Result<Exercise, String> {
    let task: Task = yaml::read("task.yaml", text).map_err(|error| error.to_string())?;
    let tests = files(&place.join("tests"))?;
    let over = |below: &Files, above: Files| below.clone().into_iter().chain(above).collect::<Files>();
    let before = over(&files(&place.join("stub"))?, tests.clone());
    let mut after = over(&before, files(&place.join("solution"))?);
    after.retain(|path, _| !task.removes.contains(path));
    let mut wrong = BTreeMap::new();
    for entry in std::fs::read_dir(place.join("wrong")).into_iter().flatten().flatten() {
        let overlay = files(&entry.path())?;
        wrong.insert(entry.file_name().to_string_lossy().into_owned(), over(&before, overlay));
    }
    let tests = tests.into_keys().collect();
    sound(Exercise { name, goal: task.goal, check: task.check, before, tests, after, wrong })
}

fn exercism(place: &Path, name: String) -> Result<Exercise, String> {
    let text = std::fs::read_to_string(place.join(".meta/config.json")).map_err(|error| error.to_string())?;
    let config: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let listed = |what: &str| -> Vec<String> {
        config["files"][what].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut before = files(place)?;
    before.retain(|path, _| !path.starts_with(".meta/") && !path.starts_with(".docs/"));
    let (stubs, examples) = (listed("solution"), listed("example"));
    let mut after = before.clone();
    for (at, example) in examples.iter().enumerate() {
        let bytes = std::fs::read(place.join(example)).map_err(|error| format!("{example}: {error}"))?;
        // An example stands for the stub of the same place in the list, or of the same file name.
        let same = stubs.iter().find(|stub| Path::new(stub).file_name() == Path::new(example).file_name());
        let stub = same.or(stubs.get(at)).ok_or_else(|| format!("{example} stands for no file of the stub"))?;
        after.insert(stub.clone(), bytes);
    }
    let check: &[&str] = match () {
        () if before.contains_key("Cargo.toml") => {
            &["cargo", "test", "--offline", "--quiet", "--", "--include-ignored"]
        }
        () if before.keys().any(|path| path.ends_with(".py")) => {
            &["python3", "-B", "-m", "unittest", "discover", "-p", "*_test.py"]
        }
        () if before.contains_key("go.mod") => &["go", "test", "./..."],
        () => return Err("its language has no command here".to_owned()),
    };
    let goal = format!("Implement the exercise {}", name.replace(['-', '_'], " "));
    let check = check.iter().map(|&word| word.to_owned()).collect();
    let tests = listed("test").into_iter().collect();
    sound(Exercise { name, goal, check, before, tests, after, wrong: BTreeMap::new() })
}

fn sound(exercise: Exercise) -> Result<Exercise, String> {
    let why = match () {
        () if exercise.check.is_empty() => "it has no command that runs its tests",
        () if exercise.tests.is_empty() => "it has no tests",
        () if exercise.before == exercise.after => "its solution changes nothing",
        () if exercise.tests.iter().any(|test| exercise.before.get(test) != exercise.after.get(test)) => {
            "its solution changes its tests"
        }
        () => return Ok(exercise),
    };
    Err(why.to_owned())
}

/// All files under `root`; none where it is not there.
fn files(root: &Path) -> Result<Files, String> {
    let mut found = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            found.insert(name, bytes);
        }
    }
    Ok(found)
}
