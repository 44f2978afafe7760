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

/// 4 KiB appended to a file and synced, again and again.
pub fn fsync(folder: &Path, time: Duration) -> Value {
    let path = folder.join("fsync");
    let mut file = std::fs::File::create(&path).unwrap();
    let (since, mut times) = (Instant::now(), Vec::new());
    while since.elapsed() < time {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_all().unwrap();
        times.push(begun.elapsed());
    }
    drop(file);
    std::fs::remove_file(&path).unwrap();
    of(times)
}
