//! Guards: whoever records events of a run, the owner's own hand included, the table of transitions is asked first.
//!
//! Turns red, for example, when `Desk::append_to` asks only the runs that its caller knows, or does not expect the
//! version that was asked.

use super::Unrecorded;
use crate::desk::Desk;
use crate::digest::{Digest, Runs};
use crate::keys::KeyRing;
use crate::legal::Refused;
use crate::objects::tests::Room;
use crate::places::Places;
use crate::processes::Processes;
use crate::rulebook::Rulebook;
use crate::sources::Sources;
use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_journal::{AppendError, Owned, Projections};
use atelier_models::Traffic;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Actor, Base, Event, FlowRef, Grants, Mechanism, NewEvent, Outcome, Parent, Priority, StepPhase,
};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{ProjectId, RunId, StepId};
use atelier_protocol::settings::Settings;
use atelier_protocol::view::{Illegal, RunState};
use atelier_sandbox::{Sandbox, Toolchain};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

async fn desk(room: &Room) -> (Owned, Desk) {
    let (owned, objects) = room.open().await;
    let journal = owned.journal.clone();
    let desk = Desk {
        projections: Projections::open(&journal, vec![Arc::new(Runs)]).await.unwrap(),
        journal,
        sources: Sources::of_the_machine(),
        places: Places::under(room.folder.path()),
        project: ProjectId::new(1, [1; 10]),
        root: room.folder.path().to_owned(),
        sandbox: Sandbox::with(Mechanism::None),
        toolchain: Toolchain::detect(),
        egress: Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful)),
        keys: Arc::new(KeyRing::new(crate::keys::of_this_user(&Places::under(room.folder.path())).without_keychain())),
        home: Arc::new(|_| Box::pin(async { Err(Problem::new(Code::Io, "there is no home store", "")) })),
        settings: Arc::new(Settings::default),
        objects,
        index: Mutex::new(None),
        beside: Default::default(),
        minded: Default::default(),
        completing: Arc::default(),
        watching: Default::default(),
        witness: None,
        traffic: Traffic::new(Sources::of_the_machine().clock),
        cards: Arc::new(BTreeMap::new),
        free_memory: Arc::new(|| None),
        purse: Arc::default(),
        deciding: Default::default(),
        stacks: Default::default(),
        processes: Processes::default(),
        doors: crate::allowance::Doors::default(),
        loaded: crate::loaded::Loaded::new(Sources::of_the_machine().clock, tokio::sync::mpsc::unbounded_channel().0),
        rulebook: Rulebook::default(),
    };
    (owned, desk)
}

fn run(n: u8) -> RunId {
    RunId::new(u64::from(n), [n; 10])
}

fn of(n: u8, event: Event) -> NewEvent {
    NewEvent::of_run(&run(n), Some(&StepId::of("call", 1)), event)
}

fn start(parent: Option<Parent>) -> Event {
    Event::RunStarted {
        goal: "a goal".into(),
        flow: FlowRef { id: "feature".into(), hash: Hash::of(b"") },
        base: Base { commit: "c".into(), branch: None },
        model: None,
        grants: Grants::default(),
        parent,
        forked: None,
        on: None,
        priority: Priority::Normal,
        budget_tokens: None,
    }
}

fn works() -> Event {
    Event::StepStarted { role: None, title: "t".into(), brief: String::new(), phase: StepPhase::Working, undo: None }
}

fn parked() -> Event {
    Event::RunParked { problem: Problem::new(Code::ModelServerDown, "it is down", "start it") }
}

fn refused(result: Result<impl std::fmt::Debug, Unrecorded>) -> Refused {
    match result {
        Err(Unrecorded::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_illegal_transition_is_refused_by_name_and_nothing_is_recorded() {
    let room = Room::new();
    let (owned, desk) = desk(&room).await;
    let begun = desk.append(vec![of(1, start(None)), of(1, works()), of(1, parked())]).await.unwrap();
    let last = begun[2].seq;

    let interrupted = desk.append(vec![of(1, Event::RunInterrupted { epoch: 1 })]).await;
    let (from, to) = (RunState::Parked, RunState::Interrupted);
    let problem = Problem::from(interrupted.unwrap_err());
    assert_eq!(problem.code, Code::WrongState);
    assert!(problem.message.contains("a run that is Parked cannot become Interrupted"), "{problem}");
    // One wrong event among right ones, of whichever run, and none of them is recorded.
    let mixed = vec![of(2, start(None)), of(1, Event::RunFinished { outcome: Outcome::Done })];
    assert_eq!(
        refused(desk.append(mixed).await),
        Refused::Transition(Illegal { from, to: RunState::Done }),
        "what rests does not end well"
    );
    let resumed = Event::RunResumed { by: Actor::User, epoch: 1 };
    let twice = vec![of(1, resumed), of(1, parked()), of(1, Event::RunInterrupted { epoch: 1 })];
    assert_eq!(refused(desk.append(twice).await), Refused::Transition(Illegal { from, to }));
    assert_eq!(refused(desk.append(vec![of(3, works())]).await), Refused::Beginning { run: run(3) });
    assert_eq!(refused(desk.append(vec![of(1, start(None))]).await), Refused::Beginning { run: run(1) });
    assert_eq!(owned.journal.last_seq(), last);
}

#[tokio::test]
async fn what_was_decided_by_an_old_row_conflicts_and_what_was_not_is_asked_again() {
    let room = Room::new();
    let (owned, desk) = desk(&room).await;
    desk.append(vec![of(1, start(None)), of(1, works())]).await.unwrap();
    let row: Digest = desk.digest(&run(1)).await.unwrap();
    desk.append(vec![of(1, parked())]).await.unwrap();
    let late = desk.append_to(&[&row], vec![of(1, parked())]).await;
    assert!(matches!(late, Err(Unrecorded::Append(AppendError::Conflict { .. }))), "{late:?}");

    let cancelled = Outcome::Cancelled { problem: Problem::new(Code::Cancelled, "stopped", "") };
    let parent = Parent { run: run(1), step: StepId::of("call", 1), root: run(1), depth: 1 };
    let resumed = Event::RunResumed { by: Actor::User, epoch: 1 };
    let child = vec![
        of(1, resumed),
        of(4, start(Some(parent))),
        of(1, Event::ChildStarted { child: run(4), goal: "g".into() }),
    ];
    desk.append(child).await.unwrap();
    assert_eq!(desk.digest(&run(1)).await.unwrap().state, RunState::WaitsForChild);
    desk.append(vec![of(4, Event::RunFinished { outcome: cancelled })]).await.unwrap();
    let ended = refused(desk.append(vec![of(4, works())]).await);
    assert_eq!(ended, Refused::Ended { state: RunState::Cancelled });
    owned.close().await;
}

#[tokio::test]
async fn many_hands_at_one_run_all_find_it_as_it_is() {
    let room = Room::new();
    let (owned, desk) = desk(&room).await;
    desk.append(vec![of(1, start(None)), of(1, works())]).await.unwrap();
    let noticed = |n: usize| of(1, Event::Noticed { problem: Problem::new(Code::Io, format!("notice {n}"), "") });
    let all = (0..20).map(|n| desk.append(vec![noticed(n)]));
    for appended in futures_util::future::join_all(all).await {
        appended.unwrap();
    }
    assert_eq!(owned.journal.version(&run(1)).await.unwrap(), 22);
}
