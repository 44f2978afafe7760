//! Oracle replay: the scripted model plays a reference solution, and the real program must bring exactly that.
//!
//! Each exercise is a repository of its own. The model first has the tests run (they must fail), then writes the solution in
//! one edit format, streamed in chunks of 1 to 40 bytes; the program applies, checks, reviews and hands over. Then the
//! branch, its commits, the history and the user's folder are looked at with the git program alone. Solutions that must not
//! come through are played the same way.

pub mod exercise;
pub mod write;

use crate::cli::{Cli, Said};
use crate::world::user_state;
use atelier_stage::{Options, Script, Stage};
use exercise::{Exercise, Files};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The longest chunk of a streamed answer, in bytes.
const CHUNK: usize = 40;

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The reference; it must be handed over exactly.
    Reference,
    /// A wrong solution; it must never be handed over.
    Wrong(&'a str),
    /// The reference and a change of the tests; the role must be refused it.
    EditsTests,
    /// The reference, and a check that says all is well and ends with exit code 1; it must fail.
    SaysSuccess,
}

/// What came of one play.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// What was not as it must be.
    pub findings: Vec<String>,
    /// From the start of the program to its end, in milliseconds.
    pub wall_ms: u64,
    /// Of which the exercise's tests ran, in milliseconds.
    pub tests_ms: u64,
}

impl Played {
    /// What Atelier itself took.
    pub fn own_ms(&self) -> u64 {
        self.wall_ms.saturating_sub(self.tests_ms)
    }
}

/// Plays one exercise in one format. `seed` says where the stream is cut.
pub async fn play(exercise: &Exercise, format: &str, part: Part<'_>, seed: u64) -> Played {
    match tried(exercise, format, part, seed).await {
        Ok(played) => played,
        Err(why) => Played { findings: vec![why], ..Played::default() },
    }
}

async fn tried(exercise: &Exercise, format: &str, part: Part<'_>, seed: u64) -> Result<Played, String> {
    let folder = tempfile::Builder::new().prefix("atelier-oracle-").tempdir().map_err(|error| error.to_string())?;
    let project = folder.path().join("project");
    let wanted = solution(exercise, part)?;
    let script = script(exercise, format, &wanted, seed)?;
    let stage = Stage::start(script, Options::default()).await.map_err(|error| error.to_string())?;
    lay_out(exercise, format, part, &project)?;
    let before = user_state(&project);
    let cli = Cli::new(&folder.path().join("home"), &project, &stage.url());
    let goal = exercise.goal.clone();
    let (said, wall_ms) = {
        let cli = cli.clone();
        let run = move || {
            let begun = Instant::now();
            (cli.run(&["run", &goal, "--approve", "hand_over"]), begun.elapsed())
        };
        let (said, took) = tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?;
        (said, u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
    };
    let look = Look { exercise, part, project: &project, cli: &cli, said: &said, wanted: &wanted };
    let mut findings = look.all();
    if look.user_lost(&before) {
        findings.push("the user's files, index or HEAD are not as they were".to_owned());
    }
    findings.extend(stage.unmatched().iter().map(|asked| format!("a question was not foreseen: {asked:?}")));
    let tests_ms = said.events("check_recorded").filter_map(|event| event["check"]["ms"].as_u64()).sum();
    Ok(Played { findings, wall_ms, tests_ms })
}

/// What the model makes of the project.
fn solution(exercise: &Exercise, part: Part<'_>) -> Result<Files, String> {
    let mut files = exercise.after.clone();
    match part {
        Part::Reference | Part::SaysSuccess => {}
        Part::Wrong(name) => {
            files = exercise.wrong.get(name).cloned().ok_or_else(|| format!("there is no wrong solution `{name}`"))?;
        }
        Part::EditsTests => {
            for (path, bytes) in files.iter_mut().filter(|(path, _)| exercise.tests.contains(*path)) {
                let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                let kept = lines.len() / 2;
                *bytes = lines[..kept].concat();
                if bytes.is_empty() {
                    return Err(format!("{path} is too short to be cut"));
                }
            }
        }
    }
    Ok(files)
}

fn script(exercise: &Exercise, format: &str, wanted: &Files, seed: u64) -> Result<Script, String> {
    let (edits, removed) = write::answer(format, &exercise.before, wanted);
    let mut turns = vec![
        json!({"when": {"role": "business_analyst"}, "say": [{"tool": {"name": "submit_spec", "arguments":
            {"title": exercise.goal, "requirements": [format!("The tests of {} pass", exercise.name)]}}}]}),
        json!({"when": {"role": "developer", "turn": 0}, "say": [{"tool": {"name": "run_check", "arguments": {"name": "test"}}}]}),
        json!({"when": {"role": "developer", "turn": 1}, "say": [{"text": edits}]}),
    ];
    if !removed.is_empty() {
        let calls = removed.iter().map(|path| json!({"tool": {"name": "delete_file", "arguments": {"path": path}}}));
        turns.push(json!({"when": {"role": "developer", "turn": 2}, "say": calls.collect::<Vec<_>>()}));
    }
    turns.push(json!({"when": {"role": "developer"}, "say": [{"text": "The change is made."}]}));
    turns.push(json!({"when": {"role": "qa_tester"}, "say": [{"tool": {"name": "submit_review", "arguments":
        {"verdict": "approve", "notes": "As asked."}}}]}));
    let script = json!({
        "schema": 1, "models": [{"name": "oracle", "context": 262_144}],
        "chunk_bytes": CHUNK, "chunk_seed": seed, "turns": turns,
    });
    // JSON is YAML.
    Script::read("oracle", &script.to_string()).map_err(|error| error.to_string())
}

/// The repository of an exercise: its files, its check, and a developer who writes edits in `format` and never the tests.
fn lay_out(exercise: &Exercise, format: &str, part: Part<'_>, project: &Path) -> Result<(), String> {
    let put = |path: &str, bytes: &[u8]| -> Result<(), String> {
        let place = project.join(path);
        std::fs::create_dir_all(place.parent().unwrap_or(project))
            .and_then(|()| std::fs::write(&place, bytes))
            .map_err(|error| format!("{}: {error}", place.display()))
    };
    exercise.before.iter().try_for_each(|(path, bytes)| put(path, bytes))?;
    let argv = match part {
        Part::SaysSuccess => json!(["sh", "-c", "echo 'test result: ok. 9 passed; 0 failed'; echo OK; exit 1"]),
        _ => json!(exercise.check),
    };
    put(".atelier/project.yaml", format!("schema: 1\nchecks: [{{name: test, argv: {argv}}}]\n").as_bytes())?;
    put(".atelier/roles/developer.yaml", developer(exercise, format).as_bytes())?;
    git(project, &["init", "--quiet", "--initial-branch", "main"])?;
    git(project, &["add", "--all", "--force"])?;
    git(project, &["commit", "--quiet", "--message", "chore: begin the exercise"])?;
    Ok(())
}

fn developer(exercise: &Exercise, format: &str) -> String {
    let shipped = include_str!("../../roles/developer.yaml");
    let tests: Vec<String> = exercise.tests.iter().map(|path| json!(escaped(path)).to_string()).collect();
    let kept = shipped.split("examples:").next().unwrap_or_default();
    kept.replace("never: [", &format!("never: [{}, ", tests.join(", ")))
        .replace("model:\n", &format!("model:\n  edits: {format}\n"))
}

/// A path as a pattern that only it fits.
fn escaped(path: &str) -> String {
    path.chars()
        .map(|letter| if "*?[]{}".contains(letter) { format!("[{letter}]") } else { letter.to_string() })
        .collect()
}

/// Looks at what came out.
struct Look<'a> {
    exercise: &'a Exercise,
    part: Part<'a>,
    project: &'a Path,
    cli: &'a Cli,
    said: &'a Said,
    wanted: &'a Files,
}

