//! What a project says of itself in `.atelier/project.yaml`: its checks, and what a run's tree needs besides the commit.
//!
//! Read from the user's folder, never from the run's tree: a role can choose neither its own proof nor what it is given.

use atelier_protocol::error::{Code, Problem};
use atelier_protocol::view::DeclaredCheck;
use atelier_protocol::yaml;
use atelier_repo::Provide;
use serde::Deserialize;
use std::path::Path;

/// The file.
pub(crate) const FILE: &str = ".atelier/project.yaml";
/// Time limit of a command that names none, in milliseconds.
pub(crate) const TIMEOUT_MS: u64 = 600_000;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Declared {
    /// The checks; `None` where it says nothing of them, so that they are looked for.
    pub checks: Option<Vec<DeclaredCheck>>,
    /// What a tree is given, in order.
    pub provide: Vec<Provide>,
    /// Commands that are run in a new tree, in order.
    pub commands: Vec<Command>,
}

/// A command that sets a tree up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub argv: Vec<String>,
    pub timeout_ms: u64,
    /// Hosts that it may reach, with the user's permission.
    pub network: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(default)]
    checks: Option<Vec<FileCheck>>,
    #[serde(default)]
    setup: Vec<FileSetUp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCheck {
    name: String,
    argv: Vec<String>,
    /// Seconds.
    #[serde(default)]
    timeout: Option<u64>,
    /// Whether only failures that the base does not have block a change.
    #[serde(default)]
    only_new: bool,
    /// Hosts that it may reach.
    #[serde(default)]
    network: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSetUp {
    #[serde(default)]
    copy: Option<String>,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    run: Option<Vec<String>>,
    /// Seconds.
    #[serde(default)]
    timeout: Option<u64>,
    /// Hosts that the command may reach.
    #[serde(default)]
    network: Vec<String>,
}

/// What the project at `root` says of itself; a project without the file says nothing.
pub(crate) fn read(root: &Path) -> Result<Declared, Problem> {
    text(root)?.map_or_else(|| Ok(Declared::default()), |text| parse(&text))
}

/// The file's text; `None` where there is no file.
pub(crate) fn text(root: &Path) -> Result<Option<String>, Problem> {
    match std::fs::read_to_string(root.join(FILE)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Problem::new(
            Code::ProjectFileInvalid,
            format!("{FILE} cannot be read: {e}"),
            "Make the file readable or remove it.",
        )),
    }
}

/// What the file says by its text.
pub(crate) fn parse(text: &str) -> Result<Declared, Problem> {
    let parsed: File = yaml::read(FILE, text).map_err(problem)?;
    let wrong = |at: &str, message: String| {
        let line = yaml::line_of(text, at);
        problem(yaml::YamlError { file: FILE.to_owned(), line, column: 0, message })
    };
    // A file that lists nothing at all means: no checks, on purpose.
    let lists_checks = parsed.checks.is_some() || parsed.setup.is_empty();
    let mut checks: Vec<DeclaredCheck> = Vec::new();
    for check in parsed.checks.unwrap_or_default() {
        let at = format!("name: {}", check.name);
        if check.argv.is_empty() {
            return Err(wrong(&at, format!("the check `{}` has no command", check.name)));
        }
        if checks.iter().any(|c| c.name == check.name) {
            return Err(wrong(&at, format!("two checks are called `{}`", check.name)));
        }
        let network = hosts(&check.network).map_err(|message| wrong(&at, message))?;
        checks.push(DeclaredCheck {
            name: check.name,
            argv: check.argv,
            timeout_ms: milliseconds(check.timeout),
            source: FILE.to_owned(),
            only_new: check.only_new,
            network,
        });
    }
    let mut declared = Declared { checks: lists_checks.then_some(checks), ..Declared::default() };
    for one in parsed.setup {
        match (one.copy, one.link, one.run) {
            (Some(path), None, None) => declared.provide.push(Provide::Copy(path)),
            (None, Some(path), None) => declared.provide.push(Provide::Link(path)),
            (None, None, Some(argv)) if !argv.is_empty() => {
                let network = hosts(&one.network).map_err(|message| wrong("network:", message))?;
                declared.commands.push(Command { argv, timeout_ms: milliseconds(one.timeout), network });
            }
            _ => {
                let message = "each entry of `setup` is one of `copy`, `link` and `run`, and `run` names a command";
                return Err(wrong("setup:", message.to_owned()));
            }
        }
    }
    Ok(declared)
}

/// Hosts as passes and permissions name them.
fn hosts(named: &[String]) -> Result<Vec<String>, String> {
    named.iter().map(|host| atelier_egress::named_host(host)).collect()
}

fn milliseconds(seconds: Option<u64>) -> u64 {
    seconds.map_or(TIMEOUT_MS, |seconds| seconds.saturating_mul(1000))
}

fn problem(error: yaml::YamlError) -> Problem {
    Problem::new(
        Code::ProjectFileInvalid,
        format!("The project's file is wrong: {error}"),
        "Mend the line; a check is `{name: test, argv: [cargo, test], timeout: 600}`, an entry of `setup` is `{copy: .env}`, \
         `{link: node_modules}` or `{run: [npm, ci], network: [registry.npmjs.org]}`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_says_what_a_tree_is_given_and_what_is_run_in_it() {
        let text = "schema: 1\nsetup:\n  - copy: .env\n  - link: node_modules\n  - run: [npm, ci, --offline]\n    timeout: 90\n";
        let declared = parse(text).unwrap();
        assert_eq!(declared.checks, None, "checks are still looked for");
        assert_eq!(declared.provide, [Provide::Copy(".env".into()), Provide::Link("node_modules".into())]);
        let argv = ["npm", "ci", "--offline"].map(str::to_owned).to_vec();
        assert_eq!(declared.commands, [Command { argv, timeout_ms: 90_000, network: Vec::new() }]);
        let text = "schema: 1\nsetup:\n  - {run: [npm, ci], network: [registry.npmjs.org, \"localhost:4873\"]}\n";
        assert_eq!(parse(text).unwrap().commands[0].network, ["registry.npmjs.org:443", "localhost:4873"]);
        let check = "schema: 1\nchecks:\n  - {name: it, argv: [a], network: [\"https://x.example/\"]}\n";
        let problem = parse(check).unwrap_err();
        assert!(problem.message.contains("project.yaml:3") && problem.message.contains("the host alone"), "{problem}");
        for wrong in ["- {copy: a, link: b}", "- {}", "- {run: []}", "- {move: a}"] {
            let problem = parse(&format!("schema: 1\nsetup:\n  {wrong}\n")).unwrap_err();
            assert_eq!(problem.code, Code::ProjectFileInvalid);
            assert!(problem.message.contains("project.yaml:"), "{problem}");
        }
    }
}
