//! The fold held against recorded runs and against walks over every kind of event, so that the page's fold, which
//! reads the same files, is the same function.
//!
//! Guards: the screen is a projection of the journal, whoever folds it.
//! Turns red, for example, when `go_on` forgets that a resting run rests, or when a finished step no longer ends a stall.
//! `ATELIER_RECORD=1 cargo test -p atelier-protocol fold` writes the walks anew; the page's tests then say whether it
//! follows.

use crate::error::{Code, Problem};
use crate::event::*;
use crate::hash::Hash;
use crate::ids::{ApprovalId, CallId, RoleId, RunId, Seq, StepId, StoreId};
use crate::view::{Disposition, RunView};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const WALKS: u64 = 64;
const STEPS: usize = 36;

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/fixtures"))
}

#[derive(Deserialize)]
struct Recording {
    events: Vec<Envelope>,
    views: BTreeMap<RunId, RunView>,
}

#[test]
fn every_recording_folds_to_the_views_that_lie_with_it() {
    let mut runs = 0;
    for entry in std::fs::read_dir(fixtures().join("journal")).unwrap() {
        let path = entry.unwrap().path();
        let recording: Recording = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (run, view) in &recording.views {
            let of_run = recording.events.iter().filter(|e| e.run.as_ref() == Some(run));
            assert_eq!(RunView::of(of_run).as_ref(), Some(view), "{} {run}", path.display());
            runs += 1;
        }
    }
    assert!(runs >= 20, "only {runs} recorded runs");
}

#[test]
fn the_walks_that_the_page_follows_too_are_current() {
    let lines: Vec<String> = (0..WALKS)
        .map(|seed| {
            let walk = walk(seed, STEPS);
            let events: Vec<_> = walk.iter().map(what_a_fold_reads).collect();
            serde_json::json!({"events": events, "view": RunView::of(&walk)}).to_string()
        })
        .collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = fixtures().join("fold/walks.json");
    if std::env::var_os("ATELIER_RECORD").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "tests/fixtures/fold/walks.json is stale; set ATELIER_RECORD=1 to write it anew");
}

/// The event without what no fold looks at.
fn what_a_fold_reads(event: &Envelope) -> serde_json::Value {
    let mut value = serde_json::json!(event);
    let fields = value.as_object_mut().unwrap();
    fields.retain(|name, _| ["seq", "at_ms", "run", "step", "kind", "payload"].contains(&name.as_str()));
    value
}

proptest! {
    #[test]
    fn any_order_of_events_folds_and_only_legal_transitions_happen(seed: u64, steps in 1usize..120) {
        let walk = walk(seed, steps);
        let mut view = RunView::of(&walk[..1]).unwrap();
        for event in &walk[1..] {
            let before = view.state;
            view.apply(event);
            prop_assert!(before == view.state || before.may_become(view.state), "{before:?} -> {:?}", view.state);
            prop_assert_eq!(view.last_seq, event.seq);
            let summary = view.summary();
            prop_assert_eq!((summary.state, summary.last_seq), (view.state, event.seq));
        }
        prop_assert_eq!(RunView::of(&walk), Some(view));
    }
}

#[test]
fn what_a_run_undoes_is_told_with_the_error_that_made_it() {
    let walks: Vec<RunView> = (0..400).filter_map(|seed| RunView::of(&walk(seed, 80))).collect();
    let undone = walks.iter().filter(|v| v.steps.iter().any(|s| s.undone.is_some())).count();
    let over = walks.iter().filter(|v| v.state.is_final() && v.disposition == Disposition::Pending).count();
    assert!(undone > 20 && over > 20, "the walks meet too little: {undone} with undone steps, {over} at their end");
}

