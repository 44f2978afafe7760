//! Material that leaves this machine: asked before the first time, masked on the way, recorded each time, and stopped when
//! the leave is taken back.
//!
//! Guards: no cloud call without a recorded permission; what is planted never leaves. Turned red by a `leave_to_send`
//! that trusts the last answer alone, by a route that is not told to be passed on, and by a door that forgets to ask.

use atelier_engine::Workshop;
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, AskKind, EgressView, Event, Outcome, Sensitive};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::{RunState, RunView};
use atelier_stage::{Script, tour};
use atelier_tests::World;
use atelier_tests::world::{follow, goal, rests, start};
use std::path::Path;

const EMAIL: &str = "ada.lovelace@analytical.example";
const PHONE: &str = "+44 20 7946 0018";
const PASSWORD: &str = "engine-no-9";

/// The tour, played by a model that its server passes on to a cloud. Personal data stands in the goal, which every
/// brief holds, and in a file that the roles read.
async fn world() -> World {
    let script = include_str!("../../assets/stage/tour.yaml");
    let script = script.replacen("    context: 32768\n", "    context: 32768\n    remote: true\n", 1);
    let script = script.replacen("I look at how the greeting is made today.", "I write to [MASKED_EMAIL_1] first.", 1);
    let world = World::playing(Script::read("remote.yaml", &script).unwrap()).await;
    let file = world.project().join("greet.sh");
    let planted = format!("{}# call {PHONE}\n# DB_PASSWORD={PASSWORD}\nDB_PASSWORD={PASSWORD}\n", read(&file));
    std::fs::write(&file, planted).unwrap();
    world
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn job(approve: Vec<AskKind>, deny_asks: bool) -> Op {
    let Op::StartRun { flow, priority, budget_tokens, .. } = goal(false) else { panic!("a start") };
    Op::StartRun {
        goal: format!("{}, and tell {EMAIL}", tour::GOAL),
        model: Some(ModelChoice { provider: "server".into(), model: "tour:latest".into() }),
        approve,
        deny_asks,
        flow,
        priority,
        budget_tokens,
        on: None,
    }
}

async fn unlock(workshop: &Workshop) {
    let settings = atelier_protocol::settings::Settings { local_only: false, ..Default::default() };
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
}

async fn ledger(workshop: &Workshop) -> EgressView {
    let shown = workshop.submit(Op::ShowEgress { limit: 1000, run: None, local: false }).await;
    let Ok(Reply::Egress(view)) = shown else { panic!("no ledger: {shown:?}") };
    view
}

/// What the model was told, all of it.
fn told(world: &World) -> String {
    world.stage.chats().iter().map(|chat| chat.body.to_string()).collect()
}

fn failed(view: &RunView) -> Code {
    view.problem.as_ref().map_or(Code::Internal, |problem| problem.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_it_is_permitted_and_nothing_personal_after() {
    let world = world().await;
    let (workshop, project) = world.open().await;

    let run = start(&project, job(Vec::new(), false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(failed(&view), Code::LocalOnly, "local-only mode is on by default");

    unlock(&workshop).await;
    let run = start(&project, job(vec![AskKind::HandOver], false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let asked = view.pending_approval().unwrap().clone();
    let Ask::Cloud { provider, model, leaving, masked, text, .. } = &asked.ask else { panic!("{:?}", asked.ask) };
    assert_eq!((provider.as_str(), model.as_str()), ("server", "tour:latest"));
    assert!(leaving.iter().any(|part| part.name == "goal, rules and what was said" && part.bytes > 0), "{leaving:?}");
    assert!(masked.iter().any(|one| one.kind == Sensitive::Email && one.count == 1), "{masked:?}");
    let Ok(Reply::Blob(text)) = project.submit(Op::ReadBlob { hash: text.clone() }).await else { panic!("no text") };
    assert!(text.contains("tell [MASKED_EMAIL_1]") && !text.contains(EMAIL), "{text}");
    assert_eq!((told(&world).as_str(), ledger(&workshop).await.rows.len()), ("", 0), "nothing was sent to ask");

    let answer = Op::SettleApproval { approval: asked.id, answer: Answer::Approve, note: String::new() };
    assert_eq!(project.submit(answer).await, Ok(Reply::Done));
    let (view, events) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);

    let told_so_far = told(&world);
    for planted in [EMAIL, PHONE, PASSWORD] {
        assert!(!told_so_far.contains(planted), "{planted} left");
    }
    assert!(told_so_far.contains("[MASKED_PHONE_1]") && told_so_far.contains("[MASKED_PASSWORD_1]"), "{told_so_far}");
    let said = events.iter().any(|e| matches!(&e.event, Event::CallFinished { text, .. } if text.contains(EMAIL)));
    assert!(said, "the user reads the address and no placeholder");

    let view = ledger(&workshop).await;
    assert_eq!(view.rows.len(), world.stage.chats().len(), "every call is in the ledger once");
    for row in &view.rows {
        assert_eq!((row.entry.purpose.as_str(), row.entry.local, &row.entry.refused), ("chat", false, &None));
        assert_eq!((row.entry.run.as_ref(), row.entry.provider.as_deref()), (Some(&run), Some("server")));
        assert!(row.entry.role.is_some() && row.entry.bytes_out > 100, "{row:?}");
        assert!(row.end.as_ref().is_some_and(|end| end.status == Some(200) && end.bytes_in > 10), "{row:?}");
    }

    // The yes is remembered, until it is taken back; then the old answer does not count again.
    let run = start(&project, job(vec![AskKind::HandOver], false)).await;
    let (view, _) = follow(&project, &run, |view| view.state.is_final()).await;
    assert!(!view.approvals.iter().any(|asked| asked.ask.kind() == AskKind::Cloud));
    let op = Op::RevokeCloud { project: project.id().clone(), provider: "server".into(), host: None };
    assert_eq!(workshop.submit(op).await, Ok(Reply::Permissions(Vec::new())));
    let before = world.stage.chats().len();
    let run = start(&project, job(Vec::new(), true)).await;
    let (view, events) = follow(&project, &run, rests).await;
    let Some(Event::RunFinished { outcome: Outcome::Failed { problem } }) = events.last().map(|e| &e.event) else {
        panic!("{:?}", view.state)
    };
    assert_eq!((problem.code, world.stage.chats().len()), (Code::Rejected, before), "a no sends nothing");
    workshop.close().await;

    // The home store, with the ledger in it, tells where and how much, never what.
    let stores = world.home().join("data/stores/home");
    for planted in [EMAIL, PHONE, PASSWORD] {
        assert!(!holds(&stores, planted.as_bytes()), "{planted} is in the home store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_given_with_the_start_is_a_recorded_permission() {
    let world = world().await;
    let (workshop, project) = world.open().await;
    unlock(&workshop).await;
    let run = start(&project, job(vec![AskKind::HandOver, AskKind::Cloud], false)).await;
    let (view, _) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let Ok(Reply::Permissions(held)) = workshop.submit(Op::ListPermissions).await else { panic!("no permissions") };
    assert_eq!(held.len(), 1);
    assert!(held[0].approval.is_some() && held[0].project == *project.id(), "{held:?}");
    workshop.close().await;
}

/// Whether a file below `folder` holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => holds(&path, bytes),
        false => std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes),
    })
}
