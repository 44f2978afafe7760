//! Appends under load: acknowledged events a second, and how long one append takes.

use crate::events::{Story, end};
use crate::spread;
use crate::store::Place;
use atelier_journal::Journal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the runs append.
#[derive(Clone, Copy)]
pub enum Mix {
    /// One event of class normal after the other.
    Normal,
    /// Runs of 43 events in appends of two: a start and an end of class full, all else normal, each append expecting
    /// the run's version.
    Engine,
    /// One event of class full after the other.
    Full,
}

/// Lets `runs` runs append for `time`, each waiting for its acknowledgement before it goes on. With a `rate`, in events a
/// second, they append no faster than that together: without one they append as fast as they can, and what an append
/// takes is then mostly its place in the queue.
pub async fn load(folder: &Path, mix: Mix, runs: u64, rate: Option<u32>, time: Duration) -> Value {
    let place = Place::new(folder, "append");
    let owned = place.open().await;
    let since = Instant::now();
    let pace = Pace { since, time, rest: rate.map(|rate| Duration::from_secs(2 * runs) / rate) };
    let tasks: Vec<_> = (0..runs).map(|run| tokio::spawn(appender(owned.journal.clone(), mix, run, pace))).collect();
    let (mut events, mut full, mut normal) = (0, Vec::new(), Vec::new());
    for task in tasks {
        let one = task.await.unwrap();
        events += one.events;
        full.extend(one.full);
        normal.extend(one.normal);
    }
    let seconds = since.elapsed().as_secs_f64();
    owned.close().await;
    let figures = json!({
        "events_per_s": events as f64 / seconds,
        "full_append": (!full.is_empty()).then(|| spread::of(full)),
        "normal_append": (!normal.is_empty()).then(|| spread::of(normal)),
    });
    eprintln!("{figures}");
    figures
}

#[derive(Default)]
struct One {
    events: usize,
    full: Vec<Duration>,
    normal: Vec<Duration>,
}

/// When a run appends.
#[derive(Clone, Copy)]
struct Pace {
    since: Instant,
    time: Duration,
    /// From the begin of one append of two events to the begin of the next.
    rest: Option<Duration>,
}

impl Pace {
    fn is_over(&self) -> bool {
        self.since.elapsed() >= self.time
    }

    /// Waits until a run's append may begin. Who is late begins at once and does not catch up.
    async fn wait(&self, due: &mut Instant) {
        let Some(rest) = self.rest else { return };
        tokio::time::sleep_until((*due).into()).await;
        *due = (*due + rest).max(Instant::now());
    }
}

async fn appender(journal: Journal, mix: Mix, number: u64, pace: Pace) -> One {
    let mut one = One::default();
    let mut round = 0;
    // The runs do not begin in step.
    let mut due = pace.since + pace.rest.unwrap_or_default().mul_f64((number as f64 * 0.618).fract());
    while !pace.is_over() {
        let mut story = Story::new(number << 32 | round);
        round += 1;
        match mix {
            Mix::Normal => {
                // The start of a run is of class full, and comes once in 2,000 events here.
                let first = story.next();
                journal.append(vec![first]).await.unwrap();
                for _ in 0..2_000 {
                    if pace.is_over() {
                        break;
                    }
                    let event = story.next();
                    let begun = Instant::now();
                    journal.append(vec![event]).await.unwrap();
                    one.normal.push(begun.elapsed());
                    one.events += 1;
                }
            }
            Mix::Full => {
                let event = end(&story.run);
                let begun = Instant::now();
                journal.append(vec![event]).await.unwrap();
                one.full.push(begun.elapsed());
                one.events += 1;
            }
            Mix::Engine => {
                // The first story of each run ends earlier than its neighbour's, so that no two end in step.
                let end_at = if round == 1 { number * 2 % 42 + 2 } else { 42 };
                for version in (0..=end_at).step_by(2) {
                    let last = version == end_at;
                    let events = if last { vec![end(&story.run)] } else { vec![story.next(), story.next()] };
                    let count = events.len();
                    pace.wait(&mut due).await;
                    let begun = Instant::now();
                    journal.append_expecting(&story.run, version, events).await.unwrap();
                    let took = begun.elapsed();
                    if last || version == 0 {
                        one.full.push(took)
                    } else {
                        one.normal.push(took)
                    }
                    one.events += count;
                }
            }
        }
    }
    one
}
