//! What of a project is put before a model for a goal, within a budget of tokens.
//!
//! What fits the goal comes first, whole definitions where they fit; then tests of it, what uses it, what was changed
//! with it, and a map of the definitions around. Every span is cut from the file as it is now and cites path, lines and
//! hash. What fits and found no room is named.

use crate::error::IndexError;
use crate::folder::Folder;
use crate::index::Index;
use crate::meaning::Near;
use crate::search::Ask;
use crate::store::Content;
use crate::symbols::{self, Symbol};
use atelier_protocol::Hash;
use atelier_protocol::context::{ContextSpan, ContextView, MapFile, SpanLeftOut, SpanWhy, map_line};
use atelier_protocol::view::{Found, Hit};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Hits that are looked at.
const HITS: usize = 40;
/// Files whose tests and neighbours are looked for.
const LOOKED_AROUND: usize = 4;
/// Definitions whose uses are looked for.
const USED: usize = 4;
/// Uses of one definition.
const USES: usize = 2;
/// Files of the map.
const MAPPED: usize = 24;
/// Definitions of one of them.
const NAMED: usize = 16;
/// Lines of a definition beyond which only its passage is taken.
const LONGEST: u32 = 150;
/// Changes of a hundred that make a neighbour.
const NEIGHBOUR: f32 = 0.3;
/// Bytes of a token, cautiously: code has short ones.
const TOKEN: usize = 3;
/// What a span costs beyond its text: path, lines, fence.
const AROUND: usize = 40;
/// Fewer lines than these say little alone: that they stand in the prompt may mean another place.
const SAID: usize = 3;
/// Spans left out that are named.
const LEFT_OUT: usize = 20;

/// What is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Want<'a> {
    /// The goal, in words.
    pub goal: &'a str,
    /// Tokens that may be spent.
    pub budget: u32,
    /// What the prompt says already: of lines that stand in it as they are now, nothing is told again.
    pub said: &'a str,
    /// Passages that mean something like the goal, as in [`Ask::near`].
    pub near: &'a [Near],
    /// Paths that are others under the folder than in the index, as in [`Ask::overlay`].
    pub overlay: &'a [String],
}

impl Index {
    /// What of the folder `root` is put before a model.
    pub fn context(&self, root: &Path, want: Want<'_>) -> Result<ContextView, IndexError> {
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        let ask = |query: &str, limit: usize| {
            self.search(root, Ask { query, limit, overlay: want.overlay, ..Ask::default() })
        };
        let about_goal =
            Ask { query: want.goal, limit: HITS, overlay: want.overlay, near: want.near, ..Ask::default() };
        let Found { hits, scanned, missing, .. } = self.search(root, about_goal)?;
        let mut pack = Pack::new(&folder, &want);
        // The map has a tenth, tests and uses an eighth each, neighbours a sixteenth; what they leave goes to what fits.
        let budget = want.budget;
        let map = pack.map(&hits, budget / 10);
        let aside = budget / 8 + budget / 8 + budget / 16;
        pack.room(budget - pack.map_tokens - aside);
        let mut rest = Vec::new();
        for hit in &hits {
            if !pack.add(hit.path.clone(), hit.lines, SpanWhy::Match, budget / 3) {
                rest.push(hit);
            }
        }
        let fitting: Vec<String> = pack.spans.iter().map(|span| span.path.clone()).collect();
        let mut files: Vec<&String> = Vec::new();
        for path in fitting.iter().filter(|path| !is_test(path)) {
            if files.len() < LOOKED_AROUND && !files.contains(&path) {
                files.push(path);
            }
        }
        let defined: Vec<(String, String)> = pack
            .spans
            .iter()
            .filter(|span| !is_test(&span.path))
            .filter_map(|span| Some((span.symbol.clone()?, span.path.clone())))
            .take(USED)
            .collect();

        pack.more_room(budget / 8);
        for file in &files {
            if let Some(test) = self.test_of(file) {
                let lines = best_lines(&ask(want.goal, HITS)?.hits, &test).unwrap_or([1, 60]);
                pack.add(test.to_string(), lines, SpanWhy::Test { of: (*file).clone() }, budget / 8);
            }
        }
        pack.more_room(budget / 8);
        for (name, at) in &defined {
            let uses = ask(name, USES * 4)?.hits;
            let uses = uses.iter().filter(|hit| hit.path != *at && has_word(&hit.snippet, last_part(name)));
            for hit in uses.take(USES) {
                pack.add(hit.path.clone(), hit.lines, SpanWhy::Caller { of: name.clone() }, budget / 12);
            }
        }
        pack.more_room(budget / 16);
        for file in &files {
            for (neighbour, share) in self.changed_with(file, 2).into_iter().filter(|(_, share)| *share >= NEIGHBOUR) {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
                let percent = (share * 100.0).round() as u32;
                pack.add(neighbour, [1, 30], SpanWhy::Together { with: (*file).clone(), percent }, budget / 16);
            }
        }
        pack.room(budget - pack.map_tokens);
        for hit in rest {
            if !pack.add(hit.path.clone(), hit.lines, SpanWhy::Match, budget / 3) {
                pack.leave_out(hit);
            }
        }
        Ok(ContextView {
            budget,
            tokens: pack.tokens + pack.map_tokens,
            spans: pack.spans,
            map,
            left_out: pack.left_out,
            scanned,
            missing,
        })
    }

