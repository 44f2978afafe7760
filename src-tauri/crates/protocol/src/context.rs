//! What of a project is put before a model for a goal: spans of files, why each is there, and a map for orientation.

use crate::hash::Hash;
use crate::view::IndexPart;
use serde::{Deserialize, Serialize};
use std::fmt;
use ts_rs::TS;

/// Why a span is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum SpanWhy {
    /// It fits the goal.
    Match,
    /// It is a test of a file that fits.
    Test {
        /// That file.
        of: String,
    },
    /// It uses a definition that fits.
    Caller {
        /// The definition's name.
        of: String,
    },
    /// It was mostly changed together with a file that fits.
    Together {
        /// That file.
        with: String,
        /// In how many of a hundred of its changes.
        percent: u32,
    },
}

impl fmt::Display for SpanWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpanWhy::Match => f.write_str("fits the goal"),
            SpanWhy::Test { of } => write!(f, "test of {of}"),
            SpanWhy::Caller { of } => write!(f, "uses {of}"),
            SpanWhy::Together { with, percent } => write!(f, "changed with {with} {percent} times of 100"),
        }
    }
}

/// Lines of a file as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ContextSpan {
    /// Path in the project.
    pub path: String,
    /// First and last line, 1-based and inclusive.
    pub lines: [u32; 2],
    /// Hash of the whole file that the lines were cut from.
    pub hash: Hash,
    /// The lines.
    pub text: String,
    /// The definition that they are, or begin with.
    #[serde(default)]
    pub symbol: Option<String>,
    /// What they cost, estimated.
    pub tokens: u32,
    /// Why they are there.
    #[serde(flatten)]
    pub why: SpanWhy,
}

/// A file of the map, with what it defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct MapFile {
    /// Path in the project.
    pub path: String,
    /// Its definitions: name and first line.
    pub symbols: Vec<(String, u32)>,
}

/// Something that fits and is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SpanLeftOut {
    /// Path in the project.
    pub path: String,
    /// Its lines.
    pub lines: [u32; 2],
    /// Why not.
    pub reason: String,
}

/// What is put before a model for a goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ContextView {
    /// What may be spent, in tokens.
    pub budget: u32,
    /// What is spent, estimated.
    pub tokens: u32,
    /// Spans, the most important first.
    pub spans: Vec<ContextSpan>,
    /// The map.
    pub map: Vec<MapFile>,
    /// What would be next.
    pub left_out: Vec<SpanLeftOut>,
    /// Files that were changed after they were indexed and were read for this.
    pub scanned: u32,
    /// What it had to do without, because it is not in the index yet.
    pub missing: Vec<IndexPart>,
}

impl ContextView {
    /// Exactly the text that is put before a model.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for span in &self.spans {
            let why = match &span.why {
                SpanWhy::Match => String::new(),
                other => format!(" ({other})"),
            };
            let [first, last] = span.lines;
            text.push_str(&format!("\n{} lines {first}-{last}{why}:\n```\n{}\n```\n", span.path, span.text.trim_end()));
        }
        if !self.map.is_empty() {
            text.push_str("\nDefinitions in files that fit:\n");
            for file in &self.map {
                text.push_str(&map_line(file));
            }
        }
        text
    }
}

/// A file of the map as it is written.
pub fn map_line(file: &MapFile) -> String {
    let symbols: Vec<String> = file.symbols.iter().map(|(name, line)| format!("{name} {line}")).collect();
    format!("- {}: {}\n", file.path, symbols.join(", "))
}
