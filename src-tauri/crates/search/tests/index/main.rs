//! The index on real folders: what it finds, how it keeps up, and that it never says what is not so.

#![allow(clippy::unwrap_used)]

mod asking;
mod bench;
mod context;
mod freshness;
mod keeping;
mod killed;
mod meaning;
mod past;
mod shelf;
