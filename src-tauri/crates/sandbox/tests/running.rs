//! Exit codes, output, time limits, cancelling, and that nothing is left behind, for every way to run a command.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly and say what it leaves out"
)]

use atelier_protocol::{Code, Problem};
use atelier_sandbox::{Mechanism, Ran, Sandbox, Spec};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

fn spec(folder: &Path, script: &str) -> Spec {
    let mut spec = Spec::new(["sh", "-c", script], folder, folder.join("home"));
    spec.writable.push(folder.to_path_buf());
    spec.timeout = Duration::from_secs(60);
    spec
}

async fn run(mechanism: Mechanism, spec: Spec) -> Ran {
    Sandbox::with(mechanism).run(spec, std::future::pending(), |_| {}).await.unwrap()
}

/// The ways to run a command on this machine; says which are left out and why.
async fn usable() -> Vec<Mechanism> {
    let mut usable = Vec::new();
    for mechanism in [Mechanism::Bubblewrap, Mechanism::Landlock, Mechanism::None] {
        let folder = tempfile::tempdir().unwrap();
        match Sandbox::with(mechanism).run(spec(folder.path(), ":"), std::future::pending(), |_| {}).await {
            Ok(_) => usable.push(mechanism),
            Err(reason) => eprintln!("left out: {mechanism:?} ({reason})"),
        }
    }
    usable
}

#[tokio::test]
async fn exit_codes_come_through() {
    for mechanism in usable().await {
        let folder = tempfile::tempdir().unwrap();
        for code in [0, 1, 3, 101, 255] {
            let ran = run(mechanism, spec(folder.path(), &format!("exit {code}"))).await;
            assert_eq!((ran.exit_code, ran.signal), (Some(code), None), "{mechanism:?}");
            assert!(!ran.timed_out && !ran.cancelled);
        }
        let killed = run(mechanism, spec(folder.path(), "kill -SEGV $$")).await;
        let expected = match mechanism {
            Mechanism::Bubblewrap => (Some(128 + 11), None), // all that bubblewrap tells
            Mechanism::Landlock | Mechanism::None => (None, Some(11)),
        };
        assert_eq!((killed.exit_code, killed.signal), expected, "{mechanism:?}");
    }
}

#[tokio::test]
async fn both_outputs_come_in_the_order_they_were_written_and_as_they_come() {
    for mechanism in usable().await {
        let folder = tempfile::tempdir().unwrap();
        let script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done";
        let mut live = Vec::new();
        let sandbox = Sandbox::with(mechanism);
        let ran = sandbox
            .run(spec(folder.path(), script), std::future::pending(), |chunk| live.extend_from_slice(chunk))
            .await
            .unwrap();
        let expected: String = (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect();
        assert_eq!(String::from_utf8(ran.output).unwrap(), expected, "{mechanism:?}");
        assert_eq!(String::from_utf8(live).unwrap(), expected);
        assert_eq!(ran.output_bytes, expected.len() as u64);
    }
}

#[tokio::test]
async fn long_output_is_cut_in_the_middle_and_counted_whole() {
    for mechanism in usable().await {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path(), "seq 1 200000");
        spec.max_output = 1000;
        let ran = run(mechanism, spec).await;
        let text = String::from_utf8(ran.output).unwrap();
        assert_eq!(ran.output_bytes, 1_288_895);
        assert!(text.starts_with("1\n2\n3\n") && text.ends_with("199999\n200000\n"), "{mechanism:?}: {text}");
        assert!(text.contains("bytes left out"), "{text}");
        assert!(text.len() <= 1000);
    }
}

#[tokio::test]
async fn standard_input_is_empty() {
    for mechanism in usable().await {
        let folder = tempfile::tempdir().unwrap();
        let ran = run(mechanism, spec(folder.path(), "cat; echo done")).await;
        assert_eq!(ran.output, b"done\n", "{mechanism:?}");
    }
}

/// A command line that no other process has.
fn mark(name: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("86400.{name}{}{nanos}", std::process::id())
}

/// How many processes have `mark` as their only argument.
fn alive(mark: &str) -> usize {
    let argument = format!("\0{mark}\0").into_bytes();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.ends_with(&argument))).count()
}

/// A script that leaves a daemon behind: forked twice, in a session of its own, closed off from our output.
/// It prints `up` once the daemon runs, and then sleeps itself.
fn daemon(mark: &str) -> String {
    format!(
        "(setsid sh -c 'echo > up; exec sleep {mark}' >/dev/null 2>&1 &) & while [ ! -f up ]; do :; done; echo up; exec sleep {mark}"
    )
}

