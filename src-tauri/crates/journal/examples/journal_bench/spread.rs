//! Times and their spread, and what a sync of the disk costs.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Median, 99th percentile and most, in milliseconds.
pub fn of(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |part: f64| {
        let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, Duration::as_secs_f64) * 1_000.0
    };
    json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": at(1.0), "times": times.len() })
}

/// 4 KiB appended to a file and synced, again and again for `time`: one after the other, or with `gap` from the begin
/// of one to the begin of the next. One after the other they say what the disk can do. They say little about the
/// slow ones: what holds the machine up for some milliseconds then slows one of thousands, and with a gap one of a few.
/// (Tene, "How NOT to Measure Latency", calls this coordinated omission.)
pub fn fsync(folder: &Path, gap: Duration, time: Duration) -> Vec<Duration> {
    let path = folder.join("fsync");
    let mut file = std::fs::File::create(&path).unwrap();
    let (since, mut times) = (Instant::now(), Vec::new());
    let mut due = since;
    while since.elapsed() < time {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_all().unwrap();
        times.push(begun.elapsed());
        due = (due + gap).max(Instant::now());
    }
    drop(file);
    std::fs::remove_file(&path).unwrap();
    times
}
