//! Reading a store without owning it: one of a newer version, a damaged one, or one to be audited.
//!
//! Nothing is written, locked or brought up to date. What this build cannot read stays visible as an entry that says
//! why, so that the rest of the history can be read around it.

use crate::blobs::Blobs;
use crate::chain::{Chain, Walk};
use crate::error::{OpenError, ReadError};
use crate::open::blocking;
use crate::reader::{self, Readers};
use crate::store;
use atelier_protocol::{Envelope, Hash, Seq, StoreId};
use std::path::PathBuf;
use std::sync::Arc;

/// One event of a store that is read only.
#[derive(Debug, Clone)]
pub enum Entry {
    /// An event of a shape that this build knows.
    Event(Box<Envelope>),
    /// One that cannot be read here.
    Unreadable {
        /// Its number.
        seq: Seq,
        /// Its kind as stored.
        kind: String,
        /// Version of its payload.
        v: u32,
        /// Hash of its payload.
        payload_hash: Hash,
        /// Why: sealed, newer or damaged.
        why: ReadError,
    },
}

/// A store that is only read.
pub struct ReadOnly {
    store: StoreId,
    newer: Option<String>,
    damaged: Option<String>,
    readers: Arc<Readers>,
}

/// Opens the store in `dir` for reading only, whoever owns it and whatever version wrote it.
pub async fn open_read_only(dir: PathBuf) -> Result<ReadOnly, OpenError> {
    blocking(move || {
        let examined = store::examine(&dir, None)?;
        let readers = Readers::new(store::file(&dir), examined.store.clone(), Blobs::of_store(&dir));
        let store::Examined { store, newer, damaged } = examined;
        Ok(ReadOnly { store, newer, damaged, readers: Arc::new(readers) })
    })
    .await
}

impl ReadOnly {
    /// The store.
    pub fn store(&self) -> &StoreId {
        &self.store
    }

    /// What in it this build does not know, such as ``event `plan_written` version 2``.
    pub fn newer(&self) -> Option<&str> {
        self.newer.as_deref()
    }

    /// What is wrong with it, where that shows at its end. [`ReadOnly::verify`] looks everywhere.
    pub fn damaged(&self) -> Option<&str> {
        self.damaged.as_deref()
    }

    /// Entries after `after`, at most `limit`, in order.
    pub async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let store = self.store.clone();
        self.readers
            .with(move |connection, readers| {
                let rows = reader::rows(connection, None, after, Seq(u64::MAX), limit, usize::MAX)?;
                Ok(rows
                    .into_iter()
                    .map(|row| {
                        let (seq, kind, v) = (row.seq, row.kind.clone(), row.v);
                        let payload_hash = row.payload_hash.clone();
                        match row.decode(&store, readers.blobs()) {
                            Ok(envelope) => Entry::Event(Box::new(envelope)),
                            Err(why) => Entry::Unreadable { seq, kind, v, payload_hash, why },
                        }
                    })
                    .collect())
            })
            .await
    }

    /// Walks the chain as [`crate::Journal::verify`] does. Works for newer events too: the chain is over their bytes.
    pub async fn verify(&self) -> Result<Chain, ReadError> {
        Walk::whole(&self.readers).await
    }
}
