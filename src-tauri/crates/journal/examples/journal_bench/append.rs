//! Appends under load: acknowledged events a second, and how long one append takes.

use crate::events::{Story, end};
use crate::spread;
use crate::store::Place;
use atelier_journal::Journal;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often two loads take turns, so that both meet the same moods of the machine.
const TURNS: u32 = 12;

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
pub async fn load(folder: &Path, mix: Mix, runs: u64, rate: Option<u32>, time: Duration) -> Load {
    let place = Place::new(folder, "append");
    let owned = place.open().await;
    let load = appends(&owned.journal, mix, 0..runs, rate, time).await;
    owned.close().await;
    load
}

/// Bare fsyncs and runs of the engine's mix at `rate` events a second take turns for `time` in all, in one store. The
/// fsyncs come as often as full appends: evenly, from one thread, and as they come to the journal, from one thread for
/// each run, which has a file of its own. They are compared by the medians of what their slowest took in each turn: a
/// processor that stands still for some milliseconds now and then, as a guest's does, would decide a p99 of all.
pub async fn beside_fsync(folder: &Path, runs: u64, rate: u32, time: Duration) -> Value {
    let place = Place::new(folder, "append");
    let owned = place.open().await;
    let (mut load, mut even, mut of_runs) = (Load::default(), Vec::new(), Vec::new());
    let mut p99s = [const { Vec::new() }; 3];
    for turn in 0..TURNS {
        // Of the 43 events of a run two are of class full.
        let (gap, time) = (Duration::from_secs(43) / (2 * rate), time / TURNS);
        let first = u64::from(turn) * runs;
        let evenly = spread::fsync(folder, gap, time);
        let by_runs = fsyncs_of_many(folder, runs as u32, gap, time);
        let appended = appends(&owned.journal, Mix::Engine, first..first + runs, Some(rate), time).await;
        for (p99s, times) in p99s.iter_mut().zip([&evenly, &by_runs, &appended.full]) {
            p99s.push(spread::of(times.clone())["p99_ms"].as_f64().unwrap_or(f64::NAN));
        }
        even.extend(evenly);
        of_runs.extend(by_runs);
        load.add(appended);
    }
    owned.close().await;
    let mut figures = load.figures();
    figures["fsync_as_often"] = spread::of(even);
    figures["fsync_of_each_run_as_often"] = spread::of(of_runs);
    let [even, of_runs, full] = p99s.map(median);
    figures["median_p99_of_turns"] =
        json!({ "full_append_ms": full, "fsync_as_often_ms": even, "fsync_of_each_run_as_often_ms": of_runs });
    figures["full_append_p99_in_fsync_p99s"] = json!({ "even": full / even, "of_each_run": full / of_runs });
    figures
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Bare fsyncs from `many` threads, each with a file of its own, that together come once a `gap`, and not in step.
fn fsyncs_of_many(folder: &Path, many: u32, gap: Duration, time: Duration) -> Vec<Duration> {
    let rest = gap * many;
    let of_one = |number: u32| {
        let folder = folder.join(format!("fsync{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::thread::sleep(rest.mul_f64((f64::from(number) * 0.618).fract()));
        let times = spread::fsync(&folder, rest, time);
        std::fs::remove_dir_all(&folder).unwrap();
        times
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..many).map(|number| scope.spawn(move || of_one(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

async fn appends(journal: &Journal, mix: Mix, runs: Range<u64>, rate: Option<u32>, time: Duration) -> Load {
    let since = Instant::now();
    let together = (runs.end - runs.start) as u32;
    let pace = Pace { since, time, rest: rate.map(|rate| Duration::from_secs(2) * together / rate) };
    let tasks: Vec<_> = runs.map(|run| tokio::spawn(appender(journal.clone(), mix, run, pace))).collect();
    let mut load = Load::default();
    for task in tasks {
        let one = task.await.unwrap();
        load.events += one.events;
        load.full.extend(one.full);
        load.normal.extend(one.normal);
    }
    load.seconds = since.elapsed().as_secs_f64();
    load
}

/// What appends under load took.
#[derive(Default)]
pub struct Load {
    events: usize,
    seconds: f64,
    full: Vec<Duration>,
    normal: Vec<Duration>,
}

impl Load {
    fn add(&mut self, other: Load) {
        self.events += other.events;
        self.seconds += other.seconds;
        self.full.extend(other.full);
        self.normal.extend(other.normal);
    }

    pub fn figures(self) -> Value {
        let spread = |times: Vec<Duration>| (!times.is_empty()).then(|| spread::of(times));
        json!({
            "events_per_s": self.events as f64 / self.seconds,
            "full_append": spread(self.full),
            "normal_append": spread(self.normal),
        })
    }
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
