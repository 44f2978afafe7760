//! Event history, projections and blobs in SQLite; one owner per store.
