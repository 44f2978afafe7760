//! What an append asks for and what it brings.
//!
//! Events, expectations and marks of one append are one transaction: all of it or none of it. Marks are what the
//! store remembers beside the history: which keys were used, and how far each consumer has read.

use crate::error::AppendError;
use atelier_protocol::event::NewEvent;
use atelier_protocol::{Class, Envelope, RunId, Seq};

/// Bytes of a mark's names: of scope and key together, or of a consumer.
const NAME_BYTES: usize = 1024;

/// Events to append, under what conditions, and what to remember with them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Append {
    /// The events, which will stand next to each other. May be empty where there are marks.
    pub events: Vec<NewEvent>,
    /// How many events these runs must have; [`AppendError::Conflict`] otherwise.
    pub expecting: Vec<(RunId, u64)>,
    /// What to remember in the same transaction.
    pub marks: Vec<Mark>,
}

/// Something that the store remembers beside the history, in the transaction of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// What this append does is done once: a second append with the same key is [`AppendError::Repeated`].
    /// The key is remembered with the number of the append's first event.
    Key {
        /// What the key is unique in, such as a topic or a consumer.
        scope: String,
        /// The key.
        key: String,
    },
    /// A consumer goes on from `from`, `None` where it never began, to `to`; [`AppendError::Moved`] where it is
    /// elsewhere. It may go back.
    Offset {
        /// The consumer.
        consumer: String,
        /// Where it is now.
        from: Option<Seq>,
        /// The last event it is done with.
        to: Seq,
    },
}

/// What an append brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Number of the first event; of the event before the append where it had none.
    pub first: Seq,
    /// Number of the last event.
    pub last: Seq,
    /// The events as recorded, in order.
    pub events: Vec<Envelope>,
}

impl Mark {
    /// Refuses names that are no names.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        let (what, bytes) = match self {
            Mark::Key { scope, key } => ("key", scope.len() + key.len()),
            Mark::Offset { consumer, .. } => ("consumer", consumer.len()),
        };
        if bytes > NAME_BYTES {
            return Err(AppendError::TooLarge { kind: what.into(), bytes, limit: NAME_BYTES });
        }
        Ok(())
    }

    /// How durable an append of this mark alone must be. A key stands for something that must never happen twice; an
    /// offset that is lost with the power only means that the consumer is told again.
    pub(crate) fn class(&self) -> Class {
        match self {
            Mark::Key { .. } => Class::Full,
            Mark::Offset { .. } => Class::Normal,
        }
    }
}
