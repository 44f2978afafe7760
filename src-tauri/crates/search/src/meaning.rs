//! What passages of the project mean, as vectors that a model made; the half of a search that needs no common word.
//!
//! A vector is kept by the hash of the passage's text, so it never belongs to other text: a passage that changed has none
//! until it is made. Who asks the model is somebody else. Disposable: what cannot be read is made again.
//!
//! Vectors are kept as directions, one signed byte a number; their cosine is then off by less than a hundredth.

use crate::error::IndexError;
use crate::folder::Folder;
use crate::index::{Index, lock};
use crate::passage::{cut, lines_of};
use crate::store::Content;
use atelier_protocol::Hash;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The version of the file of vectors.
const SCHEMA: u32 = 1;
/// Passages of a project that have vectors; the rest are found by their words alone.
pub const MOST_PASSAGES: usize = 50_000;
/// Bytes of a passage that count: models read some hundred tokens.
const LONGEST: usize = 4_000;
/// Bytes of a hash in the file.
const ID: usize = 32;
/// Bytes of a record's checksum.
const CHECK: usize = 4;

/// The text of a passage by its hash.
type Id = [u8; ID];
/// First and last line of a passage, and its text.
type Cut = ([usize; 2], Id);
type Vectors = HashMap<Id, Box<[i8]>>;

/// A passage that has no vector yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlearned {
    id: Id,
    /// Its text.
    pub text: String,
}

/// A passage that means something alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// The file.
    pub path: Arc<str>,
    /// First and last line, 1-based and inclusive.
    pub(crate) lines: [usize; 2],
    id: Id,
    /// The cosine of the angle between both, -1 to 1.
    pub cosine: f32,
}

impl Near {
    /// Whether the lines in `text` are still the ones that were meant.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        self.lines[1] <= text.lines().count() && id_of(shown(&self.path, text, self.lines)) == self.id
    }
}

/// The vectors of a project's passages, by one model. One process at a time; any number of threads.
pub struct Meaning {
    model: String,
    file: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Numbers of a vector; 0 until there is one.
    length: usize,
    vectors: Vectors,
    /// The passages of each file, with the hash of the file that they were cut from.
    files: HashMap<Arc<str>, (Hash, Vec<Cut>)>,
    /// Passages beyond what is kept.
    beyond: usize,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Header {
    schema: u32,
    model: String,
    length: usize,
}

/// How much of a project has vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learned {
    /// Passages that have one.
    pub known: usize,
    /// Passages that have none yet.
    pub wanting: usize,
    /// Passages that get none, because there are too many.
    pub beyond: usize,
}

