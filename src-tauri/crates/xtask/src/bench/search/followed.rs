//! The same folder through the whole program: `atelier index --watch` follows it, and another process asks by
//! `atelier search --batch`, as a user's window and command line do.
//!
//! Times hold everything that lies between: the system's watches, the way from process to process, the look at what is
//! missing. What an answer lacks is told from what it must find (`folder::PROBE`), not from what it says of itself.

use super::folder::{IGNORED, PROBE, PROBED_DEFINITION, PROBED_WORD};
use crate::run::Failure;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Between two questions while parts of the index are missing.
const AGAIN: Duration = Duration::from_millis(100);
/// What is not there by then never comes.
const LIMIT: Duration = Duration::from_secs(900);
/// Between two saves.
const SAVE_EVERY: Duration = Duration::from_millis(50);
/// A save that is not found by then counts as found then.
const LATEST: Duration = Duration::from_secs(10);
/// Until everything has settled before the program is looked at while it has nothing to do.
const SETTLE: Duration = Duration::from_secs(5);
/// Folders and files of a build: files of one folder.
const BUILT: (usize, usize) = (500, 40);

/// How it is measured.
pub struct Plan<'a> {
    pub program: &'a Path,
    pub tree: &'a Path,
    /// The program's data.
    pub home: &'a Path,
    pub queries: &'a [String],
    pub saves: usize,
    pub idle: Duration,
}

pub fn measure(plan: &Plan<'_>) -> Result<Value, Failure> {
    let begun = Instant::now();
    let owner = Owner::start(plan)?;
    let first = owner.told(LIMIT)?;
    let ready_s = begun.elapsed().as_secs_f64();
    let mut guest = Guest::start(plan)?;

    let Coming { complete_s, answers, unnamed, times } = coming(&mut guest, begun)?;
    let mut asked = Vec::new();
    for query in plan.queries.iter().chain(plan.queries) {
        let begun = Instant::now();
        guest.ask(&[query])?;
        asked.push(ms(begun.elapsed()));
    }
    let asked = asked.split_off(plan.queries.len()); // the first round warms the disk cache
    let indexed = memory(owner.id());

    std::thread::sleep(SETTLE);
    let idle_percent = busy(owner.id(), plan.idle);
    let watches = watches(owner.id());
    let built = build(plan, owner.id())?;

    let saved = saves(plan, &mut guest)?;
    let after = memory(owner.id());
    drop(guest);
    Ok(json!({
        "ready_s": ready_s, "complete_s": complete_s,
        "answers_while_missing": answers, "gaps_not_named": unnamed, "query_while_missing_ms": percentiles(times),
        "query_ms": percentiles(asked), "peak_rss_mb": indexed, "peak_rss_after_saves_mb": after,
        "idle_core_percent": idle_percent, "watch": first["watch"], "watches": watches, "build": built,
        "save_to_searchable_ms": percentiles(saved),
    }))
}

/// What came of asking until nothing was missing.
struct Coming {
    complete_s: f64,
    /// Answers that lacked something.
    answers: usize,
    /// Answers that lacked something and did not say so.
    unnamed: usize,
    times: Vec<f64>,
}

fn coming(guest: &mut Guest, begun: Instant) -> Result<Coming, Failure> {
    let (mut answers, mut unnamed, mut times) = (0, 0, Vec::new());
    loop {
        let asked = Instant::now();
        let found = guest.ask(&[PROBED_DEFINITION, PROBED_WORD])?;
        let took = ms(asked.elapsed());
        let [definition, word] = &found[..] else { return Err(broken("two questions have two answers")) };
        let is_probe = |hit: &&Value| hit["path"] == PROBE;
        let hits = |answer: &Value| answer["hits"].as_array().cloned().unwrap_or_default();
        let defined = hits(definition).iter().find(is_probe).is_some_and(|hit| hit["symbol"] == PROBED_DEFINITION);
        let remembered = hits(word).iter().any(|hit| is_probe(&hit));
        let names = |answer: &Value, part: &str| {
            answer["missing"].as_array().is_some_and(|missing| missing.iter().any(|named| named == part))
        };
        unnamed += usize::from(!defined && !names(definition, "symbols"));
        unnamed += usize::from(!remembered && !names(word, "history"));
        let missing =
            [definition, word].iter().any(|answer| answer["missing"].as_array().is_none_or(|m| !m.is_empty()));
        if !missing {
            return Ok(Coming { complete_s: begun.elapsed().as_secs_f64(), answers, unnamed, times });
        }
        answers += found.len();
        times.push(took);
        if begun.elapsed() > LIMIT {
            return Err(broken(&format!("parts are still missing after {LIMIT:?}: {}", definition["missing"])));
        }
        std::thread::sleep(AGAIN);
    }
}

