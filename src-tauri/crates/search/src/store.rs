//! The fields of a document, what is stored about a file, and the bridge to tantivy's words.

use crate::terms::Terms;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tantivy::schema::{FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The version of everything below. An index of another version is built again.
pub(crate) const SCHEMA: u32 = 2;

/// The fields of a document. A file has one with its words, also where it is left out, and one with its definitions
/// where its language is known: that one comes later, and a document cannot be changed, only replaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// The path as it is: the key of both documents.
    pub path: Field,
    /// The file's number in this index; stays as long as the file.
    pub id: Field,
    /// [`HitKind`] of the file.
    pub kind: Field,
    /// [`Entry`] as JSON, stored only, of the document with the words.
    pub entry: Field,
    /// The terms of the path.
    pub name: Field,
    /// The terms of the content.
    pub text: Field,
    /// The names of the definitions.
    pub defs: Field,
    /// The definitions as JSON, stored only.
    pub symbols: Field,
}

impl Fields {
    pub(crate) fn new() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let terms = |tokenizer: &str, option| {
            TextOptions::default()
                .set_indexing_options(TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(option))
        };
        let fields = Self {
            path: schema.add_text_field("path", STRING | STORED),
            id: schema.add_u64_field("id", FAST | STORED),
            kind: schema.add_text_field("kind", STRING),
            entry: schema.add_text_field("entry", STORED),
            name: schema.add_text_field("name", terms("name", IndexRecordOption::WithFreqs)),
            text: schema.add_text_field("text", terms("text", IndexRecordOption::WithFreqs)),
            defs: schema.add_text_field("defs", terms("name", IndexRecordOption::WithFreqs)),
            symbols: schema.add_text_field("symbols", STORED),
        };
        (schema.build(), fields)
    }
}

/// What is known about a file. The index keeps it; there is no second list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The file's marks when it was read.
    #[serde(flatten)]
    pub marks: Marks,
    /// When it was read, in nanoseconds since 1970. A change so soon after that the clock does not show it is possible.
    pub seen: i64,
    /// What was read.
    #[serde(flatten)]
    pub content: Content,
}

/// What the file system says about a file; equal marks mean, with time between, equal content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Bytes.
    pub len: u64,
    /// When the content was changed, in nanoseconds since 1970.
    pub mtime: i64,
    /// When anything about it was changed; 0 where the system does not say. A tool can set `mtime` back, not this.
    pub ctime: i64,
    /// The file's number; 0 where the system does not say.
    pub inode: u64,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    /// Text that is indexed, by its hash.
    Hash(String),
    /// Something that is left out, and why.
    Skipped(String),
}

impl Content {
    /// Why it is left out, where it is.
    pub(crate) fn skipped(&self) -> Option<&str> {
        match self {
            Content::Hash(_) => None,
            Content::Skipped(reason) => Some(reason),
        }
    }
}

/// Text on its way to the index's own thread. That thread's queue is bounded in documents, not in bytes, so
/// without this a refresh of large files could hold gigabytes.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Mutex<usize>,
    shrunk: Condvar,
}

impl Backlog {
    const MOST: usize = 16 << 20;

    /// Waits until there is room, then counts `bytes`.
    pub(crate) fn add(&self, bytes: usize) {
        let waiting = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        // The limit on waiting is for a writer that died; adding the document then says so.
        let full = |waiting: &mut usize| *waiting > Self::MOST;
        let mut waiting = match self.shrunk.wait_timeout_while(waiting, Duration::from_secs(10), full) {
            Ok((waiting, _)) => waiting,
            Err(poisoned) => poisoned.into_inner().0,
        };
        *waiting += bytes;
    }

    fn taken(&self, bytes: usize) {
        let mut waiting = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = waiting.saturating_sub(bytes);
        self.shrunk.notify_all();
    }

    /// Forgets what a dropped writer never took.
    pub(crate) fn clear(&self) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }
}

/// Our terms as tantivy's tokens.
#[derive(Clone, Default)]
pub(crate) struct CodeTokenizer {
    token: Token,
    backlog: Option<Arc<Backlog>>,
}

impl CodeTokenizer {
    /// One that counts what it takes off `backlog`.
    pub(crate) fn counted(backlog: &Arc<Backlog>) -> Self {
        Self { token: Token::default(), backlog: Some(Arc::clone(backlog)) }
    }
}

/// The tokens of one text.
pub(crate) struct Tokens<'a> {
    terms: Terms<'a>,
    token: &'a mut Token,
}

impl Tokenizer for CodeTokenizer {
    type TokenStream<'a> = Tokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens<'a> {
        if let Some(backlog) = &self.backlog {
            backlog.taken(text.len());
        }
        self.token.reset();
        Tokens { terms: Terms::of(text), token: &mut self.token }
    }
}

impl TokenStream for Tokens<'_> {
    fn advance(&mut self) -> bool {
        match self.terms.next_into(&mut self.token.text) {
            None => false,
            Some(piece) => {
                self.token.offset_from = piece.from;
                self.token.offset_to = piece.to;
                self.token.position = piece.position;
                true
            }
        }
    }
    fn token(&self) -> &Token {
        self.token
    }
    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
