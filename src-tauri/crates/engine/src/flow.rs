//! Flow files: the steps a run takes, in order, where work goes back to, and how each step is undone.
//!
//! Checked when read: every role exists, every `back_to` names an earlier step, nothing is published unasked, and a
//! step declares only an undo that it can have.

use crate::role;
use crate::sources::FLOWS;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{FlowRef, StepPhase};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::RoleId;
use atelier_protocol::yaml::{self, YamlError};
use serde::Deserialize;

/// A flow, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Its id.
    pub id: String,
    /// Its name on screen.
    pub title: String,
    /// How often a step may be entered.
    pub rounds: u32,
    /// So many model turns without an accepted result are a stall.
    pub stall_turns: u32,
    /// So long without an accepted result is a stall, in milliseconds.
    pub stall_ms: u64,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Hash of the text it was read from.
    pub hash: Hash,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its id, unique in the flow.
    pub id: String,
    /// What it is for.
    pub title: String,
    /// What is done.
    pub kind: Kind,
    /// The place in `steps` where work goes back to when this step does not succeed.
    pub back_to: Option<usize>,
    /// Whether it plans or works.
    pub phase: StepPhase,
    /// How what it did is undone when a later step fails.
    pub undo: Option<Undo>,
}

/// How what a step did is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// The run's tree is put back to what it was before the step.
    Restore,
    /// The branch that was handed over is taken back.
    Unpublish,
    /// A command is run in the run's tree.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// The task is taken from the board.
    Retract,
    /// The process is ended.
    End,
}

impl Undo {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Undo::Restore => "put the files back".to_owned(),
            Undo::Unpublish => "take the branch back".to_owned(),
            Undo::Run { argv } => format!("run `{}`", argv.join(" ")),
            Undo::Retract => "take the task from the board".to_owned(),
            Undo::End => "end the process".to_owned(),
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A role works with a model and tools.
    Agent {
        /// The role.
        role: RoleId,
        /// Whether it works in the run's tree.
        writes: bool,
    },
    /// The project's checks run.
    Check,
    /// The user is asked before hand-over.
    Approve,
    /// The commits are published as a branch.
    HandOver,
    /// A command runs in the run's tree.
    Script {
        /// Program and arguments.
        argv: Vec<String>,
        /// Time limit in milliseconds.
        timeout_ms: u64,
    },
    /// A process is started that stays while the run works.
    Service {
        /// Program and arguments.
        argv: Vec<String>,
        /// It is ready once it has printed this; without it, once it runs.
        ready: Option<String>,
    },
    /// A task is put on the team's board.
    Task {
        /// What is to be done.
        task: String,
    },
    /// The user is asked a question in words.
    Ask {
        /// The question.
        question: String,
        /// What is taken where nobody answers.
        default: String,
    },
    /// Another run works for this one.
    Call {
        /// The flow it follows.
        flow: String,
        /// What it is told to do; `{goal}` stands for this run's goal.
        goal: String,
    },
}

impl Kind {
    /// Whether it works in the run's tree.
    pub fn needs_tree(&self) -> bool {
        match self {
            Kind::Agent { writes, .. } => *writes,
            Kind::Check | Kind::Script { .. } | Kind::Service { .. } | Kind::Call { .. } => true,
            Kind::Approve | Kind::HandOver | Kind::Task { .. } | Kind::Ask { .. } => false,
        }
    }

    fn can_be_undone_by(&self, undo: &Undo) -> bool {
        match undo {
            Undo::Restore => self.needs_tree(),
            Undo::Unpublish => *self == Kind::HandOver,
            Undo::Run { .. } => true,
            Undo::Retract => matches!(self, Kind::Task { .. }),
            Undo::End => matches!(self, Kind::Service { .. }),
        }
    }
}

/// Model turns without an accepted result that are a stall, where the flow says nothing.
const STALL_TURNS: u32 = 8;
/// Minutes without one, where the flow says nothing.
const STALL_MINUTES: u64 = 10;
/// Seconds that a script may take, where it says nothing.
const SCRIPT_SECONDS: u64 = 600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    id: String,
    title: String,
    rounds: u32,
    #[serde(default)]
    stall_turns: Option<u32>,
    #[serde(default)]
    stall_minutes: Option<u64>,
    steps: Vec<FileStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileStep {
    id: String,
    kind: FileKind,
    title: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    writes: bool,
    #[serde(default)]
    back_to: Option<String>,
    #[serde(default)]
    phase: StepPhase,
    #[serde(default)]
    undo: Option<FileUndo>,
    #[serde(default)]
    argv: Option<Vec<String>>,
    /// Seconds.
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    ready: Option<String>,
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    question: Option<String>,
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    flow: Option<String>,
    #[serde(default)]
    goal: Option<String>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    Agent,
    Check,
    Approve,
    HandOver,
    Script,
    Service,
    Task,
    Ask,
    Call,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "snake_case")]