    /// The file that tests another by its name.
    fn test_of(&self, path: &str) -> Option<Arc<str>> {
        let (stem, folders) = (stem_of(path), path.split('/').collect::<HashSet<_>>());
        let names = self.shared.names.read().unwrap_or_else(PoisonError::into_inner);
        let rated =
            names.values().filter(|other| is_test(other) && ending(other) == ending(path)).filter_map(|other| {
                let own = stem_of(other) == stem;
                // `parse/tests.rs` tests `parse.rs` and what is in `parse`.
                let within = matches!(stem_of(other), "tests" | "test" | "mod" | "main") && {
                    let mut parts = other.rsplit('/').skip(1);
                    parts.next() == Some(stem)
                };
                (own || within).then(|| {
                    let shared = other.split('/').filter(|part| folders.contains(part)).count();
                    (shared, other.clone())
                })
            });
        rated.max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1))).map(|(_, path)| path)
    }
}

/// Spans on their way into a budget.
struct Pack<'a> {
    folder: &'a Folder,
    said: &'a str,
    files: HashMap<String, Option<Read>>,
    spans: Vec<ContextSpan>,
    left_out: Vec<SpanLeftOut>,
    tokens: u32,
    map_tokens: u32,
    /// What may be spent by now.
    limit: u32,
}

/// A file as it was read.
struct Read {
    hash: Hash,
    text: String,
    symbols: Vec<Symbol>,
}

impl<'a> Pack<'a> {
    fn new(folder: &'a Folder, want: &Want<'a>) -> Self {
        Self {
            folder,
            said: want.said,
            files: HashMap::new(),
            spans: Vec::new(),
            left_out: Vec::new(),
            tokens: 0,
            map_tokens: 0,
            limit: 0,
        }
    }

    fn room(&mut self, limit: u32) {
        self.limit = limit;
    }

    fn more_room(&mut self, tokens: u32) {
        self.limit = self.limit.saturating_add(tokens);
    }

    fn read(&mut self, path: &str) -> Option<&Read> {
        let folder = self.folder;
        let read = self.files.entry(path.to_owned()).or_insert_with(|| {
            let (Content::Hash(hash), text) = folder.read(path)? else { return None };
            Some(Read { hash: Hash::parse(&hash)?, symbols: symbols::symbols(path, &text), text })
        });
        read.as_ref()
    }

    /// Puts a span in, as its whole definition where that costs at most `most`; whether it is in now, or was.
    fn add(&mut self, path: String, lines: [u32; 2], why: SpanWhy, most: u32) -> bool {
        let (limit, tokens) = (self.limit, self.tokens);
        let said = self.said;
        let Some(read) = self.read(&path) else { return true };
        let hash = read.hash.clone();
        let mut choices = vec![whole(read, lines), trimmed(read, lines)];
        choices.dedup();
        let cut: Vec<([u32; 2], String)> =
            choices.into_iter().map(|lines| (lines, lines_of(&read.text, lines))).collect();
        let named = |lines: [u32; 2]| {
            let within = |symbol: &&Symbol| lines[0] <= symbol.lines[0] && symbol.lines[0] <= lines[1];
            let around = |symbol: &&Symbol| symbol.lines[0] <= lines[0] && lines[1] <= symbol.lines[1];
            let inner = read.symbols.iter().filter(around).min_by_key(|symbol| symbol.lines[1] - symbol.lines[0]);
            inner.or_else(|| read.symbols.iter().find(within)).map(|symbol| symbol.name.clone())
        };
        let cut: Vec<([u32; 2], String, Option<String>)> =
            cut.into_iter().map(|(lines, text)| (lines, text, named(lines))).collect();
        let last = cut.len();
        for (n, (lines, text, symbol)) in cut.into_iter().enumerate() {
            if text.lines().count() >= SAID && said.contains(text.trim_end()) {
                return true;
            }
            let overlaps =
                |span: &ContextSpan| span.path == path && span.lines[0] <= lines[1] && lines[0] <= span.lines[1];
            if self.spans.iter().any(|span| overlaps(span) && span.lines[0] <= lines[0] && lines[1] <= span.lines[1]) {
                return true;
            }
            let cost = cost(&text);
            if self.spans.iter().any(overlaps) || (n + 1 < last && cost > most) || tokens + cost > limit {
                continue;
            }
            self.tokens += cost;
            self.spans.push(ContextSpan { path, lines, hash, text, symbol, tokens: cost, why });
            return true;
        }
        false
    }

