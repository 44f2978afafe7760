//! Two runs, or a run and another program, with two models on a server whose memory holds one: calls of a model go together.
//!
//! Guards: models are not swapped with each call, who waits says so, and all come to their end; a model is kept
//! while a run uses it and let go soon afterwards. Turned red by asking without a turn, and by a `keep_alive` of its own.

use crate::limits::short_with;
use atelier_models::{ChatRequest, Message, collect};
use atelier_protocol::event::{AskKind, Hold, Priority};
use atelier_protocol::op::Op;
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::{Item, RunState, RunView};
use atelier_stage::{Ended, Script, ScriptModel};
use atelier_tests::World;
use atelier_tests::world::{PATIENCE, follow, rests, start};

fn begun_with(model: &str) -> Op {
    Op::StartRun {
        goal: "Greet politely".to_owned(),
        model: Some(ModelChoice { provider: "server".to_owned(), model: model.to_owned() }),
        approve: vec![AskKind::HandOver],
        deny_asks: false,
        flow: None,
        priority: Priority::Normal,
        budget_tokens: None,
        on: None,
    }
}

/// The script on a server with two models, whose memory holds one.
fn held_one_by_one(mut script: Script) -> Script {
    // Larger than any memory, so that the second never fits beside the first.
    let large = ScriptModel { bytes: 1 << 50, ..script.models[0].clone() };
    script.models =
        ["one:latest", "two:latest"].map(|name| ScriptModel { name: name.into(), ..large.clone() }).to_vec();
    script.holds = 1;
    script
}

fn waited(view: &RunView) -> bool {
    let items = view.steps.iter().flat_map(|step| &step.items);
    items.into_iter().any(|item| matches!(item, Item::Held { hold: Hold::Batch { .. }, .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_model_go_together_where_memory_holds_one() {
    let mut script = held_one_by_one(short_with(""));
    // Long enough for the calls of two runs to meet.
    script.pace_ms = 2;
    let world = World::playing(script).await;
    let (workshop, project) = world.open().await;
    let runs = [start(&project, begun_with("one:latest")).await, start(&project, begun_with("two:latest")).await];
    let mut views = Vec::new();
    for run in &runs {
        views.push(follow(&project, run, rests).await.0);
    }
    let states: Vec<RunState> = views.iter().map(|view| view.state).collect();
    assert_eq!(
        states,
        [RunState::Done, RunState::Done],
        "{:?}",
        views.iter().map(|view| &view.problem).collect::<Vec<_>>()
    );
    let (chats, loads) = (world.stage.chats().len(), world.stage.loads());
    assert!(loads.len() <= 4 && chats >= 8, "{chats} chats took {} loads: {loads:?}", loads.len());
    assert!(views.iter().any(waited), "one of them waited, and says so");

    // While a run was at work the model was to stay; afterwards it is let go soon.
    let kept = || {
        let bodies = world.stage.transcript().into_iter().map(|exchange| exchange.body["keep_alive"].clone());
        bodies.filter_map(|time| time.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let let_go = async {
        while kept().last().map(String::as_str) != Some("1m") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, let_go).await.expect("the model is let go");
    assert!(kept().iter().any(|time| time == "30m"));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_takes_no_model_from_a_role_that_is_at_work() {
    let script = "schema: 1
models: [{name: short, context: 32768}]
turns:
  - {when: {role: business_analyst}, say: [{text: I begin.}, {fault: {kind: stall}}]}
  - {say: [{text: Here.}]}
";
    let world = World::playing(held_one_by_one(Script::read("two.yaml", script).unwrap())).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, begun_with("one:latest")).await;
    let patiently = async |met: &dyn Fn() -> bool| {
        let meets = async {
            while !met() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, meets).await.expect("it comes to that");
    };
    patiently(&|| world.stage.chats().pop().is_some_and(|chat| chat.ended == Ended::Open)).await;

    let request = ChatRequest::new("", vec![Message::user("go")]);
    let asked = workshop.chat(Some(project.id()), "server/two:latest", request, &[]);
    tokio::pin!(asked);
    let seen = async {
        patiently(&|| !workshop.waiting_calls().is_empty()).await;
        let waiting = workshop.waiting_calls();
        assert_eq!((waiting[0].model.as_str(), waiting[0].behind.as_str()), ("two:latest", "one:latest"));
        assert_eq!(world.stage.loads().len(), 1, "the role's model stays");
        project.submit(Op::CancelRun { run: run.clone() }).await.unwrap();
    };
    let (answering, ()) = tokio::join!(&mut asked, seen);
    let answering = answering.unwrap();
    assert_eq!(answering.waited.as_ref().map(|waited| waited.behind.as_str()), Some("one:latest"));
    assert_eq!(collect(answering.events, |_| {}).await.unwrap().text, "Here.");
    assert_eq!(workshop.waiting_calls(), []);
    workshop.close().await;
}