enum FileUndo {
    Restore,
    Unpublish,
    Retract,
    End,
    Run(Vec<String>),
}

impl FileStep {
    /// What is done; an error names the key that is missing or out of place.
    fn kind(&mut self) -> Result<Kind, (&'static str, String)> {
        let id = self.id.clone();
        let kind = match self.kind {
            FileKind::Agent => Kind::Agent {
                role: RoleId::new(self.role.take().ok_or_else(|| named(&id, "agent", "role"))?),
                writes: std::mem::take(&mut self.writes),
            },
            FileKind::Check => Kind::Check,
            FileKind::Approve => Kind::Approve,
            FileKind::HandOver => Kind::HandOver,
            FileKind::Script => Kind::Script {
                argv: self.command("script")?,
                timeout_ms: self.timeout.take().unwrap_or(SCRIPT_SECONDS).saturating_mul(1000),
            },
            FileKind::Service => Kind::Service { argv: self.command("service")?, ready: self.ready.take() },
            FileKind::Task => Kind::Task { task: self.task.take().ok_or_else(|| named(&id, "task", "task"))? },
            FileKind::Ask => Kind::Ask {
                question: self.question.take().ok_or_else(|| named(&id, "ask", "question"))?,
                default: self.default.take().ok_or_else(|| named(&id, "ask", "default"))?,
            },
            FileKind::Call => Kind::Call {
                flow: self.flow.take().ok_or_else(|| named(&id, "call", "flow"))?,
                goal: self.goal.take().unwrap_or_else(|| "{goal}".to_owned()),
            },
        };
        // What the kind did not take is out of place.
        let left = [
            ("role", self.role.is_some()),
            ("writes", self.writes),
            ("argv", self.argv.is_some()),
            ("timeout", self.timeout.is_some()),
            ("ready", self.ready.is_some()),
            ("task", self.task.is_some()),
            ("question", self.question.is_some()),
            ("default", self.default.is_some()),
            ("flow", self.flow.is_some()),
            ("goal", self.goal.is_some()),
        ];
        match left.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err((key, format!("the step `{id}` takes no `{key}`"))),
            None => Ok(kind),
        }
    }

    fn command(&mut self, kind: &'static str) -> Result<Vec<String>, (&'static str, String)> {
        let argv = self.argv.take().ok_or_else(|| named(&self.id, kind, "argv"))?;
        if argv.is_empty() { Err(("argv", format!("the step `{}` has no command", self.id))) } else { Ok(argv) }
    }
}

fn named(step: &str, kind: &str, key: &'static str) -> (&'static str, String) {
    (key, format!("the {kind} step `{step}` names no {key}"))
}

