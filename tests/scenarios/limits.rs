//! What a role may not do, how far a run may go, and how long a question waits: refused, told, recorded, and nothing of
//! the user's is lost.
//!
//! Guards: a role never gains a tool or path its file does not list; a run that gets nowhere ends with its own code; a
//! prompt fits or fails by name; only the user's answer settles a question; a confined command reaches nothing else.
//! Turns red, for example, when `policy::decide` leaves out its `never` rule, or `Run::wait` records a rejection without
//! looking at the history first.

use crate::git;
use atelier_engine::{Moment, Project, Sources, Workshop};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Actor, Answer, Ask, Effect, Event, PromptPart};
use atelier_protocol::hash::Hash;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::ports::Clock;
use atelier_protocol::view::{Item, RunState, RunView};
use atelier_stage::Script;
use atelier_tests::world::{PATIENCE, fixtures, follow, goal, kinds, rests, start};
use atelier_tests::{Cli, World, steady};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The short run, with these turns tried before its own.
pub(crate) fn short_with(turns: &str) -> Script {
    let short = std::fs::read_to_string(fixtures().join("stage/short.yaml")).unwrap();
    Script::read("short-with.yaml", &short.replacen("turns:\n", &format!("turns:\n{turns}\n"), 1)).unwrap()
}

/// Every tool call of a run with its answer, in order.
pub(crate) fn answers(view: &RunView) -> Vec<(String, bool, String)> {
    let items = view.steps.iter().flat_map(|step| &step.items);
    items
        .filter_map(|item| match item {
            Item::Tool { line: Some(line), ok: Some(ok), output: Some(output), .. } => {
                Some((line.clone(), *ok, output.text.clone()))
            }
            _ => None,
        })
        .collect()
}

/// What the user has, without what a run keeps in the repository while it is undecided.
pub(crate) fn of_the_user(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut state = world.user_state();
    state.retain(|path, _| !path.contains("atelier/") || path.starts_with(".atelier"));
    state
}

/// Writes a file of the project's folder.
pub(crate) fn put(world: &World, path: &str, text: &str) {
    let place = world.project().join(path);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, text).unwrap();
}

/// Starts the goal and follows it to its end, or to where it rests.
pub(crate) async fn played(world: &World) -> (Workshop, Project, RunView) {
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    (workshop, project, view)
}

