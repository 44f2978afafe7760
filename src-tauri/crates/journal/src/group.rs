//! The events of one transaction: each gets its number, its place in the chain, and its row.
//!
//! Everything happens inside the writer's transaction and counts only once that is committed. Payloads above
//! [`SPILL`] bytes are in the blob folder already and are only named here.

use crate::append::{Mark, Receipt};
use crate::chain::Link;
use crate::error::AppendError;
use crate::marks;
use crate::reader;
use crate::schema::SPILL;
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

/// Where the events of one append are now.
pub(crate) struct Placed {
    first: Seq,
    at_ms: u64,
    /// Of each event the hash of the envelope before it.
    prev_hashes: Vec<Hash>,
}

impl Placed {
    /// The append's events as recorded. Once they are committed.
    pub fn receipt(self, events: Vec<Encoded>, store: &StoreId) -> Receipt {
        let mut seq = self.first;
        let mut last = seq;
        let placed = events.into_iter().zip(self.prev_hashes).map(|(Encoded { new, payload_hash, .. }, prev_hash)| {
            last = seq;
            seq = seq.next();
            Envelope {
                seq: last,
                store: store.clone(),
                at_ms: self.at_ms,
                v: new.event.version(),
                run: new.run,
                step: new.step,
                cause: new.cause,
                trace: new.trace,
                event: new.event,
                payload_hash,
                prev_hash,
            }
        });
        let events = placed.collect();
        Receipt { first: self.first, last, events }
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

    pub fn append(&mut self, events: &[Encoded], marks: &[Mark]) -> rusqlite::Result<Placed> {
        let first = if events.is_empty() { self.head } else { self.head.next() };
        marks::set(self.transaction, marks, first)?;
        let mut runs: Vec<(&RunId, Vec<Seq>)> = Vec::new();
        let mut prev_hashes = Vec::with_capacity(events.len());
        for event in events {
            prev_hashes.push(self.insert(event)?);
            if let Some(run) = &event.new.run {
                match runs.iter_mut().find(|(seen, _)| *seen == run) {
                    Some((_, seqs)) => seqs.push(self.head),
                    None => runs.push((run, vec![self.head])),
                }
            }
        }
        runs.into_iter().try_for_each(|(run, seqs)| self.belong(run, &seqs))?;
        Ok(Placed { first, at_ms: self.at_ms, prev_hashes })
    }

    /// Writes down that these events are of a run.
    fn belong(&self, run: &RunId, seqs: &[Seq]) -> rusqlite::Result<()> {
        let id: i64 = self
            .transaction
            .prepare_cached(
                "INSERT INTO runs (run, first_seq, events) VALUES (?1, ?2, ?3)
                 ON CONFLICT (run) DO UPDATE SET events = events + excluded.events RETURNING id",
            )?
            .query_row(params![run.as_str(), seqs.first().map(|seq| number(seq.0)), seqs.len() as i64], |row| {
                row.get(0)
            })?;
        let mut statement = self.transaction.prepare_cached("INSERT INTO of_run (id, event) VALUES (?1, ?2)")?;
        seqs.iter().try_for_each(|seq| statement.execute(params![id, number(seq.0)]).map(|_| ()))
    }

    /// Writes one event; gives the hash of the envelope before it.
    fn insert(&mut self, event: &Encoded) -> rusqlite::Result<Hash> {
        let Encoded { new, kind, payload, payload_hash } = event;
        let (seq, v) = (self.head.next(), new.event.version());
        let link = Link {
            seq,
            store: self.store.as_str(),
            at_ms: self.at_ms,
            kind,
            v,
            run: new.run.as_ref().map(RunId::as_str),
            step: new.step.as_ref().map(|step| step.as_str()),
            cause: new.cause,
            trace: new.trace.as_deref(),
            key_id: None,
            payload_hash,
            prev_hash: &self.head_hash,
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO events
                 (seq, at_ms, kind, v, run, step, cause, trace, payload, key_id, payload_hash, prev_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
                (!event.spills()).then_some(payload),
                link.key_id,
                payload_hash.bytes(),
                self.head_hash.bytes(),
            ])?;
        let hash = link.hash();
        let shape = (kind.clone(), v);
        if !self.known.contains(&shape) && !self.shapes.contains(&shape) {
            self.transaction.execute(
                "INSERT INTO shapes (kind, v, first_seq) VALUES (?1, ?2, ?3)",
                params![shape.0, shape.1, number(seq.0)],
            )?;
            self.shapes.insert(shape);
        }
        self.head = seq;
        Ok(std::mem::replace(&mut self.head_hash, hash))
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
