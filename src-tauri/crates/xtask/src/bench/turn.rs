//! What a headless turn costs besides the model: time from starting the program to its first request to a model, peak
//! memory of all its processes, and the size of that request with its tools.
//!
//! The model is the scripted one, so that every program waits for the same. Published agents are measured beside ours
//! where they are on the `PATH`; they are not installed, and which of them are missing is said. They are asked to say
//! hello; ours does a whole small job, because it has no smaller one.

use super::{build_programs, memory, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(5);
/// A program that is not done by then never will be.
const LIMIT: Duration = Duration::from_secs(120);

/// Answers everything, in any dialect.
const HELLO: &str = "schema: 1\nmodels: [{name: hello, context: 131072}]\nturns: [{say: [{text: Hello.}]}]\n";

/// Another agent: its program, and how it is told where the model is.
struct Other {
    program: &'static str,
    command: fn(&str, &Path) -> Result<Command, Failure>,
}

const OTHERS: [Other; 3] = [
    Other { program: "codex", command: codex },
    Other { program: "opencode", command: opencode },
    Other { program: "aider", command: aider },
];

/// One measurement.
struct Measured {
    first_ms: f64,
    wall_ms: f64,
    peak_mib: f64,
    request_bytes: f64,
}

pub fn main(args: &Args, runs: usize) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::Environment("memory is read from /proc, which is on Linux only".to_owned()));
    }
    let ours = match args.values("--program").last() {
        Some(program) => PathBuf::from(program),
        None => {
            build_programs(&["--package", "atelier-cli"], true, false)?;
            workspace::program(&workspace::metadata()?, "atelier-cli", true)?
        }
    };
    let folder = Folder::new()?;
    let job = workspace::root().join("tests/fixtures/stage/short.yaml");
    let own = measure("atelier", runs, &ours, &job, &folder, |url, place| Ok(own(&ours, url, place)))?;
    let hello = folder.0.join("hello.yaml");
    std::fs::write(&hello, HELLO).map_err(|error| cannot("the script", &error))?;
    let mut others = Map::new();
    for other in OTHERS {
        if run::on_path(other.program) {
            let measured = measure(other.program, runs, &ours, &hello, &folder, other.command);
            // One that has changed its options is no reason to measure nothing.
            others.insert(other.program.to_owned(), measured.unwrap_or_else(|failure| json!(failure.to_string())));
        } else {
            println!("{} is not installed", other.program);
            others.insert(other.program.to_owned(), json!("not installed"));
        }
    }
    record::write("turn", &Value::Object(others), &own)
}

/// Runs a program so many times, each in a new folder with the sample project, and once before that to warm the cache.
fn measure(
    name: &str,
    runs: usize,
    server: &Path,
    script: &Path,
    folder: &Folder,
    command: impl Fn(&str, &Path) -> Result<Command, Failure>,
) -> Result<Value, Failure> {
    let mut all = Vec::new();
    for round in 0..=runs {
        let place = folder.0.join(format!("{name}-{round}"));
        sample(&place)?;
        let transcript = place.join("transcript.jsonl");
        let stage = Stage::start(server, script, &transcript)?;
        let measured = once(command(&stage.url, &place)?.current_dir(place.join("project")), &transcript)?;
        let Measured { first_ms, wall_ms, peak_mib, request_bytes } = measured;
        let note = if round == 0 { " (not counted)" } else { "" };
        println!(
            "{name}: first request {first_ms:.0} ms, {request_bytes} bytes; wall {wall_ms:.0} ms, peak {peak_mib:.1} MiB{note}"
        );
        if round > 0 {
            all.push(measured);
        }
    }
    let spread = |of: fn(&Measured) -> f64| record::spread(all.iter().map(of).collect());
    Ok(json!({
        "first_request_ms": spread(|m| m.first_ms), "wall_ms": spread(|m| m.wall_ms),
        "peak_pss_mib": spread(|m| m.peak_mib), "first_request_bytes": spread(|m| m.request_bytes),
    }))
}

fn once(command: &mut Command, transcript: &Path) -> Result<Measured, Failure> {
    let begun = Instant::now();
    let begun_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let log = std::fs::File::create(transcript.with_extension("log")).map_err(|error| cannot("a log", &error))?;
    let both = log.try_clone().map_err(|error| cannot("a log", &error))?;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        Ended(command.stdin(Stdio::null()).stdout(log).stderr(both).spawn().map_err(|error| cannot(&program, &error))?);
    let mut peak_mib = 0.0f64;
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(|error| cannot(&program, &error))? {
            break status;
        }
        if begun.elapsed() > LIMIT {
            return Err(Failure::Work(format!("{program} was not done after {} s", LIMIT.as_secs())));
        }
        peak_mib = peak_mib.max(memory::tree(child.0.id())?.values().sum());
        std::thread::sleep(LOOK);
    };
    let wall_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let said = || std::fs::read_to_string(transcript.with_extension("log")).unwrap_or_default();
    let text = std::fs::read_to_string(transcript).unwrap_or_default();
    let Some(first) = first_request(&text).filter(|_| status.success()) else {
        let words: Vec<String> = said().lines().rev().take(5).map(str::to_owned).collect();
        return Err(Failure::Work(format!("{program} did not do its turn ({status}): {}", words.join(" | "))));
    };
    let first_ms = first.0 - begun_at.as_secs_f64() * 1000.0;
    Ok(Measured { first_ms, wall_ms, peak_mib, request_bytes: first.1 })
}

