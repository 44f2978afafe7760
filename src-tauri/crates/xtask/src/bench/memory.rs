//! Memory of the idle window with all its processes, beside that of an empty window.
//!
//! The figure is the sum of proportional set sizes: a page shared by several processes counts once, divided among them.

use super::{record, window};
use crate::run::Failure;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long the window is left alone before it is measured.
const IDLE: Duration = Duration::from_secs(5);

pub fn main(runs: usize, inside: bool) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::Environment("memory is read from /proc, which is on Linux only".to_owned()));
    }
    let Some(programs) = window::prepare("memory", runs, inside)? else { return Ok(()) };
    let mut sums = [Vec::new(), Vec::new()];
    let mut last = BTreeMap::new();
    for _ in 0..runs {
        for (sums, program) in sums.iter_mut().zip([&programs.empty, &programs.app]) {
            let home = window::fresh_home()?;
            let (app, _) = window::Started::until_ready(program, &home)?;
            std::thread::sleep(IDLE);
            let parts = tree(app.pid())?;
            let sum: f64 = parts.values().sum();
            println!("{} {:.1} MiB {parts:.1?}", window::file_name(program), sum);
            sums.push(sum);
            last = parts;
        }
    }
    let [empty, app] = sums;
    let figures = json!({ "idle_pss_mib": record::spread(app), "by_process_mib": last });
    record::write("memory", &json!({ "empty_window_idle_pss_mib": record::spread(empty) }), &figures)
}

/// MiB of a process and everything below it, by program name.
pub fn tree(pid: u32) -> Result<BTreeMap<String, f64>, Failure> {
    let cannot = |error: std::io::Error| Failure::Environment(format!("/proc cannot be read: {error}"));
    let mut stats = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(cannot)?.flatten() {
        if let Some(stat) = std::fs::read_to_string(entry.path().join("stat")).ok().and_then(|text| parse(&text)) {
            stats.push(stat);
        }
    }
    let mut parts = BTreeMap::new();
    for (pid, name) in below(pid, &stats) {
        let rollup = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup"));
        *parts.entry(name).or_insert(0.0) += rollup.ok().and_then(|text| pss_mib(&text)).unwrap_or(0.0);
    }
    Ok(parts)
}

/// Number, parent and name of a process from its `stat`, see proc(5).
fn parse(stat: &str) -> Option<(u32, u32, String)> {
    let (pid, rest) = stat.split_once(" (")?;
    // A name may hold parentheses; the last one ends it.
    let (name, rest) = rest.rsplit_once(") ")?;
    let parent = rest.split(' ').nth(1)?;
    Some((pid.parse().ok()?, parent.parse().ok()?, name.to_owned()))
}

/// A process and all its descendants.
fn below(top: u32, stats: &[(u32, u32, String)]) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut next = vec![top];
    while let Some(pid) = next.pop() {
        found.extend(stats.iter().filter(|(own, ..)| *own == pid).map(|(own, _, name)| (*own, name.clone())));
        next.extend(stats.iter().filter(|(own, parent, _)| *parent == pid && *own != pid).map(|(own, ..)| *own));
    }
    found
}

fn pss_mib(rollup: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_tree_counts_and_nobody_else() {
        let stat = |text: &str| parse(text).unwrap();
        let stats = [
            stat("10 (app) S 1 10 10 0"),
            stat("11 (Web (Content)) S 10 10 10 0"),
            stat("12 (net) S 11 10 10 0"),
            stat("13 (other) S 1 13 13 0"),
        ];
        let mut names: Vec<_> = below(10, &stats).into_iter().map(|(_, name)| name).collect();
        names.sort();
        assert_eq!(names, ["Web (Content)", "app", "net"]);
    }

    #[test]
    fn proportional_sizes_are_read_in_mib() {
        assert_eq!(pss_mib("x-y ---p [rollup]\nRss:  4096 kB\nPss:  2048 kB\nPss_Dirty: 7 kB\n"), Some(2.0));
        assert_eq!(pss_mib(""), None);
    }
}
