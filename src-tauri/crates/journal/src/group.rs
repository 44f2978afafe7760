//! The events of one transaction: each gets its number, its place in the chain, and its row.
//!
//! Everything happens inside the writer's transaction and counts only once that is committed. Payloads above
//! [`SPILL`] bytes are in the blob folder already and are only named here.

use crate::append::{Mark, Receipt};
use crate::chain::Link;
use crate::error::AppendError;
use crate::marks;
use crate::reader;
use crate::store::SPILL;
use atelier_protocol::event::NewEvent;
use atelier_protocol::{Envelope, Hash, RunId, Seq, StoreId};
use rusqlite::{Transaction, params};
use std::collections::HashSet;

/// An event with its payload as it will be stored.
pub(crate) struct Encoded {
    pub new: NewEvent,
    pub kind: String,
    pub payload: Vec<u8>,
    pub payload_hash: Hash,
}

impl Encoded {
    /// Encodes an event.
    pub fn new(new: NewEvent) -> Result<Self, AppendError> {
        let unusable = |reason: String| AppendError::Failed { reason: format!("an event cannot be encoded: {reason}") };
        let json = serde_json::to_string(&new.event).map_err(|error| unusable(error.to_string()))?;
        // The event's JSON is `{"kind":"...","payload":{...}}`; taken apart as text it is encoded only once.
        let (kind, payload) = json
            .strip_prefix("{\"kind\":\"")
            .and_then(|rest| rest.strip_suffix('}'))
            .and_then(|rest| rest.split_once("\",\"payload\":"))
            .ok_or_else(|| unusable("it has no kind".into()))?;
        let (kind, payload) = (kind.to_owned(), payload.as_bytes().to_vec());
        let payload_hash = Hash::of(&payload);
        Ok(Self { new, kind, payload, payload_hash })
    }

    pub fn spills(&self) -> bool {
        self.payload.len() > SPILL
    }
}

/// The events of one transaction, and where the chain is after them.
pub(crate) struct Group<'a> {
    transaction: &'a Transaction<'a>,
    store: &'a StoreId,
    known: &'a HashSet<(String, u32)>,
    /// Kinds and versions that occur here for the first time.
    pub shapes: HashSet<(String, u32)>,
    at_ms: u64,
    pub head: Seq,
    pub head_hash: Hash,
}

impl<'a> Group<'a> {
    pub fn new(
        transaction: &'a Transaction<'a>,
        store: &'a StoreId,
        known: &'a HashSet<(String, u32)>,
        at_ms: u64,
        head: Seq,
        head_hash: Hash,
    ) -> Self {
        Self { transaction, store, known, shapes: HashSet::new(), at_ms, head, head_hash }
    }

    /// What speaks against an append with these marks that expects runs to have so many events. Marks come first:
    /// whoever asks again after a lost answer is told that it was done, not that the run has moved on.
    pub fn refusal(&self, expecting: &[(RunId, u64)], marks: &[Mark]) -> rusqlite::Result<Option<AppendError>> {
        if let Some(refusal) = marks::refusal(self.transaction, marks)? {
            return Ok(Some(refusal));
        }
        for (run, expected) in expecting {
            let actual = reader::version(self.transaction, run)?;
            if actual != *expected {
                return Ok(Some(AppendError::Conflict { run: run.clone(), expected: *expected, actual }));
            }
        }
        Ok(None)
    }

    pub fn append(&mut self, events: Vec<Encoded>, marks: &[Mark]) -> rusqlite::Result<Receipt> {
        let first = if events.is_empty() { self.head } else { self.head.next() };
        marks::set(self.transaction, marks, first)?;
        let mut runs: Vec<(RunId, Seq, u32)> = Vec::new();
        let mut envelopes = Vec::with_capacity(events.len());
        for event in events {
            let envelope = self.insert(event)?;
            if let Some(run) = &envelope.run {
                match runs.iter_mut().find(|(seen, ..)| seen == run) {
                    Some((.., count)) => *count += 1,
                    None => runs.push((run.clone(), envelope.seq, 1)),
                }
            }
            envelopes.push(envelope);
        }
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO runs (run, first_seq, events) VALUES (?1, ?2, ?3)
             ON CONFLICT (run) DO UPDATE SET events = events + excluded.events",
        )?;
        for (run, seq, count) in runs {
            statement.execute(params![run.as_str(), number(seq.0), count])?;
        }
        Ok(Receipt { first, last: self.head, events: envelopes })
    }

    fn insert(&mut self, event: Encoded) -> rusqlite::Result<Envelope> {
        let Encoded { new, kind, payload, payload_hash } = event;
        let (seq, v) = (self.head.next(), new.event.version());
        let link = Link {
            seq,
            store: self.store.as_str(),
            at_ms: self.at_ms,
            kind: &kind,
            v,
            run: new.run.as_ref().map(RunId::as_str),
            step: new.step.as_ref().map(|step| step.as_str()),
            cause: new.cause,
            trace: new.trace.as_deref(),
            key_id: None,
            payload_hash: &payload_hash,
            prev_hash: &self.head_hash,
        };
        let spilled = payload.len() > SPILL;
        self.transaction
            .prepare_cached(
                "INSERT INTO events
                 (seq, at_ms, kind, v, run, step, cause, trace, payload, blob, key_id, payload_hash, prev_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                number(seq.0),
                number(link.at_ms),
                link.kind,
                link.v,
                link.run,
                link.step,
                link.cause.map(|cause| number(cause.0)),
                link.trace,
                (!spilled).then_some(&payload),
                spilled.then_some(payload_hash.as_str()),
                link.key_id,
                payload_hash.as_str(),
                self.head_hash.as_str(),
            ])?;
        let hash = link.hash();
        let shape = (kind, v);
        if !self.known.contains(&shape) && !self.shapes.contains(&shape) {
            self.transaction.execute(
                "INSERT INTO shapes (kind, v, first_seq) VALUES (?1, ?2, ?3)",
                params![shape.0, shape.1, number(seq.0)],
            )?;
            self.shapes.insert(shape);
        }
        let prev_hash = std::mem::replace(&mut self.head_hash, hash);
        self.head = seq;
        Ok(Envelope {
            seq,
            store: self.store.clone(),
            at_ms: self.at_ms,
            v,
            run: new.run,
            step: new.step,
            cause: new.cause,
            trace: new.trace,
            event: new.event,
            payload_hash,
            prev_hash,
        })
    }

    /// Writes down where the chain is now.
    pub fn finish(&self) -> rusqlite::Result<()> {
        let mut statement =
            self.transaction.prepare_cached("UPDATE store SET head_seq = ?1, head_hash = ?2 WHERE one = 1")?;
        statement.execute(params![number(self.head.0), self.head_hash.as_str()]).map(|_| ())
    }
}

/// SQLite's integers are signed; ours stay below 2^53, and a clock below 2^63 ms.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
