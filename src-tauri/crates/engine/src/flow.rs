//! Flow files: the steps a run takes, in order, and where work goes back to.
//!
//! Checked when read: every role exists, every `back_to` names an earlier step, nothing is published unasked.

use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::FlowRef;
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    id: String,
    title: String,
    rounds: u32,
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
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    Agent,
    Check,
    Approve,
    HandOver,
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
        let kind = match (step.kind, step.role) {
            (FileKind::Agent, Some(role)) => {
                let role = RoleId::new(role);
                if !roles.contains(&role) {
                    return Err(wrong(&format!("role: {role}"), format!("there is no role `{role}`")));
                }
                Kind::Agent { role, writes: step.writes }
            }
            (FileKind::Agent, None) => {
                return Err(wrong(&id_line, format!("the agent step `{}` names no role", step.id)));
            }
            (_, Some(role)) => {
                return Err(wrong(&format!("role: {role}"), format!("the step `{}` takes no role", step.id)));
            }
            (FileKind::Check, None) => Kind::Check,
            (FileKind::Approve, None) => Kind::Approve,
            (FileKind::HandOver, None) => Kind::HandOver,
        };
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
        steps.push(Step { id: step.id, title: step.title, kind, back_to });
    }
    if steps.is_empty() {
        return Err(wrong("steps:", "a flow needs at least one step".to_owned()));
    }
    Ok(Flow { id: parsed.id, title: parsed.title, rounds: parsed.rounds, steps, hash: Hash::of(text.as_bytes()) })
}

/// The problem that a wrong flow file is.
pub fn problem(error: &YamlError) -> Problem {
    Problem::new(Code::FlowInvalid, format!("The flow file is wrong: {error}"), "Mend the line and start again.")
}

impl Flow {
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
        assert_eq!((error.line, error.message.as_str()), (9, "there is no role `business_analyst`"));
        let error = read("f.yaml", &SHIPPED.replacen("back_to: build", "back_to: nowhere", 1), &roles()).unwrap_err();
        assert_eq!(error.message, "`back_to: nowhere` names no earlier step");
    }
}