/// Saves files at a steady pace while another thread asks for all that were not found yet; milliseconds of each.
fn saves(plan: &Plan<'_>, guest: &mut Guest) -> Result<Vec<f64>, Failure> {
    // Without digits, so that no path that holds the number is a better answer.
    let letter = |digit: u8| char::from(digit - b'0' + b'a');
    let word =
        move |number: usize| format!("followedword{}", number.to_string().bytes().map(letter).collect::<String>());
    let path = |number: usize| format!("atelier-followed/save{}.rs", number % 50);
    let (tell, told) = channel::<(usize, Instant)>();
    let (tree, count) = (plan.tree.to_owned(), plan.saves);
    let saver = std::thread::spawn(move || -> std::io::Result<()> {
        let begun = Instant::now();
        for (number, due) in (0..count).zip((0u32..).map(|number| SAVE_EVERY * number)) {
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            let file = tree.join(path(number));
            fs::create_dir_all(file.parent().unwrap_or(&tree))?;
            fs::write(&file, format!("//! {}\n{}", word(number), "fn filler() {}\n".repeat(50)))?;
            let _ = tell.send((number, Instant::now()));
        }
        Ok(())
    });
    let (mut open, mut took) = (Vec::new(), Vec::new());
    while took.len() < plan.saves {
        match open.is_empty() {
            true => open.extend(told.recv().ok()),
            false => open.extend(told.try_iter().take(50)),
        }
        if open.is_empty() {
            break; // the saver could not save
        }
        let words: Vec<String> = open.iter().map(|(number, _)| word(*number)).collect();
        let found = guest.ask(&words)?;
        let mut answers = found.iter();
        open.retain(|(number, saved)| {
            // A later save may have taken its place in the file; then it can be found no more.
            let late = saved.elapsed() > LATEST;
            let hits = answers.next().and_then(|answer| answer["hits"].as_array());
            let is_there = hits.into_iter().flatten().any(|hit| {
                hit["path"] == *path(*number) && hit["snippet"].as_str().is_some_and(|s| s.contains(&word(*number)))
            });
            if is_there || late {
                took.push(ms(saved.elapsed()));
            }
            !is_there && !late
        });
        std::thread::sleep(Duration::from_millis(2));
    }
    match saver.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(broken(&format!("a file could not be saved: {error}"))),
        Err(_) => return Err(broken("saving broke")),
    }
    let _ = fs::remove_dir_all(plan.tree.join("atelier-followed"));
    Ok(took)
}

