//! What is put before a model: whole definitions, tests and uses of what fits, within the budget.
//!
//! Guards: a prompt is never cut in the middle, and a span is always of the file as it is.
//! A mutant that turns it red: `tokens + cost > limit` without the cost.

use crate::bench::Bench;
use atelier_protocol::context::{ContextView, SpanWhy};
use atelier_search::Want;

const PUMP: &str = "//! The pump.\n\nuse crate::valve;\n\n/// Stops the pump at once.\n/// The valve stays open.\npub fn stop_pump(\n    now: u64,\n) -> bool {\n    valve::hold();\n    now > 0\n}\n\nfn unrelated() {}\n";

fn bench() -> Bench {
    Bench::indexed(&[
        ("src/pump.rs", PUMP),
        ("src/panel.rs", "use crate::pump::stop_pump;\n\npub fn alarm() {\n    stop_pump(1);\n}\n"),
        ("tests/pump.rs", "#[test]\nfn it_ends() {\n    assert!(house::pump::stop_pump(1));\n}\n"),
        ("src/wind.rs", "pub fn measure_wind() -> f32 {\n    0.0\n}\n"),
    ])
}

fn context(bench: &Bench, goal: &str, budget: u32) -> ContextView {
    bench.index().context(&bench.root(), Want { goal, budget, ..Want::default() }).unwrap()
}

#[test]
fn what_fits_comes_whole_with_its_test_and_its_use() {
    let bench = bench();
    let view = context(&bench, "stop the pump", 2_000);
    let pump = view.spans.iter().find(|span| span.path == "src/pump.rs").unwrap();
    assert!(pump.text.contains("/// Stops the pump at once.") && pump.text.contains("now > 0\n}"), "{}", pump.text);
    let said: Vec<String> = view.spans.iter().map(|span| format!("{} {}", span.path, span.why)).collect();
    assert!(said.iter().any(|said| said.starts_with("src/panel.rs")), "{said:?}");
    assert!(said.iter().any(|said| said.starts_with("tests/pump.rs")), "{said:?}");
    assert!(
        view.map.iter().any(|file| file.path == "src/pump.rs"
            && file.symbols.iter().any(|(name, line)| name == "stop_pump" && *line == 7))
    );
    assert!(view.text().contains("src/pump.rs lines"));
}

#[test]
fn nothing_goes_over_the_budget_and_what_found_no_room_is_named() {
    let bench = bench();
    for budget in [0, 10, 60, 100, 200, 400, 1_000] {
        let view = context(&bench, "stop the pump alarm wind", budget);
        assert!(view.tokens <= budget, "{} of {budget}", view.tokens);
        let spent: u32 = view.spans.iter().map(|span| span.tokens).sum();
        assert!(spent <= view.tokens);
        if budget <= 60 {
            assert!(!view.left_out.is_empty(), "at {budget}");
        }
        for span in &view.spans {
            let file = std::fs::read_to_string(bench.root().join(&span.path)).unwrap();
            let cut: Vec<&str> = file
                .lines()
                .skip(span.lines[0] as usize - 1)
                .take((span.lines[1] - span.lines[0]) as usize + 1)
                .collect();
            assert_eq!(span.text, cut.join("\n"));
            assert_eq!(span.hash, atelier_protocol::Hash::of(file.as_bytes()));
        }
    }
}

#[test]
fn what_the_prompt_holds_is_not_sent_again() {
    let bench = bench();
    let said = format!("goal: stop the pump\n\nsrc/pump.rs:\n{PUMP}");
    let packed = || {
        let want = Want { goal: "stop the pump", budget: 2_000, said: &said, ..Want::default() };
        bench.index().context(&bench.root(), want).unwrap()
    };
    let of_pump = |view: &ContextView| view.spans.iter().any(|span| span.text.contains("fn stop_pump"));
    assert!(!of_pump(&packed()));
    assert!(packed().spans.iter().any(|span| span.path == "src/panel.rs"), "the rest comes all the same");
    // Of lines that are others now, the prompt holds nothing.
    bench.save("src/pump.rs", PUMP.replace("now > 0", "now > 7"));
    assert!(of_pump(&packed()));
}

#[test]
fn no_line_comes_twice() {
    let body: String = (0..400).map(|n| format!("pub fn pump_{n}() {{\n    stop({n});\n}}\n\n")).collect();
    let bench = Bench::indexed(&[("src/many.rs", &body)]);
    let view = context(&bench, "pump stop", 3_000);
    let mut lines: Vec<u32> = view.spans.iter().flat_map(|span| span.lines[0]..=span.lines[1]).collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all);
    assert!(view.spans.iter().all(|span| span.why == SpanWhy::Match));
}
