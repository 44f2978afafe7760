//! The operations of a run as its own events tell them: what each changed, and whether it was taken back.
//!
//! Pure: a fold, no I/O. A step is an operation where it changed the run's tree, whether by edits or by commands; a
//! hand-over, an accept, a discard and the taking back of an operation are ones too. What can be done about them is
//! `take_back`'s part.

use atelier_protocol::Envelope;
use atelier_protocol::event::{Change, Effect, Event, OperationKind, OperationView, Rebase};
use atelier_protocol::ids::{RunId, Seq};

/// The operations of the run whose events these are, oldest first.
pub(crate) fn operations(events: &[Envelope]) -> Vec<OperationView> {
    let Some((run, Event::RunStarted { base, .. })) = events.first().and_then(|e| Some((e.run.clone()?, &e.event)))
    else {
        return Vec::new();
    };
    let mut log =
        Log { run, tree: base.commit.clone(), step: None, from: String::new(), branch: None, all: Vec::new() };
    events.iter().for_each(|event| log.apply(event));
    log.close();
    log.all
}

struct Log {
    run: RunId,
    /// The commit the tree was last seen at.
    tree: String,
    step: Option<Step>,
    /// Where the user's branch was before the accept that is under way.
    from: String,
    /// The run's branch and its commit, where it is published.
    branch: Option<(String, String)>,
    all: Vec<OperationView>,
}

/// A step that is under way.
struct Step {
    seq: Seq,
    at_ms: u64,
    title: String,
    before: String,
}

impl Log {
    fn apply(&mut self, envelope: &Envelope) {
        let step = envelope.step.as_ref().map_or_else(String::new, ToString::to_string);
        match &envelope.event {
            Event::StepStarted { title, .. } => {
                self.close();
                let title = format!("{step}: {title}");
                self.step = Some(Step { seq: envelope.seq, at_ms: envelope.at_ms, title, before: self.tree.clone() });
            }
            Event::CheckpointMade { checkpoint } => self.moved(&checkpoint.commit),
            Event::RunRebased { rebase } => self.rebased(rebase),
            Event::StepFinished { .. } => self.close(),
            Event::StepUndone { undone, .. } => {
                self.close();
                self.forget_undone(&format!("{undone}: "), envelope.seq);
            }
            Event::HandedOver { branch, commits } => {
                let tip = commits.last().map(|commit| commit.id.clone());
                self.branch = tip.clone().map(|tip| (branch.clone(), tip));
                let change = Change::Published { branch: branch.clone(), from: None, to: tip };
                self.push(envelope, OperationKind::HandOver, format!("handed over as {branch}"), change);
            }
            Event::EffectIntended { effect: Effect::Accept { from, .. }, .. } => self.from.clone_from(from),
            Event::RunAccepted { branch, commit, mode } => {
                let (from, to) = (self.from.clone(), commit.clone());
                let change = Change::Branch { branch: branch.clone(), from, to, mode: *mode };
                self.push(envelope, OperationKind::Accept, format!("accepted on {branch}"), change);
            }
            Event::RunDiscarded {} => {
                let tip = self.branch.as_ref().map(|(_, tip)| tip.clone());
                self.push(envelope, OperationKind::Discard, "discarded".to_owned(), Change::Traces { tip, gone: true });
            }
            Event::OperationUndone { undo } => {
                let title = self.find(undo.operation).map_or_else(String::new, |taken| taken.title.clone());
                let again = self.find(undo.operation).is_some_and(|taken| taken.kind == OperationKind::Undo);
                let title = match (again, title.strip_prefix("undone: ")) {
                    (true, Some(first)) => format!("redone: {first}"),
                    (true, None) => format!("undone: {}", title.trim_start_matches("redone: ")),
                    (false, _) => format!("undone: {title}"),
                };
                if let Change::Published { branch, to, .. } = &undo.change {
                    self.branch = to.clone().map(|tip| (branch.clone(), tip));
                }
                self.push(envelope, OperationKind::Undo, title, undo.change.clone());
                if let Some(own) = self.all.last_mut() {
                    own.undoes = Some(undo.operation);
                }
                self.mark(undo.operation, envelope.seq);
            }
            _ => {}
        }
    }

    /// The tree is at another commit. Outside a step it is the rest of the last one that is only seen now.
    fn moved(&mut self, commit: &str) {
        let before = std::mem::replace(&mut self.tree, commit.to_owned());
        if self.step.is_some() || before == commit {
            return;
        }
        let last = self.all.iter_mut().rev().find(|op| matches!(op.change, Change::Tree { .. }));
        if let Some(OperationView {
            kind: OperationKind::Step, undone_by: None, change: Change::Tree { to, .. }, ..
        }) = last
            && *to == before
        {
            commit.clone_into(to);
        }
    }

    /// The run below moved the tree, which is no doing of a step.
    fn rebased(&mut self, rebase: &Rebase) {
        if let Some(point) = &rebase.checkpoint {
            let before = std::mem::replace(&mut self.tree, point.commit.clone());
            if let Some(step) = self.step.as_mut().filter(|step| step.before == before) {
                step.before.clone_from(&point.commit);
            }
        } else if self.tree == rebase.from {
            self.tree.clone_from(&rebase.to);
        }
        if let (Some((_, at)), Some(tip)) = (&mut self.branch, rebase.commits.last()) {
            at.clone_from(&tip.id);
        }
    }

    /// The step that was under way has ended. One that changed nothing is no operation.
    fn close(&mut self) {
        let Some(step) = self.step.take().filter(|step| step.before != self.tree) else { return };
        self.all.push(OperationView {
            operation: step.seq,
            run: self.run.clone(),
            at_ms: step.at_ms,
            kind: OperationKind::Step,
            title: step.title,
            change: Change::Tree { from: step.before, to: self.tree.clone() },
            undoes: None,
            undone_by: None,
            preview: None,
        });
    }

    /// A step that the flow itself undid is no longer there to be taken back.
    fn forget_undone(&mut self, prefix: &str, by: Seq) {
        for op in self.all.iter_mut().filter(|op| op.kind == OperationKind::Step && op.title.starts_with(prefix)) {
            op.undone_by = Some(by);
        }
    }

    fn push(&mut self, envelope: &Envelope, kind: OperationKind, title: String, change: Change) {
        self.all.push(OperationView {
            operation: envelope.seq,
            run: self.run.clone(),
            at_ms: envelope.at_ms,
            kind,
            title,
            change,
            undoes: None,
            undone_by: None,
            preview: None,
        });
    }

    fn find(&self, seq: Seq) -> Option<&OperationView> {
        self.all.iter().find(|op| op.operation == seq)
    }

    /// `taken` is out of force, and what it took back is in force again.
    fn mark(&mut self, taken: Seq, by: Seq) {
        let mut undoes = None;
        for op in self.all.iter_mut().filter(|op| op.operation == taken) {
            op.undone_by = Some(by);
            undoes = op.undoes;
        }
        for op in self.all.iter_mut().filter(|op| Some(op.operation) == undoes) {
            op.undone_by = None;
        }
    }
}
