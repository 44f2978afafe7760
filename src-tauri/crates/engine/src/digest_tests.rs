//! The row of a run held against its whole view: whatever happens in whatever order, both say the same.
//!
//! Guards: lists, questions, recovery and the scheduler see each run as a screen does.
//! Turns red, for example, when `Digest::apply` leaves out the end of a child, or takes a parked run for one at work, or when a
//! run stays behind that was put on its base.

use super::{Digest, fold};
use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Actor, Answer, Ask, Base, BudgetUnit, Checkpoint, Effect, EffectOutcome, Event, FileChange, FileStatus, FlowRef,
    Grants, HeldBase, Outcome, Parent, Priority, Rebase, Spec, Stacked, StepPhase, StepResult,
};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{ApprovalId, RunId, Seq, StepId, StoreId};
use atelier_protocol::view::RunView;
use proptest::prelude::*;

fn run(n: u8) -> RunId {
    RunId::new(u64::from(n), [n; 10])
}

fn approval(n: u8) -> ApprovalId {
    ApprovalId::new(u64::from(n), [n; 10])
}

fn problem(code: Code) -> Problem {
    Problem::new(code, "what", "how")
}

fn envelope(seq: u64, event: Event) -> Envelope {
    Envelope {
        seq: Seq(seq),
        store: StoreId::home(),
        at_ms: 1000 + seq * 7,
        v: event.version(),
        run: Some(run(0)),
        step: Some(StepId::of("step", 1)),
        cause: None,
        trace: None,
        event,
        payload_hash: Hash::of(b""),
        prev_hash: Hash::of(b""),
    }
}

fn started(parent: bool) -> Event {
    Event::RunStarted {
        goal: "a goal".into(),
        flow: FlowRef { id: "feature".into(), hash: Hash::of(b"") },
        base: Base { commit: "c".into(), branch: None },
        model: None,
        grants: Grants::default(),
        parent: parent.then(|| Parent { run: run(9), step: StepId::of("call", 1), root: run(9), depth: 1 }),
        forked: None,
        on: (!parent).then(|| Box::new(Stacked { run: run(8), paths: Vec::new(), held: None })),
        priority: Priority::High,
        budget_tokens: None,
    }
}

fn question(kind: u8) -> Ask {
    match kind {
        0 => Ask::Question { question: "which?".into(), default: "this".into() },
        1 => Ask::Budget { spent: 1, limit: 1, more: 1, node: None, unit: BudgetUnit::Tokens },
        _ => {
            Ask::Command { key: "k".into(), name: "n".into(), argv: Vec::new(), reason: "r".into(), hosts: Vec::new() }
        }
    }
}

fn outcome(kind: u8) -> Outcome {
    match kind {
        0 => Outcome::Done,
        1 => Outcome::Failed { problem: problem(Code::ChecksFailed) },
        _ => Outcome::Cancelled { problem: problem(Code::Cancelled) },
    }
}

fn checkpoint(files: usize) -> Checkpoint {
    let file = |n: usize| FileChange {
        path: format!("f{n}"),
        old_path: None,
        status: FileStatus::Added,
        insertions: Some(1),
        deletions: Some(0),
    };
    Checkpoint { commit: "c".into(), tree: format!("t{files}"), files: (0..files).map(file).collect() }
}

