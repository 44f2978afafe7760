//! Judges what is there after a trial, from the store's own file and the repository, not from what a program says.

use super::{End, Field, Place, Toll, child, git};
use crate::job::Job;
use atelier_journal::{Chain, Entry, open_read_only};
use atelier_protocol::event::{Effect, EffectOutcome, Envelope, Event};
use atelier_protocol::ids::Seq;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What was acknowledged: numbers and payload hashes of events. One number told with two hashes is two entries.
pub type Acked = BTreeSet<(u64, String)>;

/// The acknowledgements in what a victim said, or in the program's JSON lines.
pub fn acked(out: &str) -> Acked {
    let mut acked = Acked::new();
    for line in out.lines() {
        if let Some(told) = told(line) {
            acked.insert((told.seq, told.hash.to_owned()));
        } else if let Some(event) = event_of(line) {
            acked.insert((event.seq.0, event.payload_hash.to_string()));
        }
    }
    acked
}

/// An event that a victim tells of.
pub struct Told<'a> {
    /// Its number.
    pub seq: u64,
    /// Whether it was told as one that no power cut takes.
    pub full: bool,
    hash: &'a str,
}

/// The event that a line of a victim tells of.
pub fn told(line: &str) -> Option<Told<'_>> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    Some(Told { seq: words.next()?.parse().ok()?, full: words.next()? == "Full", hash: words.next()? })
}

/// The event that a line of the program's output tells.
pub fn event_of(line: &str) -> Option<Envelope> {
    let value: Value = line.starts_with('{').then(|| serde_json::from_str(line).ok())??;
    (value["type"] == "event").then(|| serde_json::from_value(value["event"].clone()).ok())?
}

/// The events of the only project under `home`; an error says what is wrong with its store or the home store.
pub fn events(home: &Path) -> Result<Vec<Envelope>, String> {
    let stores = std::fs::read_dir(home.join("data/stores")).into_iter().flatten().flatten();
    let mut all = Vec::new();
    for store in stores.map(|entry| entry.path()).filter(|path| path.join("journal.db").exists()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let of_home = store.ends_with("home");
        let read = std::thread::spawn(move || runtime.block_on(read(&store)));
        let events = read.join().unwrap_or_else(|_| Err("the store could not be read".to_owned()))?;
        if !of_home {
            all = events;
        }
    }
    Ok(all)
}

async fn read(store: &Path) -> Result<Vec<Envelope>, String> {
    let store = open_read_only(store.to_owned()).await.map_err(|error| error.to_string())?;
    match store.verify().await.map_err(|error| error.to_string())? {
        Chain::Sound { .. } => {}
        broken => return Err(format!("{broken:?}")),
    }
    let entries = store.read(Seq::ZERO, 1_000_000).await.map_err(|error| error.to_string())?;
    let event = |entry| match entry {
        Entry::Event(event) => Ok(*event),
        Entry::Unreadable { seq, why, .. } => Err(format!("event {seq}: {why}")),
    };
    entries.into_iter().map(event).collect()
}

impl Field {
    /// Judges a place in which the job was brought to its end, and counts what is wrong under the name of the trial.
    pub fn judge(&self, place: &Place, job: Job, acked: &Acked, name: &str, toll: &mut Toll) {
        match events(&place.home) {
            Ok(events) => history(&events, acked, name, toll),
            Err(why) => {
                toll.lost += 1;
                toll.findings.push(format!("{name}: the store is damaged: {why}"));
            }
        }
        let (end, wanted) = (End::of(&place.project), self.end_of(job));
        if end.branches > wanted.branches || end.log.len() > wanted.log.len() {
            toll.repeated += 1;
            toll.findings.push(format!("{name}: made twice: {end:?}"));
        } else if end != *wanted {
            toll.wrong += 1;
            let changes = git(&place.project, &["log", "--patch", "--format=%s", "--max-count=2", "main"]);
            let changes: String = changes.replace('\n', " | ").chars().take(1500).collect();
            toll.findings.push(format!("{name}: ended as {end:?}, not as {wanted:?}: {changes}"));
        }
    }