/// Reads and checks one flow file against the roles that exist.
pub fn read(file: &str, text: &str, roles: &[RoleId]) -> Result<Flow, YamlError> {
    let parsed: File = yaml::read(file, text)?;
    let wrong = |needle: &str, message: String| YamlError {
        file: file.to_owned(),
        line: yaml::line_of(text, needle),
        column: 0,
        message,
    };
    if parsed.rounds == 0 {
        return Err(wrong("rounds:", "`rounds: 0` lets no step run".to_owned()));
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut asked = false;
    for step in parsed.steps {
        let id_line = format!("id: {}", step.id);
        if step.id.is_empty() || step.id.contains('.') {
            return Err(wrong(&id_line, format!("the step id `{}` must be a name without `.`", step.id)));
        }
        if steps.iter().any(|s| s.id == step.id) {
            return Err(wrong(&id_line, format!("two steps are called `{}`", step.id)));
        }
        let mut step = step;
        let kind = step.kind().map_err(|(key, message)| wrong_in(text, &wrong, &step.id, key, message))?;
        if let Kind::Agent { role, .. } = &kind
            && !roles.contains(role)
        {
            return Err(wrong(&format!("role: {role}"), format!("there is no role `{role}`")));
        }
        let undo = step.undo.clone().map(|undo| match undo {
            FileUndo::Restore => Undo::Restore,
            FileUndo::Unpublish => Undo::Unpublish,
            FileUndo::Retract => Undo::Retract,
            FileUndo::End => Undo::End,
            FileUndo::Run(argv) => Undo::Run { argv },
        });
        if let Some(undo) = undo.as_ref().filter(|undo| !kind.can_be_undone_by(undo)) {
            let message = format!("the step `{}` cannot be undone so: {}", step.id, undo.words());
            return Err(wrong_in(text, &wrong, &step.id, "undo", message));
        }
        let back_to = match step.back_to {
            None => None,
            Some(name) => Some(steps.iter().position(|s| s.id == name).ok_or_else(|| {
                wrong(&format!("back_to: {name}"), format!("`back_to: {name}` names no earlier step"))
            })?),
        };
        asked |= kind == Kind::Approve;
        if kind == Kind::HandOver && !asked {
            return Err(wrong(&id_line, format!("the step `{}` would publish before the user was asked", step.id)));
        }
        steps.push(Step { id: step.id, title: step.title, kind, back_to, phase: step.phase, undo });
    }
    if steps.is_empty() {
        return Err(wrong("steps:", "a flow needs at least one step".to_owned()));
    }
    Ok(Flow {
        id: parsed.id,
        title: parsed.title,
        rounds: parsed.rounds,
        stall_turns: parsed.stall_turns.unwrap_or(STALL_TURNS).max(1),
        stall_ms: parsed.stall_minutes.unwrap_or(STALL_MINUTES).max(1).saturating_mul(60_000),
        steps,
        hash: Hash::of(text.as_bytes()),
    })
}

/// An error at the line of `key` within the step, or at the step where the key is not there.
fn wrong_in(
    text: &str,
    wrong: &impl Fn(&str, String) -> YamlError,
    step: &str,
    key: &str,
    message: String,
) -> YamlError {
    let mut error = wrong(&format!("id: {step}"), message);
    let from = usize::try_from(error.line).unwrap_or(0);
    let of_step = text.lines().skip(from).take_while(|line| !line.trim_start().starts_with("- id:"));
    let at = of_step.zip(from + 1..).find(|(line, _)| line.trim_start().starts_with(&format!("{key}:")));
    if let Some((_, line)) = at {
        error.line = u32::try_from(line).unwrap_or(error.line);
    }
    error
}

/// A flow file and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name for messages.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// The flow files of a project: its own, then the shipped ones that it does not replace. By id.
pub fn sources(root: &std::path::Path) -> Result<std::collections::BTreeMap<String, Source>, Problem> {
    #[derive(Deserialize)]
    struct Head {
        id: String,
    }
    let id_of = |file: &str, text: &str| yaml::read::<Head>(file, text).map(|head| head.id).map_err(|e| problem(&e));
    let mut found = std::collections::BTreeMap::new();
    for (file, text) in FLOWS {
        // A shipped file is called by its flow's id, so that it need not be read to be found.
        let id = file.trim_start_matches("flows/").trim_end_matches(".yaml");
        found.insert(id.to_owned(), Source { file: (*file).to_owned(), text: (*text).to_owned() });
    }
    for path in role::yaml_files(&root.join(".atelier/flows")) {
        let file = format!(".atelier/flows/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Problem::new(Code::FlowInvalid, format!("{file} cannot be read: {e}"), "Mend or remove the file.")
        })?;
        found.insert(id_of(&file, &text)?, Source { file, text });
    }
    Ok(found)
}

/// Whether a flow of this content ships with Atelier. Commands of any other are asked for before they run.
pub fn ships(hash: &Hash) -> bool {
    FLOWS.iter().any(|(_, text)| Hash::of(text.as_bytes()) == *hash)
}

/// The problem that a wrong flow file is.
pub fn problem(error: &YamlError) -> Problem {
    Problem::new(Code::FlowInvalid, format!("The flow file is wrong: {error}"), "Mend the line and start again.")
}

impl Flow {
    /// Whether a step of it publishes commits.
    pub fn publishes(&self) -> bool {
        self.steps.iter().any(|step| step.kind == Kind::HandOver)
    }

