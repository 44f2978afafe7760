//! A run continued another way from any of its events: its tree is what the original's tree was, to the byte, or the
//! fork is refused and says where it works.
//!
//! Guards: a fork never repeats an effect of its original and never touches its tree; nothing is guessed.
//! Turns red, for example, when `Replay` counts an edit whose recorded hash does not come out, when it trusts the tree
//! after a command that nobody looked at, or when a fork keeps the hand-over of its original.

use crate::git;
use crate::limits::put;
use atelier_engine::{Moment, Project, Witness, Workshop};
use atelier_protocol::Code;
use atelier_protocol::event::{Answer, Effect, EffectOutcome, Envelope, Event, Mechanism};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};
use atelier_sandbox::Sandbox;
use atelier_tests::world::{follow, goal, goal_by, kinds, rests, start};
use atelier_tests::{World, steady};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

type Files = BTreeMap<String, Vec<u8>>;

/// What every run's tree held after each of its events; `None` where it had none.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<Seq, Option<Files>>>>);

impl Seen {
    fn witness(&self, home: PathBuf) -> Witness {
        let seen = self.0.clone();
        Arc::new(move |moment| {
            let Moment::After(events) = moment else { return };
            let Some((last, run)) = events.last().and_then(|last| Some((last.seq, last.run.as_ref()?))) else { return };
            let files = tree_of(&home, run);
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(last, files);
        })
    }

    /// What a tree held after the append that this event was part of.
    fn after(&self, seq: Seq) -> Option<Files> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.range(seq..).next().and_then(|(_, files)| files.clone())
    }
}

fn tree_of(home: &Path, run: &RunId) -> Option<Files> {
    let projects = std::fs::read_dir(home.join("data/trees")).ok()?;
    let root = projects.flatten().map(|p| p.path().join(run.as_str())).find(|dir| dir.join("repo").exists())?;
    let mut files = Files::new();
    collect(&root.join("tree"), &root.join("tree"), &mut files);
    Some(files)
}

fn collect(top: &Path, folder: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => collect(top, &path, files),
            path => {
                let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
                files.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
}

/// Whether nothing but the event itself came with its append: the tree was looked at right after it.
fn alone(events: &[Envelope], index: usize, seen: &Seen) -> bool {
    seen.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&events[index].seq)
}

async fn open(world: &World, seen: &Seen) -> (Workshop, Project) {
    let mut options = world.options(steady::sources(1));
    options.witness = Some(seen.witness(world.home()));
    let workshop = Workshop::open(options).await.unwrap();
    if !world.project().join(".git").exists() {
        workshop.initialise(&world.project()).await.unwrap();
    }
    let project = workshop.open_project(&world.project()).await.unwrap();
    (workshop, project)
}

fn effects(events: &[Envelope]) -> Vec<(Seq, Effect)> {
    let effect = |event: &Envelope| match &event.event {
        Event::EffectIntended { effect, .. } => Some((event.seq, effect.clone())),
        _ => None,
    };
    events.iter().filter_map(effect).collect()
}

/// The event that says that a fork's tree is there.
fn tree_landed(events: &[Envelope]) -> Option<Seq> {
    let landed = |event: &&Envelope| matches!(&event.event, Event::EffectSettled { key, outcome: EffectOutcome::Landed } if key == "tree");
    events.iter().find(landed).map(|event| event.seq)
}

