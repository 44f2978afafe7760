//! Reference solutions through the whole program, in every edit format; `cargo xtask bench oracle` is the whole of it.
//!
//! Guards: what a model wrote arrives to the byte or not at all, and nothing is done that its checks do not prove. A
//! mutant that turns it red: `Run::judge` takes a check for passed where it printed "ok", or `worked_out` asks the policy
//! about no path.

use atelier_tests::oracle::{Part, exercise, play, shipped, write};

/// One exercise of each language.
const SLICE: [&str; 2] = ["python_roman", "rust_change_maker"];

#[tokio::test(flavor = "multi_thread")]
async fn references_arrive_to_the_byte_and_nothing_else_comes_through() {
    let all = exercise::all(&shipped()).unwrap();
    assert_eq!(all.len(), 20, "as many as the folder holds");
    let mut findings = Vec::new();
    for (at, one) in all.iter().filter(|one| SLICE.contains(&one.name.as_str())).enumerate() {
        for (nth, format) in write::FORMATS.into_iter().enumerate() {
            let played = play(one, format, Part::Reference, (10 * at + nth) as u64).await;
            findings.extend(played.findings.into_iter().map(|found| format!("{format} {}: {found}", one.name)));
        }
        let wrong = one.wrong.keys().map(|name| Part::Wrong(name));
        for (nth, part) in wrong.chain([Part::EditsTests, Part::SaysSuccess]).enumerate() {
            let format = write::FORMATS[nth % write::FORMATS.len()];
            let played = play(one, format, part, nth as u64).await;
            findings
                .extend(played.findings.into_iter().map(|found| format!("{part:?} {format} {}: {found}", one.name)));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
