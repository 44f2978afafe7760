//! Server-sent events as model servers really send them (WHATWG HTML, section 9.2), or the plain document that comes
//! where a server does not stream.
//!
//! Every event's data is a JSON object or `[DONE]`. What the events mean is the dialect's part.

use crate::error::{CallError, clip};
use crate::fetch;
use crate::lines::LONGEST_LINE;
use crate::refusal;
use serde_json::Value;

/// What a line brought.
#[derive(Debug, PartialEq)]
pub(crate) enum Sent {
    /// Nothing yet, or nothing of interest.
    Nothing,
    /// The data of an event.
    Object(Value),
    /// `[DONE]`.
    Done,
}

/// The events of one body, line by line.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Data of an event whose JSON goes on in the next `data:` line.
    data: String,
    /// A plain document, where the body is none of events.
    document: String,
    heard: bool,
}

impl Events {
    /// Reads a line without its end.
    pub(crate) fn line(&mut self, line: &str) -> Result<Sent, CallError> {
        if !self.document.is_empty() || (!self.heard && line.trim_start().starts_with('{')) {
            self.document.push_str(line);
            self.document.push('\n');
            return within(self.document.len()).map(|()| Sent::Nothing);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            // The end of an event. Data that is no JSON by now never will be.
            "" if line.is_empty() => match std::mem::take(&mut self.data) {
                data if data.is_empty() => Ok(Sent::Nothing),
                data => Err(CallError::Unreadable { text: clip(&data) }),
            },
            // A comment, which keeps the connection open.
            "" => Ok(Sent::Nothing),
            "data" => self.data(value),
            "error" => Err(refusal::of_stream(&serde_json::from_str(value).unwrap_or_else(|_| value.into()))),
            "event" | "id" | "retry" => Ok(Sent::Nothing),
            _ if self.heard => Ok(Sent::Nothing),
            _ => Err(CallError::Unreadable { text: clip(line) }),
        }
    }

    /// The plain document that the body was; `None` where it was events.
    pub(crate) fn document(&mut self) -> Result<Option<Value>, CallError> {
        match std::mem::take(&mut self.document) {
            text if text.is_empty() => Ok(None),
            text => fetch::object(&text).map(Some),
        }
    }

    fn data(&mut self, value: &str) -> Result<Sent, CallError> {
        self.heard = true;
        if self.data.is_empty() && value.trim() == "[DONE]" {
            return Ok(Sent::Done);
        }
        if !self.data.is_empty() {
            self.data.push('\n');
        }
        self.data.push_str(value);
        within(self.data.len())?;
        // An event may have several data lines; nearly all have one, which is read without waiting for the blank line.
        match fetch::object(&self.data) {
            Ok(object) => {
                self.data.clear();
                Ok(Sent::Object(object))
            }
            Err(_) => Ok(Sent::Nothing),
        }
    }
}

fn within(bytes: usize) -> Result<(), CallError> {
    if bytes <= LONGEST_LINE { Ok(()) } else { Err(CallError::TooLong { limit: LONGEST_LINE }) }
}
