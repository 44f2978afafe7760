//! The chain: each envelope carries the hash of the one before it, so that a change of the past shows.
//!
//! The hash of an envelope is BLAKE3 over its canonical bytes: the text `atelier envelope 1` and a line feed, then
//! `seq store at_ms kind v run step cause trace key_id payload_hash prev_hash` in this order. A number is 8 bytes,
//! big end first; a text is its length as such a number and its UTF-8 bytes; an optional field is one byte 0, or one
//! byte 1 and the field. Hashes go in as their text. The payload goes in through `payload_hash`, which is taken over
//! the payload's bytes as stored. The envelope before the first is [`genesis`].
//!
//! The chain shows what was changed; it does not keep anyone who can rewrite the whole file from doing so.

use crate::blobs::Blobs;
use crate::error::ReadError;
use crate::reader::{self, Head, Readers, Row};
use atelier_protocol::{Hash, Seq};
use rusqlite::Connection;
use std::sync::Arc;

/// Rows looked at between two chances to stop.
const PAGE: usize = 512;

/// What stands for the envelope before the first.
pub(crate) fn genesis() -> Hash {
    Hash::of(b"atelier journal genesis 1")
}

/// What the hash of an envelope is taken over.
pub(crate) struct Link<'a> {
    pub seq: Seq,
    pub store: &'a str,
    pub at_ms: u64,
    pub kind: &'a str,
    pub v: u32,
    pub run: Option<&'a str>,
    pub step: Option<&'a str>,
    pub cause: Option<Seq>,
    pub trace: Option<&'a str>,
    pub key_id: Option<&'a str>,
    pub payload_hash: &'a Hash,
    pub prev_hash: &'a Hash,
}

impl Link<'_> {
    /// The envelope's hash, which the next envelope carries.
    pub fn hash(&self) -> Hash {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(b"atelier envelope 1\n");
        number(&mut bytes, self.seq.0);
        text(&mut bytes, self.store);
        number(&mut bytes, self.at_ms);
        text(&mut bytes, self.kind);
        number(&mut bytes, u64::from(self.v));
        optional(&mut bytes, self.run, text);
        optional(&mut bytes, self.step, text);
        optional(&mut bytes, self.cause, |bytes, cause| number(bytes, cause.0));
        optional(&mut bytes, self.trace, text);
        optional(&mut bytes, self.key_id, text);
        text(&mut bytes, self.payload_hash.as_str());
        text(&mut bytes, self.prev_hash.as_str());
        Hash::of(&bytes)
    }
}

fn number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_be_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn optional<T>(bytes: &mut Vec<u8>, field: Option<T>, put: impl Fn(&mut Vec<u8>, T)) {
    match field {
        None => bytes.push(0),
        Some(field) => {
            bytes.push(1);
            put(bytes, field);
        }
    }
}

/// What a walk over the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every event is as it was written.
    Sound {
        /// How many events.
        events: u64,
        /// Hash of the last envelope.
        head: Hash,
    },
    /// An event is not as it was written, or is missing.
    Broken {
        /// The first such event.
        seq: Seq,
        /// What was found.
        reason: String,
    },
}

/// A walk over the chain, some rows at a time, from the first event to the one that was last when it began.
pub(crate) struct Walk {
    head: Head,
    last: Option<Row>,
}

impl Walk {
    /// Walks from the first event to the last, a page at a time, so that dropping the future stops the walk.
    pub async fn whole(readers: &Arc<Readers>) -> Result<Chain, ReadError> {
        let mut walk = readers.with(|connection, _| Walk::begin(connection)).await?;
        loop {
            let step = readers.with(move |connection, readers| {
                let over = walk.advance(connection, readers.blobs())?;
                Ok((walk, over))
            });
            match step.await? {
                (_, Some(chain)) => return Ok(chain),
                (on, None) => walk = on,
            }
        }
    }

    fn begin(connection: &Connection) -> Result<Self, ReadError> {
        Ok(Self { head: reader::head(connection).map_err(reader::failed)?, last: None })
    }