impl Meaning {
    /// Opens the vectors of a model in `dir`, which is made if needed. A file that ends in the middle of a vector is taken
    /// up to there; one of another version or model is made anew.
    pub fn open(dir: &Path, model: &str) -> Result<Self, IndexError> {
        fs::create_dir_all(dir).map_err(IndexError::storage("making the folder of vectors", dir))?;
        let name = Hash::of(model.as_bytes());
        let name = name.as_str().trim_start_matches("blake3:").get(..16).unwrap_or("model").to_owned();
        let file = dir.join(format!("{name}.vectors"));
        let mut inner = Inner::default();
        if let Ok(opened) = File::open(&file)
            && let Some((length, vectors)) = read(BufReader::new(opened), model)
        {
            (inner.length, inner.vectors) = (length, vectors);
        }
        Ok(Self { model: model.to_owned(), file, inner: Mutex::new(inner) })
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Looks which passages the files of the index have now, and gives at most `most` that have no vector.
    pub fn wanting(&self, index: &Index, root: &Path, most: usize) -> Result<Vec<Unlearned>, IndexError> {
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        let files = index.shared.texts();
        let mut inner = lock(&self.inner);
        let there: HashSet<&Arc<str>> = files.iter().map(|(path, _)| path).collect();
        inner.files.retain(|path, _| there.contains(path));
        let mut wanting: Vec<Unlearned> = Vec::new();
        let mut asked = HashSet::new();
        let mut count = 0;
        inner.beyond = 0;
        for (path, hash) in files {
            if inner.files.get(&path).is_none_or(|(known, _)| *known != hash) {
                let Some((Content::Hash(now), text)) = folder.read(&path) else { continue };
                let Some(now) = Hash::parse(&now) else { continue };
                let passages = passages(&path, &text);
                inner.files.insert(path.clone(), (now, passages));
            }
            let Some((_, passages)) = inner.files.get(&path) else { continue };
            let passages = passages.clone();
            let room = MOST_PASSAGES.saturating_sub(count);
            inner.beyond += passages.len().saturating_sub(room);
            count += passages.len().min(room);
            let lacking: Vec<Cut> = passages
                .into_iter()
                .take(room)
                .filter(|(_, id)| !inner.vectors.contains_key(id) && !asked.contains(id))
                .collect();
            if lacking.is_empty() || wanting.len() >= most {
                continue;
            }
            let Some((Content::Hash(_), text)) = folder.read(&path) else { continue };
            for (lines, id) in lacking {
                let text = shown(&path, &text, lines);
                if wanting.len() < most && id_of(&text) == id && asked.insert(id) {
                    wanting.push(Unlearned { id, text });
                }
            }
        }
        Ok(wanting)
    }

    /// Keeps vectors of passages. One of zeros says that the model can make none of it.
    ///
    /// # Errors
    /// They are not of one length, or cannot be written; then none is kept.
    pub fn learn(&self, learned: Vec<(Unlearned, Vec<f32>)>) -> Result<(), IndexError> {
        let mut inner = lock(&self.inner);
        let Some(length) = learned.first().map(|(_, vector)| vector.len()) else { return Ok(()) };
        let anew = inner.length != length;
        if anew {
            // The model is another one under the same name.
            inner.vectors.clear();
            inner.length = length;
        }
        let made: Vec<(Id, Box<[i8]>)> = learned
            .into_iter()
            .filter(|(_, vector)| vector.len() == length)
            .map(|(passage, vector)| (passage.id, small(&vector)))
            .collect();
        self.append(&made, length, anew).map_err(IndexError::storage("writing vectors", &self.file))?;
        inner.vectors.extend(made);
        Ok(())
    }

    fn append(&self, made: &[(Id, Box<[i8]>)], length: usize, anew: bool) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let mut file = if anew {
            let header = Header { schema: SCHEMA, model: self.model.clone(), length };
            bytes.extend(serde_json::to_vec(&header)?);
            bytes.push(b'\n');
            File::create(&self.file)?
        } else {
            let mut file = File::options().read(true).write(true).open(&self.file)?;
            // What a kill left of a record is written over.
            let record = (ID + length + CHECK) as u64;
            let mut header = Vec::new();
            let mut reader = BufReader::new(&file);
            std::io::BufRead::read_until(&mut reader, b'\n', &mut header)?;
            let end = file.metadata()?.len();
            let whole = end - (end - header.len() as u64) % record;
            file.seek(SeekFrom::Start(whole))?;
            file
        };
        for (id, vector) in made {
            let start = bytes.len();
            bytes.extend(id);
            bytes.extend(vector.iter().map(|number| number.cast_unsigned()));
            let check = blake3_of(&bytes[start..]);
            bytes.extend(check);
        }
        file.write_all(&bytes)?;
        file.sync_data()
    }

    /// How much has vectors, as of the last look.
    pub fn learned(&self) -> Learned {
        let inner = lock(&self.inner);
        let ids: HashSet<&Id> = inner.files.values().flat_map(|(_, passages)| passages).map(|(_, id)| id).collect();
        let known = ids.iter().filter(|id| inner.vectors.contains_key(**id)).count();
        Learned { known, wanting: ids.len().saturating_sub(known + inner.beyond), beyond: inner.beyond }
    }