impl Look<'_> {
    fn all(&self) -> Vec<String> {
        let mut findings = match self.part {
            Part::Reference => self.delivered(),
            _ => self.refused(),
        };
        let failed =
            self.said.events("call_failed").map(|event| format!("a call of the model failed: {}", event["problem"]));
        findings.extend(failed);
        findings.extend(self.history());
        let told = format!("{} ({:?})", self.exercise.name, self.part);
        if !findings.is_empty() {
            let last = self.said.text.lines().rev().take(4).collect::<Vec<_>>();
            findings.push(format!("{told} exit {} {}: {}", self.said.exit, self.said.code(), last.join(" | ")));
        }
        findings
    }

    /// The tests were red, are green, and what was handed over is the reference to the byte.
    fn delivered(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.said.exit != 0 {
            return vec![format!("it was not handed over: {}", self.said.last()["error"]["message"])];
        }
        let exits: Vec<Option<i64>> =
            self.said.events("check_recorded").map(|event| event["check"]["exit_code"].as_i64()).collect();
        if exits.first().is_none_or(|exit| matches!(exit, Some(0) | None)) {
            findings.push(format!("the tests were not red before: {exits:?}"));
        }
        if exits.len() < 2 || exits.last() != Some(&Some(0)) {
            findings.push(format!("the tests are not green after: {exits:?}"));
        }
        match self.branch() {
            None => findings.push("there is no branch".to_owned()),
            Some(branch) => {
                findings.extend(self.differs(&branch));
                findings.extend(self.messages(&branch));
            }
        }
        findings
    }

    fn branch(&self) -> Option<String> {
        let refs = git(self.project, &["for-each-ref", "--format=%(refname:short)", "refs/heads/atelier"]).ok()?;
        refs.lines().next().map(str::to_owned)
    }

    /// In which files the branch is not the reference.
    fn differs(&self, branch: &str) -> Option<String> {
        let mut wanted: Files = self.wanted.clone();
        for own in [".atelier/project.yaml", ".atelier/roles/developer.yaml"] {
            wanted.insert(own.to_owned(), std::fs::read(self.project.join(own)).unwrap_or_default());
        }
        let listed = git(self.project, &["ls-tree", "-r", "-z", "--name-only", branch]).ok()?;
        let there: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        let mut wrong: Vec<String> =
            there.iter().filter(|path| !wanted.contains_key(**path)).map(|p| format!("{p} is too many")).collect();
        for (path, bytes) in &wanted {
            let shown = output(self.project, &["cat-file", "blob", &format!("{branch}:{path}")]);
            if shown.as_ref() != Ok(bytes) {
                wrong.push(format!("{path} is not the reference's"));
            }
        }
        (!wrong.is_empty()).then(|| wrong.join(", "))
    }

    /// Commits that are not as Conventional Commits 1.0.0 has them.
    fn messages(&self, branch: &str) -> Vec<String> {
        let log = git(self.project, &["log", "--format=%B%x00", &format!("main..{branch}")]).unwrap_or_default();
        let all: Vec<&str> = log.split('\0').map(str::trim).filter(|message| !message.is_empty()).collect();
        let mut findings: Vec<String> =
            all.iter().filter_map(|message| Some(format!("{message:?}: {}", fault(message)?))).collect();
        if all.is_empty() {
            findings.push("there is no commit".to_owned());
        }
        findings
    }

    /// It ended without a hand-over, for the reason that was to be expected.
    fn refused(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.said.exit == 0 {
            findings.push("it ended well".to_owned());
        }
        if self.branch().is_some() {
            findings.push("a branch was published".to_owned());
        }
        if self
            .said
            .events("run_finished")
            .any(|event| event["outcome"]["end"] == "done" || event["outcome"]["outcome"] == "done")
        {
            findings.push("the run ended in done".to_owned());
        }
        match self.part {
            Part::EditsTests => {
                let denied = |event: &Value| event["verdict"].to_string().contains("may never write");
                if !self.said.events("tool_decided").any(denied) {
                    findings.push("the change of the tests was not refused by the role".to_owned());
                }
                let intended = self.said.events("effect_intended").filter_map(|event| event["effect"]["path"].as_str());
                findings.extend(
                    intended
                        .filter(|path| self.exercise.tests.contains(*path))
                        .map(|path| format!("{path} was written")),
                );
            }
            _ if self.said.code() != "checks_failed" => {
                findings.push(format!("it ended as `{}`, not because the checks failed", self.said.code()));
            }
            _ => {}
        }
        findings
    }

    /// The history replays to the same state, and the store is sound.
    fn history(&self) -> Vec<String> {
        let hash =
            |arguments: &[&str]| self.cli.run(arguments).last()["result"]["state"]["hash"].as_str().map(str::to_owned);
        let (kept, anew) = (hash(&["state", "hash"]), hash(&["state", "hash", "--rebuild"]));
        let mut findings = Vec::new();
        if kept.is_none() || kept != anew {
            findings.push(format!("the history replays to another state: {kept:?}, then {anew:?}"));
        }
        if self.cli.run(&["state", "check"]).exit != 0 {
            findings.push("the store is not sound".to_owned());
        }
        findings
    }

    /// Whether anything of the user's changed besides what a hand-over declares.
    fn user_lost(&self, before: &std::collections::BTreeMap<String, Vec<u8>>) -> bool {
        let mut after = user_state(self.project);
        after.retain(|path, _| !path.starts_with(".git/refs/") || before.contains_key(path));
        after.retain(|path, _| !path.starts_with(".git/logs/refs/heads/atelier"));
        after != *before
    }
}

