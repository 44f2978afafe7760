//! Reads what test programs say of their tests: how many passed and failed, and the names of those that failed.
//!
//! Known by what the output says, not by the command: `make test` and a script call one of them too. Several programs in
//! one output add up. What is read is only more than the exit code, never in its place. Pure.
//!
//! Shapes: libtest and cargo-nextest, pytest, unittest, go test, Jest, Vitest, Mocha, node:test and other TAP, Maven's
//! Surefire, Gradle.

use atelier_protocol::event::TestResults;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Names that are kept at most; a list that is longer is not complete and compares with nothing.
const MOST_NAMES: usize = 500;

/// How a line names a failed test.
struct Name {
    pattern: Regex,
    /// Whether the line itself is one failure that no summary counts.
    counts: bool,
}

/// How a line sums up.
struct Summary {
    pattern: Regex,
    /// Whether it replaces the sums of lines before it of its kind: Surefire sums up each class, then all.
    whole: bool,
}

static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
    let all: [(&str, bool); 13] = [
        // libtest, not quiet
        (r"^test (?P<name>\S.*?) \.\.\. FAILED\b", false),
        // cargo-nextest
        (r"^\s*(?:FAIL|TIMEOUT|ABORT|SIG[A-Z]+) \[[^\]]*\]\s+(?:\(\s*\d+/\d+\)\s+)?(?P<name>\S+ \S.*)$", false),
        // pytest
        (r"^(?:FAILED|ERROR) (?P<name>\S+?(?:::.+?)?)(?: - .*)?$", false),
        // unittest
        (r"^(?:FAIL|ERROR): (?P<name>\w+ \([\w.<>]+\)|\w+ \([\w.]+\).*)$", false),
        // go test
        (r"^\s*--- FAIL: (?P<name>\S+) \(", true),
        (r"^FAIL\s+(?P<name>\S+) \[(?:build|setup) failed\]", true),
        // Vitest
        (r"^\s*FAIL\s+(?P<name>\S+\.(?:[cm]?[jt]sx?) > .+)$", false),
        // Jest
        (r"^\s*● (?P<name>.+ › .+)$", false),
        // TAP
        (r"^\s*not ok \d+ -? ?(?P<name>.+?)(?: # (?:time|duration).*)?$", false),
        // node:test
        (r"^\s*✖ (?P<name>.+?) \([\d.]+m?s\)$", false),
        // Surefire
        (r"^\[ERROR\] (?P<name>[\w.$]+\.[\w$]+(?:\[.*\])?)\s+(?:--\s+)?Time elapsed: .*<<< (?:FAILURE|ERROR)!", false),
        (r"^\[ERROR\] (?P<name>\w+(?:\[.*\])?\([\w.$]+\))\s+Time elapsed: .*<<< (?:FAILURE|ERROR)!", false),
        // Gradle
        (r"^(?P<name>[\w.$]+(?: > .+)+) FAILED$", false),
    ];
    all.into_iter().filter_map(|(pattern, counts)| Some(Name { pattern: Regex::new(pattern).ok()?, counts })).collect()
});

