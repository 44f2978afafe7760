//! Answers that are kept to be given again: files in the cache folder that may be deleted at any time.
//!
//! An answer counts for so long, and only while the files that its question held are as they were. What holds keys or
//! personal data, was cut short or is no answer is never kept. A file that cannot be read is no answer.

use atelier_models::cache::{Question, likeness};
use atelier_models::{ChatRequest, ModelEvent, Turn, mask};
use atelier_protocol::event::{Stop, ToolCall, Usage};
use atelier_protocol::hash::Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that are kept at most, and their bytes. The oldest go.
const MOST: usize = 4_096;
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// After so many that were kept, what is too old or too much is removed.
const SWEEP: u32 = 64;
/// Questions that are compared by likeness at most: the newest.
const MOST_LIKE: usize = 512;

/// The answers kept for one place: a project, or the door without one.
pub(crate) struct Answers {
    folder: PathBuf,
    /// Whose counts these are.
    door: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    since_sweep: u32,
    /// Vectors of questions by where their answers are; read on first use.
    like: Option<Vec<Like>>,
}

struct Like {
    key: Hash,
    /// What else the question is made of.
    of: Hash,
    vector: Vec<f32>,
}

/// How often answers were looked for and given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Questions whose answer might be kept.
    pub asked: u64,
    /// Answers to the same question.
    pub same: u64,
    /// Answers to a like one.
    pub like: u64,
    /// Answers that were too old, or whose files had changed.
    pub stale: u64,
}

/// What is kept, for people.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct KeptView {
    /// Answers.
    pub answers: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How often they were looked for and given.
    pub counts: Counts,
}

/// A file of a project that a question held, and what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFile {
    /// Its path below the project's folder.
    pub path: String,
    /// Its content.
    pub hash: Hash,
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The same question.
    Same,
    /// A like one.
    Like,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    schema: u32,
    at_ms: u64,
    files: Vec<HeldFile>,
    text: String,
    thinking: String,
    tool_calls: Vec<ToolCall>,
    usage: Usage,
    stop: Stop,
    /// What the question is made of besides its last message, and the vector of that.
    #[serde(default)]
    like: Option<(Hash, Vec<f32>)>,
}

/// What is asked for, and what makes it stale.
pub(crate) struct Looked<'a> {
    pub question: &'a Question,
    /// The vector of the last message, with the floor of likeness.
    pub vector: Option<(&'a [f32], f32)>,
    /// Milliseconds since 1970 UTC.
    pub now_ms: u64,
    pub for_ms: u64,
    /// The project's folder.
    pub root: Option<&'a Path>,
}

impl Answers {
    pub(crate) fn at(folder: PathBuf, door: String) -> Self {
        Self { folder, door, state: Mutex::default() }
    }

    /// The answer to the same question, or to one that is like enough.
    pub(crate) fn find(&self, looked: &Looked<'_>) -> Option<(Found, Turn)> {
        self.state().counts.asked += 1;
        if let Some(key) = &looked.question.exact
            && let Some(turn) = self.usable(key, looked)
        {
            self.state().counts.same += 1;
            return Some((Found::Same, turn));
        }
        let ((vector, floor), of) = looked.vector.zip(looked.question.like.as_ref())?;
        let nearest = {
            let mut state = self.state();
            let all = state.like.get_or_insert_with(|| vectors(&self.folder));
            let near = all.iter().filter(|one| one.of == *of).map(|one| (likeness(&one.vector, vector), one));
            let near = near.filter(|(likeness, _)| *likeness >= floor).max_by(|a, b| a.0.total_cmp(&b.0));
            near.map(|(_, one)| one.key.clone())
        };
        let turn = self.usable(&nearest?, looked)?;
        self.state().counts.like += 1;
        Some((Found::Like, turn))
    }

    fn usable(&self, key: &Hash, looked: &Looked<'_>) -> Option<Turn> {
        let file = self.file(key);
        let entry: Entry =
            serde_json::from_slice(&std::fs::read(&file).ok()?).ok().filter(|entry: &Entry| entry.schema == 1)?;
        let old = entry.at_ms.saturating_add(looked.for_ms) <= looked.now_ms;
        let as_it_was = |held: &HeldFile| {
            looked
                .root
                .is_some_and(|root| std::fs::read(root.join(&held.path)).is_ok_and(|now| Hash::of(&now) == held.hash))
        };
        if old || !entry.files.iter().all(as_it_was) {
            let mut state = self.state();
            state.counts.stale += 1;
            if let Some(like) = &mut state.like {
                like.retain(|one| one.key != *key);
            }
            drop(state);
            let _ = std::fs::remove_file(file); // who comes next finds it as stale
            return None;
        }
        let Entry { text, thinking, tool_calls, usage, stop, .. } = entry;
        Some(Turn { text, thinking, tool_calls, usage, stop, from_text: false })
    }

