//! Letters from one role to another: ordered between the two, taken once, kept for ever.
//!
//! A letter is a message on `mail/<from>/<to>`. That it was taken is the pair's own place in the history, moved in one
//! transaction with whatever the taker records about it: a crash between the two is not possible.

use crate::bus::Core;
use atelier_journal::{Append, AppendError, Mark};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, NewEvent};
use atelier_protocol::ids::Seq;
use atelier_protocol::view::MessageView;

/// The letters of a project.
pub struct Mail<'a>(pub(super) &'a Core);

impl Mail<'_> {
    /// The next letter to a role that was not taken yet; of each sender's the oldest, of those the first.
    pub async fn next(&self, to: &str) -> Result<Option<MessageView>, Problem> {
        let core = self.0;
        core.projections.caught_up().await?;
        let offsets = core.journal.offsets().await?;
        let mut found: Option<Seq> = None;
        for from in core.senders().await? {
            let topic = format!("mail/{from}/{to}");
            let taken = offsets.get(&topic).copied().unwrap_or_default();
            let next = core.first_after(&topic, taken).await?;
            found = found.into_iter().chain(next).min();
        }
        match found {
            Some(seq) => Ok(Some(core.message(seq).await?)),
            None => Ok(None),
        }
    }

    /// Takes a letter: what comes of it is recorded with the fact that it was taken. False where it was taken before.
    /// Only the oldest of its pair that was not taken can be.
    pub async fn take(&self, letter: &MessageView, events: Vec<NewEvent>) -> Result<bool, Problem> {
        let topic = &letter.message.topic;
        let from = self.0.journal.offset(topic).await?;
        if from.is_some_and(|taken| taken >= letter.seq) {
            return Ok(false);
        }
        self.0.projections.caught_up().await?;
        if self.0.first_after(topic, from.unwrap_or_default()).await? != Some(letter.seq) {
            return Err(Problem::new(
                Code::UnknownMessage,
                format!("Letter {} is not the oldest of `{topic}` that waits.", letter.seq),
                "Take the letters of a sender in their order.",
            ));
        }
        let mark = Mark::Offset { consumer: topic.clone(), from, to: letter.seq };
        match self.0.pen.append(Append { events, marks: vec![mark], ..Append::default() }).await {
            Ok(_) => Ok(true),
            Err(AppendError::Moved { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Core {
    /// The message that event `seq` is.
    pub(super) async fn message(&self, seq: Seq) -> Result<MessageView, Problem> {
        let event = self.journal.read(None, Seq(seq.0.saturating_sub(1)), 1).await?.pop();
        let found = event.filter(|event| event.seq == seq).and_then(|event| {
            let message = super::topics::message_of(&event)?;
            Some(MessageView { seq, at_ms: event.at_ms, message })
        });
        found.ok_or_else(|| {
            Problem::new(
                Code::UnknownMessage,
                format!("Event {seq} is no message."),
                "Read the messages with `atelier bus read`.",
            )
        })
    }

    /// Posts a message; one with a key that was posted before is not posted again. Answers its number.
    pub(super) async fn post(&self, message: atelier_protocol::event::Message) -> Result<Seq, Problem> {
        let message = super::topics::admit(message)?;
        let marks = super::deliver::posted_once(&message).into_iter().collect();
        let events = vec![NewEvent::of_store(Event::MessagePosted { message })];
        match self.pen.append(Append { events, marks, ..Append::default() }).await {
            Ok(receipt) => Ok(receipt.first),
            Err(AppendError::Repeated { first, .. }) => Ok(first),
            Err(error) => Err(error.into()),
        }
    }
}