static SUMMARIES: LazyLock<Vec<Summary>> = LazyLock::new(|| {
    let all: [(&str, bool); 9] = [
        // libtest
        (r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed; (?P<skipped>\d+) ignored", false),
        // cargo-nextest
        (
            r"^\s*Summary \[[^\]]*\]\s+\d+ tests? run: (?P<passed>\d+) passed(?: \([^)]*\))?(?:, (?P<failed>\d+) failed)?(?:, \d+ timed out)?(?:, (?P<skipped>\d+) skipped)?",
            false,
        ),
        // unittest
        (r"^(?:FAILED|OK)(?: \((?P<list>[^)]*)\))?$", false),
        // pytest
        (
            r"^(?:=+ )?(?P<list>(?:\d+ (?:failed|passed|skipped|errors?|xfailed|xpassed|deselected|warnings?)(?:, )?)+) in [\d.]+s",
            false,
        ),
        // Jest, Vitest
        (r"^\s*Tests:?\s+(?P<list>\d+ (?:failed|passed|skipped|todo|pending)\b.*)$", false),
        // Mocha
        (r"^\s+(?P<list>\d+ (?:passing|failing|pending))\b", false),
        // node:test
        (r"^(?:#|ℹ) (?P<word>pass|fail|skipped) (?P<number>\d+)$", false),
        // Surefire
        (
            r"^(?:\[\w+\] )?Tests run: (?P<run>\d+), Failures: (?P<failed>\d+), Errors: (?P<errors>\d+), Skipped: (?P<skipped>\d+)(?:\s*$)",
            true,
        ),
        // Gradle
        (r"^(?P<run>\d+) tests? completed(?:, (?P<failed>\d+) failed)?(?:, (?P<skipped>\d+) skipped)?", false),
    ];
    let compiled = all.into_iter().map(|(pattern, whole)| Some(Summary { pattern: Regex::new(pattern).ok()?, whole }));
    compiled.flatten().collect()
});

static RAN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^Ran (?P<run>\d+) tests? in ").ok());
static COLOURS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\x1b\[[0-9;]*[A-Za-z]").ok());
static LISTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(\d+) ([a-z]+)|([a-z ]+)=(\d+)").ok());

/// Sums.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    fn add_word(&mut self, word: &str, number: u32) {
        match word.trim() {
            "passed" | "passing" | "pass" | "xfailed" => self.passed += number,
            "failed" | "failing" | "fail" | "error" | "errors" | "failures" | "unexpected successes" => {
                self.failed += number;
            }
            "skipped" | "pending" | "todo" => self.skipped += number,
            _ => {}
        }
    }
}

/// What the output of a check says of its tests; `None` where it says nothing that is known.
pub fn read(output: &str) -> Option<TestResults> {
    let plain = COLOURS.as_ref().map_or(output.into(), |colours| colours.replace_all(output, ""));
    let mut names: BTreeSet<String> = BTreeSet::new();
    let (mut sums, mut whole, mut alone, mut seen, mut ran) = (Sums::default(), None, 0u32, false, None);
    let mut listed: Option<Vec<&str>> = None;
    for line in plain.lines() {
        // libtest ends each list of failures with its result; quiet or not, that is where the names are.
        match (&mut listed, line) {
            (_, "failures:") => listed = Some(Vec::new()),
            (Some(list), line) if line.starts_with("    ") && !line[4..].starts_with(' ') => list.push(line.trim()),
            (Some(list), line) if line.starts_with("test result: FAILED") => {
                names.extend(list.drain(..).map(str::to_owned));
                listed = None;
            }
            _ => {}
        }
        if let Some(found) = RAN.as_ref().and_then(|ran| ran.captures(line)) {
            ran = found["run"].parse::<u32>().ok();
            continue;
        }
        if let Some((summary, found)) = SUMMARIES.iter().find_map(|s| Some((s, s.pattern.captures(line)?))) {
            // unittest's last word stands after how many it ran; anywhere else it is somebody else's.
            let last_word = line.starts_with("OK") || line.starts_with("FAILED");
            if last_word && ran.is_none() {
                continue;
            }
            let sum = sum_of(&found, ran.take());
            seen = true;
            match summary.whole {
                true => whole = Some(sum),
                false => sums.add(sum),
            }
            continue;
        }
        if let Some((name, found)) = NAMES.iter().find_map(|n| Some((n, n.pattern.captures(line)?))) {
            if names.insert(found["name"].trim().to_owned()) && name.counts {
                alone += 1;
                seen = true;
            }
        } else if line.starts_with("ok  \t") {
            seen = true; // a package of go test, which says nothing of its tests
        }
    }
    if let Some(whole) = whole {
        sums.add(whole);
    }
    sums.failed += alone;
    let failures: Vec<String> = names.into_iter().take(MOST_NAMES).collect();
    seen.then_some(TestResults { passed: sums.passed, failed: sums.failed, skipped: sums.skipped, failures })
}