/// Gives the question that waits an answer.
pub(crate) async fn settle(project: &Project, view: &RunView, answer: Answer) -> Result<Reply, Problem> {
    let approval = view.pending_approval().unwrap().id.clone();
    project.submit(Op::SettleApproval { approval, answer, note: String::new() }).await
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_do_is_refused_told_and_left_undone() {
    let world = World::with_script("strays.yaml").await;
    let away = world.folder.path().join("away");
    std::fs::create_dir(&away).unwrap();
    std::fs::write(away.join("key.txt"), "hunter2").unwrap();
    std::os::unix::fs::symlink(".git/config", world.project().join("within.txt")).unwrap();
    std::os::unix::fs::symlink(&away, world.project().join("away")).unwrap();
    std::os::unix::fs::symlink("../away/key.txt", world.project().join("key.txt")).unwrap();
    let (workshop, project) = world.open().await;
    let before = of_the_user(&world);
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);

    let told: Vec<String> = answers(&view)
        .into_iter()
        .map(|(line, ok, text)| {
            let first = text.lines().next().unwrap_or_default().to_owned();
            format!("{} {line}: {}", if ok { "yes" } else { "no " }, first)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    no  read_file .git/config: not allowed: `.git` is not part of the project's files
    no  list_files .git: not allowed: `.git` is not part of the project's files
    no  read within.txt: `within.txt` is a link into `.git`
    yes deliver the specification: delivered
    no  write_file .git/config: not allowed: `.git` is not part of the project's files
    no  write_file docs/../.GIT/hooks/post-checkout: not allowed: `docs/../.GIT/hooks/post-checkout` leaves the project
    no  write_file ../outside.txt: not allowed: `../outside.txt` leaves the project
    no  write_file /etc/atelier-outside: not allowed: `/etc/atelier-outside` is not relative to the project
    no  edit_file .atelier/project.yaml: not allowed: the role `developer` may never write `.atelier/project.yaml`
    no  write_file ./.atelier//roles/developer.yaml: not allowed: the role `developer` may never write `.atelier/roles/developer.yaml`
    no  write away/new.txt: `away/new.txt` goes through a link; links are not written through
    no  edit key.txt: `key.txt` goes through a link; links are not written through
    no  delete key.txt: `key.txt` goes through a link; links are not written through
    no  read away/key.txt: `away/key.txt` is a link that leaves the project
    no  submit_review: not allowed: the role `developer` does not list `submit_review`
    no  format_disk /: not allowed: there is no tool `format_disk`
    no  write_file: not allowed: `write_file` names no path
    no  write_file: not allowed: `write_file` names no path
    no  write docs/a.md: `content` must be a string, not an array
    no  edit greet.sh: `replace` is missing
    no  read greet.sh: `start` must be a line number from 1
    no  run check: there is no such check; the checks are: test
    no  search: `query` is missing
    yes edit greet.sh: changed, now at lines 2-2
    no  edit_file greet.sh: not allowed: the role `qa_tester` does not list `edit_file`
    no  write_file docs/mine.md: not allowed: the role `qa_tester` does not list `write_file`
    no  deliver the review: `verdict` must be `approve` or `reject`, not `perhaps`
    no  deliver the review: a rejection needs `notes` that say what to mend
    yes deliver the review: delivered
    ");
    assert_eq!(of_the_user(&world), before);
    assert_eq!(std::fs::read_dir(&away).unwrap().count(), 1, "nothing was made through the link");
    assert_eq!(std::fs::read_to_string(away.join("key.txt")).unwrap(), "hunter2");
    assert!(!world.folder.path().join("outside.txt").exists() && !Path::new("/etc/atelier-outside").exists());
    let Ask::HandOver { files, .. } = &view.pending_approval().unwrap().ask else { panic!("no hand-over") };
    assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["greet.sh"]);
    let all: String = world.stage.chats().iter().map(|chat| chat.body.to_string()).collect();
    assert!(!all.contains("hunter2"), "what lies outside reached a model");
    workshop.close().await;
}

/// The shipped developer, who must ask before each edit.
fn asking_developer() -> String {
    include_str!("../../roles/developer.yaml").replace("  turns: 40", "  turns: 40\n  ask: [edit_file]")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_must_be_asked_is_done_once_when_approved_and_not_at_all_when_rejected() {
    for answer in [Answer::Approve, Answer::Reject] {
        let world = World::with_script("short.yaml").await;
        put(&world, ".atelier/roles/developer.yaml", &asking_developer());
        let (workshop, project) = world.open().await;
        let run = start(&project, goal(true)).await;
        let (view, events) = follow(&project, &run, rests).await;
        let asked = &view.pending_approval().unwrap().ask;
        let Ask::Tool { role, call, rule } = asked else { panic!("{asked:?}") };
        assert_eq!((role.as_str(), call.name.as_str()), ("developer", "edit_file"));
        assert!(rule.contains("asks before each `edit_file`"), "{rule}");
        let written = |events: &[atelier_protocol::Envelope]| {
            let write = |e: &&atelier_protocol::Envelope| matches!(&e.event, Event::EffectIntended { effect: Effect::WriteFile { path, .. }, .. } if path == "greet.sh");
            events.iter().filter(write).count()
        };
        assert_eq!(written(&events), 0, "nothing is written before the answer");
        settle(&project, &view, answer).await.unwrap();
        let (view, events) = follow(&project, &run, |v| v.state.is_final()).await;
        assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
        let edit = answers(&view).into_iter().find(|(line, ..)| line.starts_with("edit")).unwrap();
        match answer {
            Answer::Approve => assert_eq!((written(&events), edit.1), (1, true)),
            Answer::Reject => {
                assert_eq!((written(&events), edit.1), (0, false));
                assert!(edit.2.contains("the user said no"), "{}", edit.2);
            }
        }
        workshop.close().await;
    }
}

/// A run that failed leaves everything of the user as it was and says what to do next.
async fn assert_failed(world: &World, code: Code, hint: &str) -> RunView {
    let (workshop, project) = world.open().await;
    let before = world.user_state();
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    let problem = view.problem.clone().unwrap();
    assert_eq!((view.state, problem.code), (RunState::Failed, code), "{problem:?}");
    assert!(problem.hint.contains(hint), "{}", problem.hint);
    assert!(!git::refs(&world.project()).iter().any(|r| r.contains("heads/atelier")), "nothing was published");
    project.submit(Op::DiscardRun { run, anyway: false }).await.unwrap();
    assert_eq!(world.user_state(), before);
    workshop.close().await;
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_takes_too_many_turns_ends_the_run() {
    let turns = "  - when: {role: developer, turn: 0}\n    say: [{tool: {name: read_file, arguments: {path: greet.sh}}}]\n  - when: {role: developer}\n    say: [{tool: {name: list_files}}]";
    let world = World::playing(short_with(turns)).await;
    let role = include_str!("../../roles/developer.yaml").replace("turns: 40", "turns: 3");
    put(&world, ".atelier/roles/developer.yaml", &role);
    let view = assert_failed(&world, Code::TurnLimit, "`limits.turns`").await;
    assert_eq!(view.cost.calls, 1 + 3, "one of the analyst, and three of the developer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_repeats_itself_ends_the_run() {
    let turns = "  - when: {role: developer}\n    say: [{tool: {name: read_file, arguments: {path: greet.sh}}}]";
    let world = World::playing(short_with(turns)).await;
    let view = assert_failed(&world, Code::Looping, "narrower goal").await;
    assert_eq!(view.cost.calls, 1 + 4, "the fourth same answer is a loop");
    assert!(view.problem.unwrap().details[0].starts_with("read_file"), "the call is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_who_changes_nothing_is_told_once_and_then_the_run_fails() {
    let turns = "  - when: {role: developer}\n    say: [{text: It is done.}]";
    let world = World::playing(short_with(turns)).await;
    let view = assert_failed(&world, Code::NothingChanged, "another model").await;
    assert_eq!(view.cost.calls, 1 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_rejected_in_every_round_ends_the_run_with_the_findings() {
    let world = World::with_script("never_pleased.yaml").await;
    let view = assert_failed(&world, Code::ReviewRejected, "narrower goal").await;
    assert_eq!(view.reviews.len(), 3);
    assert!(view.problem.unwrap().details[0].contains("docs/page.md is not perfect"), "the last finding is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_cannot_fit_is_named_before_anything_is_sent() {
    let mut script = short_with("");
    script.models[0].context = 4096;
    let world = World::playing(script).await;
    let (workshop, _, view) = played(&world).await;
    let problem = view.problem.unwrap();
    assert_eq!((view.state, problem.code), (RunState::Parked, Code::ContextOverflow), "{problem:?}");
    assert!(problem.message.contains("short:latest") && problem.hint.contains("longer context"), "{problem:?}");
    assert_eq!(world.stage.chats().len(), 0);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_finds_the_prompt_too_long_parks_the_run() {
    let turns = "  - when: {role: business_analyst}\n    say: [{fault: {kind: refuse, status: 400, error: \"the request exceeds the available context size\"}}]";
    let world = World::playing(short_with(turns)).await;
    let (workshop, _, view) = played(&world).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Parked, Code::ContextOverflow));
    assert_eq!(world.stage.chats().len(), 1, "the same prompt is not sent again");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_prompt_is_what_the_server_received() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (_, events) = follow(&project, &run, |v| v.state.is_final()).await;
    let records = events.iter().filter_map(|e| match &e.event {
        Event::CallStarted { prompt, .. } => Some(prompt.clone()),
        _ => None,
    });
    let chats = world.stage.chats();
    let mut compared = 0;
    for (prompt, chat) in records.zip(&chats) {
        let messages = chat.body["messages"].as_array().unwrap();
        let part = |name: &str| prompt.parts.iter().find(|p| p.name == name).unwrap().clone();
        assert_same(&part("system"), messages[0]["content"].as_str().unwrap());
        assert_same(&part("brief"), messages[1]["content"].as_str().unwrap());
        let tools: Vec<Value> = chat.body["tools"].as_array().unwrap().iter().map(|t| t["function"].clone()).collect();
        let text: Vec<String> = tools
            .iter()
            .map(|t| {
                format!(
                    "{{\"name\":{},\"description\":{},\"parameters\":{}}}",
                    t["name"], t["description"], t["parameters"]
                )
            })
            .collect();
        assert_same(&part("tools"), &format!("[{}]", text.join(",")));
        assert_eq!(prompt.parts.len(), 3 + messages.len() - 2, "one part for each later message");
        for (part, message) in prompt.parts[3..].iter().zip(&messages[2..]) {
            let role = message["role"].as_str().unwrap();
            let named = match role {
                "assistant" => "earlier turn".to_owned(),
                "tool" => format!("result of {}", message["tool_name"].as_str().unwrap()),
                _ => "correction".to_owned(),
            };
            assert_eq!(part.name, named);
            let content = message["content"].as_str().unwrap_or_default();
            assert!(part.bytes as usize >= content.len(), "{named}: {} of {}", part.bytes, content.len());
        }
        compared += 1;
    }
    assert_eq!(compared, chats.len());
    let first = chats[0].body.to_string().len();
    eprintln!("the first request of the sample project has {first} bytes");
    assert!(first < 10_000, "{first} bytes");
    workshop.close().await;
}

fn assert_same(part: &PromptPart, sent: &str) {
    assert_eq!(part.bytes as usize, sent.len(), "{}", part.name);
    assert_eq!(part.hash, Hash::of(sent.as_bytes()), "{}", part.name);
}

/// A clock that stands still until it is moved on.
struct HandClock {
    now: watch::Sender<u64>,
    /// The latest time that somebody sleeps until.
    awaited: watch::Sender<u64>,
}

impl HandClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { now: watch::Sender::new(steady::BEGIN_MS), awaited: watch::Sender::new(0) })
    }
    fn hours(hours: u64) -> u64 {
        steady::BEGIN_MS + hours * 3_600_000
    }
    /// So many hours after the beginning.
    fn at(&self, hours: u64) {
        self.now.send_replace(Self::hours(hours));
    }
    /// Waits until somebody sleeps until then: a clock that is moved on before would be slept by anew.
    async fn awaited(&self, hours: u64) {
        let armed = async { self.awaited.subscribe().wait_for(|until| *until == Self::hours(hours)).await.map(|_| ()) };
        tokio::time::timeout(PATIENCE, armed).await.expect("nobody waits for that time").unwrap();
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        *self.now.borrow()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let until = self.now_ms().saturating_add(u64::try_from(duration.as_millis()).unwrap());
        let mut now = self.now.subscribe();
        self.awaited.send_modify(|latest| *latest = until.max(*latest));
        Box::pin(async move {
            let _ = now.wait_for(|now| *now >= until).await;
        })
    }
}

/// A world at its hand-over question, asked in the first hour, with time in the test's hand.
async fn waiting(
    clock: &Arc<HandClock>,
    witness: Option<atelier_engine::Witness>,
) -> (World, Workshop, Project, RunView) {
    let world = World::with_script("short.yaml").await;
    let sources = Sources { clock: clock.clone(), entropy: Arc::new(steady::SteadyEntropy::from_seed(1)) };
    let mut options = world.options(sources);
    options.witness = witness;
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    clock.at(1);
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    clock.awaited(25).await;
    (world, workshop, project, view)
}

fn settled_by(events: &[atelier_protocol::Envelope]) -> Vec<(Actor, Answer)> {
    let settled = events.iter().filter_map(|e| match &e.event {
        Event::ApprovalSettled { by, answer, .. } => Some((by.clone(), *answer)),
        _ => None,
    });
    settled.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_answers_in_time_is_rejected_by_time_out() {
    let clock = HandClock::new();
    let (world, workshop, project, view) = waiting(&clock, None).await;
    clock.at(24);
    let Ok(Reply::RunView(still)) = project.submit(Op::ShowRun { run: view.id.clone(), at: None }).await else {
        panic!()
    };
    assert_eq!(still.state, RunState::WaitsForApproval);
    clock.at(26);
    let (ended, events) = follow(&project, &view.id, |v| v.state.is_final()).await;
    assert_eq!((ended.state, ended.problem.unwrap().code), (RunState::Cancelled, Code::Rejected));
    assert_eq!(settled_by(&events), [(Actor::Timeout, Answer::Reject)]);
    assert!(!git::refs(&world.project()).iter().any(|r| r.contains("heads/atelier")));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_as_time_runs_out_is_the_one_that_counts() {
    let clock = HandClock::new();
    let at_hand: Arc<OnceLock<(Project, RunView)>> = Arc::new(OnceLock::new());
    let (asked, hand, runtime) = (at_hand.clone(), clock.clone(), tokio::runtime::Handle::current());
    let witness: atelier_engine::Witness = Arc::new(move |moment| {
        let Moment::Before(events) = moment else { return };
        let times_out = |e: &atelier_protocol::event::NewEvent| {
            matches!(e.event, Event::ApprovalSettled { by: Actor::Timeout, .. })
        };
        let Some((project, view)) = asked.get().filter(|_| events.iter().any(times_out)) else { return };
        // The user answered in time, and it is recorded in the very moment before the rejection would be.
        hand.at(24);
        let (project, view, runtime) = (project.clone(), view.clone(), runtime.clone());
        let answers = move || runtime.block_on(settle(&project, &view, Answer::Approve)).is_ok();
        tokio::task::block_in_place(|| std::thread::spawn(answers).join().unwrap());
        hand.at(26);
    });
    let (_world, workshop, project, view) = waiting(&clock, Some(witness)).await;
    assert!(at_hand.set((project.clone(), view.clone())).is_ok());
    clock.at(26);
    let (ended, events) = follow(&project, &view.id, |v| v.state.is_final()).await;
    assert_eq!(settled_by(&events), [(Actor::User, Answer::Approve)], "a question is settled once");
    assert_eq!(ended.state, RunState::Done, "{:?}", ended.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_can_be_stopped() {
    let clock = HandClock::new();
    let (_world, workshop, project, view) = waiting(&clock, None).await;
    assert_eq!(project.submit(Op::CancelRun { run: view.id.clone() }).await, Ok(Reply::Done));
    let (ended, events) = follow(&project, &view.id, |v| v.state.is_final()).await;
    assert_eq!((ended.state, ended.problem.unwrap().code), (RunState::Cancelled, Code::Cancelled));
    assert_eq!(settled_by(&events), []);
    assert_eq!(settle(&project, &view, Answer::Approve).await.unwrap_err().code, Code::UnknownApproval);
    workshop.close().await;
}

/// Whether a process with this word among its arguments is there.
fn is_running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| contains(&line, word.as_bytes())))
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part == word)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_during_a_check_leaves_no_process() {
    let world = World::playing(short_with(
        "  - when: {role: developer, last_tool: write_file}\n    say: [{text: The check step will show it.}]",
    ))
    .await;
    let word = format!("endless-{}", std::process::id());
    put(
        &world,
        ".atelier/project.yaml",
        &format!(
            "schema: 1\nchecks:\n  - {{name: endless, argv: [sh, -c, \"while :; do sleep 0.1; done\", {word}]}}\n"
        ),
    );
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    until("the check", || is_running(&word)).await;
    let asked = Instant::now();
    assert_eq!(project.submit(Op::CancelRun { run: run.clone() }).await, Ok(Reply::Done));
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    assert!(!is_running(&word), "the check outlives its run");
    let (view, events) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Cancelled, Code::Cancelled));
    assert!(view.checks.is_empty(), "what was cut short is no evidence");
    assert_eq!(kinds(&events).last().unwrap(), "run_finished");
    project.submit(Op::DiscardRun { run, anyway: false }).await.unwrap();
    workshop.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_check_sees_no_secret_writes_nowhere_else_and_reaches_no_socket() {
    let world = World::playing(short_with(
        "  - when: {role: developer, last_tool: write_file}\n    say: [{text: The check step will show it.}]",
    ))
    .await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let outside = world.folder.path().join("outside.txt");
    let script = format!(
        "echo \"token=[$FAKE_TOKEN]\"; mkdir -p {folder}; echo x > {outside}; echo x >> {project}/greet.sh; \
         echo x > $HOME/mine; echo x > $XDG_CACHE_HOME/mine || exit 9; \
         if (exec 3<>/dev/tcp/127.0.0.1/{port}); then echo reached; else echo unreached; fi; exit 0",
        folder = world.folder.path().display(),
        outside = outside.display(),
        project = world.project().display(),
    );
    put(&world, "try.sh", &script);
    put(&world, ".atelier/project.yaml", "schema: 1\nchecks:\n  - {name: try, argv: [bash, try.sh]}\n");
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let before = of_the_user(&world);
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let done = cli
        .command(&["run", "Greet politely", "--approve", "hand_over"])
        .env("FAKE_TOKEN", "hunter2")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let view = &cli.run(&["runs", "show", "last"]).last()["result"]["run"].clone();
    let output = view["checks"][0]["output"]["text"].as_str().unwrap();
    assert!(output.contains("token=[]") && output.contains("unreached"), "{output}");
    assert_eq!(view["checks"][0]["exit_code"], 0, "its own cache can be written: {output}");
    assert_eq!(of_the_user(&world), before);
    assert!(!outside.exists(), "a check wrote outside");
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "a check reached the host");
    assert_ne!(view["checks"][0]["mechanism"], json!("none"));
}
