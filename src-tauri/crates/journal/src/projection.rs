//! What a projection is: rows that follow from the events by a fold.
//!
//! A projection is a pure function of the history. Its rows are kept in a file that can be deleted at any time; made
//! anew they are the same, byte for byte. So a fold looks at nothing but its arguments.

use atelier_protocol::{Envelope, Hash, Seq};

/// Rows by key that are folded from the events of a store.
pub trait Projection: Send + Sync + 'static {
    /// Its name, one word.
    fn name(&self) -> &'static str;

    /// Version of the fold. Rows of another version are thrown away and made anew.
    fn version(&self) -> u32;

    /// Keys of the rows that this event changes; mostly none or one. The same key twice is folded twice.
    fn keys(&self, event: &Envelope) -> Vec<String>;

    /// The row after the event; `None` where there is none any more. Rows are small: some kilobytes.
    fn fold(&self, key: &str, row: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>>;
}

/// A row with its key.
pub type KeyedRow = (String, Vec<u8>);

/// Which rows of a projection to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Only keys that begin so; empty for all.
    pub prefix: String,
    /// Only keys behind this one, in the order asked for.
    pub after: Option<String>,
    /// In which order.
    pub order: Order,
    /// At most so many; fewer mean that there are no more.
    pub limit: usize,
}

/// An order of keys, by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Rising,
    /// Largest first.
    Falling,
}

/// A projection as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionState {
    /// Its name.
    pub name: &'static str,
    /// Version of its fold.
    pub version: u32,
    /// The last event that is in it.
    pub seq: Seq,
    /// How many rows it has.
    pub rows: u64,
    /// Hash over its rows in key order: for each the length and bytes of key and row, lengths as 8 bytes big end first.
    pub hash: Hash,
}
