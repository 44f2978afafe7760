//! The index and the shelf of a process that is killed while it writes: guards that what is opened afterwards is whole or
//! made anew, and that how far the shelf says it reaches is how far it does.
//!
//! Mutants that turn it red: `Shelf::write` that commits how far it reaches a delivery early; `opening::whole` that does
//! not look at the sums of the files.
//!
//! The process is this test program, started again for the one test that does nothing by itself. It is killed at other
//! moments each time; whatever state that leaves must answer as if nothing had happened.

use crate::bench::Bench;
use atelier_protocol::Hash;
use atelier_protocol::document::Anchor;
use atelier_protocol::view::{HitKind, Origin};
use atelier_search::{Delivery, Index, IndexError, Record, Shelf};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// Set for the process that is to be killed: the folder of the project, and of the index.
const ROOT: &str = "ATELIER_TEST_ROOT";
const DIR: &str = "ATELIER_TEST_DIR";
/// Said by it once it works, before how often it has done what it does.
const DONE: &str = "done ";

/// The process that is killed; where nobody started it for that, it ends at once.
#[test]
fn victim() {
    let (Some(root), Some(dir)) = (std::env::var_os(ROOT), std::env::var_os(DIR)) else { return };
    let (root, dir) = (PathBuf::from(root), PathBuf::from(dir));
    let index = Index::open(&dir).unwrap();
    for round in 0.. {
        say(round);
        index.refresh(&root).unwrap();
        index.complete(&root, Duration::from_millis(20)).unwrap();
        let path = format!("src/saved{}.rs", round % 5);
        std::fs::write(root.join(&path), format!("fn saved_{round}() {{}}\n")).unwrap();
        index.changed(&root, [path]).unwrap();
        index.remember(&format!("head{round}"), []).unwrap();
    }
}

/// The process that is killed while it puts records on a shelf.
#[test]
fn victim_of_a_shelf() {
    let (None, Some(dir)) = (std::env::var_os(ROOT), std::env::var_os(DIR)) else { return };
    let shelf = Shelf::open(&PathBuf::from(dir), "house").unwrap();
    for round in 0.. {
        say(round);
        shelf.put(delivery(shelf.upto() + 1)).unwrap();
    }
}

/// What a process that is to be killed says.
fn say(done: u64) {
    std::io::stderr().write_all(format!("{DONE}{done}\n").as_bytes()).unwrap();
}

/// A process that is to be killed. It says how far it came, so that it is killed after so much work and not after so
/// much time, in which a slow disk gets nothing done.
struct Victim {
    process: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Victim {
    fn started(name: &str, places: &[(&str, PathBuf)]) -> Self {
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim.args(["--exact", &format!("killed::{name}"), "--nocapture"]).envs(places.iter().cloned());
        let mut process = victim.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, said }
    }

    /// Waits until it did so much; what the last of it took.
    fn did(&mut self, times: u64) -> Duration {
        let (mut since, mut others) = (Instant::now(), Vec::new());
        loop {
            let line = self.said.next();
            assert!(line.is_some(), "it ended before it was killed: {others:#?}");
            let line = line.unwrap().unwrap();
            match line.strip_prefix(DONE).map(|done| done.parse::<u64>().unwrap()) {
                Some(done) if done == times => return since.elapsed(),
                Some(_) => since = Instant::now(),
                None => others.push(line),
            }
        }
    }

