//! What the door for other programs adds to a call, against direct calls to the same scripted server in the same run.
//!
//! Limits on spending are set for project and door, so that every call is set aside and recorded; answers that may be
//! kept are looked for, breakers and rate limits are asked, and the ledger is written. The server is a process of its
//! own, and so is the door; the client here does as little as one can. Calls of the two are made in turn.

use crate::place::{Place, project_of, serving};
use crate::spread;
use crate::wire::{Target, Wire};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Pairs of calls one after the other.
const PAIRS: usize = 1_000;
/// Calls before anything is counted.
const WARM: usize = 200;
/// Streams at the same time, and the frames of each.
const STREAMS: usize = 200;
const FRAMES: usize = 1_000;
/// Streams that are given up.
const GIVEN_UP: usize = 40;
/// Clients at the same time, for the throughput.
const CLIENTS: [usize; 5] = [8, 32, 64, 128, 256];
/// How long each number of clients asks.
const STRETCH: Duration = Duration::from_secs(4);
/// Requests in a second that count are answered within this time, 95 of a hundred.
const WITHIN: Duration = Duration::from_millis(300);

/// What the server plays: each word of a text is a frame.
fn script() -> String {
    let frames = "w ".repeat(FRAMES);
    format!(
        "schema: 1\nmodels: [{{name: bench, context: 131072}}]\nturns:\n  \
         - {{when: {{last_user_contains: many frames}}, say: [{{text: '{frames}'}}]}}\n  \
         - {{when: {{last_user_contains: hold on}}, say: [{{text: begun}}, {{fault: {{kind: stall}}}}]}}\n  \
         - {{say: [{{text: Four words are enough.}}]}}\n"
    )
}

/// What is measured, and beside whom.
pub struct Plan {
    /// The command line program.
    pub program: PathBuf,
    /// Requests over which memory is watched.
    pub requests: usize,
    /// LiteLLM's program, where it is measured too.
    pub litellm: Option<PathBuf>,
}

pub async fn measure(folder: &Path, plan: &Plan) -> Value {
    let place = Place::new(folder, None, None);
    prepare(&place.folder, &plan.program);
    let mut figures = json!({});
    for kind in ["openai", "ollama"] {
        eprintln!("one call after the other, the server as {kind}");
        let server = serving(&place.folder, &script(), None);
        let door = Door::open(&place.folder, plan, &server.url, kind);
        figures[format!("server_as_{kind}")] = in_turn(&server.target(), &door.target).await;
    }
    let server = serving(&place.folder, &script(), None);
    let door = Door::open(&place.folder, plan, &server.url, "openai");
    eprintln!("{STREAMS} streams at once");
    figures["streams"] = streams(&door.target).await;
    eprintln!("throughput");
    let (through, direct) = (frontier(&door.target).await, frontier(&server.target()).await);
    figures["throughput"] = through;
    eprintln!("memory over {} requests", plan.requests);
    figures["memory"] = memory(&door, plan.requests).await;
    drop(door);
    eprintln!("streams that are given up");
    figures["cancel"] = given_up(&place.folder, plan).await;
    let mut baseline = json!({"direct_throughput": direct});
    if let Some(program) = &plan.litellm {
        eprintln!("LiteLLM");
        baseline["litellm"] = litellm(&place.folder, program, &server.url, &server.target()).await;
    }
    json!({"baseline": baseline, "figures": figures})
}