/// When the first question to a model came, in milliseconds since 1970, and the size of its body.
fn first_request(transcript: &str) -> Option<(f64, f64)> {
    let asked = transcript.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|exchange| {
        let path = exchange["path"].as_str().unwrap_or_default();
        matches!(path, "/api/chat" | "/v1/chat/completions" | "/v1/responses" | "/v1/messages")
    });
    let first = asked.min_by_key(|exchange| exchange["number"].as_u64())?;
    Some((first["at_ms"].as_f64()?, first["body"].to_string().len() as f64))
}

fn own(program: &Path, url: &str, place: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--json", "--server", url, "run", "Greet politely"]);
    command.args(["--approve", "hand_over", "--approve", "project_commands"]);
    command.env("ATELIER_HOME", place.join("home"));
    command
}

fn codex(url: &str, place: &Path) -> Result<Command, Failure> {
    let home = place.join("home");
    std::fs::create_dir_all(&home).map_err(|error| cannot("a folder", &error))?;
    let mut command = Command::new("codex");
    let provider = format!("model_providers.stage={{name=\"stage\", base_url=\"{url}/v1\", wire_api=\"responses\"}}");
    command.args(["exec", "--skip-git-repo-check", "-c", "model_provider=\"stage\"", "-c", &provider]);
    command.args(["-m", "hello", "Say hello"]).env("CODEX_HOME", home);
    Ok(command)
}

fn opencode(url: &str, place: &Path) -> Result<Command, Failure> {
    let settings = json!({
        "provider": {"stage": {
            "npm": "@ai-sdk/openai-compatible", "name": "stage", "options": {"baseURL": format!("{url}/v1"), "apiKey": "none"},
            "models": {"hello": {"name": "hello"}},
        }},
    });
    let file = place.join("project/opencode.json");
    std::fs::write(&file, settings.to_string()).map_err(|error| cannot("its settings", &error))?;
    let mut command = Command::new("opencode");
    command.args(["run", "-m", "stage/hello", "Say hello"]).env("XDG_DATA_HOME", place.join("data"));
    command.env("XDG_CONFIG_HOME", place.join("config")).env("XDG_STATE_HOME", place.join("state"));
    Ok(command)
}

fn aider(url: &str, place: &Path) -> Result<Command, Failure> {
    let mut command = Command::new("aider");
    command.args(["--model", "openai/hello", "--openai-api-base", &format!("{url}/v1"), "--openai-api-key", "none"]);
    command.args(["--yes-always", "--no-check-update", "--no-show-model-warnings", "--analytics-disable"]);
    command.args(["--no-auto-commits", "--message", "Say hello"]).env("HOME", place.join("home"));
    Ok(command)
}

/// The sample project in a repository of its own.
fn sample(place: &Path) -> Result<(), Failure> {
    let project = place.join("project");
    std::fs::create_dir_all(project.join("tests")).map_err(|error| cannot("a project", &error))?;
    std::fs::create_dir_all(project.join(".atelier")).map_err(|error| cannot("a project", &error))?;
    for file in ["greet.sh", "README.md", "tests/run.sh", ".atelier/project.yaml"] {
        let from = workspace::root().join("assets/samples/greet").join(file);
        std::fs::copy(from, project.join(file)).map_err(|error| cannot(file, &error))?;
    }
    let git = |words: &[&str]| {
        let named = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "init.defaultBranch=main"];
        let mut git = Command::new("git");
        run::output(git.current_dir(&project).args(named).args(words)).map(drop)
    };
    git(&["init", "--quiet"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "the sample"])
}

/// The scripted model as a process of its own, so that it counts for nobody.
struct Stage {
    _process: Ended,
    url: String,
}

impl Stage {
    fn start(program: &Path, script: &Path, transcript: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(["--json", "stage"]).arg(script).arg("--transcript").arg(transcript);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot("the stage", &error))?;
        let out = process.stdout.take();
        let process = Ended(process);
        let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines().map_while(Result::ok));
        let url = lines
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find_map(|line| Some(line["url"].as_str().or_else(|| line["progress"]["url"].as_str())?.to_owned()));
        let url = url.ok_or_else(|| Failure::Work("the stage does not say where it plays".to_owned()))?;
        Ok(Self { _process: process, url })
    }
}

/// A process that does not outlive its measurement.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("atelier-bench-turn-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| cannot("a folder", &error))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cannot(what: &str, error: &std::io::Error) -> Failure {
    Failure::Environment(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_is_the_one_with_the_least_number() {
        let transcript = "\
            {\"number\":3,\"path\":\"/api/chat\",\"at_ms\":30,\"body\":{\"a\":1}}\n\
            {\"number\":1,\"path\":\"/api/tags\",\"at_ms\":10,\"body\":null}\n\
            {\"number\":2,\"path\":\"/api/chat\",\"at_ms\":20,\"body\":{\"abc\":1}}\n";
        assert_eq!(first_request(transcript), Some((20.0, 9.0)));
        assert_eq!(first_request(""), None);
    }
}
