//! The leave to send a project's material to a model on another machine, and on whose behalf a model is asked.
//!
//! Asked once for a project and server; the answer is kept in the home store until it is taken back. What is asked about
//! names the files and snippets and what is masked in them, and keeps the text that would leave, to the letter.

use crate::prompt;
use crate::run::{Done, Halt, Run};
use atelier_egress::{Errand, host_of};
use atelier_models::{ChatRequest, Chosen, Message};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Ask, CloudPermission, Leaving, ToolCall};
use atelier_protocol::ids::RoleId;
use atelier_protocol::op::Op;
use std::collections::{BTreeMap, HashMap};

/// Whether a request may leave.
pub(crate) enum Leave {
    /// Yes, or it does not leave this machine.
    Given,
    /// The user was asked just now.
    Asked,
}

impl Run {
    /// On whose behalf the run asks a model.
    pub(crate) async fn errand(&self, role: Option<&RoleId>, chosen: &Chosen) -> Result<Errand, Halt> {
        Ok(Errand {
            project: Some(self.desk.project.clone()),
            run: Some(self.id.clone()),
            role: role.cloned(),
            provider: Some(chosen.provider.id.clone()),
            passed_on: !chosen.route.local,
            credential: self.desk.keys.credential(&chosen.provider).await?,
        })
    }

    /// The leave to send this request to the chosen model.
    ///
    /// # Errors
    /// `rejected` where the user said no.
    pub(crate) async fn leave_to_send(&mut self, request: &ChatRequest, chosen: &Chosen) -> Result<Leave, Halt> {
        if chosen.route.local {
            return Ok(Leave::Given);
        }
        let provider = chosen.provider.id.clone();
        let Some(host) = host_of(&chosen.provider.base_url) else { return Ok(Leave::Given) }; // refused by the door
        let project = self.desk.project.clone();
        let permitted = |run: &Run| run.desk.egress.policy().permits(&project, &provider, &host);
        if permitted(self) {
            return Ok(Leave::Given);
        }
        match self.machine.cloud.get(&key(&provider, &host)).cloned() {
            Some((_, Answer::Reject)) => return Err(Halt::Fail(refused(chosen, &host))),
            Some((approval, Answer::Approve)) => {
                // Kept once for each question, however often this is come by; after it was taken back, not again.
                let approval = Some(approval);
                let (project, provider, host) = (project.clone(), provider.clone(), host.clone());
                let permission = CloudPermission { project, provider, host, approval };
                (self.desk.home)(Op::PermitCloud { permission }).await?;
                if permitted(self) {
                    return Ok(Leave::Given);
                }
            }
            None => {}
        }
        self.ask_to_send(request, chosen, provider, host).await?;
        Ok(Leave::Asked)
    }

    async fn ask_to_send(&mut self, request: &ChatRequest, chosen: &Chosen, provider: String, host: String) -> Done {
        let (masked, mask) = atelier_models::mask(request);
        let text = self.desk.journal.put_blob(readable(&masked).into_bytes()).await.map_err(Problem::from)?;
        let leaving = leaving(&request.messages);
        let ask = Ask::Cloud { provider, host, model: chosen.model.clone(), leaving, masked: mask.counts(), text };
        self.ask(ask, Vec::new()).await
    }
}

/// What an answer about leaving counts for.
pub(crate) fn key(provider: &str, host: &str) -> String {
    format!("{provider} {host}")
}

/// A request as a person reads it.
fn readable(request: &ChatRequest) -> String {
    let mut text = String::new();
    for message in &request.messages {
        let (who, calls): (_, &[ToolCall]) = match message {
            Message::System { .. } => ("rules", &[]),
            Message::User { .. } => ("told", &[]),
            Message::Assistant { tool_calls, .. } => ("the model said", tool_calls),
            Message::Tool { .. } => ("a tool answered", &[]),
        };
        text.push_str(&format!("=== {who}\n{}\n", message.text()));
        for call in calls {
            text.push_str(&format!("--- called {} {}\n", call.name, call.arguments));
        }
    }
    text
}

/// The files and snippets of a conversation, each once and with all its bytes; the rest is the goal, rules and what was
/// said.
fn leaving(messages: &[Message]) -> Vec<Leaving> {
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    let mut calls: HashMap<&str, &ToolCall> = HashMap::new();
    let (mut rest, mut named) = (0u64, 0u64);
    let mut add = |name: String, bytes: usize| *parts.entry(name).or_default() += bytes as u64;
    for message in messages {
        rest += message.text().len() as u64;
        match message {
            Message::System { .. } => {}
            Message::User { text } => {
                for (name, bytes) in prompt::snippets(text) {
                    named += bytes as u64;
                    add(name, bytes);
                }
            }
            Message::Assistant { tool_calls, .. } => {
                for call in tool_calls {
                    rest += call.arguments.to_string().len() as u64;
                    calls.insert(&call.id, call);
                }
            }
            Message::Tool { id, name, text } => {
                let path = calls.get(id.as_str()).and_then(|call| call.arguments.get("path")?.as_str());
                named += text.len() as u64;
                add(path.map_or_else(|| format!("result of {name}"), str::to_owned), text.len());
            }
        }
    }
    let mut leaving: Vec<Leaving> = parts.into_iter().map(|(name, bytes)| Leaving { name, bytes }).collect();
    leaving.push(Leaving { name: "goal, rules and what was said".to_owned(), bytes: rest.saturating_sub(named) });
    leaving
}

fn refused(chosen: &Chosen, host: &str) -> Problem {
    Problem::new(
        Code::Rejected,
        format!("Nothing may leave this machine for `{}` at {host}: you said no.", chosen.model),
        "Choose a model on this machine and start again; nothing was sent.",
    )
}

#[cfg(test)]
mod tests {
    //! The mutant that turns it red: what a tool answered is named by the tool and not by its file.

    use super::*;
    use serde_json::json;

    #[test]
    fn what_would_leave_is_named_by_file_with_its_bytes() {
        let call = ToolCall { id: "t1".into(), name: "read_file".into(), arguments: json!({"path": "src/lib.rs"}) };
        let messages = [
            Message::system("rules"),
            Message::user("goal: x\n\nREADME.md lines 1-2:\n```\n# Hi\nthere\n```\n"),
            Message::assistant("", vec![call.clone()]),
            Message::tool(&call, "pub fn one() {}"),
        ];
        let named: Vec<(String, u64)> = leaving(&messages).into_iter().map(|part| (part.name, part.bytes)).collect();
        assert_eq!(named[..2], [("README.md lines 1-2".to_owned(), 10), ("src/lib.rs".to_owned(), 15)]);
        assert_eq!(named[2].0, "goal, rules and what was said");
        assert!(readable(&ChatRequest::new("m", messages.to_vec())).contains("--- called read_file"));
    }
}