    /// Judges whether a fork left the tree of its original as it was; `kept` names the place that it was made from.
    pub fn judge_original(&self, place: &Place, kept: &str, name: &str, toll: &mut Toll) {
        let kept = self.world.folder.path().join("kept").join(kept);
        let (before, after) = (files(&kept.join("home/data/trees")), files(&place.home.join("data/trees")));
        for (path, bytes) in before.iter().filter(|(path, _)| path.contains("/tree/")) {
            if after.get(path) != Some(bytes) {
                toll.wrong += 1;
                toll.findings.push(format!("{name}: the original's {path} was touched"));
            }
        }
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    crate::world::user_state(folder)
}

/// Counts, and ends, what has to do with `folder` and is still there.
pub fn left_behind(folder: &Path, name: &str, toll: &mut Toll) {
    let left = child::left_behind(folder);
    if !left.is_empty() {
        toll.orphans += left.len() as u64;
        toll.findings.push(format!("{name}: left behind {left:?}"));
        left.iter().for_each(child::Left::end);
    }
}

/// Judges a history: everything acknowledged is there, no effect landed twice, no child was left.
#[expect(clippy::collapsible_match, reason = "a guard that changes what it looks at would be hard to see")]
pub fn history(events: &[Envelope], acked: &Acked, name: &str, toll: &mut Toll) {
    let there: BTreeMap<u64, String> =
        events.iter().map(|event| (event.seq.0, event.payload_hash.to_string())).collect();
    for (seq, hash) in acked {
        if there.get(seq) != Some(hash) {
            toll.lost += 1;
            toll.findings.push(format!("{name}: event {seq} was acknowledged as {hash} and is {:?}", there.get(seq)));
        }
    }
    let mut twice = |what: String| {
        toll.repeated += 1;
        toll.findings.push(format!("{name}: twice: {what}"));
    };
    let mut effects: BTreeMap<(String, &str), bool> = BTreeMap::new();
    let mut processes: BTreeSet<(String, &str)> = BTreeSet::new();
    let mut once: BTreeMap<String, u32> = BTreeMap::new();
    let mut open_children: BTreeMap<String, bool> = BTreeMap::new();
    // What a fork has of its original was done by that one.
    for event in events.iter().filter(|event| event.cause.is_none()) {
        let run = event.run.as_ref().map(ToString::to_string).unwrap_or_default();
        match &event.event {
            // A process lives in its owner and ends with it; the next owner starts another.
            Event::OwnerChanged { .. } => effects.retain(|effect, _| !processes.contains(effect)),
            Event::EffectIntended { key, effect } => {
                if matches!(effect, Effect::StartProcess { .. }) {
                    processes.insert((run.clone(), key));
                }
                if effects.insert((run, key), false) == Some(true) {
                    twice(format!("{key} was intended again after it had landed"));
                }
            }
            Event::EffectSettled { key, outcome: EffectOutcome::Landed } => {
                if effects.insert((run, key), true) == Some(true) {
                    twice(format!("{key} landed"));
                }
            }
            Event::HandedOver { .. }
            | Event::RunAccepted { .. }
            | Event::RunDiscarded {}
            | Event::RunFinished { .. } => {
                let kind = crate::world::kind(&event.event);
                if kind == "run_finished" {
                    open_children.entry(run.clone()).and_modify(|open| *open = false);
                }
                let times = once.entry(format!("{kind} of {run}")).or_default();
                *times += 1;
                if *times == 2 {
                    twice(format!("{kind} of {run}"));
                }
            }
            Event::ChildStarted { child, .. } => {
                open_children.insert(child.to_string(), true);
            }
            Event::ChildEnded { child, .. } => {
                if open_children.remove(&child.to_string()).is_none() {
                    twice(format!("the end of child {child} reached its parent"));
                }
            }
            _ => {}
        }
    }
    for (child, open) in open_children {
        toll.orphans += 1;
        let state = if open { "never ended" } else { "ended and its parent was never told" };
        toll.findings.push(format!("{name}: the child run {child} {state}"));
    }
}
