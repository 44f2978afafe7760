//! Models are fetched and measured in the background, and what was measured decides how they are used.
//!
//! Guards: a pull is done only when the server says so, goes on where it broke off, and one that was left is known to
//! whoever comes next; a card says what the model really did. Turns red, for example, when the end of a pull's stream is
//! taken for its success, or when a call that is written as prose counts as a call.

use atelier_engine::Workshop;
use atelier_protocol::error::Code;
use atelier_protocol::event::{ModelTask, ModelWork, ModelWorkState, Score};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::ModelChoice;
use atelier_tests::{Cli, World};

async fn works(workshop: &Workshop) -> Vec<ModelWork> {
    match workshop.submit(Op::ListModelWork).await.unwrap() {
        Reply::ModelWork(works) => works,
        other => panic!("{other:?}"),
    }
}

/// Begins the work and follows it to its end.
async fn over(workshop: &Workshop, op: Op) -> ModelWork {
    let Reply::ModelWork(begun) = workshop.submit(op).await.unwrap() else { panic!("not work") };
    let id = begun.last().unwrap().id;
    loop {
        let work = works(workshop).await.into_iter().find(|work| work.id == id).unwrap();
        if work.state != ModelWorkState::Running {
            return work;
        }
        tokio::task::yield_now().await;
    }
}

fn pull(model: &str) -> Op {
    Op::PullModel { provider: None, model: model.to_owned() }
}

fn probe(model: &str) -> Op {
    Op::ProbeModel { provider: None, model: model.to_owned(), context: Some(8192) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_breaks_off_goes_on_where_it_was_and_the_model_is_here() {
    let world = World::with_script("measured.yaml").await;
    let (workshop, _) = world.open().await;
    let work = over(&workshop, pull("new")).await;
    assert_eq!(
        (work.state, work.task, work.done, work.of),
        (ModelWorkState::Done, ModelTask::Pull, 4_100_000, 4_100_000)
    );
    let names: Vec<String> = workshop.models().await.remove(0).models.into_iter().map(|model| model.name).collect();
    assert!(names.contains(&"new:latest".to_owned()), "{names:?}");
    assert_eq!(workshop.submit(Op::ListPulls).await.unwrap(), Reply::Pulls(Vec::new()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_was_left_is_known_to_the_next_and_one_that_is_stopped_is_not() {
    let world = World::with_script("measured.yaml").await;
    let (workshop, _) = world.open().await;
    let work = over(&workshop, pull("nowhere:1b")).await;
    let ModelWorkState::Failed { problem } = work.state else { panic!("{work:?}") };
    assert_eq!(problem.code, Code::ModelServerError, "{problem:?}");
    assert!(problem.message.contains("could not be fetched: pull model manifest"), "{problem:?}");
    workshop.close().await;

    let (workshop, _) = world.open().await;
    let left = works(&workshop).await;
    assert_eq!(left.iter().map(|work| &work.state).collect::<Vec<_>>(), [&ModelWorkState::Interrupted]);
    let choice = ModelChoice { provider: "server".to_owned(), model: "nowhere:1b".to_owned() };
    assert_eq!(workshop.submit(Op::ListPulls).await.unwrap(), Reply::Pulls(vec![choice]));
    workshop.submit(Op::StopModelWork { id: left[0].id }).await.unwrap();
    while works(&workshop).await[0].state == ModelWorkState::Interrupted {
        tokio::task::yield_now().await;
    }
    assert_eq!(workshop.submit(Op::ListPulls).await.unwrap(), Reply::Pulls(Vec::new()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_says_what_a_model_did_and_decides_how_it_is_used() {
    let world = World::with_script("measured.yaml").await;
    let (workshop, project) = world.open().await;
    for model in ["able", "weak"] {
        let work = over(&workshop, probe(model)).await;
        assert_eq!(work.state, ModelWorkState::Done);
    }
    workshop.close().await;
    drop(project);

    // Kept for whoever comes next.
    let (workshop, project) = world.open().await;
    let models = workshop.models().await.remove(0).models;
    let card = |name: &str| models.iter().find(|model| model.name == name).unwrap().card.clone().unwrap();
    let of = |right, of| Score { right, of };
    let able = card("able:latest");
    assert_eq!(
        [able.well_formed, able.right_tool, able.uses_result, able.stops],
        [of(6, 6), of(5, 6), of(4, 6), of(5, 6)]
    );
    let edits: Vec<(&str, u32)> = able.edits.iter().map(|(format, score)| (format.as_str(), score.right)).collect();
    assert_eq!(edits[..2], [("search-replace", 1), ("whole-file", 3)]);
    assert!(edits[2..].iter().all(|(_, right)| *right == 0));
    assert!(able.context.is_some_and(|known| (3500..4500).contains(&known)), "{:?}", able.context);
    assert!(able.memory.is_some());
    let weak = card("weak:latest");
    assert_eq!([weak.well_formed, weak.right_tool, weak.uses_result, weak.stops], [of(0, 6); 4]);
    assert_eq!(weak.context, None);

    let Reply::Route(decision) = project.submit(Op::ExplainRoute { role: None }).await.unwrap() else { panic!() };
    let route = decision.route.unwrap();
    assert_eq!((route.model.as_str(), route.edits.as_deref()), ("able:latest", Some("whole-file")));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_or_measured_is_said_before_anything_begins() {
    let world = World::with_script("measured.yaml").await;
    let (workshop, _) = world.open().await;
    let refused = async |op: Op| workshop.submit(op).await.unwrap_err().code;
    assert_eq!(refused(probe("nowhere")).await, Code::ModelMissing);
    assert_eq!(refused(Op::PullModel { provider: Some("none".into()), model: "x".into() }).await, Code::NoModel);
    assert_eq!(refused(pull(" ")).await, Code::BadArgument);
    assert_eq!(refused(Op::StopModelWork { id: 7 }).await, Code::BadArgument);
    assert_eq!(works(&workshop).await, []);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_measures_and_fetches_with_the_server_it_is_given() {
    let world = World::with_script("measured.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let said = cli.run(&["models", "probe", "weak", "--context", "8192"]);
    assert_eq!(said.last()["result"]["card"]["model"], "weak:latest", "{said:?}");
    let said = cli.run(&["models", "pull", "new", "--on", "server"]);
    assert_eq!(said.last()["result"]["work"]["state"]["state"], "done", "{said:?}");
    assert_eq!(cli.run(&["models", "probe", "new", "--on", "elsewhere"]).code(), "no_model");
    assert_eq!(cli.run(&["models", "pull", "nowhere:1b"]).code(), "model_server_error");
    let said = cli.run(&["models", "work"]);
    assert_eq!(said.last()["result"]["work"][0]["model"], "nowhere:1b", "{said:?}");
}
