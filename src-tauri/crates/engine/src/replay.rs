//! What a run's tree held at an event, from what was recorded alone: the last checkpoint before it, and the edits after
//! that computed again.
//!
//! Pure but for reading checkpoints. Nothing is guessed: an edit counts only where its recorded hashes, before and after,
//! come out; after a command, which may have changed any file, only where the next checkpoint is exactly what the edits
//! alone lead to. Runs that work in one tree are replayed together.

use crate::answer_edits::edits_of;
use crate::hands::edit_of;
use crate::role::Tool;
use atelier_protocol::Envelope;
use atelier_protocol::event::{Change, Effect, EffectOutcome, Event, ToolCall};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{RunId, Seq};
use atelier_repo::Files;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Reads what checkpoints hold.
pub trait Recorded {
    /// A file of a checkpoint or of the base; `None` where there is none.
    fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, String>;
    /// The id that the tree of `commit` would have with these files.
    fn tree_with(&self, commit: &str, files: &Files) -> Result<String, String>;
}

/// What a tree holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeState {
    /// A checkpoint, or the base.
    pub commit: String,
    /// Files that are otherwise than in it.
    pub files: Files,
}

/// A tree, event by event.
pub struct Replay<'a, R> {
    recorded: &'a R,
    /// Names of the steps that end only when no check has changed anything.
    checks: &'a HashSet<String>,
    state: TreeState,
    made: bool,
    /// Whether it is just being made and set up.
    making: bool,
    doubt: Doubt,
    /// The last checkpoint, which a command is begun again from.
    checkpoint: Option<String>,
    /// Runs that are just being told of a child's end.
    told: HashSet<RunId>,
    /// Tool calls with the answer they came in.
    calls: HashMap<(RunId, String), (ToolCall, String)>,
    /// What the edits of a call make of each file, worked out before the first of them is written.
    sets: HashMap<(RunId, String), Files>,
    effects: HashMap<(RunId, String), Effect>,
}

/// How sure the state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// A command ran: it is so if the command changed nothing.
    Command,
    /// It cannot be computed until the next checkpoint.
    Lost,
}

/// What an event says about those before it that were in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Nothing.
    Open,
    /// They were as computed.
    Held,
    /// They were not, or nobody will know.
    Failed,
}

impl<'a, R: Recorded> Replay<'a, R> {
    /// The tree of a run that begins at the commit `base`.
    pub fn new(recorded: &'a R, checks: &'a HashSet<String>, base: &str) -> Self {
        Self {
            recorded,
            checks,
            state: TreeState { commit: base.to_owned(), files: Files::new() },
            made: false,
            making: false,
            doubt: Doubt::None,
            checkpoint: None,
            told: HashSet::new(),
            calls: HashMap::new(),
            sets: HashMap::new(),
            effects: HashMap::new(),
        }
    }

    /// For each of the events, in order of their numbers: whether the tree after it is known.
    pub fn known(mut self, events: &[Envelope]) -> BTreeMap<Seq, bool> {
        let mut known = BTreeMap::new();
        let mut open: Vec<Seq> = Vec::new();
        for event in events {
            match self.apply(event) {
                Proof::Open => {}
                proof => known.extend(open.drain(..).map(|seq| (seq, proof == Proof::Held))),
            }
            match self.doubt {
                Doubt::None => drop(known.insert(event.seq, true)),
                Doubt::Lost => drop(known.insert(event.seq, false)),
                Doubt::Command => open.push(event.seq),
            }
        }
        known.extend(open.into_iter().map(|seq| (seq, false)));
        known
    }

    /// The tree after these events; `None` where it was not made yet. Whether it is known is [`Replay::known`]'s part.
    pub fn state(mut self, events: &[Envelope]) -> Option<TreeState> {
        for event in events {
            self.apply(event);
        }
        self.made.then_some(self.state)
    }

    fn apply(&mut self, envelope: &Envelope) -> Proof {
        let Some(run) = &envelope.run else { return Proof::Open };
        match &envelope.event {
            Event::ChildEnded { .. } => drop(self.told.insert(run.clone())),
            Event::CheckpointMade { .. } | Event::CheckRecorded { .. } | Event::ReviewRecorded { .. } => {}
            _ => drop(self.told.remove(run)),
        }
        match &envelope.event {
            Event::CallFinished { tool_calls, text, .. } => {
                let calls =
                    tool_calls.iter().map(|call| ((run.clone(), call.id.clone()), (call.clone(), text.clone())));
                self.calls.extend(calls);
                Proof::Open
            }
            Event::EffectIntended { key, effect } => {
                if let Effect::WriteFile { path, .. } = effect {
                    self.work_out((run.clone(), call_of(key, path).to_owned()));
                }
                self.making |= makes_tree(effect);
                self.effects.insert((run.clone(), key.clone()), effect.clone());
                Proof::Open
            }
            Event::EffectSettled { key, outcome } => match self.effects.remove(&(run.clone(), key.clone())) {
                Some(effect) => self.settled(run, key, &effect, outcome),
                None => Proof::Open,
            },
            // Told once more to a child at its start or to a parent at a child's end: nobody looked at the tree.
            Event::CheckpointMade { .. } if envelope.step.is_none() || self.told.contains(run) => Proof::Open,
            Event::CheckpointMade { checkpoint } => {
                let as_computed = || self.recorded.tree_with(&self.state.commit, &self.state.files);
                let proof = match self.doubt {
                    Doubt::Command if as_computed().is_ok_and(|tree| tree == checkpoint.tree) => Proof::Held,
                    Doubt::Command => Proof::Failed,
                    Doubt::None | Doubt::Lost => Proof::Open,
                };
                self.checkpoint = Some(checkpoint.commit.clone());
                self.now_at(&checkpoint.commit);
                proof
            }
            Event::RunRebased { rebase } => match &rebase.checkpoint {
                Some(point) => self.put_back(&point.commit.clone()),
                None if self.state.commit == rebase.from => self.put_back(&rebase.to.clone()),
                None => Proof::Open,
            },
            Event::StepFinished { .. } if self.doubt == Doubt::Command && self.ends_checks(envelope) => {
                let proof = if self.state.files.is_empty() { Proof::Held } else { Proof::Failed };
                self.doubt = Doubt::None;
                proof
            }
            _ => Proof::Open,
        }
    }

