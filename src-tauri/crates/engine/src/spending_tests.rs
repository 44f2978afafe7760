//! What is set aside is settled once, whatever is told twice or never; what is not known stays unknown.
//!
//! Guards: accounting is idempotent by request id; an unknown price is no price of zero. Turns red, for example, when a
//! second end of a call counts again, or when an unknown cost is added as nothing.

use super::*;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{PromptPart, PromptRecord, Route, Stop, Usage};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{RoleId, Seq, StepId, StoreId};
use proptest::prelude::*;

fn envelope(at_ms: u64, run: &RunId, event: Event) -> Envelope {
    Envelope {
        seq: Seq(1),
        store: StoreId::home(),
        at_ms,
        v: event.version(),
        run: Some(run.clone()),
        step: Some(StepId::of("build", 1)),
        cause: None,
        trace: None,
        event,
        payload_hash: Hash::of(b""),
        prev_hash: Hash::of(b""),
    }
}

fn run() -> RunId {
    RunId::new(1, [1; 10])
}

fn call(n: u8) -> CallId {
    CallId::new(1, [n; 10])
}

fn started(n: u8, local: bool) -> Event {
    Event::CallStarted {
        call: call(n),
        role: RoleId::from("developer"),
        route: Route { local, ..Route::default() },
        prompt: PromptRecord {
            hash: Hash::of(b""),
            parts: vec![PromptPart { name: "system".into(), bytes: 300, hash: Hash::of(b"") }],
        },
        attempt: 1,
        reserved: Amount { micros: Some(500), tokens: 1000, local_ms: 0 },
    }
}

fn finished(n: u8, tokens: Option<u32>, cost: Option<u64>) -> Event {
    Event::CallFinished {
        call: call(n),
        text: "abc".into(),
        thinking: String::new(),
        tool_calls: Vec::new(),
        usage: Usage { prompt_tokens: tokens, output_tokens: tokens, total_ms: 70, ..Usage::default() },
        stop: Stop::End,
        cost,
    }
}

fn failed(n: u8) -> Event {
    let problem = Problem::new(Code::ModelServerError, "", "");
    Event::CallFailed {
        call: call(n),
        problem,
        partial: String::new(),
        class: None,
        used: Amount { micros: Some(0), ..Amount::default() },
    }
}

fn folded(events: &[Envelope]) -> Row {
    let mut row = None;
    for event in events.iter().filter(|event| Spending.keys(event).contains(&PROJECT.to_owned())) {
        row = Spending.fold(PROJECT, row.as_deref(), event);
    }
    row.map(|row| serde_json::from_slice(&row).unwrap()).unwrap_or_default()
}

#[test]
fn a_call_is_set_aside_when_it_starts_and_settled_when_it_ends() {
    let mut told = vec![envelope(0, &run(), started(1, false))];
    let open = folded(&told);
    assert_eq!((open.reserved().tokens, open.reserved().micros, open.spent().tokens), (1000, Some(500), 0));
    told.push(envelope(0, &run(), finished(1, Some(40), Some(9))));
    let row = folded(&told);
    assert_eq!(row.spent(), Amount { micros: Some(9), tokens: 80, local_ms: 0 });
    assert_eq!((row.reserved().tokens, row.calls), (0, 1));
}

#[test]
fn what_is_not_known_is_unknown_and_never_nothing() {
    let told = [envelope(0, &run(), started(1, false)), envelope(0, &run(), finished(1, None, None))];
    let row = folded(&told);
    assert_eq!(row.spent().micros, None);
    assert_eq!(row.spent().tokens, 100 + 1, "estimated from the bytes: three a token");
    let local = [envelope(0, &run(), started(1, true)), envelope(0, &run(), finished(1, Some(5), None))];
    assert_eq!(folded(&local).spent(), Amount { micros: Some(0), tokens: 10, local_ms: 70 });
}

#[test]
fn a_run_whose_process_ended_leaves_nothing_set_aside() {
    let told = [envelope(0, &run(), started(1, false)), envelope(0, &run(), Event::RunInterrupted { epoch: 2 })];
    assert_eq!(folded(&told).reserved().tokens, 0);
}

#[test]
fn a_burst_to_other_machines_is_unusual_and_a_steady_hour_is_not() {
    let at = |minute: u64, tokens: u32, n: u8| {
        [
            envelope(minute * 60_000, &run(), started(n, false)),
            envelope(minute * 60_000, &run(), finished(n, Some(tokens), Some(1))),
        ]
    };
    let steady: Vec<Envelope> = (0..60).flat_map(|minute| at(minute, 30_000, u8::try_from(minute).unwrap())).collect();
    assert_eq!(folded(&steady).unusual(59 * 60_000), None);
    let burst: Vec<Envelope> = at(50, 1_000, 1).into_iter().chain(at(58, 300_000, 2)).collect();
    let row = folded(&burst);
    assert!(row.unusual(59 * 60_000).unwrap().starts_with("600000 tokens"), "{:?}", row.unusual(59 * 60_000));
    assert_eq!(row.unusual(90 * 60_000), None, "it is over");
}

proptest! {
    #[test]
    fn told_twice_or_in_any_order_each_call_counts_once(
        ends in prop::collection::vec((0u8..6, prop::bool::ANY), 0..40),
    ) {
        let mut told: Vec<Envelope> = (0..6).map(|n| envelope(0, &run(), started(n, false))).collect();
        let mut expected = std::collections::BTreeMap::new();
        for (n, well) in ends {
            expected.entry(n).or_insert(if well { 20u64 } else { 0 });
            told.push(envelope(0, &run(), if well { finished(n, Some(10), Some(1)) } else { failed(n) }));
        }
        let row = folded(&told);
        prop_assert_eq!(row.spent().tokens, expected.values().sum::<u64>());
        prop_assert_eq!(row.calls as usize, expected.len());
        prop_assert_eq!(row.reserved().tokens, 1000 * (6 - expected.len() as u64));
    }
}
