//! A measurement as it is written: `{bench, commit, at, machine, baseline, figures}`.

use crate::run::{self, Failure};
use crate::workspace;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes `target/bench/NAME.json` and prints the figures. `baseline` is what to compare with, or null.
pub fn write(name: &str, baseline: &Value, figures: &Value) -> Result<(), Failure> {
    keep(name, baseline, figures)?;
    println!("\nbaseline {baseline:#}\nfigures {figures:#}\n\nwrote target/bench/{name}.json");
    Ok(())
}

/// Writes `target/bench/NAME.json`.
pub fn keep(name: &str, baseline: &Value, figures: &Value) -> Result<(), Failure> {
    let record = json!({
        "bench": name,
        "commit": commit(),
        "at": now_ms(),
        "machine": machine(),
        "baseline": baseline,
        "figures": figures,
    });
    let folder = workspace::root().join("target/bench");
    let file = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(&record).unwrap_or_default() + "\n";
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&file, text))
        .map_err(|error| Failure::Work(format!("{} cannot be written: {error}", file.display())))
}

/// The commit, with `+` where files differ from it.
fn commit() -> Value {
    let git = |args: &[&str]| {
        let done = Command::new("git").current_dir(workspace::root()).args(args).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "--short=12", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => json!(commit),
        (Some(commit), _) => json!(format!("{commit}+")),
        _ => Value::Null,
    }
}

/// Milliseconds since 1970 UTC.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let load: Option<f64> = read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok());
    json!({
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": run::ask("uname", &["-r"]),
        "rustc": run::ask("rustc", &["--version"]),
        "load_1m": load,
    })
}

/// The value of `name : value` in a file of the kernel's.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// Median, least and most of some measurements.
pub fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let Some((least, most)) = values.first().zip(values.last()) else { return Value::Null };
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
    json!({ "median": median, "least": least, "most": most, "runs": values.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_odd_and_even_numbers_of_runs() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), json!({ "median": 2.0, "least": 1.0, "most": 3.0, "runs": 3 }));
        assert_eq!(spread(vec![4.0, 1.0]), json!({ "median": 2.5, "least": 1.0, "most": 4.0, "runs": 2 }));
        assert_eq!(spread(Vec::new()), Value::Null);
    }

    #[test]
    fn fields_of_the_kernels_files_are_read() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "MemTotal"), None);
    }
}
