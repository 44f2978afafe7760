//! The user's library: notes and snippets that are kept for all projects, and found from each.
//!
//! They are events of the home store. There are few of them, so they are ranked as they are, without an index.

use crate::desk::Desk;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::LibraryNote;
use atelier_protocol::hash::Hash;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Hit, HitKind, Origin};
use atelier_search::Record;

/// Bytes that a note may have.
const LONGEST: usize = 64 << 10;
/// Notes that a library may hold.
pub(crate) const MOST: usize = 2_000;
/// Hexadecimal digits of a note's id.
const ID: usize = 12;

/// A note that can be kept, or why not.
pub(crate) fn note(title: &str, text: &str, at_ms: u64) -> Result<LibraryNote, Problem> {
    let (title, text) = (title.trim(), text.trim_end());
    let bad = |message: String, hint: &str| Err(Problem::new(Code::BadArgument, message, hint));
    if title.is_empty() || text.trim().is_empty() {
        return bad("A note needs a title and a text.".to_owned(), "Give both.");
    }
    if text.len() > LONGEST {
        let message = format!("The note has {} KiB; at most {} are kept.", text.len() >> 10, LONGEST >> 10);
        return bad(message, "Keep the part that matters, or put it into a file of the project.");
    }
    let hash = Hash::of(format!("{title}\n{text}").as_bytes());
    let id = hash.as_str().trim_start_matches("blake3:").chars().take(ID).collect();
    Ok(LibraryNote { id, title: title.to_owned(), text: text.to_owned(), at_ms })
}

impl Desk {
    /// The notes that fit each question best.
    pub(crate) async fn find_notes(&self, queries: &[String], limit: u32) -> Result<Vec<Vec<Hit>>, Problem> {
        let Reply::Library(notes) = (self.home)(Op::ListLibrary).await? else {
            return Err(Problem::new(Code::Internal, "The library did not answer.", "Please report this."));
        };
        let records: Vec<Record> = notes.into_iter().map(record).collect();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        queries.iter().map(|query| Ok(atelier_search::among(query, &records, limit)?)).collect()
    }
}

fn record(note: LibraryNote) -> Record {
    Record {
        key: note.id.clone(),
        group: note.id.clone(),
        kind: HitKind::Note,
        path: format!("library/{}", note.id),
        hash: Hash::of(note.text.as_bytes()),
        title: note.title,
        text: note.text,
        origin: Origin::Library { id: note.id },
    }
}