    /// How a run names it.
    pub fn reference(&self) -> FlowRef {
        FlowRef { id: self.id.clone(), hash: self.hash.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../../assets/flows/feature.yaml");

    fn roles() -> Vec<RoleId> {
        ["business_analyst", "developer", "qa_tester"].map(RoleId::from).to_vec()
    }

    #[test]
    fn the_shipped_flow_asks_before_it_publishes() {
        let flow = read("feature.yaml", SHIPPED, &roles()).unwrap();
        let ids: Vec<&str> = flow.steps.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["specify", "build", "check", "verify", "approve", "publish"]);
        assert_eq!(flow.steps[3].back_to, Some(1));
    }

    #[test]
    fn a_flow_that_publishes_unasked_is_refused() {
        let text = SHIPPED.replace("  - id: approve\n    kind: approve\n    title: Ask before hand-over\n", "");
        let error = read("f.yaml", &text, &roles()).unwrap_err();
        assert!(error.message.contains("would publish before the user was asked"), "{error}");
        assert!(error.line > 1, "{error}");
    }

    #[test]
    fn a_wrong_role_and_a_wrong_way_back_are_named_with_their_line() {
        let error = read("f.yaml", SHIPPED, &[]).unwrap_err();
        assert_eq!(SHIPPED.lines().nth(8).unwrap().trim(), "role: business_analyst");
        assert_eq!((error.line, error.message.as_str()), (9, "there is no role `business_analyst`"));
        let error = read("f.yaml", &SHIPPED.replacen("back_to: build", "back_to: nowhere", 1), &roles()).unwrap_err();
        assert_eq!(error.message, "`back_to: nowhere` names no earlier step");
    }

    #[test]
    fn every_shipped_flow_reads() {
        let root = tempfile::tempdir().unwrap();
        let ids: Vec<String> = sources(root.path()).unwrap().into_keys().collect();
        assert_eq!(ids, ["feature", "review", "reviewed"]);
        for (file, text) in FLOWS {
            let flow = read(file, text, &roles()).unwrap();
            assert_eq!(*file, format!("flows/{}.yaml", flow.id), "a shipped file is called by its flow's id");
            assert!(ships(&flow.hash), "{file}");
        }
    }

    const EVERY_KIND: &str = "schema: 1
id: all
title: Every kind
rounds: 1
stall_turns: 3
stall_minutes: 2
steps:
  - {id: ask, kind: ask, title: Ask, phase: planning, question: Which?, default: this}
  - {id: gen, kind: script, title: Generate, argv: [sh, gen.sh], timeout: 5, undo: restore}
  - {id: up, kind: service, title: Start, argv: [sh, up.sh], ready: listening, undo: end}
  - {id: todo, kind: task, title: Note, task: Tell them, undo: retract}
  - {id: look, kind: call, title: Look, flow: review, undo: {run: [sh, undo.sh]}}
";

    #[test]
    fn every_kind_of_step_reads_with_its_undo() {
        let flow = read("f.yaml", EVERY_KIND, &[]).unwrap();
        assert_eq!((flow.stall_turns, flow.stall_ms), (3, 120_000));
        let said: Vec<String> =
            flow.steps.iter().map(|s| format!("{} {:?}", s.id, s.undo.as_ref().map(Undo::words))).collect();
        assert_eq!(
            said,
            [
                "ask None",
                "gen Some(\"put the files back\")",
                "up Some(\"end the process\")",
                "todo Some(\"take the task from the board\")",
                "look Some(\"run `sh undo.sh`\")"
            ]
        );
        assert_eq!(flow.steps[0].phase, StepPhase::Planning);
        let Kind::Call { goal, .. } = &flow.steps[4].kind else { panic!("{:?}", flow.steps[4]) };
        assert_eq!(goal, "{goal}", "a child is told the goal itself where nothing else is said");
    }

    #[test]
    fn a_key_out_of_place_and_an_undo_that_cannot_be_are_named_with_their_line() {
        let text =
            "schema: 1\nid: x\ntitle: x\nrounds: 1\nsteps:\n  - id: a\n    kind: check\n    title: A\n    argv: [x]\n";
        let error = read("f.yaml", text, &[]).unwrap_err();
        assert_eq!((error.line, error.message.as_str()), (9, "the step `a` takes no `argv`"));
        let text = "schema: 1\nid: x\ntitle: x\nrounds: 1\nsteps:\n  - id: a\n    kind: script\n    title: A\n";
        let error = read("f.yaml", text, &[]).unwrap_err();
        assert_eq!(error.message, "the script step `a` names no argv");
        let text = text.replace("script", "check") + "    undo: retract\n";
        let error = read("f.yaml", &text, &[]).unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (9, "the step `a` cannot be undone so: take the task from the board")
        );
    }

    #[test]
    fn a_project_adds_and_replaces_flows() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".atelier/flows");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("all.yaml"), EVERY_KIND).unwrap();
        std::fs::write(folder.join("mine.yaml"), EVERY_KIND.replace("id: all", "id: feature")).unwrap();
        let found = sources(root.path()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["all", "feature", "review", "reviewed"]);
        assert_eq!(found["feature"].file, ".atelier/flows/mine.yaml");
        assert!(!ships(&Hash::of(found["feature"].text.as_bytes())));
        std::fs::write(folder.join("bad.yaml"), "schema: 1\n").unwrap();
        assert_eq!(sources(root.path()).unwrap_err().code, Code::FlowInvalid);
    }
}
