//! What a role keeps in mind: `remember` and `recall` on its own memory, which outlives the run.
//!
//! A role reaches no memory but its own. What it remembers is appended together with the tool's answer, so that a call
//! that is answered again after a crash is not remembered twice. What is recalled is data, like any file.

use crate::hands::returned;
use crate::objects::Tell;
use crate::role::{Role, Tool};
use crate::run::{Done, Run};
use crate::tools::Answer;
use atelier_protocol::event::{Event, NewEvent, Output, ToolCall};
use atelier_protocol::ids::StepId;
use serde_json::Value;
use std::fmt::Write;

impl Run {
    /// Answers `remember` or `recall` from the role's own memory.
    pub(crate) async fn mind(&mut self, role: &Role, tool: Tool, call: ToolCall, before: Vec<Event>) -> Done {
        let tell = Tell {
            object: format!("memory/{}", role.id),
            handler: tool.name().to_owned(),
            arguments: call.arguments.clone(),
            by: role.id.to_string(),
            version: None,
        };
        // Held until it is recorded: nobody else tells this memory anything meanwhile.
        let told = match self.desk.objects.prepare(vec![tell]).await {
            Ok(told) => told,
            Err(problem) => {
                return self.answer(&call, before, Answer::refused(tool.name(), problem.message), Vec::new()).await;
            }
        };
        let known = told.views.first().map_or(&Value::Null, |view| &view.answer);
        let answer = match tool {
            Tool::Recall => recalled(known),
            _ => {
                let topic = call.arguments.get("topic").and_then(Value::as_str).unwrap_or_default();
                Answer::done(format!("remember {topic}"), "kept for later runs")
            }
        };
        let step: Option<StepId> = self.machine.current.as_ref().map(|current| current.step.clone());
        let output = Output { bytes: answer.text.len() as u64, text: answer.text, full: None };
        let mut own = before;
        own.push(returned(&call, answer.line, answer.ok, output));
        let own = own.into_iter().map(|event| NewEvent::of_run(&self.id, step.as_ref(), event));
        let events = told.events.iter().cloned().chain(own).collect();
        self.record_with_others(events).await
    }
}

/// A memory as the model reads it.
fn recalled(known: &Value) -> Answer {
    let entries = known["entries"].as_array().map_or(&[][..], Vec::as_slice);
    let mut text = String::new();
    for entry in entries {
        let word = |name: &str| entry[name].as_str().unwrap_or_default();
        let _ = writeln!(text, "{}: {}", word("topic"), word("text"));
    }
    let digest = known["digest"].as_str().unwrap_or_default();
    if !digest.is_empty() {
        let _ = writeln!(text, "\nolder, in short:\n{digest}");
    }
    if text.is_empty() {
        text.push_str("nothing is known about that");
    }
    Answer::done(format!("recall: {} entries", entries.len()), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_memory_reads_as_lines_and_an_empty_one_says_so() {
        let known =
            json!({"entries": [{"topic": "style", "text": "tabs"}], "digest": "tests: cargo test", "dropped": 2});
        let answer = recalled(&known);
        assert_eq!(answer.line, "recall: 1 entries");
        assert_eq!(answer.text, "style: tabs\n\nolder, in short:\ntests: cargo test\n");
        let empty = recalled(&json!({"entries": [], "digest": "", "dropped": 0}));
        assert_eq!(empty.text, "nothing is known about that");
    }
}