/// Forks a run at an event and compares the trees. Whether there was one; `Err` names other events where it is refused.
async fn forked(project: &Project, seen: &Seen, run: &RunId, event: &Envelope) -> Result<bool, Vec<String>> {
    let at = event.seq;
    let fork = match project.submit(Op::ForkRun { run: run.clone(), at: Some(at) }).await {
        Ok(Reply::Run(fork)) => fork,
        Err(problem) => {
            assert_eq!(problem.code, Code::ForkPoint, "{problem}");
            return Err(problem.details);
        }
        other => panic!("{other:?}"),
    };
    let wanted = seen.after(at);
    if wanted.is_some() {
        let (_, told) = follow(project, &fork, |view| rests(view) || view.steps.len() > 1).await;
        let told = match tree_landed(&told) {
            Some(_) => told,
            None => follow(project, &fork, rests).await.1,
        };
        let landed = tree_landed(&told).unwrap_or_else(|| panic!("no tree at {at}: {:?}", kinds(&told)));
        assert_eq!(seen.after(landed), wanted, "forked at {at}, after {:?}", event.event);
    }
    project.submit(Op::CancelRun { run: fork }).await.ok();
    Ok(wanted.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_from_any_event_has_the_tree_of_that_event_or_is_refused_with_the_nearest() {
    let (world, seen) = (World::with_script("short.yaml").await, Seen::default());
    let (workshop, project) = open(&world, &seen).await;
    let run = start(&project, goal(false)).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let (original, before) = (tree_of(&world.home(), &run), effects(&events));
    let (mut made, mut refused, mut without) = (0, Vec::new(), 0);
    for (_, event) in events.iter().enumerate().filter(|(index, _)| alone(&events, *index, &seen)) {
        match forked(&project, &seen, &run, event).await {
            Ok(true) => made += 1,
            Ok(false) => without += 1,
            Err(near) => refused.push((event.seq, near)),
        }
    }
    assert!(made > 10 && without > 3, "made {made}, without a tree {without}, refused {refused:?}");
    // Where it is refused, the events that are named work.
    for (at, near) in &refused {
        assert!(!near.is_empty(), "nothing is named for {at}");
        for near in near {
            let fork = Op::ForkRun { run: run.clone(), at: Some(Seq(near.parse().unwrap())) };
            let Ok(Reply::Run(fork)) = project.submit(fork).await else { panic!("{near} was named for {at}") };
            project.submit(Op::CancelRun { run: fork }).await.ok();
        }
    }
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(tree_of(&world.home(), &run), original, "the original's tree was touched");
    assert_eq!(effects(&events), before, "an effect was recorded for the original");
    assert_eq!(view.state, RunState::WaitsForApproval);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_of_a_finished_run_asks_anew_and_is_handed_over_beside_it() {
    let (world, seen) = (World::with_script("short.yaml").await, Seen::default());
    let (workshop, project) = open(&world, &seen).await;
    let run = start(&project, goal(true)).await;
    let (done, events) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(done.state, RunState::Done, "{:?}", done.problem);

    let fork = start(&project, Op::ForkRun { run: run.clone(), at: None }).await;
    let (view, told) = follow(&project, &fork, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "the grant was given for the other run: {:?}", view.problem);
    assert_eq!(view.forked.as_ref().map(|f| (&f.run, f.at)), Some((&run, events.last().unwrap().seq)));
    assert_eq!((view.branch.as_ref(), &view.disposition), (None, &Disposition::Pending));
    let copies = told.iter().filter(|event| event.cause.is_some()).count();
    assert!(copies > 20, "the history is copied, with its causes: {copies}");
    let own: Vec<Effect> = effects(&told)
        .into_iter()
        .filter(|(seq, _)| told.iter().any(|e| e.seq == *seq && e.cause.is_none()))
        .map(|(_, e)| e)
        .collect();
    assert!(own.iter().all(|effect| matches!(effect, Effect::ForkTree { from, .. } if *from == run)), "{own:?}");
    // The checks of the checkpoint that both share are evidence for both; the model was not asked again.
    assert_eq!(view.checks, done.checks);
    assert_eq!(view.cost.calls, done.cost.calls);

    let approval = view.pending_approval().unwrap().id.clone();
    assert!(done.approvals.iter().all(|asked| asked.id != approval));
    project.submit(Op::SettleApproval { approval, answer: Answer::Approve, note: String::new() }).await.unwrap();
    project.submit(Op::ResumeRun { run: fork.clone() }).await.unwrap();
    let (forked, _) = follow(&project, &fork, |v| v.state.is_final()).await;
    assert_eq!(forked.state, RunState::Done, "{:?}", forked.problem);
    let (one, other) = (done.branch.clone().unwrap(), forked.branch.clone().unwrap());
    assert_ne!(one, other);
    assert_eq!(git::tree(&world.project(), &one), git::tree(&world.project(), &other));

    // The fork lives without its original.
    project.submit(Op::DiscardRun { run: run.clone(), anyway: false }).await.unwrap();
    let refused = project.submit(Op::ForkRun { run: run.clone(), at: None }).await;
    let Ok(Reply::Run(early)) = refused else { panic!("what was before the tree can still be continued: {refused:?}") };
    project.submit(Op::CancelRun { run: early }).await.unwrap();
    let last = events.last().unwrap().seq;
    let problem = project.submit(Op::ForkRun { run, at: Some(last) }).await.unwrap_err();
    assert_eq!((problem.code, problem.details.len()), (Code::ForkPoint, 1), "{problem:?}");
    let Ok(Reply::Accepted { .. }) = project.submit(Op::AcceptRun { run: fork, how: Default::default() }).await else {
        panic!("not accepted")
    };
    workshop.close().await;
}

/// A child has nobody else to work for, so a fork of it is refused; what is named forks the run at the top, which calls
/// its child anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_works_for_another_is_forked_at_the_top() {
    let (world, seen) = (World::with_tour().await, Seen::default());
    let (workshop, project) = open(&world, &seen).await;
    let run = start(&project, goal_by(false, Some("reviewed".to_owned()))).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let child = view.children[0].run.clone();
    let (_, own) = follow(&project, &child, |view| view.state.is_final()).await;
    for at in [None, Some(own[own.len() / 2].seq)] {
        let problem = project.submit(Op::ForkRun { run: child.clone(), at }).await.unwrap_err();
        assert_eq!(problem.code, Code::ForkPoint, "{problem}");
        assert!(problem.message.contains(&format!("works for a step of run {run}")), "{problem}");
        let near = problem.details.first().expect("the way on is named").clone();
        assert!(problem.hint.contains(&format!("atelier runs fork {run} --at {near}")), "{}", problem.hint);
        let at = Seq(near.parse().unwrap());
        let fork = start(&project, Op::ForkRun { run: run.clone(), at: Some(at) }).await;
        let (forked, told) = follow(&project, &fork, rests).await;
        assert_eq!(forked.state, RunState::WaitsForApproval, "{:?}", forked.problem);
        // Children that had ended are part of the history; one that was open is called anew.
        let known = |child: &RunId| view.children.iter().any(|other| other.run == *child);
        let copied: Vec<bool> = forked.children.iter().map(|child| known(&child.run)).collect();
        let ended = told.iter().filter(|event| event.cause.is_some());
        let ended = ended.filter(|event| matches!(event.event, Event::ChildEnded { .. })).count();
        assert_eq!(copied.iter().filter(|copied| **copied).count(), ended, "{copied:?}");
        assert!(copied.len() > ended, "the fork calls a child of its own: {copied:?}");
        assert_eq!(forked.children.iter().filter(|child| child.outcome.is_none()).count(), 0);
    }
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_command_that_changed_files_a_fork_is_refused_until_the_next_checkpoint() {
    let (world, seen) = (World::with_script("short.yaml").await, Seen::default());
    std::fs::create_dir_all(world.project().join(".atelier")).unwrap();
    let file = "schema: 1\nchecks:\n  - name: test\n    argv: [sh, -c, \"test -e made.txt || echo made > made.txt\"]\n";
    std::fs::write(world.project().join(".atelier/project.yaml"), file).unwrap();
    let (workshop, project) = open(&world, &seen).await;
    let run = start(&project, goal(false)).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let ran = events.iter().position(|event| matches!(event.event, Event::CheckRecorded { .. })).unwrap();
    let next = events[ran..].iter().position(|event| matches!(event.event, Event::CheckpointMade { .. })).unwrap();
    for event in &events[ran..ran + next] {
        let problem = project.submit(Op::ForkRun { run: run.clone(), at: Some(event.seq) }).await.unwrap_err();
        assert_eq!(problem.code, Code::ForkPoint);
        let near: Vec<u64> = problem.details.iter().map(|seq| seq.parse().unwrap()).collect();
        assert!(matches!(near[..], [before, after] if before < event.seq.0 && after > event.seq.0), "{near:?}");
    }
    let fork = start(&project, Op::ForkRun { run: run.clone(), at: Some(events[ran + next].seq) }).await;
    let (_, told) = follow(&project, &fork, rests).await;
    let files = seen.after(tree_landed(&told).unwrap()).unwrap();
    assert_eq!(files.get("made.txt").map(Vec::as_slice), Some(b"made\n".as_slice()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_seen_as_it_was_after_any_event() {
    let (world, seen) = (World::with_script("short.yaml").await, Seen::default());
    let (workshop, project) = open(&world, &seen).await;
    let run = start(&project, goal(false)).await;
    let (_, events) = follow(&project, &run, rests).await;
    for (index, event) in events.iter().enumerate() {
        let Ok(Reply::RunView(then)) = project.submit(Op::ShowRun { run: run.clone(), at: Some(event.seq) }).await
        else {
            panic!("not shown at {}", event.seq)
        };
        assert_eq!(Some(*then), RunView::of(&events[..=index]));
    }
    let before = Seq(events[0].seq.0 - 1);
    let problem = project.submit(Op::ShowRun { run, at: Some(before) }).await.unwrap_err();
    assert_eq!(problem.code, Code::BadArgument);
    workshop.close().await;
}

/// Its set-up changes a file that counts, which is put back, and leaves one that is ignored, once in each tree.
const SET_UP: &str = "schema: 1\nsetup:\n  - copy: .env\n  - run: [sh, -c, 'cat .env >> built; echo spoilt >> greet.sh']\n  - run: [sh, -c, 'echo spoilt too > docs.md']\nchecks:\n  - {name: test, argv: [sh, -c, 'test $(wc -l < built) = 1']}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_set_up_as_a_new_tree_is_and_keeps_the_edits_of_its_moment() {
    if Sandbox::detect().mechanism() == Mechanism::None {
        eprintln!("left out: nothing confines commands here");
        return;
    }
    let (world, seen) = (World::with_script("short.yaml").await, Seen::default());
    put(&world, ".atelier/project.yaml", SET_UP);
    put(&world, ".gitignore", ".env\nbuilt\n");
    let (workshop, project) = open(&world, &seen).await;
    put(&world, ".env", "KEY=mine\n");
    let run = start(&project, goal(false)).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let there = events.iter().position(|event| Some(event.seq) == tree_landed(&events)).unwrap();
    let (mut made, mut refused) = (0, 0);
    for (index, event) in events.iter().enumerate().skip(there).filter(|(index, _)| alone(&events, *index, &seen)) {
        match forked(&project, &seen, &run, event).await {
            Ok(with_tree) => made += usize::from(with_tree),
            Err(near) => {
                assert!(!near.is_empty(), "nothing is named for event {index}");
                refused += 1;
            }
        }
    }
    assert!(made > 10 && refused < made, "made {made}, refused {refused}");
    // The tree was made, but not all of it: the fork makes its own, with the whole set-up.
    let passed = |event: &Envelope| matches!(&event.event, Event::EffectSettled { key, .. } if key == "setup:0");
    let half = events.iter().find(|event| passed(event)).unwrap().seq;
    let fork = start(&project, Op::ForkRun { run: run.clone(), at: Some(half) }).await;
    let (view, told) = follow(&project, &fork, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    assert_eq!(told.iter().filter(|event| passed(event)).count(), 1, "{:?}", kinds(&told));
    assert_eq!(tree_of(&world.home(), &fork), tree_of(&world.home(), &run));
    workshop.close().await;
}