impl Said {
    /// The payloads of the events of one kind, in order.
    pub fn events(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.lines
            .iter()
            .filter(move |line| line["type"] == "event" && line["event"]["kind"] == kind)
            .map(|line| &line["event"]["payload"])
    }
}

/// What is wrong with a commit's message.
fn fault(message: &str) -> Option<&'static str> {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    let Some((head, subject)) = first.split_once(": ") else { return Some("no `type: subject`") };
    let kind = head.trim_end_matches('!').split('(').next().unwrap_or_default();
    let known = ["feat", "fix", "refactor", "docs", "test", "chore", "style", "perf", "build", "ci", "revert"];
    match () {
        () if !known.contains(&kind) => Some("its type is not one"),
        () if first.chars().count() > 72 => Some("its first line is longer than 72 characters"),
        () if subject.trim().is_empty() || subject.ends_with('.') => {
            Some("its subject is empty or ends with a full stop")
        }
        () if lines.next().is_some_and(|line| !line.is_empty()) => Some("its second line is not empty"),
        () => None,
    }
}

fn git(project: &Path, arguments: &[&str]) -> Result<String, String> {
    output(project, arguments).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn output(project: &Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let done = Command::new("git")
        .arg("-C")
        .arg(project)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .map_err(|error| format!("git: {error}"))?;
    match done.status.success() {
        true => Ok(done.stdout),
        false => Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim())),
    }
}

/// The exercises that ship with the tests.
pub fn shipped() -> PathBuf {
    crate::world::fixtures().join("exercises")
}
