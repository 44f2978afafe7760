//! Measures a journal on the disk of a given folder: `journal_bench FOLDER [EVENTS]`, one JSON object on standard output.
//!
//! Every figure goes through the same doors as the product. A bare fsync is measured on the same disk before and after,
//! because what a full append costs is what the disk takes. `EVENTS` (default 1,000,000) is the size of the large
//! store; a tenth of it is the long run. Started by `cargo xtask bench journal`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod append;
mod events;
mod large;
mod spread;
mod store;

use append::Mix;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Events a second at which the time of an append is looked at, beside as many as the machine takes.
const RATES: [u32; 2] = [5_000, 12_000];

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().expect("the folder to measure in"));
    let events: usize = words.next().map_or(1_000_000, |count| count.parse().expect("a number of events"));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let measured = runtime.block_on(measure(&folder, events));
    println!("{measured:#}");
}

async fn measure(folder: &Path, events: usize) -> Value {
    // A small store makes a quick look; the loads are as long as the store is large.
    let time = if events < 100_000 { Duration::from_millis(500) } else { Duration::from_secs(6) };
    let bare = || spread::of(spread::fsync(folder, Duration::ZERO, time));
    let before = bare();
    let mut figures = Map::new();
    for (name, mix, runs) in [
        ("normal_20_runs", Mix::Normal, 20),
        ("engine_mix_20_runs", Mix::Engine, 20),
        ("full_20_runs", Mix::Full, 20),
        ("full_alone", Mix::Full, 1),
        ("normal_alone", Mix::Normal, 1),
    ] {
        figures.insert(name.into(), append::load(folder, mix, runs, None, time).await.figures());
    }
    for rate in RATES {
        let figure = append::beside_fsync(folder, 20, rate, 4 * time).await;
        figures.insert(format!("engine_mix_20_runs_at_{rate}_a_second"), figure);
    }
    let after = bare();
    figures.insert("long_run".into(), large::run(folder, events / 10).await);
    figures.insert("large_store".into(), large::store(folder, events).await);
    json!({ "baseline": { "fsync_before": before, "fsync_after": after }, "figures": figures })
}
