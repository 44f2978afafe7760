//! Commands of the project on the network: asked for, kept to their hosts, and on record, attempts that they hide included.
//!
//! Guards: what a command of the project connects to is the way out that it was given, to hosts that the project's file names
//! and the user permitted; a command without `network` has none. The calls themselves are traced, so an attempt counts
//! that the command swallows. Turned red by bubblewrap arguments that share the machine's network, and by a
//! `leave_for_check` that does not ask.

use crate::limits::{put, short_with};
use atelier_engine::{Project, Workshop};
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, EgressView, Mechanism, Reached};
use atelier_protocol::ids::RunId;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use atelier_sandbox::Sandbox;
use atelier_tests::toll::child;
use atelier_tests::world::{follow, goal, rests, start};
use atelier_tests::{World, steady};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An address for documentation (RFC 5737): nobody is there.
const FAR: &str = "192.0.2.1";

/// Traced by the library beside it, it speaks to the outside by both ways it has, asks the proxy for a host that it may not
/// reach, and then tries to get past it, keeping silent about that.
const CHECK: &str = r#"
export LD_PRELOAD="$PWD/trace.so" ATELIER_FAULT_PEERS="$XDG_CACHE_HOME/peers"
exec bash -c '
  say() { exec 3<>/dev/tcp/127.0.0.1/$1 && printf "$2" >&3 && head -n 1 <&3; exec 3>&-; }
  say NAMED "hello\n"
  say 3128 "CONNECT 127.0.0.1:NAMED HTTP/1.1\r\n\r\n"
  say 3128 "CONNECT elsewhere.invalid:443 HTTP/1.1\r\n\r\n"
  bash -c "exec 3<>/dev/tcp/127.0.0.1/SILENT" 2>/dev/null
  bash -c "exec 3<>/dev/tcp/FAR/443" 2>/dev/null
  exit 0
'
"#;

/// A server that answers each line with it and counts who came.
fn listens() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = came.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut said = [0u8; 64];
                if let Ok(n) = stream.read(&mut said) {
                    let _ = stream.write_all(&said[..n]);
                }
            });
        }
    });
    (port, came)
}

/// A project whose check goes on the network, to the port `named`.
async fn world(named: u16, silent: u16) -> World {
    let turns = "  - when: {role: developer, turn: 0}\n    say:\n      - tool:\n          name: write_file\n          arguments: {path: docs/manners.md, content: \"Say good day.\\n\"}\n  - when: {role: developer}\n    say: [{text: Done.}]";
    let world = World::playing(short_with(turns)).await;
    let check = CHECK.replace("NAMED", &named.to_string()).replace("SILENT", &silent.to_string()).replace("FAR", FAR);
    put(&world, "net.sh", &check);
    std::fs::copy(child::library(), world.project().join("trace.so")).unwrap();
    declare(&world, &format!(", network: [\"127.0.0.1:{named}\", registry.invalid]"));
    world
}

fn declare(world: &World, network: &str) {
    let text = format!("schema: 1\nchecks:\n  - {{name: it, argv: [bash, net.sh]{network}}}\n");
    put(world, ".atelier/project.yaml", &text);
}

/// Whom the command tried to reach, by its own calls.
fn traced(world: &World) -> BTreeSet<String> {
    fn find(folder: &Path) -> Option<PathBuf> {
        std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| match entry.file_name() == "peers" {
            true => Some(entry.path()),
            false => find(&entry.path()),
        })
    }
    let file = find(&world.home().join("cache")).expect("the command was traced");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let tried = text.lines().filter(|line| line.starts_with("connect ") && !line.starts_with("connect unix"));
    tried.map(str::to_owned).collect()
}

fn can() -> bool {
    let can = Sandbox::detect().has_way_out().is_ok() && Path::new("/bin/bash").exists();
    if !can {
        eprintln!("left out: needs bubblewrap, and bash to connect");
    }
    can
}

async fn settle(project: &Project, view: &RunView, answer: Answer) {
    let approval = view.pending_approval().unwrap().id.clone();
    project.submit(Op::SettleApproval { approval, answer, note: String::new() }).await.unwrap();
}