/// The sample as a repository with limits that are set and never reached.
fn prepare(folder: &Path, program: &Path) {
    let project = project_of(folder);
    let git = |words: &[&str]| {
        let named = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "init.defaultBranch=main"];
        let done = Command::new("git").current_dir(&project).args(named).args(words).output().expect("git");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "the sample"]);
    for node in ["project", "door"] {
        let words = ["models", "budget", "set", node, "--tokens", "1000000000000", "--money", "1000000"];
        let done = atelier(folder, program).args(words).output().expect("the program");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

fn atelier(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--json", "--project"]).arg(project_of(folder));
    command.env("ATELIER_HOME", folder.join("home")).env("ATELIER_KEYCHAIN", "off").env("ATELIER_LOG", "warn");
    command
}

/// `atelier serve` as a process of its own. Ends with it.
struct Door {
    child: Child,
    target: Target,
}

impl Door {
    fn open(folder: &Path, plan: &Plan, server: &str, kind: &str) -> Door {
        let mut command = atelier(folder, &plan.program);
        command.args(["--server", server, "--server-kind", kind, "serve"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the door");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("a line of JSON");
        let word = |key: &str| said["progress"][key].as_str().expect("a word").to_owned();
        let port = word("address").rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let token = std::fs::read_to_string(word("token_file")).expect("the token");
        let header = format!("Authorization: Bearer {token}\r\n");
        Door { child, target: Target { port, path: "/v1/chat/completions", header } }
    }

    /// Resident memory in MiB, and time on processors so far.
    fn used(&self) -> (f64, Duration) {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default();
        let status = read("status");
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        let stat = read("stat");
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .into_iter()
            .flat_map(str::split_whitespace)
            .filter_map(|f| f.parse().ok())
            .collect();
        // utime and stime (proc(5)), in hundredths of a second; the state before them is no number.
        let ticks = fields.get(10).copied().unwrap_or(0) + fields.get(11).copied().unwrap_or(0);
        (resident.unwrap_or(0.0) / 1024.0, Duration::from_millis(ticks * 10))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A question of about 2 KB.
fn question(n: usize, last: &str, stream: bool) -> String {
    let mut text = format!("Question {n}.");
    for word in 0..300 {
        let _ = write!(text, " word{}", word % 97);
    }
    let messages = json!([{"role": "system", "content": text}, {"role": "user", "content": last}]);
    json!({"model": "bench", "stream": stream, "messages": messages}).to_string()
}

/// Whole answers and first frames, direct and through the door in turn.
async fn in_turn(server: &Target, door: &Target) -> Value {
    let (mut direct, mut through) = (Wire::to(server).await, Wire::to(door).await);
    let mut times: [Vec<Duration>; 4] = Default::default();
    for n in 0..PAIRS + WARM {
        let took = [
            whole(&mut direct, n).await,
            whole(&mut through, n).await,
            first_frame(&mut direct, n).await,
            first_frame(&mut through, n).await,
        ];
        if n >= WARM {
            times.iter_mut().zip(took).for_each(|(times, took)| times.push(took));
        }
    }
    let [direct, through, direct_first, first] = times;
    json!({
        "added": added(&direct, &through), "added_to_first_frame": added(&direct_first, &first),
        "direct": spread::of(direct), "through": spread::of(through),
        "direct_first_frame": spread::of(direct_first), "first_frame": spread::of(first),
    })
}

async fn whole(wire: &mut Wire, n: usize) -> Duration {
    let body = question(n, "go", false);
    let begun = Instant::now();
    assert_eq!(wire.ask(&body, |_| true).await, 200);
    begun.elapsed()
}

async fn first_frame(wire: &mut Wire, n: usize) -> Duration {
    let body = question(n, "go", true);
    let (begun, mut first) = (Instant::now(), None);
    let status = wire
        .ask(&body, |piece| {
            // The first that says something: both begin with one that only names the role.
            if first.is_none() && contains(piece, b"Four") {
                first = Some(begun.elapsed());
            }
            true
        })
        .await;
    assert_eq!(status, 200);
    first.expect("a first frame")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The percentiles of one less those of the other, in milliseconds.
fn added(direct: &[Duration], through: &[Duration]) -> Value {
    let at = |times: &[Duration], part: f64| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times[((times.len() as f64 * part) as usize).min(times.len() - 1)].as_secs_f64() * 1_000.0
    };
    json!({"p50_ms": at(through, 0.5) - at(direct, 0.5), "p99_ms": at(through, 0.99) - at(direct, 0.99)})
}

async fn streams(door: &Target) -> Value {
    let began = Instant::now();
    let all = (0..STREAMS).map(|n| {
        let door = door.clone();
        tokio::spawn(async move {
            let mut wire = Wire::to(&door).await;
            let (mut frames, mut whole) = (0, Vec::new());
            let status = wire
                .ask(&question(n, "many frames", true), |piece| {
                    whole.extend_from_slice(piece);
                    true
                })
                .await;
            let text = String::from_utf8_lossy(&whole);
            frames += text.matches("\"content\":\"w").count();
            (status == 200 && text.ends_with("data: [DONE]\n\n"), frames)
        })
    });
    let mut told = Vec::new();
    for stream in all.collect::<Vec<_>>() {
        told.push(stream.await.expect("a stream"));
    }
    let frames: usize = told.iter().map(|(_, frames)| frames).sum();
    let seconds = began.elapsed().as_secs_f64();
    json!({
        "streams": STREAMS, "frames_each": FRAMES, "lost": STREAMS * FRAMES - frames,
        "broken": told.iter().filter(|(whole, _)| !whole).count(),
        "frames_per_s": frames as f64 / seconds,
    })
}

/// Requests a second by clients at the same time.
async fn frontier(target: &Target) -> Value {
    let mut rows = Vec::new();
    let mut best = 0.0f64;
    for clients in CLIENTS {
        let began = Instant::now();
        let asking: Vec<_> = (0..clients)
            .map(|client| {
                let target = target.clone();
                tokio::spawn(async move {
                    let (mut wire, mut times) = (Wire::to(&target).await, Vec::new());
                    while began.elapsed() < STRETCH {
                        times.push(whole(&mut wire, client).await);
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for client in asking {
            times.extend(client.await.expect("a client"));
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |part: f64| times[((times.len() as f64 * part) as usize).min(times.len() - 1)];
        if at(0.95) < WITHIN {
            best = best.max(rate);
        }
        let ms = |part: f64| at(part).as_secs_f64() * 1_000.0;
        rows.push(json!({"clients": clients, "requests_per_s": rate, "p50_ms": ms(0.5), "p95_ms": ms(0.95), "p99_ms": ms(0.99)}));
    }
    json!({"requests_per_s_with_95_of_100_under_300_ms": best, "by_clients": rows})
}

/// Growth of the door's memory, and its time on processors a request.
async fn memory(door: &Door, requests: usize) -> Value {
    const CLIENTS: usize = 8;
    let run = async |count: usize| {
        let next = Arc::new(AtomicUsize::new(0));
        let asking: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (target, next) = (door.target.clone(), next.clone());
                tokio::spawn(async move {
                    let mut wire = Wire::to(&target).await;
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            return;
                        }
                        whole(&mut wire, n).await;
                    }
                })
            })
            .collect();
        for client in asking {
            client.await.expect("a client");
        }
    };
    run((requests / 10).clamp(500, 10_000)).await;
    let (before, busy) = door.used();
    run(requests).await;
    let (after, busier) = door.used();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (idle, _) = door.used();
    let each = (busier.saturating_sub(busy)).as_secs_f64() * 1_000_000.0 / requests as f64;
    json!({
        "requests": requests, "before_mib": before, "after_mib": after, "idle_mib": idle,
        "growth_mib": after - before, "processor_us_per_request": each,
    })
}

/// From the client's hanging up to the server's noticing it, as its transcript tells.
async fn given_up(folder: &Path, plan: &Plan) -> Value {
    let transcript = folder.join("transcript.jsonl");
    let server = serving(folder, &script(), Some(&transcript));
    let door = Door::open(folder, plan, &server.url, "openai");
    let mut gone = Vec::new();
    for n in 0..GIVEN_UP {
        let mut wire = Wire::to(&door.target).await;
        wire.ask(&question(n, "hold on", true), |piece| !contains(piece, b"begun")).await;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        gone.push(since.as_millis() as u64);
        drop(wire);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = || {
        let text = std::fs::read_to_string(&transcript).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let hung_up = lines.filter(|exchange| exchange["ended"] == "hung_up");
        let mut ends: Vec<(u64, u64)> = hung_up
            .filter_map(|exchange| {
                let lasted = exchange["ended_ms"].as_u64()? - exchange["began_ms"].as_u64()?;
                Some((exchange["number"].as_u64()?, exchange["at_ms"].as_u64()? + lasted))
            })
            .collect();
        ends.sort_unstable();
        ends
    };
    let began = Instant::now();
    while ended().len() < GIVEN_UP && began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ends = ended();
    let times = gone.iter().zip(&ends).map(|(gone, (_, end))| Duration::from_millis(end.saturating_sub(*gone)));
    json!({"given_up": GIVEN_UP, "noticed": ends.len(), "until_closed": spread::of(times.collect())})
}

/// What callers of LiteLLM's proxy must say: it refuses to start without one, and with one that is weak.
const KEY: &str = "sk-9f2c6a0d4b7e18355cd1aa70e6f34b92";

/// The same of LiteLLM's proxy, before the same server.
async fn litellm(folder: &Path, program: &Path, url: &str, server: &Target) -> Value {
    let file = folder.join("litellm.yaml");
    let config = format!(
        "model_list:\n  - {{model_name: bench, litellm_params: {{model: openai/bench, api_base: '{url}/v1', api_key: none}}}}\n"
    );
    std::fs::write(&file, config).expect("its settings");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let mut command = Command::new(program);
    command.arg("--config").arg(&file).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    let log = folder.join("litellm.log");
    let said = std::fs::File::create(&log).expect("its log");
    command.env("LITELLM_MASTER_KEY", KEY).stdout(Stdio::null()).stderr(said);
    let header = format!("Authorization: Bearer {KEY}\r\n");
    let mut door = Door {
        child: command.spawn().expect("LiteLLM"),
        target: Target { port, path: "/v1/chat/completions", header },
    };
    let began = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if began.elapsed() > Duration::from_secs(120) || door.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return json!(format!("it did not start: {}", said.lines().last().unwrap_or_default()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (server, of) = (server.clone(), || door.target.clone());
    let target = of();
    let in_turn = tried(async move { in_turn(&server, &target).await }).await;
    let target = of();
    let throughput = tried(async move { frontier(&target).await }).await;
    let target = of();
    let streams = tried(async move { streams(&target).await }).await;
    json!({"server_as_openai": in_turn, "throughput": throughput, "streams": streams})
}

/// A part of the measurement of another's program, which need not come to its end.
async fn tried(part: impl Future<Output = Value> + Send + 'static) -> Value {
    tokio::spawn(part).await.unwrap_or_else(|_| json!("not every call had its answer within two minutes"))
}