/// Every event that a row or a view makes something of, and some that neither does.
fn event() -> impl Strategy<Value = Event> {
    let discard = || Effect::Discard { branch: None, tip: None };
    prop_oneof![
        1 => Just(Event::RunInterrupted { epoch: 2 }),
        1 => Just(Event::RunParked { problem: problem(Code::ModelServerDown) }),
        1 => Just(Event::RunParked { problem: problem(Code::Indeterminate) }),
        3 => Just(Event::RunResumed { by: Actor::User, epoch: 2 }),
        1 => (0u8..3).prop_map(|n| Event::RunFinished { outcome: outcome(n) }),
        2 => (0u32..3).prop_map(|ahead| Event::SlotAwaited { ahead }),
        2 => Just(Event::SlotGiven {}),
        1 => Just(Event::CompensationStarted { problem: problem(Code::ChecksFailed) }),
        3 => any::<bool>().prop_map(|planning| Event::StepStarted {
            role: None,
            title: "t".into(),
            brief: String::new(),
            phase: if planning { StepPhase::Planning } else { StepPhase::Working },
            undo: None,
        }),
        1 => Just(Event::StepFinished { result: StepResult::Done }),
        1 => Just(Event::StepFinished { result: StepResult::SentBack { reason: "r".into() } }),
        1 => Just(Event::SpecWritten {
            spec: Spec { title: "t".into(), summary: String::new(), requirements: Vec::new() },
        }),
        3 => (1u8..4).prop_map(|n| Event::ChildStarted { child: run(n), goal: "g".into() }),
        3 => ((1u8..4), (0u8..3)).prop_map(|(n, how)| Event::ChildEnded { child: run(n), outcome: outcome(how) }),
        4 => ((1u8..4), (0u8..3)).prop_map(|(n, kind)| Event::ApprovalRequested {
            approval: approval(n),
            ask: question(kind),
            expires_at_ms: 5000 - u64::from(n),
        }),
        4 => (1u8..4).prop_map(|n| Event::ApprovalSettled {
            approval: approval(n),
            answer: Answer::Approve,
            by: Actor::User,
            note: String::new(),
        }),
        2 => (0usize..3).prop_map(|files| Event::CheckpointMade { checkpoint: checkpoint(files) }),
        1 => Just(Event::EffectIntended { key: "discard".into(), effect: discard() }),
        1 => Just(Event::EffectSettled { key: "discard".into(), outcome: EffectOutcome::NotLanded { problem: None } }),
        1 => Just(Event::RunAccepted {
            branch: "main".into(),
            commit: "c2".into(),
            mode: atelier_protocol::event::AcceptMode::Merge,
        }),
        1 => Just(Event::RunDiscarded {}),
        1 => Just(Event::Noticed { problem: problem(Code::Io) }),
        2 => Just(Event::RebaseHeld {
            held: Box::new(HeldBase { to: "c3".into(), problem: problem(Code::AcceptConflict) }),
        }),
        1 => prop::option::of(0usize..3).prop_map(|files| Event::RunRebased {
            rebase: Box::new(Rebase {
                from: "c".into(),
                to: "c3".into(),
                paths: Vec::new(),
                checkpoint: files.map(checkpoint),
                was: None,
                commits: Vec::new(),
            }),
        }),
        4 => Just(Event::StallNoticed { turns: 3, ms: 4, last: "spec".into() }),
    ]
}

fn folded(events: &[Envelope]) -> Option<Digest> {
    events.iter().fold(None, fold)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn a_row_says_what_the_whole_view_says(parent in any::<bool>(), rest in prop::collection::vec(event(), 0..40)) {
        let events: Vec<Envelope> =
            std::iter::once(started(parent)).chain(rest).zip(1..).map(|(event, seq)| envelope(seq, event)).collect();
        let (mut row, mut whole) = (Digest::start(&events[0]).unwrap(), RunView::start(&events[0]).unwrap());
        for event in &events[1..] {
            prop_assert_eq!(row.happens(&event.event, event.step.as_ref(), event.seq), whole.try_apply(event));
        }
        for count in 1..=events.len() {
            let (digest, view) = (folded(&events[..count]).unwrap(), RunView::of(&events[..count]).unwrap());
            prop_assert_eq!(digest.summary(), view.summary());
            prop_assert_eq!(digest.last_seq, view.last_seq);
            prop_assert_eq!(digest.events, count as u64);
            prop_assert_eq!(&digest.parent, &view.parent);
            let open: Vec<_> = view.approvals.iter().filter(|a| a.answer.is_none()).collect();
            prop_assert_eq!(digest.questions.len(), open.len());
            for (question, asked) in digest.questions.iter().zip(open) {
                prop_assert_eq!(&question.approval, &asked.id);
                prop_assert_eq!(question.expires_at_ms, asked.expires_at_ms);
            }
            let open: Vec<_> = view.children.iter().filter(|c| c.outcome.is_none()).map(|c| &c.run).collect();
            prop_assert_eq!(digest.children.iter().collect::<Vec<_>>(), open);
        }
    }
}

#[test]
fn a_row_is_small_and_reads_as_it_was_written() {
    let events: Vec<Envelope> = [
        started(true),
        Event::ChildStarted { child: run(1), goal: "g".into() },
        Event::ApprovalRequested { approval: approval(1), ask: question(2), expires_at_ms: 9 },
    ]
    .into_iter()
    .zip(1..)
    .map(|(event, seq)| envelope(seq, event))
    .collect();
    let digest = folded(&events).unwrap();
    let text = serde_json::to_vec(&digest).unwrap();
    assert!(text.len() < 900, "{} bytes", text.len());
    assert_eq!(serde_json::from_slice::<Digest>(&text).unwrap(), digest);
    assert_eq!(digest.expires_at_ms(), Some(9));
    assert_eq!(digest.questions[0].seq, Seq(3));
}

#[test]
fn a_history_that_does_not_begin_with_a_start_has_no_row() {
    assert_eq!(folded(&[envelope(1, Event::SlotGiven {})]), None);
}

#[test]
fn a_decision_that_was_left_open_is_seen() {
    let discard = Effect::Discard { branch: None, tip: None };
    let intended = Event::EffectIntended { key: "discard".into(), effect: discard };
    let settled = Event::EffectSettled { key: "discard".into(), outcome: EffectOutcome::Landed };
    let mut events = vec![envelope(1, started(false)), envelope(2, intended)];
    assert!(folded(&events).unwrap().deciding);
    events.push(envelope(3, settled));
    assert!(!folded(&events).unwrap().deciding);
}