async fn ledger(workshop: &Workshop, run: &RunId) -> EgressView {
    match workshop.submit(Op::ShowEgress { limit: 100, run: Some(run.clone()), local: true }).await.unwrap() {
        Reply::Egress(view) => view,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_asked_for_kept_to_its_hosts_and_on_record() {
    if !can() {
        return;
    }
    let ((named, came), (silent, past)) = (listens(), listens());
    let world = world(named, silent).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    let asked = &view.pending_approval().unwrap().ask;
    let Ask::Command { argv, reason, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(argv.join(" "), "bash net.sh");
    // Local-only mode is on: the other machine is refused at the door, so it is not asked about.
    assert!(reason.contains(&format!("reach 127.0.0.1:{named}, as")), "{reason}");
    assert_eq!(came.load(Ordering::SeqCst), 0, "nothing ran before the answer");
    settle(&project, &view, Answer::Approve).await;
    let (view, _) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);

    let check = view.checks.last().unwrap();
    let [hello, through, refused] = check.output.text.lines().collect::<Vec<_>>()[..] else { panic!("{check:?}") };
    assert_eq!((hello, through.trim_end()), ("hello", "HTTP/1.1 200 Connection Established"));
    assert_eq!(refused.trim_end(), "HTTP/1.1 403 Forbidden");
    let reached = |one: &Reached| (one.host.clone(), one.times, one.bytes_out, one.refused.clone());
    assert_eq!(
        check.reached.iter().map(reached).collect::<Vec<_>>(),
        [
            (format!("127.0.0.1:{named}"), 2, 6, None),
            (
                "elsewhere.invalid:443".to_owned(),
                1,
                0,
                Some("elsewhere.invalid:443 is another machine, and local-only mode is on".to_owned())
            ),
        ]
    );
    assert_eq!(came.load(Ordering::SeqCst), 2 * view.checks.len());
    assert_eq!(past.load(Ordering::SeqCst), 0, "past the way out there is nobody");
    let tried: BTreeSet<String> = [("127.0.0.1", named), ("127.0.0.1", 3128), ("127.0.0.1", silent), (FAR, 443)]
        .map(|(ip, port)| format!("connect {ip}:{port}"))
        .into();
    assert_eq!(traced(&world), tried, "an attempt that the command keeps silent about is seen too");

    let rows = ledger(&workshop, &run).await.rows;
    let of_command: Vec<_> = rows.iter().filter(|row| row.entry.purpose == "command it").collect();
    assert_eq!(of_command.len(), 3 * view.checks.len());
    assert!(of_command.iter().any(|row| row.entry.refused.is_some() && row.entry.host == "elsewhere.invalid:443"));

    // The yes is kept for the project: the next run asks nothing, until it is taken back.
    let again = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &again, rests).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.pending_approval());
    let taken =
        Op::RevokeCloud { project: project.id().clone(), provider: atelier_engine::COMMANDS.to_owned(), host: None };
    workshop.submit(taken).await.unwrap();
    let third = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &third, rests).await;
    assert!(matches!(view.pending_approval().unwrap().ask, Ask::Command { .. }));
    let before = came.load(Ordering::SeqCst);
    settle(&project, &view, Answer::Reject).await;
    let (view, _) = follow(&project, &third, |view| view.state.is_final()).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Failed, Code::Rejected));
    assert_eq!(came.load(Ordering::SeqCst), before, "it was not run");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_names_no_host_has_no_network() {
    if !can() {
        return;
    }
    let ((named, came), (silent, past)) = (listens(), listens());
    let world = world(named, silent).await;
    declare(&world, "");
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let check = view.checks.last().unwrap();
    assert!(check.reached.is_empty() && check.output.text.contains("Connection refused"), "{check:?}");
    assert_eq!(came.load(Ordering::SeqCst) + past.load(Ordering::SeqCst), 0);
    assert_eq!(traced(&world).len(), 4, "the trace sees what it tries");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_keep_it_to_its_hosts_it_is_refused_by_name() {
    let world = world(1, 2).await;
    for mechanism in [Mechanism::Landlock, Mechanism::None] {
        let mut options = world.options(steady::sources(1));
        options.sandbox = Some(Sandbox::with(mechanism));
        let workshop = Workshop::open(options).await.unwrap();
        if !world.project().join(".git").exists() {
            workshop.initialise(&world.project()).await.unwrap();
        }
        let project = workshop.open_project(&world.project()).await.unwrap();
        let run = start(&project, goal(true)).await;
        let (view, _) = follow(&project, &run, rests).await;
        let problem = view.problem.unwrap();
        assert_eq!((view.state, problem.code), (RunState::Parked, Code::NotConfined), "{mechanism:?}: {problem}");
        assert!(problem.hint.contains("Install bubblewrap"), "{problem}");
        workshop.close().await;
    }
}