fn sum_of(found: &regex::Captures<'_>, ran: Option<u32>) -> Sums {
    let number = |name: &str| found.name(name).and_then(|text| text.as_str().parse::<u32>().ok());
    let mut sums = Sums::default();
    if let (Some(word), Some(number)) = (found.name("word"), number("number")) {
        sums.add_word(word.as_str(), number);
        return sums;
    }
    if let Some(list) = found.name("list") {
        for pair in LISTED.iter().flat_map(|listed| listed.captures_iter(list.as_str())) {
            let (word, number) = match (pair.get(1), pair.get(2), pair.get(3), pair.get(4)) {
                (Some(number), Some(word), ..) | (_, _, Some(word), Some(number)) => (word.as_str(), number.as_str()),
                _ => continue,
            };
            sums.add_word(word, number.parse().unwrap_or(0));
        }
    } else {
        sums.passed = number("passed").unwrap_or(0);
        sums.failed = number("failed").unwrap_or(0) + number("errors").unwrap_or(0);
        sums.skipped = number("skipped").unwrap_or(0);
    }
    if let Some(run) = number("run").or(ran) {
        sums.passed = run.saturating_sub(sums.failed + sums.skipped);
    }
    sums
}

/// The failures of `now` that `before` did not have; `None` where the two cannot be compared, because one of them does not
/// name all that failed.
pub fn new_failures(before: &TestResults, now: &TestResults) -> Option<Vec<String>> {
    let complete = |results: &TestResults| {
        results.failed > 0 && results.failures.len() < MOST_NAMES && results.failures.len() >= results.failed as usize
    };
    if !complete(before) || !complete(now) {
        return None;
    }
    Some(now.failures.iter().filter(|name| !before.failures.contains(name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(output: &str) -> String {
        match read(output) {
            None => "nothing".to_owned(),
            Some(r) => {
                format!("{} passed, {} failed, {} skipped: {}", r.passed, r.failed, r.skipped, r.failures.join("; "))
            }
        }
    }

    /// Real outputs of each program, shortened.
    #[test]
    fn each_program_is_read() {
        let outputs = [
            (
                "libtest",
                "running 3 tests\ntest a::ok ... ok\ntest a::bad ... FAILED\ntest later ... ignored\n\nfailures:\n\n---- a::bad stdout ----\nthread 'a::bad' panicked at x.rs:3:5:\n    indented\n\nfailures:\n    a::bad\n\ntest result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            ),
            (
                "libtest, quiet, two programs",
                "running 2 tests\n.F\nfailures:\n\n---- bad stdout ----\nx\n\nfailures:\n    bad\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\nrunning 1 test\n.\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            ),
            (
                "cargo-nextest",
                "        PASS [   0.005s] mine tests::good\n        FAIL [   0.006s] (2/2) mine tests::bad\n     Summary [   0.007s] 2 tests run: 1 passed, 1 failed, 3 skipped\n        FAIL [   0.006s] (2/2) mine tests::bad\n",
            ),
            (
                "pytest",
                "F.s\n=== short test summary info ===\nFAILED tests/test_a.py::test_one[x-1] - assert 1 == 2\nERROR tests/test_b.py - ImportError: no\n=== 1 failed, 1 passed, 1 skipped, 1 error in 0.03s ===\n",
            ),
            ("pytest, quiet", "F\nFAILED t.py::test_x\n1 failed, 2 passed in 0.02s\n"),
            (
                "unittest",
                "E.F\n======\nERROR: test_b (tests.test_x.Case.test_b)\n------\nTraceback\n======\nFAIL: test_a (tests.test_x.Case.test_a)\nsays so\n------\nRan 3 tests in 0.001s\n\nFAILED (failures=1, errors=1)\n",
            ),
            ("unittest, all well", "...\n----\nRan 3 tests in 0.001s\n\nOK (skipped=1)\n"),
            (
                "go test",
                "--- FAIL: TestSum (0.00s)\n    --- FAIL: TestSum/negative (0.00s)\n        sum_test.go:9: no\nFAIL\nFAIL\texample.org/sum\t0.002s\nok  \texample.org/ok\t0.001s\nFAIL\texample.org/broken [build failed]\n",
            ),
            (
                "Jest",
                "FAIL src/sum.test.js\n  ● sum › adds\n\n    expect(received)\n\nTests:       1 failed, 2 passed, 3 total\nTime: 1 s\n",
            ),
            (
                "Vitest",
                "\u{1b}[31m FAIL \u{1b}[0m src/sum.test.ts > sum > adds\nAssertionError\n Test Files  1 failed (1)\n      Tests  1 failed | 2 passed (3)\n",
            ),
            ("Mocha", "  2 passing (5ms)\n  1 failing\n\n  1) sum\n       adds:\n"),
            ("node:test", "✖ adds (0.5ms)\nℹ tests 2\nℹ pass 1\nℹ fail 1\nℹ skipped 0\n"),
            ("TAP", "ok 1 - a\nnot ok 2 - b\n# pass 1\n# fail 1\n"),
            (
                "Surefire",
                "[INFO] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.1 s <<< FAILURE! -- in x.FooTest\n[ERROR] x.FooTest.adds -- Time elapsed: 0.01 s <<< FAILURE!\n[ERROR] Tests run: 5, Failures: 1, Errors: 0, Skipped: 1\n",
            ),
            (
                "Gradle",
                "x.FooTest > adds() FAILED\n    org.opentest4j.AssertionFailedError\n\n5 tests completed, 1 failed, 1 skipped\n",
            ),
            ("a script", "checking\nOK\nFAILED\nerror: it broke\n"),
            ("a compiler", "error[E0425]: cannot find value `x`\nerror: could not compile `a`\n"),
        ];
        let all: Vec<String> = outputs.iter().map(|(name, output)| format!("{name}: {}", told(output))).collect();
        insta::assert_snapshot!(all.join("\n"), @r"
        libtest: 1 passed, 1 failed, 1 skipped: a::bad
        libtest, quiet, two programs: 2 passed, 1 failed, 0 skipped: bad
        cargo-nextest: 1 passed, 1 failed, 3 skipped: mine tests::bad
        pytest: 1 passed, 2 failed, 1 skipped: tests/test_a.py::test_one[x-1]; tests/test_b.py
        pytest, quiet: 2 passed, 1 failed, 0 skipped: t.py::test_x
        unittest: 1 passed, 2 failed, 0 skipped: test_a (tests.test_x.Case.test_a); test_b (tests.test_x.Case.test_b)
        unittest, all well: 2 passed, 0 failed, 1 skipped: 
        go test: 0 passed, 3 failed, 0 skipped: TestSum; TestSum/negative; example.org/broken
        Jest: 2 passed, 1 failed, 0 skipped: sum › adds
        Vitest: 2 passed, 1 failed, 0 skipped: src/sum.test.ts > sum > adds
        Mocha: 2 passed, 1 failed, 0 skipped: 
        node:test: 1 passed, 1 failed, 0 skipped: adds
        TAP: 1 passed, 1 failed, 0 skipped: b
        Surefire: 3 passed, 1 failed, 1 skipped: x.FooTest.adds
        Gradle: 3 passed, 1 failed, 1 skipped: x.FooTest > adds()
        a script: nothing
        a compiler: nothing
        ");
    }

    /// Guards: an old failure hides no new one. A mutant that turns it red: `complete` is always true.
    #[test]
    fn only_what_failed_before_by_name_is_old() {
        let results = |failed: u32, names: &[&str]| TestResults {
            passed: 1,
            failed,
            skipped: 0,
            failures: names.iter().map(|&name| name.to_owned()).collect(),
        };
        let old = results(2, &["a", "b"]);
        assert_eq!(new_failures(&old, &results(2, &["a", "b"])), Some(vec![]));
        assert_eq!(new_failures(&old, &results(1, &["b"])), Some(vec![]));
        assert_eq!(new_failures(&old, &results(2, &["a", "c"])), Some(vec!["c".to_owned()]));
        assert_eq!(new_failures(&old, &results(3, &["a", "b"])), None, "one is not named");
        assert_eq!(new_failures(&results(3, &["a"]), &results(1, &["a"])), None);
        assert_eq!(new_failures(&old, &results(0, &[])), None, "it failed for another reason than a test");
    }

    #[test]
    fn any_output_is_read_without_harm() {
        let long = "test x ... FAILED\n".repeat(2_000) + &"failures:\n    é\n".repeat(100);
        assert_eq!(read(&long), None);
        for odd in [
            "    ",
            "failures:\n   é",
            "Ran 99999999999 tests in 1s\nOK",
            "test result: ok. 99999999999 passed; 0 failed; 0 ignored",
        ] {
            let _ = read(odd);
        }
    }
}
