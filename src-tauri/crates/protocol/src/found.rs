//! Answers of a search, and the state of the index they come from.
//!
//! Plain data, re-exported by [`crate::view`]. Every hit names what it was cut from, with a hash.

use crate::document::Anchor;
use crate::error::Problem;
use crate::hash::Hash;
use crate::ids::{ProjectId, RunId, Seq, StepId};
use crate::settings::ModelChoice;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a hit is cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum HitKind {
    /// A file of code, settings or data.
    Code,
    /// A text for people.
    Doc,
    /// The message of an earlier commit.
    Commit,
    /// Something that was said in a run: a goal, a turn of a role, a remark.
    Chat,
    /// The requirements made from a goal.
    Spec,
    /// Something that was decided: an answered question, a review, what became of a result.
    Decision,
    /// A part of a file of another format.
    Document,
    /// A note or snippet of the library.
    Note,
}

/// A search hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Hit {
    /// What it is cut from.
    pub kind: HitKind,
    /// Path in the project; of a commit its id.
    pub path: String,
    /// First and last line, 1-based and inclusive.
    pub lines: [u32; 2],
    /// Higher is better; only comparable within one answer.
    pub score: f32,
    /// The lines' text.
    pub snippet: String,
    /// Hash of the whole file, or message, that the lines were cut from.
    pub hash: Hash,
    /// The innermost definition that holds the lines, or the first in them, where the index knows it.
    #[serde(default)]
    pub symbol: Option<String>,
    /// What it is called, where its path does not say that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub title: Option<String>,
    /// Where it can be looked up, where that is no line of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub origin: Option<Origin>,
    /// The project that it is of, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub project: Option<OtherProject>,
}

/// Where a hit that is no line of a file can be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// An event of a run.
    Event {
        /// The run.
        run: RunId,
        /// Its step, where it has one.
        #[serde(default)]
        step: Option<StepId>,
        /// The event.
        seq: Seq,
        /// When, milliseconds since 1970 UTC.
        #[ts(type = "number")]
        at_ms: u64,
    },
    /// A part of a document.
    Part {
        /// Which.
        anchor: Anchor,
    },
    /// An entry of the library.
    Library {
        /// Its id.
        id: String,
    },
}

/// A project that a hit comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct OtherProject {
    /// The project.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Its folder.
    pub path: String,
    /// Its licence, as far as its files tell; `None` where they do not.
    pub licence: Option<Licence>,
}

/// A licence, and what says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Licence {
    /// An SPDX expression (<https://spdx.org/licenses>), or the words of the manifest.
    pub name: String,
    /// The file that says so.
    pub from: String,
}

/// A part of the index that may still be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum IndexPart {
    /// Definitions in the files.
    Symbols,
    /// What earlier commits say.
    History,
    /// What was said and decided in runs.
    Records,
    /// Files of other formats.
    Documents,
    /// What passages mean.
    Meaning,
}

/// The answer to a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Files that were changed after they were indexed and were read for this answer.
    pub scanned: u32,
    /// What the answer had to do without, because it is not in the index yet.
    pub missing: Vec<IndexPart>,
    /// What files were found by.
    #[serde(default)]
    pub by: Vec<FoundBy>,
    /// Why meaning was left out, where the settings name a model for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub without_meaning: Option<Problem>,
    /// Bytes of the project that were packed and were unpacked for this answer, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub unpacked: Option<u64>,
}

/// A half of a search over files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// Words: content, path, definitions, what earlier commits say.
    Words,
    /// What passages mean, by the vectors of a model.
    Meaning,
}

/// How much of a project has vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct MeaningView {
    /// The model that makes them.
    pub model: ModelChoice,
    /// Passages that have one.
    pub known: u32,
    /// Passages that have none yet.
    pub wanting: u32,
    /// Passages that get none, because there are too many.
    pub beyond: u32,
    /// Why the model could not be asked the last time.
    pub problem: Option<Problem>,
}

/// What the user's other projects answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct FoundElsewhere {
    /// The first of each project, then the second of each, and so on; each with its project.
    pub hits: Vec<Hit>,
    /// The projects that were asked.
    pub searched: Vec<OtherProject>,
    /// Shared projects that could not be asked, and why.
    pub left_out: Vec<(String, Problem)>,
    /// How many projects are private and were not asked.
    pub private: u32,
    /// Whether some of them do not have all parts of their index yet.
    pub missing: bool,
    /// Bytes that were packed and were unpacked for this answer, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub unpacked: Option<u64>,
}

/// How changes of the folder come to the index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum WatchView {
    /// Nobody watches: each search looks around first.
    #[default]
    Off,
    /// The system tells of them.
    Watching {
        /// Folders that are watched.
        folders: u32,
    },
    /// They are looked for from time to time, because the system has no watches left.
    Polling {
        /// How long lies between two rounds, in milliseconds.
        every_ms: u64,
        /// Why.
        reason: String,
    },
    /// The folder is not there; it is waited for.
    Gone,
}

/// The state of a project's index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct IndexView {
    /// Files in it.
    pub files: u32,
    /// Files that were new or changed in the last refresh.
    pub updated: u32,
    /// Files that were removed in the last refresh.
    pub removed: u32,
    /// Files left out, and why: path and reason.
    pub skipped: Vec<(String, String)>,
    /// How long the last refresh took, in milliseconds.
    pub ms: u64,
    /// Changed files that are not in the index yet; a search reads them.
    #[serde(default)]
    pub pending: u32,
    /// Earlier commits that are known.
    #[serde(default)]
    pub commits: u32,
    /// The commit up to which the history is known.
    #[serde(default)]
    pub head: Option<String>,
    /// Files of other formats that can be found.
    #[serde(default)]
    pub documents: u32,
    /// How much of it has vectors; `None` where the settings name no model for that.
    #[serde(default)]
    pub meaning: Option<MeaningView>,
    /// Parts that are not complete yet.
    #[serde(default)]
    pub missing: Vec<IndexPart>,
    /// How it learns of changes.
    #[serde(default)]
    pub watch: WatchView,
    /// Bytes that were packed and were unpacked for this, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub unpacked: Option<u64>,
}
