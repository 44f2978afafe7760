//! A server that is unwell is left alone, tried once, and taken again; limits hold over any minute. Time is stepped.
//!
//! Turns red, for example, when `begin` no longer marks the trial, or a window forgets calls before their minute is over.

use super::*;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

struct Stepped(AtomicU64);

impl Clock for Stepped {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn traffic() -> (Arc<Stepped>, Arc<Traffic>) {
    let clock = Arc::new(Stepped(AtomicU64::new(1_000_000)));
    (clock.clone(), Traffic::new(clock))
}

fn caller() -> Caller {
    Caller { provider: "p".into(), model: "m".into(), role: "developer".into(), run: "r".into() }
}

fn unwell() -> CallError {
    CallError::ServerError { status: 500, text: String::new(), retry_after: None }
}

#[test]
fn a_breaker_opens_lets_one_trial_through_and_closes_after_it() {
    let (clock, traffic) = traffic();
    for _ in 0..THRESHOLD {
        assert_eq!(traffic.of("p", "m").1, Health::Closed);
        traffic.begin(&[], &caller(), 1).failed(&unwell());
    }
    let until_ms = 1_000_000 + REST_MS;
    assert_eq!(traffic.of("p", "m").1, Health::Open { until_ms });
    assert_eq!(traffic.of("p", "other").1, Health::Closed, "another model of the account is another circuit");
    clock.0.store(until_ms, Ordering::SeqCst);
    assert_eq!(traffic.of("p", "m").1, Health::HalfOpen);
    let trial = traffic.begin(&[], &caller(), 1);
    assert_eq!(traffic.of("p", "m"), (1, Health::Open { until_ms: until_ms + 1 }), "one trial at a time");
    trial.failed(&unwell());
    assert_eq!(traffic.of("p", "m"), (0, Health::Open { until_ms: until_ms + 2 * REST_MS }), "rests twice as long");
    clock.0.store(until_ms + 2 * REST_MS, Ordering::SeqCst);
    traffic.begin(&[], &caller(), 1).done();
    assert_eq!(traffic.of("p", "m").1, Health::Closed);
}

#[test]
fn a_trial_that_nobody_waited_for_leaves_the_circuit_to_the_next() {
    let (clock, traffic) = traffic();
    (0..THRESHOLD).for_each(|_| traffic.begin(&[], &caller(), 1).failed(&unwell()));
    clock.0.fetch_add(REST_MS, Ordering::SeqCst);
    drop(traffic.begin(&[], &caller(), 1));
    assert_eq!(traffic.of("p", "m").1, Health::HalfOpen);
}

#[test]
fn what_is_wrong_with_the_request_says_nothing_about_the_server() {
    let (_, traffic) = traffic();
    for _ in 0..3 * THRESHOLD {
        traffic.begin(&[], &caller(), 1).failed(&CallError::Overflow { text: String::new() });
    }
    assert_eq!(traffic.of("p", "m").1, Health::Closed);
}

#[test]
fn a_used_up_account_cools_down_with_all_its_models_until_a_person_says_otherwise() {
    let (_, traffic) = traffic();
    let empty = CallError::Exhausted { text: String::new(), retry_after: Some(Duration::from_secs(60)) };
    traffic.begin(&[], &caller(), 1).failed(&empty);
    let until_ms = 1_060_000;
    assert_eq!(traffic.of("p", "m").1, Health::Open { until_ms });
    assert_eq!(traffic.of("p", "other").1, Health::Open { until_ms });
    assert_eq!(traffic.of("q", "m").1, Health::Closed);
    traffic.forgive();
    assert_eq!(traffic.of("p", "other").1, Health::Closed);
}

proptest! {
    #[test]
    fn no_minute_holds_more_than_its_limit(
        gaps in prop::collection::vec((0u64..30_000, 1u64..400), 1..60),
        calls in 1u32..6,
        tokens in 400u32..1500,
    ) {
        let (clock, traffic) = traffic();
        let limit = RateLimit { of: RateScope::Provider, id: None, calls: Some(calls), tokens: Some(tokens) };
        let mut begun: Vec<(u64, u64)> = Vec::new();
        for (gap, used) in gaps {
            clock.0.fetch_add(gap, Ordering::SeqCst);
            while let Some((_, until)) = traffic.hold(std::slice::from_ref(&limit), &caller(), used) {
                prop_assert!(until > clock.now_ms(), "a wait that is over is none");
                clock.0.store(until, Ordering::SeqCst);
            }
            drop(traffic.begin(std::slice::from_ref(&limit), &caller(), used));
            let now = clock.now_ms();
            begun.push((now, used));
            let window = begun.iter().filter(|(at, _)| at + MINUTE_MS > now);
            let (count, sum) = window.fold((0, 0), |(count, sum), (_, used)| (count + 1, sum + used));
            prop_assert!(count <= calls && sum <= u64::from(tokens), "{count} calls, {sum} tokens");
        }
    }
}