    fn leave_out(&mut self, hit: &Hit) {
        if self.left_out.len() < LEFT_OUT {
            let reason = "the budget is spent".to_owned();
            self.left_out.push(SpanLeftOut { path: hit.path.clone(), lines: hit.lines, reason });
        }
    }

    /// The outermost definitions of the files that fit best, within `most` tokens.
    fn map(&mut self, hits: &[Hit], most: u32) -> Vec<MapFile> {
        let mut files: Vec<&str> = Vec::new();
        for hit in hits {
            if !files.contains(&hit.path.as_str()) && files.len() < MAPPED {
                files.push(&hit.path);
            }
        }
        let mut map = Vec::new();
        for path in files {
            let Some(read) = self.read(path) else { continue };
            let mut end = 0;
            let mut symbols = Vec::new();
            for symbol in &read.symbols {
                // A method is told by its class.
                if symbol.lines[0] > end {
                    symbols.push((symbol.name.clone(), symbol.lines[0]));
                    end = symbol.lines[1];
                }
            }
            symbols.truncate(NAMED);
            let file = MapFile { path: path.to_owned(), symbols };
            let cost = u32::try_from(map_line(&file).len().div_ceil(TOKEN)).unwrap_or(u32::MAX);
            if file.symbols.is_empty() || self.map_tokens + cost > most {
                continue;
            }
            self.map_tokens += cost;
            map.push(file);
        }
        map
    }
}

/// A passage with the definitions that it cuts through, and what is said above them.
fn whole(read: &Read, lines: [u32; 2]) -> [u32; 2] {
    let [mut first, mut last] = trimmed(read, lines);
    let [from, to] = [first, last];
    for symbol in &read.symbols {
        let [begins, ends] = symbol.lines;
        let cuts = begins <= to && from <= ends && ends - begins <= LONGEST;
        if cuts {
            (first, last) = (first.min(begins), last.max(ends));
        }
    }
    let all: Vec<&str> = read.text.lines().collect();
    let above = |line: u32| all.get((line as usize).wrapping_sub(2)).map(|line| line.trim_start());
    let told = |line: &str| ["//", "#", "/*", "*", "@", "--", ";;", "\"\"\""].iter().any(|mark| line.starts_with(mark));
    let mut more = 0;
    while more < 15 && first > 1 && above(first).is_some_and(told) {
        first -= 1;
        more += 1;
    }
    [first, last]
}

/// Lines that are there, without empty ones around.
fn trimmed(read: &Read, [first, last]: [u32; 2]) -> [u32; 2] {
    let all: Vec<&str> = read.text.lines().collect();
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX).max(1);
    let (mut first, mut last) = (first.clamp(1, count), last.clamp(1, count));
    let empty = |line: u32| all.get(line as usize - 1).is_none_or(|line| line.trim().is_empty());
    while first < last && empty(first) {
        first += 1;
    }
    while last > first && empty(last) {
        last -= 1;
    }
    [first, last]
}

fn lines_of(text: &str, [first, last]: [u32; 2]) -> String {
    let lines: Vec<&str> = text.lines().skip(first as usize - 1).take((last - first) as usize + 1).collect();
    lines.join("\n")
}

fn cost(text: &str) -> u32 {
    u32::try_from((text.len() + AROUND).div_ceil(TOKEN)).unwrap_or(u32::MAX)
}

fn best_lines(hits: &[Hit], path: &str) -> Option<[u32; 2]> {
    hits.iter().find(|hit| hit.path == path).map(|hit| hit.lines)
}

fn ending(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The name of a file without what makes it a test of another.
fn stem_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let stem = stem.strip_prefix("test_").or_else(|| stem.strip_prefix("Test")).unwrap_or(stem);
    ["_tests", "_test", "_spec", "Tests", "Test", "Spec"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem)
}

/// Whether a file holds tests, by its path.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let folders = path.split('/').rev().skip(1);
    folders.into_iter().any(|folder| matches!(folder, "tests" | "test" | "__tests__" | "spec" | "specs"))
        || stem == "tests"
        || stem.starts_with("test_")
        || ["_test", "_tests", "_spec", "Test", "Tests"].iter().any(|end| stem.ends_with(end))
        || name.contains(".test.")
        || name.contains(".spec.")
}

fn last_part(name: &str) -> &str {
    name.rsplit(['.', ':', '#']).next().unwrap_or(name)
}

/// Whether a text has a word, whole.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            !text[..at].chars().next_back().is_some_and(inside)
                && !text[at + word.len()..].chars().next().is_some_and(inside)
        })
}