/// Writes what a build writes into an ignored folder: watches that this took, and the program's time.
fn build(plan: &Plan<'_>, owner: u32) -> Result<Value, Failure> {
    let (watches_before, spent_before) = (watches(owner), cpu(owner));
    let (folders, files) = BUILT;
    let fault = |error: std::io::Error| broken(&format!("a build could not be played: {error}"));
    for folder in 0..folders {
        let folder = plan.tree.join(IGNORED).join(format!("crate{folder}"));
        fs::create_dir_all(&folder).map_err(fault)?;
        for file in 0..files {
            fs::write(folder.join(format!("part{file}.rs")), "fn made() {}\n").map_err(fault)?;
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    let watches = watches(owner).zip(watches_before).map(|(after, before)| after.saturating_sub(before));
    let spent = cpu(owner).zip(spent_before).map(|(after, before)| ms(after.saturating_sub(before)));
    fs::remove_dir_all(plan.tree.join(IGNORED)).map_err(fault)?;
    Ok(json!({ "files": folders * files, "further_watches": watches, "cpu_ms": spent }))
}

/// The process that follows the folder.
struct Owner {
    child: Child,
    lines: Receiver<String>,
}

impl Owner {
    fn start(plan: &Plan<'_>) -> Result<Self, Failure> {
        let mut child = spawned(&mut atelier(plan, &["index", "--watch"]))?;
        let output = child.stdout.take().ok_or_else(|| broken("the program has no output"))?;
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Ok(Self { child, lines })
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next state of the index that it tells.
    fn told(&self, limit: Duration) -> Result<Value, Failure> {
        let line = self.lines.recv_timeout(limit).map_err(|_| broken("the folder is not followed"))?;
        let line: Value = serde_json::from_str(&line).map_err(|error| broken(&format!("{error}: {line}")))?;
        match line["type"] == "progress" {
            true => Ok(line["progress"].clone()),
            false => Err(broken(&format!("the folder is not followed: {line}"))),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that asks.
struct Guest {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guest {
    fn start(plan: &Plan<'_>) -> Result<Self, Failure> {
        let mut child = spawned(atelier(plan, &["search", "--batch", "-k", "10"]).stdin(Stdio::piped()))?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new).ok_or_else(|| broken("the program has no output"))?;
        Ok(Self { child, questions, answers })
    }

    /// Asks, and waits for all answers.
    fn ask(&mut self, queries: &[impl AsRef<str>]) -> Result<Vec<Value>, Failure> {
        let lines: String = (0..).zip(queries).map(|(id, query)| question(id, query.as_ref())).collect();
        let fault = |error: std::io::Error| broken(&format!("the program could not be asked: {error}"));
        let questions = self.questions.as_mut().ok_or_else(|| broken("the program has no input"))?;
        questions.write_all(lines.as_bytes()).and_then(|()| questions.flush()).map_err(fault)?;
        let mut answers = Vec::with_capacity(queries.len());
        for _ in queries {
            let mut line = String::new();
            self.answers.read_line(&mut line).map_err(fault)?;
            let answer: Value = serde_json::from_str(&line).map_err(|error| broken(&format!("{error}: {line}")))?;
            match answer["type"] == "event" && answer["error"].is_null() {
                true => answers.push(answer),
                false => return Err(broken(&format!("no answer: {line}"))),
            }
        }
        Ok(answers)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn question(id: usize, query: &str) -> String {
    format!("{}\n", json!({ "id": id, "query": query }))
}

fn atelier(plan: &Plan<'_>, words: &[&str]) -> Command {
    let mut atelier = Command::new(plan.program);
    atelier.env("ATELIER_HOME", plan.home).args(["--json", "--project"]).arg(plan.tree).args(words);
    atelier.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    atelier
}

fn spawned(command: &mut Command) -> Result<Child, Failure> {
    command.spawn().map_err(|error| Failure::Environment(format!("the program cannot be started: {error}")))
}

fn broken(why: &str) -> Failure {
    Failure::Work(why.to_owned())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The share of one core that a process takes in so long a time, in percent; `None` where the system does not say.
fn busy(process: u32, time: Duration) -> Option<f64> {
    let (before, begun) = (cpu(process)?, Instant::now());
    std::thread::sleep(time);
    let spent = cpu(process)?.saturating_sub(before);
    Some(100.0 * spent.as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// The time that all threads of a process took so far (`utime` and `stime` of proc(5)).
fn cpu(process: u32) -> Option<Duration> {
    /// `USER_HZ`, which Linux fixes for every program.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, which may hold spaces, ends with the last bracket.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
    Some(TICK * (ticks(11)? + ticks(12)?))
}

/// The folders that the system watches for a process.
fn watches(process: u32) -> Option<usize> {
    let opened = fs::read_dir(format!("/proc/{process}/fdinfo")).ok()?;
    let told = opened.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    Some(told.map(|text| text.lines().filter(|line| line.starts_with("inotify ")).count()).sum())
}

/// The most memory that a process had, in MB.
fn memory(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(field.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1000.0)
}

fn percentiles(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1))).copied();
    json!({ "p50": at(50), "p95": at(95), "most": values.last(), "measured": values.len() })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_what_a_process_takes() {
        let own = std::process::id();
        assert!(memory(own).unwrap() > 1.0);
        assert!(cpu(own).is_some() && watches(own) == Some(0));
        assert_eq!((memory(0), cpu(0), watches(0)), (None, None, None));
    }

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let told = percentiles((1..=200).rev().map(f64::from).collect());
        assert_eq!(told, json!({ "p50": 101.0, "p95": 191.0, "most": 200.0, "measured": 200 }));
        assert_eq!(percentiles(Vec::new())["p95"], Value::Null);
    }
}