    fn killed_after(mut self, moment: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < moment {
            std::hint::spin_loop(); // a moment of a millisecond is to be one
        }
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The n-th delivery: an event of its own, an answer that takes the place of the one before, a document read again.
fn delivery(n: u64) -> Delivery {
    let record = |key: String, group: &str, kind: HitKind, text: String| Record {
        hash: Hash::of(text.as_bytes()),
        title: key.clone(),
        group: group.to_owned(),
        path: group.to_owned(),
        origin: Origin::Part { anchor: Anchor::Whole },
        key,
        kind,
        text,
    };
    Delivery {
        gone: vec!["manual.pdf".to_owned()],
        records: vec![
            record(format!("event {n}"), "run", HitKind::Chat, format!("said {n}: the valve")),
            record("question".to_owned(), "run", HitKind::Decision, format!("answered {n} times")),
            record(format!("page {n}"), "manual.pdf", HitKind::Document, format!("read {n} times")),
        ],
        marks: vec![("manual.pdf".to_owned(), n.to_string())],
        upto: Some(n),
    }
}

#[test]
fn a_shelf_reaches_as_far_as_it_says_whenever_its_process_was_killed() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("shelf");
    let mut before = 0;
    for round in 0..10u64 {
        let mut victim = Victim::started("victim_of_a_shelf", &[(DIR, dir.clone())]);
        let puts = round.min(3);
        let took = victim.did(puts);
        victim.killed_after(took * u32::try_from(round).unwrap() / 8); // somewhere in the next put, or past it
        let shelf = Shelf::open(&dir, "house").unwrap();
        let upto = shelf.upto();
        assert!(upto >= before + puts, "round {round}: it reached {before}, put {puts}, then reached {upto}");
        for n in 1..=upto + 1 {
            let there = shelf.get(&format!("event {n}")).unwrap().is_some();
            assert_eq!(there, n <= upto, "round {round}: event {n}, and it reaches to {upto}");
        }
        let texts = |kind: HitKind| -> Vec<String> {
            shelf.search("times", &[kind], 10).unwrap().into_iter().map(|hit| hit.snippet).collect()
        };
        let last = |what: &str| if upto == 0 { Vec::new() } else { vec![format!("{what} {upto} times")] };
        assert_eq!(texts(HitKind::Decision), last("answered"), "round {round}");
        assert_eq!(texts(HitKind::Document), last("read"), "round {round}");
        assert_eq!(shelf.marks().get("manual.pdf").cloned(), (upto > 0).then(|| upto.to_string()), "round {round}");
        before = upto;
    }
}

#[test]
fn whatever_a_kill_leaves_is_whole_or_made_anew() {
    let mut bench = Bench::new(&[]);
    for n in 0..120 {
        bench.write(&format!("src/f{n}.rs"), format!("fn target_{n}() {{\n    needle();\n}}\n"));
    }
    for round in 0..8u64 {
        bench.index = None;
        let mut victim = Victim::started("victim", &[(ROOT, bench.root()), (DIR, bench.dir())]);
        victim.did(0);
        victim.killed_after(Duration::from_millis(round * round * 6));
        bench = bench.opened();
        // What is there before anything is done about it is whole or nothing.
        match bench.asked("target", 200) {
            Ok(found) => assert!(found.hits.len() >= 120, "round {round}: {} of 120 files", found.hits.len()),
            Err(error) => assert!(matches!(error, IndexError::NotReady), "round {round}: {error}"),
        }
        bench.refresh();
        while !bench.index().complete(&bench.root(), Duration::from_secs(10)).unwrap() {}
        assert_eq!(bench.paths("target_77")[0], "src/f77.rs", "round {round}");
        assert_eq!(bench.hits("target_77")[0].symbol.as_deref(), Some("target_77"), "round {round}");
        assert_eq!(bench.counts()[1..], [0, 0], "round {round}: nothing is left to do");
        let files = std::fs::read_dir(bench.root().join("src")).unwrap().count();
        assert_eq!(bench.index().status().unwrap().files as usize, files, "round {round}");
    }
}

#[test]
fn a_file_of_the_index_that_is_cut_short_or_changed_is_noticed() {
    let files: Vec<(String, String)> =
        (0..70).map(|n| (format!("f{n}.rs"), format!("fn target_{n}() {{ needle(); }}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut bench = Bench::indexed(&files);
    bench.index().complete(&bench.root(), Duration::from_secs(60)).unwrap();
    bench.index().remember("head", []).unwrap();
    let names: Vec<PathBuf> = {
        let entries = std::fs::read_dir(bench.dir()).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("owner.lock")).collect()
    };
    assert!(names.len() > 6, "{names:?}");
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        Vec::clear,
        |bytes| {
            let middle = bytes.len() / 2;
            bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 0x20);
        },
    ];
    for at in 0..names.len() {
        bench.index = None;
        // Each time another file of what is there now: a rebuilt index has new names.
        let mut now: Vec<PathBuf> =
            std::fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        now.retain(|path| !path.ends_with("owner.lock"));
        now.sort();
        let file = &now[at % now.len()];
        let mut bytes = std::fs::read(file).unwrap();
        damages[at % damages.len()](&mut bytes);
        std::fs::write(file, bytes).unwrap();
        bench = bench.opened();
        match bench.asked("needle", 200) {
            Ok(found) => assert_eq!(found.hits.len(), 70, "{} was damaged", file.display()),
            Err(error) => assert!(matches!(error, IndexError::NotReady), "{error}"),
        }
        bench.refresh();
        bench.index().complete(&bench.root(), Duration::from_secs(60)).unwrap();
        assert_eq!(bench.asked("needle", 200).unwrap().hits.len(), 70, "{} was damaged", file.display());
        assert_eq!(bench.hits("target_7")[0].symbol.as_deref(), Some("target_7"));
    }
}