    /// The best passage of each of the files that mean something alike, the nearest first, at most `limit`.
    pub fn nearest(&self, vector: &[f32], limit: usize) -> Vec<Near> {
        let inner = lock(&self.inner);
        let asked = small(vector);
        if asked.len() != inner.length {
            return Vec::new();
        }
        let mut found: Vec<Near> = Vec::new();
        for (path, (_, passages)) in &inner.files {
            let near = passages.iter().filter_map(|(lines, id)| {
                let cosine = cosine(&asked, inner.vectors.get(id)?);
                (cosine > 0.0).then_some((cosine, *lines, *id))
            });
            if let Some((cosine, lines, id)) = near.max_by(|a, b| a.0.total_cmp(&b.0)) {
                found.push(Near { path: path.clone(), lines, id, cosine });
            }
        }
        found.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then_with(|| a.path.cmp(&b.path)));
        found.truncate(limit);
        found
    }
}

impl std::fmt::Debug for Meaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meaning").field("model", &self.model).finish_non_exhaustive()
    }
}

fn passages(path: &str, text: &str) -> Vec<Cut> {
    let lines: Vec<&str> = text.lines().collect();
    let cuts = cut(&lines).into_iter().map(|[first, last]| [first + 1, last + 1]);
    cuts.map(|lines| (lines, id_of(shown(path, text, lines)))).collect()
}

/// What a model is shown of a passage: its file's path says what it is about.
fn shown(path: &str, text: &str, lines: [usize; 2]) -> String {
    let mut shown = format!("{path}\n{}", lines_of(text, lines));
    shown.truncate(shown.floor_char_boundary(LONGEST));
    shown
}

fn id_of(bytes: impl AsRef<[u8]>) -> Id {
    let hash = Hash::of(bytes.as_ref());
    let mut id = [0; ID];
    let hex = hash.as_str().trim_start_matches("blake3:").as_bytes();
    for (byte, pair) in id.iter_mut().zip(hex.chunks(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    id
}

fn blake3_of(bytes: &[u8]) -> [u8; CHECK] {
    let id = id_of(bytes);
    [id[0], id[1], id[2], id[3]]
}

/// A vector's direction.
fn small(vector: &[f32]) -> Box<[i8]> {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return vec![0; vector.len()].into_boxed_slice();
    }
    // The largest number takes the whole byte, so that long vectors of small numbers keep their direction.
    let most = vector.iter().fold(0.0f32, |most, number| most.max(number.abs()));
    #[expect(clippy::cast_possible_truncation, reason = "from -127 to 127")]
    vector.iter().map(|number| (number / most * 127.0).round() as i8).collect()
}

#[expect(clippy::cast_precision_loss, reason = "sums of some thousand products of bytes")]
fn cosine(a: &[i8], b: &[i8]) -> f32 {
    let sum = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum::<i64>() as f32;
    let lengths = (sum(a, a) * sum(b, b)).sqrt();
    if lengths > 0.0 { sum(a, b) / lengths } else { 0.0 }
}

/// The vectors in a file of this model, up to the first that is not whole.
fn read(mut file: impl std::io::BufRead, model: &str) -> Option<(usize, Vectors)> {
    let mut line = String::new();
    file.read_line(&mut line).ok()?;
    let header: Header = serde_json::from_str(&line).ok()?;
    if header.schema != SCHEMA || header.model != model || header.length == 0 || header.length > 65_536 {
        return None;
    }
    let mut vectors = HashMap::new();
    let mut record = vec![0; ID + header.length + CHECK];
    while file.read_exact(&mut record).is_ok() {
        let (body, check) = record.split_at(ID + header.length);
        if check != blake3_of(body) {
            return None; // damaged in the middle: where records begin is not known any more
        }
        let (id, vector) = body.split_at(ID);
        vectors.insert(id.try_into().ok()?, vector.iter().map(|byte| byte.cast_signed()).collect());
    }
    Some((header.length, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_kept_in_bytes() {
        let a = [0.01f32, -0.02, 0.03, 0.5];
        let b = [0.012f32, -0.018, 0.029, 0.4];
        let exact = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        assert!((cosine(&small(&a), &small(&b)) - exact(&a, &b)).abs() < 0.01);
        assert_eq!(cosine(&small(&[0.0; 4]), &small(&a)), 0.0, "what cannot be made fits nothing");
    }
}
