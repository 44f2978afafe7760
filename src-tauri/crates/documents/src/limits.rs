//! How much is read. A file that asks for more gets an honest end, not the machine.

/// Bytes of a file that are taken into memory, and that its hash is of. Of a longer text the beginning is read.
pub const FILE: u64 = 64 << 20;
/// Bytes that a package may unpack to, all in all.
pub(crate) const UNPACKED: u64 = 128 << 20;
/// Bytes of text that a document may have.
pub(crate) const TEXT: usize = 8 << 20;
/// Cells that all tables of a document may have.
pub(crate) const CELLS: usize = 4_000_000;
/// How deep elements may lie in each other.
pub(crate) const DEPTH: usize = 200;
/// Entries of an archive, messages of a mailbox, slides, chapters that are looked at.
pub(crate) const ENTRIES: usize = 20_000;
/// Pages of a PDF that are read.
pub(crate) const PAGES: u32 = 5_000;
/// Rows of a table that are in the text; the table's own view counts all.
pub(crate) const SHOWN_ROWS: usize = 200;
/// Rows in the view of a table.
pub(crate) const PREVIEW: usize = 20;
/// Rows that a query answers.
pub(crate) const ANSWER: usize = 1_000;

/// Memory that the reading process may ask for, in bytes: the file, what it unpacks to, and what is made of it.
pub(crate) const PROCESS_MEMORY: u64 = 2 << 30;
/// Seconds of a core that the reading process may use.
pub(crate) const PROCESS_SECONDS: u64 = 60;
