//! Which part of a conversation is told in short when it passes its quota, and how, where no model does it.
//!
//! Pure. What is asked and what is answered is kept as it is at the end of a conversation; a call of a tool is never
//! parted from its answers. A text that stands for others says so, and by whom it is.

use atelier_models::{Message, context};
use atelier_protocol::event::{PromptPart, SummaryBy, ToolCall};
use atelier_protocol::hash::Hash;
use std::fmt::Write;

/// Messages at the end of a conversation that are always told whole.
const KEPT: usize = 3;
/// Bytes of a message that a digest takes at most.
const LINE: usize = 160;
/// How every text begins that stands for others.
const MARK: &str = "(Summary of ";

/// Tokens that a conversation may have: as it is set, else three quarters of the context. `None` where neither is known.
pub(crate) fn quota(set: Option<u32>, context: Option<u32>) -> Option<u32> {
    set.or_else(|| context.map(|context| context / 4 * 3))
}

/// Tokens that a summary is to have at most.
pub(crate) fn most(quota: u32) -> u32 {
    quota / 4
}

/// Tokens that are worth a summary. No summary as a prompt holds it has more, so that none is summed up again alone.
pub(crate) fn worth(quota: u32) -> u32 {
    quota / 2
}

/// Tokens of messages, by our own count.
pub(crate) fn tokens(messages: &[Message]) -> u32 {
    context::most_tokens(messages.iter().map(context::bytes_of).sum())
}

/// How many messages at the beginning are told in short so that a conversation keeps to its quota; `None` where it does,
/// or where too little is gained by it.
pub(crate) fn older(messages: &[Message], quota: u32) -> Option<usize> {
    if tokens(messages) <= quota {
        return None;
    }
    let mut end = messages.len().checked_sub(KEPT)?;
    // Answers of tools stay with the turn that asked for them.
    while matches!(messages.get(end), Some(Message::Tool { .. })) {
        end = end.checked_sub(1)?;
    }
    (tokens(&messages[..end]) > worth(quota)).then_some(end)
}

/// Messages as they are recorded with a summary of them.
pub(crate) fn parts(messages: &[Message]) -> Vec<PromptPart> {
    let part = |message: &Message| {
        let text = serde_json::to_string(message).unwrap_or_default();
        PromptPart {
            name: name(message),
            bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
            hash: Hash::of(text.as_bytes()),
        }
    };
    messages.iter().map(part).collect()
}

/// What a message of a conversation is called in a record.
pub(crate) fn name(message: &Message) -> String {
    match message {
        Message::Tool { name, .. } => format!("result of {name}"),
        Message::Assistant { .. } => "earlier turn".to_owned(),
        Message::User { text } if text.starts_with(MARK) => "summary".to_owned(),
        Message::User { .. } | Message::System { .. } => "correction".to_owned(),
    }
}

/// A summary as a prompt holds it: what it is, whose, and that there is more.
pub(crate) fn told(by: &SummaryBy, messages: usize, text: &str) -> Message {
    let by = match by {
        SummaryBy::Model { model, .. } => format!("made by the model {model}"),
        SummaryBy::Digest { .. } => "made by a rule that takes a line of each, without a model".to_owned(),
    };
    Message::user(format!(
        "{MARK}{messages} earlier messages of this conversation, {by}. It is no message of the user and may lack details: \
         look again with your tools where you need them.)\n\n{}",
        text.trim()
    ))
}

/// What is put before a model that is to sum up: messages as a person reads them. `room` is in bytes; where it is passed,
/// answers of tools are named only. `None` where that is not enough.
pub(crate) fn transcript(messages: &[Message], room: usize) -> Option<String> {
    let whole = readable(messages);
    if whole.len() <= room {
        return Some(whole);
    }
    let named: Vec<Message> = messages.iter().map(context::named).collect();
    Some(readable(&named)).filter(|text| text.len() <= room)
}

fn readable(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        let (who, calls): (String, &[ToolCall]) = match message {
            Message::Assistant { tool_calls, .. } => ("you said".to_owned(), tool_calls),
            Message::Tool { name, .. } => (format!("answer of {name}"), &[]),
            Message::User { .. } | Message::System { .. } => ("you were told".to_owned(), &[]),
        };
        let _ = writeln!(text, "=== {who}\n{}", message.text().trim_end());
        for call in calls {
            let _ = writeln!(text, "--- called {} {}", call.name, call.arguments);
        }
    }
    text
}

/// A summary without a model: of each message its first line, of each call what was called. The same messages give the
/// same digest. What an earlier summary says comes first; where `room`, in bytes, is too small, the oldest lines go, and
/// the digest says how many.
pub(crate) fn digest(messages: &[Message], room: usize) -> String {
    let (mut before, mut lines) = (String::new(), Vec::new());
    for message in messages {
        match message {
            Message::User { text } if text.starts_with(MARK) => {
                let said = text.split_once("\n\n").map_or("", |(_, said)| said);
                before = cut(said, room / 2);
            }
            Message::User { text } | Message::System { text } => lines.push(format!("- told: {}", first(text))),
            Message::Assistant { text, tool_calls } => {
                if !text.trim().is_empty() {
                    lines.push(format!("- said: {}", first(text)));
                }
                let called =
                    |call: &ToolCall| format!("- called {} {}", call.name, cut(&call.arguments.to_string(), LINE));
                lines.extend(tool_calls.iter().map(called));
            }
            Message::Tool { name, text, .. } => {
                lines.push(format!("- {name} answered {} bytes: {}", text.len(), first(text)));
            }
        }
    }
    let mut size: usize = before.len() + lines.iter().map(|line| line.len() + 1).sum::<usize>();
    let mut gone = 0;
    while size > room && gone < lines.len() {
        size -= lines[gone].len() + 1;
        gone += 1;
    }
    let left = if gone > 0 { format!("- ({gone} older lines are left out)\n") } else { String::new() };
    let before = if before.is_empty() { before } else { format!("{before}\n") };
    format!("{before}{left}{}", lines[gone..].join("\n"))
}

fn first(text: &str) -> String {
    cut(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim(), LINE)
}

/// The beginning of a text, with a sign where it is not the whole.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