    /// Keeps an answer, unless it is none or holds what must not be kept.
    pub(crate) fn keep(
        &self,
        question: &Question,
        request: &ChatRequest,
        turn: &Turn,
        vector: Option<Vec<f32>>,
        files: Vec<HeldFile>,
        now_ms: u64,
    ) -> io::Result<()> {
        let like = question.like.clone().zip(vector);
        let Some(key) = question.exact.clone().or_else(|| Some(key_of_like(question, like.as_ref()?))) else {
            return Ok(());
        };
        let whole = !turn.is_empty() && matches!(turn.stop, Stop::End | Stop::Tools);
        if !whole || !mask(request).1.is_empty() || !holds_nothing_sensitive(turn) {
            return Ok(());
        }
        let entry = Entry {
            schema: 1,
            at_ms: now_ms,
            files,
            text: turn.text.clone(),
            thinking: turn.thinking.clone(),
            tool_calls: turn.tool_calls.clone(),
            usage: turn.usage.clone(),
            stop: turn.stop,
            like: like.clone(),
        };
        std::fs::create_dir_all(&self.folder)?;
        write(&self.file(&key), &serde_json::to_vec(&entry)?, &self.door)?;
        let mut state = self.state();
        if let (Some(all), Some((of, vector))) = (&mut state.like, like) {
            all.retain(|one| one.key != key);
            all.push(Like { key, of, vector });
            let over = all.len().saturating_sub(MOST_LIKE);
            all.drain(..over);
        }
        state.since_sweep += 1;
        if state.since_sweep >= SWEEP {
            state.since_sweep = 0;
            drop(state);
            sweep(&self.folder);
        }
        Ok(())
    }

    /// Adds this process's counts to the file of counts.
    pub(crate) fn note_counts(&self) {
        let counts = self.state().counts;
        let noted = std::fs::create_dir_all(&self.folder).and_then(|()| {
            write(&self.folder.join(format!("{}.counts", self.door)), &serde_json::to_vec(&counts)?, &self.door)
        });
        if let Err(error) = noted {
            tracing::debug!(%error, "how often kept answers were given could not be noted");
        }
    }

    fn file(&self, key: &Hash) -> PathBuf {
        self.folder.join(format!("{}.answer", key.hex()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept in a folder.
pub(crate) fn view(folder: &Path) -> KeptView {
    let mut view = KeptView::default();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.extension().and_then(|end| end.to_str()) {
            Some("answer") => {
                view.answers += 1;
                view.bytes += entry.metadata().map_or(0, |meta| meta.len());
            }
            Some("counts") => {
                let read = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Counts>(&text).ok());
                let Counts { asked, same, like, stale } = read.unwrap_or_default();
                view.counts.asked += asked;
                view.counts.same += same;
                view.counts.like += like;
                view.counts.stale += stale;
            }
            _ => {}
        }
    }
    view
}

/// Removes everything that is kept.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The events of an answer that is given again.
pub(crate) fn events(turn: Turn) -> Vec<ModelEvent> {
    let Turn { text, thinking, tool_calls, usage, stop, .. } = turn;
    let said = |text: String, event: fn(String) -> ModelEvent| (!text.is_empty()).then(|| event(text));
    let calls = tool_calls.into_iter().map(ModelEvent::ToolCall);
    let mut events: Vec<ModelEvent> =
        said(thinking, ModelEvent::Thinking).into_iter().chain(said(text, ModelEvent::Text)).chain(calls).collect();
    events.push(ModelEvent::Done { usage, stop, rest: None });
    events
}

fn key_of_like(question: &Question, (of, _): &(Hash, Vec<f32>)) -> Hash {
    Hash::of(format!("{of}\n{}", question.last).as_bytes())
}

fn holds_nothing_sensitive(turn: &Turn) -> bool {
    let as_message = atelier_models::Message::assistant(turn.text.clone(), turn.tool_calls.clone());
    mask(&ChatRequest::new("", vec![as_message])).1.is_empty()
}

/// Whole or not at all.
fn write(file: &Path, bytes: &[u8], door: &str) -> io::Result<()> {
    let beside = file.with_extension(format!("{door}.new"));
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, file)
}

/// The vectors of the newest questions.
fn vectors(folder: &Path) -> Vec<Like> {
    let mut newest = by_age(folder);
    newest.reverse();
    let mut found: Vec<Like> = newest
        .into_iter()
        .filter_map(|(_, _, path)| {
            let key = Hash::from_hex(path.file_stem()?.to_str()?)?;
            let entry: Entry = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
            let (of, vector) = entry.like?;
            Some(Like { key, of, vector })
        })
        .take(MOST_LIKE)
        .collect();
    found.reverse();
    found
}

/// Answers with their age and size, the oldest first.
fn by_age(folder: &Path) -> Vec<(std::time::SystemTime, u64, PathBuf)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "answer"))
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some((meta.modified().ok()?, meta.len(), entry.path()))
        })
        .collect();
    all.sort();
    all
}