/// A small generator (xorshift64*), so that a walk is the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
    fn yes(&mut self, of: u64) -> bool {
        self.roll(of) == 0
    }
    fn id(&mut self, kind: u8) -> [u8; 10] {
        let mut bytes = [kind; 10];
        bytes[9] = u8::try_from(self.roll(2)).unwrap();
        bytes
    }
    fn run(&mut self) -> RunId {
        RunId::new(1, self.id(1))
    }
    fn call(&mut self) -> CallId {
        CallId::new(1, self.id(2))
    }
    fn approval(&mut self) -> ApprovalId {
        ApprovalId::new(1, self.id(3))
    }
    fn tool(&mut self) -> String {
        format!("call_{}", self.roll(3))
    }
    fn step(&mut self) -> StepId {
        StepId::of(["plan", "build", "verify"][usize::try_from(self.roll(3)).unwrap()], 1)
    }
    fn text(&mut self) -> String {
        format!("text {}", self.roll(100))
    }
    fn some(&mut self) -> Option<u32> {
        (!self.yes(6)).then(|| u32::try_from(self.roll(5)).unwrap() * 1_000_000_007)
    }
    fn problem(&mut self) -> Problem {
        let code = [Code::Indeterminate, Code::DiskFull, Code::ChecksFailed][usize::try_from(self.roll(3)).unwrap()];
        Problem::new(code, self.text(), "Look at it.")
    }
    fn outcome(&mut self) -> Outcome {
        match self.roll(4) {
            0 | 1 => Outcome::Done,
            2 => Outcome::Failed { problem: self.problem() },
            _ => Outcome::Cancelled { problem: self.problem() },
        }
    }
    fn cost(&mut self) -> Cost {
        Cost { calls: 1, prompt_tokens: self.some(), output_tokens: None, local_ms: self.roll(9), micros: None }
    }
    fn ask(&mut self) -> Ask {
        match self.roll(4) {
            0 => Ask::HandOver {
                files: Vec::new(),
                checks: ChecksVerdict::Passed,
                reviewed: true,
                cost: self.cost(),
                tree: self.text(),
                keys: Vec::new(),
            },
            1 => Ask::Command {
                key: "k".into(),
                name: "test".into(),
                argv: vec!["true".into()],
                reason: self.text(),
                hosts: Vec::new(),
            },
            2 => Ask::Tool { role: RoleId::from("developer"), call: self.tool_call(), rule: self.text() },
            3 => Ask::Question { question: self.text(), default: self.text() },
            _ => Ask::Budget { spent: self.roll(9), limit: 5, more: 5, node: None, unit: BudgetUnit::Tokens },
        }
    }
    fn tool_call(&mut self) -> ToolCall {
        ToolCall { id: self.tool(), name: "read_file".into(), arguments: serde_json::json!({"path": self.text()}) }
    }
    fn tree(&mut self) -> String {
        format!("tree{}", self.roll(2))
    }
    fn output(&mut self) -> Output {
        Output { text: self.text(), bytes: 7, full: None }
    }
}

/// A run's start and then anything at all.
fn walk(seed: u64, steps: usize) -> Vec<Envelope> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let run = RunId::new(7, [9; 10]);
    let mut walk = Vec::new();
    for number in 0..=steps {
        let event = if number == 0 { begin(&mut dice) } else { anything(&mut dice, number) };
        let step = (number > 0 && !dice.yes(8)).then(|| dice.step());
        let seq = Seq(u64::try_from(number).unwrap() + 1);
        walk.push(Envelope {
            seq,
            store: StoreId::home(),
            at_ms: 1_790_000_000_000 + seq.0 * 1000,
            v: event.version(),
            run: Some(run.clone()),
            step,
            cause: None,
            trace: None,
            event,
            payload_hash: Hash::of(b""),
            prev_hash: Hash::of(b""),
        });
    }
    walk
}

fn begin(dice: &mut Dice) -> Event {
    let parent = dice.yes(3).then(|| Parent { run: dice.run(), step: dice.step(), root: dice.run(), depth: 1 });
    Event::RunStarted {
        goal: dice.text(),
        flow: FlowRef { id: "feature".into(), hash: Hash::of(b"flow") },
        base: Base { commit: "c".into(), branch: None },
        model: None,
        grants: Grants::default(),
        forked: (parent.is_none() && dice.yes(3)).then(|| Fork { run: dice.run(), at: Seq(3) }),
        parent,
        priority: Priority::Normal,
        budget_tokens: None,
        on: dice.yes(2).then(|| Box::new(Stacked { run: dice.run(), paths: vec![dice.text()], held: None })),
    }
}

