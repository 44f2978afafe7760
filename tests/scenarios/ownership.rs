//! Two doors on one project: both see the same run live, and a killed owner is followed by the guest.

use atelier_engine::Workshop;
use atelier_protocol::event::{Answer, Event};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::view::RunState;
use atelier_tests::world::{PATIENCE, follow, goal, kinds, rests, start};
use atelier_tests::{World, steady};
use std::process::{Child, Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn owner_and_guest_see_the_same_run_live() {
    let world = World::with_tour().await;
    let (first, owner) = world.open().await;
    let second = Workshop::open(world.options(steady::sources(100))).await.unwrap();
    let guest = second.open_project(&world.project()).await.unwrap();
    assert!(owner.owns() && !guest.owns());

    let run = start(&guest, goal(false)).await;
    let (seen_by_owner, events_of_owner) = follow(&owner, &run, rests).await;
    let (seen_by_guest, events_of_guest) = follow(&guest, &run, rests).await;
    assert_eq!(seen_by_owner, seen_by_guest);
    assert_eq!(events_of_owner, events_of_guest);

    let approval = seen_by_guest.pending_approval().unwrap().id.clone();
    guest.submit(Op::SettleApproval { approval, answer: Answer::Approve, note: String::new() }).await.unwrap();
    let (done, _) = follow(&owner, &run, |v| v.state.is_final()).await;
    assert_eq!(done.state, RunState::Done, "{:?}", done.problem);
    let Ok(Reply::Accepted { .. }) = guest.submit(Op::AcceptRun { run, how: Default::default() }).await else {
        panic!("the guest accepts")
    };
    second.close().await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_goes_on_with_the_run_of_a_killed_owner() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    workshop.close().await;
    drop(project);

    // The owner stops for good at its 20th append: it neither works nor answers, and is then killed.
    let mut owner = Owner::start(&world, 20);
    let run = owner.run().await;
    let second = Workshop::open(world.options(steady::sources(200))).await.unwrap();
    let guest = second.open_project(&world.project()).await.unwrap();
    let mut frames = guest.follow(Seq::ZERO);
    let mut epochs = Vec::new();
    let mut events = Vec::new();
    let watched = async {
        while let Some(frame) = frames.recv().await {
            match frame {
                Frame::Owner { epoch, mine } => epochs.push((epoch, mine)),
                Frame::Event(event) => {
                    let finished = matches!(event.event, Event::RunFinished { .. });
                    events.push(*event);
                    if finished {
                        return;
                    }
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.expect("the guest takes over and finishes the run");
    owner.wait();
    assert!(guest.owns());
    assert!(epochs.last().unwrap().1, "{epochs:?}");
    let seqs: Vec<u64> = events.iter().map(|e| e.seq.0).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "nothing is lost or doubled across the change");
    let run_events: Vec<_> = events.iter().filter(|e| e.run.as_ref() == Some(&run)).cloned().collect();
    let told = kinds(&run_events);
    assert!(told.contains(&"run_interrupted".to_owned()) && told.contains(&"run_resumed".to_owned()), "{told:?}");
    let (view, _) = follow(&guest, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    second.close().await;
}

/// A process that owns the store and is killed at a chosen append.
struct Owner {
    child: Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Owner {
    fn start(world: &World, append: u64) -> Self {
        use std::io::BufRead;
        let mut child = Command::new(env!("CARGO_BIN_EXE_victim"))
            .args([world.home(), world.project()])
            .args([world.stage.url(), "work".to_owned(), "after".to_owned(), append.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn run(&mut self) -> atelier_protocol::RunId {
        self.lines.find_map(|line| Some(line.unwrap().strip_prefix("run ")?.parse().unwrap())).unwrap()
    }

    fn wait(&mut self) {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "the owner was killed, not ended");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