    fn ends_checks(&self, envelope: &Envelope) -> bool {
        envelope.step.as_ref().is_some_and(|step| self.checks.contains(step.name()))
    }

    fn settled(&mut self, run: &RunId, key: &str, effect: &Effect, outcome: &EffectOutcome) -> Proof {
        match (effect, outcome) {
            (effect, outcome) if makes_tree(effect) => {
                self.making = false;
                self.made |= *outcome == EffectOutcome::Landed;
                Proof::Open
            }
            // What a set-up does to files that count is put back before the tree is there.
            (Effect::RunCommand { .. }, _) if self.making => Proof::Open,
            (Effect::WriteFile { path, before, after }, EffectOutcome::Landed) => {
                match self.written(&(run.clone(), call_of(key, path).to_owned()), path, before.as_ref(), after.as_ref())
                {
                    Some(content) => {
                        self.state.files.insert(path.clone(), content);
                        Proof::Open
                    }
                    None => self.lose(),
                }
            }
            (Effect::WriteFile { .. } | Effect::RunCommand { .. }, EffectOutcome::Unknown { .. }) => self.lose(),
            (Effect::RunCommand { .. }, EffectOutcome::Landed) => {
                let earlier = self.doubt;
                if earlier != Doubt::Lost {
                    self.doubt = Doubt::Command;
                }
                // What two commands did in between nobody looked at.
                if earlier == Doubt::Command { Proof::Failed } else { Proof::Open }
            }
            // Interrupted: the tree was put back to its checkpoint before the command is begun again.
            (Effect::RunCommand { .. }, EffectOutcome::NotLanded { problem: None }) => match self.checkpoint.clone() {
                Some(commit) => self.put_back(&commit),
                None => self.lose(),
            },
            (Effect::RestoreTree { commit }, EffectOutcome::Landed) => self.put_back(commit),
            (Effect::Undo { undo }, EffectOutcome::Landed) => match &undo.change {
                Change::Tree { to, .. } => self.put_back(to),
                _ => Proof::Open,
            },
            _ => Proof::Open,
        }
    }

    fn now_at(&mut self, commit: &str) {
        commit.clone_into(&mut self.state.commit);
        self.state.files.clear();
        self.doubt = Doubt::None;
    }

    fn put_back(&mut self, commit: &str) -> Proof {
        let proof = if self.doubt == Doubt::Command { Proof::Failed } else { Proof::Open };
        self.now_at(commit);
        proof
    }

    fn lose(&mut self) -> Proof {
        let proof = if self.doubt == Doubt::Command { Proof::Failed } else { Proof::Open };
        self.doubt = Doubt::Lost;
        proof
    }

    fn content(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.state.files.get(path) {
            Some(content) => Ok(content.clone()),
            None => self.recorded.file(&self.state.commit, path),
        }
    }

    /// What the edits of an answer come to: all at once, since one may need what another takes away.
    fn work_out(&mut self, id: (RunId, String)) {
        let Some((call, text)) = self.calls.get(&id) else { return };
        if call.name != Tool::ApplyEdits.name() || self.sets.contains_key(&id) {
            return;
        }
        let set =
            edits_of(call, text).ok().and_then(|edits| atelier_edit::apply(|path| self.content(path), &edits).ok());
        let files = set.map(|set| set.files.into_iter().map(|file| (file.path, file.after)).collect());
        self.sets.insert(id, files.unwrap_or_default());
    }

    /// What a tool call wrote; `None` where computing it again does not give what was recorded.
    fn written(
        &self,
        call: &(RunId, String),
        path: &str,
        before: Option<&Hash>,
        after: Option<&Hash>,
    ) -> Option<Option<Vec<u8>>> {
        let hash = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| Hash::of(bytes));
        let content = self.content(path).ok()?;
        if hash(&content).as_ref() != before {
            return None;
        }
        if let Some(set) = self.sets.get(call) {
            let written = set.get(path)?.clone();
            return (hash(&written).as_ref() == after).then_some(written);
        }
        let (call, _) = self.calls.get(call)?;
        let edit = edit_of(Tool::named(&call.name)?, path, &call.arguments).ok()?;
        let set = atelier_edit::apply(|_| Ok(content.clone()), &[edit]).ok()?;
        let written = set.files.into_iter().next()?.after;
        (hash(&written).as_ref() == after).then_some(written)
    }
}

fn makes_tree(effect: &Effect) -> bool {
    matches!(effect, Effect::MakeTree { .. } | Effect::ForkTree { .. })
}

/// The id of the tool call that the write with this key belongs to.
fn call_of<'k>(key: &'k str, path: &str) -> &'k str {
    let call = key.strip_prefix("write:").and_then(|rest| rest.strip_suffix(path));
    call.and_then(|id| id.strip_suffix(':')).unwrap_or_default()
}