fn anything(dice: &mut Dice, number: usize) -> Event {
    match dice.roll(48) {
        0 => Event::RunInterrupted { epoch: 2 },
        1 => Event::RunParked { problem: dice.problem() },
        2 | 3 | 40..=42 => Event::RunResumed { by: Actor::User, epoch: 2 },
        // An end ends the walk's interest, so it comes late.
        4 if number > STEPS / 2 => Event::RunFinished { outcome: dice.outcome() },
        5 => Event::SlotAwaited { ahead: 2 },
        6 => Event::SlotGiven {},
        7 | 8 => Event::StallNoticed { turns: 9, ms: dice.roll(90_000), last: dice.text() },
        9 if number > STEPS / 3 => Event::CompensationStarted { problem: dice.problem() },
        10 | 11 => Event::StepUndone { undone: dice.step(), how: dice.text() },
        13 => Event::ChildStarted { child: dice.run(), goal: dice.text() },
        14 | 15 | 46 => Event::ChildEnded { child: dice.run(), outcome: dice.outcome() },
        12 | 16..=20 => Event::StepStarted {
            role: (!dice.yes(3)).then(|| RoleId::from("developer")),
            title: dice.text(),
            brief: dice.text(),
            phase: if dice.yes(2) { StepPhase::Planning } else { StepPhase::Working },
            undo: dice.yes(2).then(|| dice.text()),
        },
        21 => Event::StepFinished { result: StepResult::Done },
        22 => Event::StepFinished { result: StepResult::SentBack { reason: dice.text() } },
        23 => Event::StepFinished { result: StepResult::Failed { problem: dice.problem() } },
        24 | 25 => Event::CallStarted {
            call: dice.call(),
            role: RoleId::from("developer"),
            route: Route { provider: "p".into(), model: "m".into(), local: !dice.yes(4), ..Route::default() },
            prompt: PromptRecord { hash: Hash::of(b"prompt"), parts: Vec::new() },
            attempt: 1,
            reserved: Amount::default(),
        },
        26 | 27 => Event::CallFinished {
            call: dice.call(),
            text: dice.text(),
            thinking: dice.text(),
            tool_calls: (0..dice.roll(3)).map(|_| dice.tool_call()).collect(),
            usage: Usage {
                prompt_tokens: dice.some(),
                output_tokens: dice.some(),
                load_ms: None,
                first_ms: None,
                total_ms: dice.roll(5000),
            },
            stop: Stop::Tools,
            cost: dice.yes(2).then(|| dice.roll(900)),
        },
        28 => Event::CallFailed {
            call: dice.call(),
            problem: dice.problem(),
            partial: dice.text(),
            class: None,
            used: Amount::default(),
        },
        29 => Event::ToolDecided {
            id: dice.tool(),
            tool: "read_file".into(),
            verdict: Verdict::Allow { rule: dice.text() },
        },
        30 => Event::ToolReturned {
            id: dice.tool(),
            tool: "read_file".into(),
            line: dice.text(),
            ok: dice.yes(2),
            output: dice.output(),
        },
        31 => Event::TurnCorrected { message: dice.text() },
        32 | 47 => {
            Event::ApprovalRequested { approval: dice.approval(), ask: dice.ask(), expires_at_ms: 1_800_000_000_000 }
        }
        33 | 34 | 43..=45 => Event::ApprovalSettled {
            approval: dice.approval(),
            answer: if dice.yes(2) { Answer::Approve } else { Answer::Reject },
            by: Actor::User,
            note: dice.text(),
        },
        35 => {
            Event::SpecWritten { spec: Spec { title: dice.text(), summary: String::new(), requirements: Vec::new() } }
        }
        36 => Event::CheckpointMade {
            checkpoint: Checkpoint { commit: dice.text(), tree: dice.tree(), files: Vec::new() },
        },
        37 => Event::CheckRecorded {
            check: Check {
                name: "test".into(),
                argv: vec!["true".into()],
                tree: dice.tree(),
                exit_code: Some(0),
                timed_out: false,
                ms: 1,
                output: dice.output(),
                mechanism: Mechanism::Bubblewrap,
                tests: None,
                compared: None,
                reached: Vec::new(),
            },
        },
        38 => rare(dice),
        _ => Event::Noticed { problem: dice.problem() },
    }
}

fn rare(dice: &mut Dice) -> Event {
    match dice.roll(14) {
        10 => Event::RunRebased {
            rebase: Box::new(Rebase {
                from: dice.text(),
                to: dice.text(),
                paths: vec![dice.text()],
                checkpoint: dice.yes(2).then(|| Checkpoint {
                    commit: dice.text(),
                    tree: dice.tree(),
                    files: Vec::new(),
                }),
                was: dice.yes(2).then(|| dice.text()),
                commits: vec![Commit { id: "r".into(), subject: dice.text() }],
            }),
        },
        11 => Event::RebaseHeld { held: Box::new(HeldBase { to: dice.text(), problem: dice.problem() }) },
        0 => Event::ChecksMissing { looked_for: Vec::new() },
        1 => Event::ReviewRecorded {
            review: Review { by: Reviewer::User, answer: Answer::Approve, notes: dice.text(), tree: dice.tree() },
        },
        2 => Event::HandedOver { branch: dice.text(), commits: vec![Commit { id: "c".into(), subject: dice.text() }] },
        3 => Event::RunAccepted { branch: "main".into(), commit: dice.text(), mode: AcceptMode::Merge },
        4 => Event::RunDiscarded {},
        5 => Event::EffectIntended { key: "k".into(), effect: Effect::EndProcess { name: dice.text() } },
        6 => Event::CallHeld { hold: Hold::Backoff { attempt: 2 }, until_ms: dice.roll(90_000) },
        7 => Event::ContextMismatched {
            call: dice.call(),
            mismatch: ContextMismatch {
                kind: MismatchKind::PromptCut,
                asked: Some(8192),
                loaded: None,
                counted: 900,
                evaluated: dice.some(),
            },
        },
        8 => Event::PromptCompacted {
            compaction: Compaction { left_out: Vec::new(), before: 9, after: 3, blob: Hash::of(b"left out") },
        },
        12 => Event::MemorySummarised {
            summary: Box::new(Summary {
                call: Some(dice.call()),
                by: SummaryBy::Model { provider: "p".into(), model: "m".into() },
                text: dice.text(),
                parts: Vec::new(),
                quota: 9,
                before: 12,
                after: 3,
                blob: Hash::of(b"left out"),
                usage: None,
                used: Amount::default(),
            }),
        },
        13 => Event::SummaryAsked {
            call: dice.call(),
            role: RoleId::from("developer"),
            route: Route { provider: "p".into(), model: "m".into(), ..Route::default() },
            prompt: PromptRecord { hash: Hash::of(b"prompt"), parts: Vec::new() },
            reserved: Amount::default(),
        },
        _ => Event::EffectSettled { key: "k".into(), outcome: EffectOutcome::Landed },
    }
}