fn sweep(folder: &Path) {
    let all = by_age(folder);
    let mut bytes: u64 = all.iter().map(|(_, size, _)| size).sum();
    let mut count = all.len();
    for (_, size, path) in all {
        if count <= MOST && bytes <= MOST_BYTES {
            return;
        }
        let _ = std::fs::remove_file(path); // another process may have swept it
        count -= 1;
        bytes -= size;
    }
}

/// The files of a project that a question says it holds, as they are now.
pub(crate) fn held_files(root: &Path, named: &[String]) -> Result<Vec<HeldFile>, String> {
    let mut seen = BTreeMap::new();
    for path in named {
        let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let read = if inside { std::fs::read(root.join(path)).ok() } else { None };
        let Some(bytes) = read else { return Err(path.clone()) };
        seen.insert(path.clone(), Hash::of(&bytes));
    }
    Ok(seen.into_iter().map(|(path, hash)| HeldFile { path, hash }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_models::Message;
    use atelier_models::cache::question;

    struct Room {
        folder: tempfile::TempDir,
        answers: Answers,
    }

    fn room() -> Room {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers::at(folder.path().join("answers"), "d".to_owned());
        Room { folder, answers }
    }

    fn asked(last: &str) -> ChatRequest {
        ChatRequest { temperature: Some(0.0), ..ChatRequest::new("m", vec![Message::user(last)]) }
    }

    fn said(text: &str) -> Turn {
        let (tool_calls, usage) = (Vec::new(), Usage::default());
        Turn { text: text.into(), thinking: String::new(), tool_calls, usage, stop: Stop::End, from_text: false }
    }

    impl Room {
        fn keep(&self, last: &str, turn: &Turn, vector: Option<Vec<f32>>, files: Vec<HeldFile>) {
            let request = asked(last);
            self.answers.keep(&question("d", &request), &request, turn, vector, files, 1_000).unwrap();
        }
        fn find(&self, last: &str, vector: Option<&[f32]>, now_ms: u64) -> Option<(Found, String)> {
            let question = question("d", &asked(last));
            let vector = vector.map(|vector| (vector, 0.9));
            let root = Some(self.folder.path());
            let looked = Looked { question: &question, vector, now_ms, for_ms: 500, root };
            self.answers.find(&looked).map(|(found, turn)| (found, turn.text))
        }
    }

    /// Guards: a kept answer is given only while it is true of what it was made from. Turned red by a look that leaves
    /// out the time, or the hashes of files.
    #[test]
    fn an_answer_is_given_again_until_it_is_old_or_its_files_change() {
        let room = room();
        assert_eq!(room.find("a", None, 1_000), None);
        std::fs::write(room.folder.path().join("a.rs"), "one").unwrap();
        let files = held_files(room.folder.path(), &["a.rs".to_owned()]).unwrap();
        room.keep("a", &said("A."), None, files);
        let same = Some((Found::Same, "A.".to_owned()));
        assert_eq!((room.find("a", None, 1_400), room.find("b", None, 1_400)), (same, None));
        std::fs::write(room.folder.path().join("a.rs"), "two").unwrap();
        assert_eq!(room.find("a", None, 1_400), None, "its file has changed");
        room.keep("b", &said("B."), None, Vec::new());
        assert_eq!(room.find("b", None, 1_500), None, "it is old");
        room.answers.note_counts();
        let view = view(&room.answers.folder);
        assert_eq!((view.answers, view.counts), (0, Counts { asked: 5, same: 1, like: 0, stale: 2 }));
    }

    #[test]
    fn a_like_question_has_the_answer_of_the_nearest_above_the_floor() {
        let room = room();
        room.keep("how do I greet", &said("Say hello."), Some(vec![1.0, 0.0]), Vec::new());
        room.keep("how do I leave", &said("Say goodbye."), Some(vec![0.0, 1.0]), Vec::new());
        let like = |vector: [f32; 2]| room.find("how can one greet", Some(&vector), 1_100);
        assert_eq!(like([0.95, 0.1]), Some((Found::Like, "Say hello.".to_owned())));
        assert_eq!(like([0.1, 0.95]), Some((Found::Like, "Say goodbye.".to_owned())));
        assert_eq!(like([0.7, 0.7]), None, "below the floor");
    }

    #[test]
    fn what_is_no_answer_or_holds_secrets_is_not_kept() {
        let room = room();
        room.keep("a", &Turn { stop: Stop::Length, ..said("cut") }, None, Vec::new());
        room.keep("b", &said("  "), None, Vec::new());
        room.keep("write to ada@example.org", &said("Done."), None, Vec::new());
        room.keep("c", &said("It is ada@example.org."), None, Vec::new());
        assert_eq!(view(&room.answers.folder).answers, 0);
        assert_eq!(held_files(room.folder.path(), &["../x".to_owned()]), Err("../x".to_owned()));
    }
}