/// Waits until at least `count` processes have `mark`: the control for finding none later.
fn come_up(mark: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while alive(mark) < count {
        assert!(Instant::now() < deadline, "it never came up, so this shows nothing");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_time_limit_ends_the_whole_tree() {
    for (nth, mechanism) in usable().await.into_iter().enumerate() {
        // A busy machine may need longer until the daemon is up.
        for (attempt, limit) in [500, 2_000, 8_000].into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mark = mark(&format!("1{nth}{attempt}"));
            let mut spec = spec(folder.path(), &daemon(&mark));
            spec.timeout = Duration::from_millis(limit);
            let mut up = false;
            let on_output = |_: &[u8]| {
                come_up(&mark, 2);
                up = true;
            };
            let ran = Sandbox::with(mechanism).run(spec, std::future::pending(), on_output).await.unwrap();
            assert!(ran.timed_out && !ran.cancelled);
            assert_eq!((ran.exit_code, ran.signal), (None, None));
            assert!((limit - 50..limit + 5_000).contains(&ran.ms), "{} ms", ran.ms);
            assert_eq!(alive(&mark), 0, "{mechanism:?}");
            if up {
                break;
            }
            assert!(attempt < 2, "{mechanism:?}: the daemon was never up, so this shows nothing");
        }
    }
}

#[tokio::test]
async fn cancelling_ends_the_whole_tree() {
    for (nth, mechanism) in usable().await.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("2{nth}"));
        let (cancel, cancelled) = oneshot::channel::<()>();
        let mut cancel = Some(cancel);
        let cancelled = async {
            let _ = cancelled.await;
        };
        let on_output = |_: &[u8]| {
            come_up(&mark, 2);
            drop(cancel.take());
        };
        let ran =
            Sandbox::with(mechanism).run(spec(folder.path(), &daemon(&mark)), cancelled, on_output).await.unwrap();
        assert!(ran.cancelled && !ran.timed_out, "{mechanism:?}");
        assert_eq!(alive(&mark), 0, "{mechanism:?}");
    }
}

#[tokio::test]
async fn what_a_finished_command_leaves_running_is_ended_too() {
    for (nth, mechanism) in usable().await.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("3{nth}"));
        // It waits until the other is what it will be, and leaves it in a session of its own.
        let script = format!("setsid sleep {mark} & while ! grep -q ^sleep /proc/$!/cmdline; do :; done; exit 4");
        let ran = run(mechanism, spec(folder.path(), &script)).await;
        assert_eq!(ran.exit_code, Some(4), "{mechanism:?}");
        assert_eq!(alive(&mark), 0, "{mechanism:?}");
    }
}

#[tokio::test]
async fn dropping_the_future_ends_the_whole_tree() {
    for (nth, mechanism) in usable().await.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("4{nth}"));
        let (up, is_up) = oneshot::channel::<()>();
        let mut up = Some(up);
        let spec = spec(folder.path(), &daemon(&mark));
        let task = tokio::spawn(async move {
            Sandbox::with(mechanism).run(spec, std::future::pending(), |_| drop(up.take())).await
        });
        let _ = is_up.await;
        come_up(&mark, 2);
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        gone(&mark);
    }
}

#[tokio::test]
async fn what_was_cancelled_beforehand_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), "echo > started");
    let ran = Sandbox::with(Mechanism::None).run(spec, std::future::ready(()), |_| {}).await.unwrap();
    assert!(ran.cancelled);
    assert!(!folder.path().join("started").exists());
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    for mechanism in usable().await {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::with(mechanism);
        let problem = async |spec: Spec| -> Problem {
            sandbox.run(spec, std::future::pending(), |_| {}).await.unwrap_err().into()
        };
        let mut missing = spec(folder.path(), "");
        missing.argv = vec!["no-such-program".to_owned()];
        assert_eq!(problem(missing).await.code, Code::ProgramMissing);
        assert_eq!(problem(spec(&folder.path().join("gone"), ":")).await.code, Code::NoFolder);
        // A script whose interpreter does not exist can be found but not run.
        let script = folder.path().join("script");
        fs::write(&script, "#!/no/such/interpreter\n").unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut broken = spec(folder.path(), "");
        broken.argv = vec!["./script".to_owned()];
        let problem = problem(broken).await;
        assert_eq!(problem.code, Code::Io);
        assert!(problem.message.starts_with("the command was not started"), "{mechanism:?}: {}", problem.message);
    }
}

/// Waits until no process has `mark`.
fn gone(mark: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while alive(mark) > 0 {
        assert!(Instant::now() < deadline, "still running");
        std::thread::yield_now();
    }
}

/// Plays two parts: started by the test runner it starts itself again as the parent, and kills that.
#[test]
fn nothing_outlives_a_parent_that_is_killed() {
    const PART: &str = "SANDBOX_TEST_PARENT";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Ok(part) = std::env::var(PART) {
        let (mechanism, rest) = part.split_once(' ').unwrap();
        let (mark, folder) = rest.split_once(' ').unwrap();
        let mechanism = match mechanism {
            "Bubblewrap" => Mechanism::Bubblewrap,
            "Landlock" => Mechanism::Landlock,
            _ => Mechanism::None,
        };
        runtime.block_on(run(mechanism, spec(Path::new(folder), &daemon(mark))));
        unreachable!("it is killed before");
    }
    for (nth, mechanism) in runtime.block_on(usable()).into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("5{nth}"));
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_outlives_a_parent_that_is_killed"])
            .env(PART, format!("{mechanism:?} {mark} {}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        come_up(&mark, 2);
        parent.kill().unwrap();
        parent.wait().unwrap();
        gone(&mark);
    }
}
