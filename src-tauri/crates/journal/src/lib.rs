//! Event history and blobs in SQLite; one owner per store.
//!
//! [`open`] makes this process the owner of a store or a guest of the process that is. The owner appends to the
//! [`Journal`], reads it and serves guests over a local socket; a [`Guest`] asks and subscribes. When an owner goes,
//! however it goes, the next process that opens the store takes over with the next epoch.
//!
//! Rules kept here: only the writer makes sequence numbers; an event is true once it is committed; every envelope is
//! chained to the one before; a store that is damaged or newer is named and never written. What an event means is
//! none of this crate's business, and nothing here deletes history.

mod ahead;
mod append;
mod aside;
mod backup;
mod blobs;
mod carve;
mod chain;
mod checkpoint;
mod door;
mod error;
mod feed;
mod group;
mod guest;
mod journal;
mod marks;
mod open;
mod owner;
mod pool;
mod projection;
mod projection_file;
mod projections;
mod prune;
mod queue;
mod read_only;
mod reader;
mod reserve;
mod salvage;
mod schema;
mod snapshots;
mod store;
mod subscribe;
mod sync;
mod turns;
mod wire;
mod writer;

pub use append::{Append, Mark, Receipt};
pub use backup::BackUp;
pub use chain::Chain;
pub use door::OpHandler;
pub use error::{AppendError, BlobError, CopyError, OpenError, ProjectionError, ReadError};
pub use guest::Guest;
pub use journal::Journal;
pub use open::{Opened, Owned, StoreConfig, open};
pub use owner::StoreLock;
pub use projection::{KeyedRow, Order, Projection, ProjectionState, Rows};
pub use projections::Projections;
pub use prune::{Pruned, Usage};
pub use read_only::{Entry, ReadOnly, open_read_only};
pub use salvage::{Salvaged, salvage};
pub use subscribe::Subscription;