    /// Goes on for some rows; `Some` when the walk is over.
    fn advance(&mut self, connection: &Connection, blobs: &Blobs) -> Result<Option<Chain>, ReadError> {
        let after = self.last.as_ref().map_or(Seq::ZERO, |row| row.seq);
        let rows = reader::rows(connection, None, after, self.head.seq, PAGE, usize::MAX)?;
        let page_is_last = rows.len() < PAGE;
        let mut rows = rows.into_iter().peekable();
        while let Some(row) = rows.next() {
            if let Some(broken) = self.check(&row, rows.peek(), connection, blobs)? {
                return Ok(Some(broken));
            }
            self.last = Some(row);
        }
        if !page_is_last {
            return Ok(None);
        }
        let (seq, hash) =
            self.last.as_ref().map_or((Seq::ZERO, genesis()), |row| (row.seq, row.link(&self.head.store).hash()));
        Ok(Some(if seq != self.head.seq {
            broken(seq.next(), format!("the event is missing; the store says {} is the last", self.head.seq))
        } else if self.head.found > seq {
            broken(seq.next(), format!("the store says {seq} is the last event"))
        } else if hash != self.head.hash {
            broken(seq, "its envelope is not the one the store was left with".into())
        } else {
            Chain::Sound { events: seq.0, head: hash }
        }))
    }

    fn check(
        &self,
        row: &Row,
        next: Option<&Row>,
        connection: &Connection,
        blobs: &Blobs,
    ) -> Result<Option<Chain>, ReadError> {
        let (seq_before, expected) =
            self.last.as_ref().map_or((Seq::ZERO, genesis()), |last| (last.seq, last.link(&self.head.store).hash()));
        if row.seq != seq_before.next() {
            let reason = format!("the event is missing; the next one is {}", row.seq);
            return Ok(Some(broken(seq_before.next(), reason)));
        }
        if row.prev_hash != expected {
            // Either the envelope before was changed or this one's memory of it. The envelope after this one knows:
            // it was made over this one with the hash that it had then.
            let after = match next {
                Some(next) => Some(next.prev_hash.clone()),
                None if row.seq == self.head.seq => Some(self.head.hash.clone()),
                None => {
                    let rows = reader::rows(connection, None, row.seq, self.head.seq, 1, usize::MAX)?;
                    rows.first().map(|next| next.prev_hash.clone())
                }
            };
            let mended = chain_with(row, &self.head.store, &expected);
            let guilty = if seq_before == Seq::ZERO || after == Some(mended) { row.seq } else { seq_before };
            return Ok(Some(broken(guilty, "its envelope is not the one the next event was chained to".into())));
        }
        match row.payload_bytes(blobs) {
            Ok(_) => Ok(None),
            Err(ReadError::Damaged { seq, reason }) => Ok(Some(broken(seq, reason))),
            Err(error) => Err(error),
        }
    }
}

fn chain_with(row: &Row, store: &str, prev_hash: &Hash) -> Hash {
    Link { prev_hash, ..row.link(store) }.hash()
}

fn broken(seq: Seq, reason: String) -> Chain {
    Chain::Broken { seq, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link<'a>(payload: &'a Hash, prev: &'a Hash) -> Link<'a> {
        Link {
            seq: Seq(7),
            store: "home",
            at_ms: 1_790_000_000_000,
            kind: "noticed",
            v: 1,
            run: Some("r"),
            step: None,
            cause: Some(Seq(6)),
            trace: None,
            key_id: None,
            payload_hash: payload,
            prev_hash: prev,
        }
    }

    #[test]
    fn the_canonical_bytes_never_change() {
        // Written stores are chained with these; another value here would call every one of them broken.
        let (payload, prev) = (Hash::of(b"{}"), genesis());
        insta::assert_snapshot!(link(&payload, &prev).hash(), @"blake3:97a3415d9f4527deb8ccb19c96a8f1ec179558ab1fc312009badb8f4d601f5c5");
        insta::assert_snapshot!(genesis(), @"blake3:2d4dc3ed6086e18c3d7d3e8c710c653bcb0d87207125e514b415818ea8b19ca5");
    }

    #[test]
    fn a_text_cannot_move_from_one_field_to_the_next() {
        let (payload, prev) = (Hash::of(b"{}"), genesis());
        let one = Link { run: Some("ab"), step: Some("c"), ..link(&payload, &prev) }.hash();
        let other = Link { run: Some("a"), step: Some("bc"), ..link(&payload, &prev) }.hash();
        let absent = Link { run: Some("ab"), step: None, trace: Some("c"), ..link(&payload, &prev) }.hash();
        assert!(one != other && one != absent && other != absent);
    }
}
