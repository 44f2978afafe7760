//! What reading takes is bounded by the text, whatever it is made of.
//!
//! Guards: a path is kept once for the blocks of its file that follow each other. Turned red by a `parse` that collects the
//! edits before it joins them. The peak of a process is looked at, so this test is alone in its program.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use atelier_edit::{Edit, Format, parse};

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn many_small_hunks_of_a_file_with_a_very_long_path_take_its_path_once() {
    let path = format!("{}f", "d/".repeat(20_000));
    let hunks: String = (1..10_000).map(|n| format!("@@ -{0} +{0} @@\n-a{0}\n+b{0}\n", n * 9)).collect();
    let text = format!("--- a/{path}\n+++ b/{path}\n{hunks}");
    let before = peak();
    let edits = parse(Format::UnifiedDiff, &text).unwrap();
    let took = peak() - before;
    assert!(matches!(&edits[..], [Edit::Replace { blocks, .. }] if blocks.len() == 9_999));
    // Once for each hunk would be 400 MB.
    assert!(took < 40 * 1024, "{took} KiB for a text of {} KiB", text.len() / 1024);
}
