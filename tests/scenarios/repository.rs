//! Whatever the user does in the repository while roles work, nothing of it is lost: it is merged with, worked around, or
//! the accept is refused by name with nothing changed.
//!
//! Guards: only an accept writes where the user works, it writes only what the run changed, and it happens once, however
//! often and from wherever it is asked for.
//! Turns red, for example, when `ProjectOwner` lets two accepts go on at once.

use crate::git;
use crate::limits::{of_the_user, put, settle};
use atelier_engine::{Moment, Project, Witness, Workshop};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{AcceptMode, Answer, AskKind, Effect, Event};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};
use atelier_protocol::{Envelope, RunId};
use atelier_tests::world::{follow, goal, kinds, rests, start};
use atelier_tests::{World, steady};
use git2::{Repository, Signature};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Commits a file as the user does.
fn commit(project: &Path, path: &str, text: &str, subject: &str) -> String {
    let place = project.join(path);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, text).unwrap();
    let repo = Repository::open(project).unwrap();
    let mut index = repo.index().unwrap();
    index.add_path(Path::new(path)).unwrap();
    index.write().unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let who = Signature::now("User", "user@example.org").unwrap();
    let parent = repo.head().unwrap().peel_to_commit().unwrap();
    repo.commit(Some("HEAD"), &who, &who, subject, &tree, &[&parent]).unwrap().to_string()
}

fn head(project: &Path) -> (String, String) {
    let repo = Repository::open(project).unwrap();
    let head = repo.head().unwrap();
    (head.name().unwrap().to_owned(), head.target().unwrap().to_string())
}

/// A project with a short run that waits for its hand-over.
async fn at_hand_over() -> (World, Workshop, Project, RunView) {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let (view, _) = waits(&project).await;
    (world, workshop, project, view)
}

async fn waits(project: &Project) -> (RunView, RunId) {
    let run = start(project, goal(false)).await;
    let (view, _) = follow(project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    (view, run)
}

async fn handed_over(project: &Project, view: &RunView) -> RunId {
    settle(project, view, Answer::Approve).await.unwrap();
    let (view, _) = follow(project, &view.id, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    view.id
}

async fn accept(project: &Project, run: &RunId) -> Result<(String, String, AcceptMode), Problem> {
    match project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await? {
        Reply::Accepted { branch, commit, mode } => Ok((branch, commit, mode)),
        other => panic!("{other:?}"),
    }
}

/// The sample's script with its comment made polite, as the run makes it.
const POLITE: &str = "# Greets one person by name, politely.";

fn greet(world: &World) -> String {
    std::fs::read_to_string(world.project().join("greet.sh")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_the_user_makes_meanwhile_are_merged_with() {
    let (world, workshop, project, view) = at_hand_over().await;
    let mine = commit(&world.project(), "notes.md", "mine\n", "docs: my notes");
    let run = handed_over(&project, &view).await;
    let (branch, to, mode) = accept(&project, &run).await.unwrap();
    assert_eq!((branch.as_str(), mode), ("main", AcceptMode::Merge));
    assert_eq!(head(&world.project()), ("refs/heads/main".to_owned(), to));
    let log = git::log(&world.project(), "main");
    assert!(log[0].starts_with("Merge atelier/"), "{log:?}");
    assert!(log.contains(&"docs: my notes".to_owned()) && log.contains(&"feat: greet politely".to_owned()), "{log:?}");
    assert_eq!(std::fs::read_to_string(world.project().join("notes.md")).unwrap(), "mine\n");
    assert!(greet(&world).contains(POLITE) && git::is_clean(&world.project()));
    let repo = Repository::open(world.project()).unwrap();
    let merge = repo.head().unwrap().peel_to_commit().unwrap();
    assert_eq!(merge.parent_id(0).unwrap().to_string(), mine, "the user's line comes first");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_changes_nothing_and_a_new_run_can_be_accepted() {
    let (world, workshop, project, view) = at_hand_over().await;
    let text = greet(&world).replace("by name.", "by name. Mine.");
    commit(&world.project(), "greet.sh", &text, "docs: my comment");
    let run = handed_over(&project, &view).await;
    let before = world.user_state();
    let problem = accept(&project, &run).await.unwrap_err();
    assert_eq!((problem.code, problem.details.as_slice()), (Code::AcceptConflict, &["greet.sh".to_owned()][..]));
    assert!(problem.hint.contains("discard"), "{}", problem.hint);
    assert_eq!(world.user_state(), before, "a refused accept changes nothing");
    assert_eq!(project.submit(Op::DiscardRun { run, anyway: false }).await, Ok(Reply::Done));
    let (view, _) = waits(&project).await;
    let run = handed_over(&project, &view).await;
    accept(&project, &run).await.unwrap();
    assert!(greet(&world).contains("by name, politely. Mine."), "{}", greet(&world));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uncommitted_work_elsewhere_is_kept_to_the_byte() {
    let (world, workshop, project, view) = at_hand_over().await;
    let run = handed_over(&project, &view).await;
    put(&world, "README.md", "half a thought\r\nwithout an end");
    put(&world, "untracked.txt", "mine");
    put(&world, "staged.txt", "staged");
    let repo = Repository::open(world.project()).unwrap();
    let mut index = repo.index().unwrap();
    index.add_path(Path::new("staged.txt")).unwrap();
    index.write().unwrap();
    accept(&project, &run).await.unwrap();
    let read = |path: &str| std::fs::read_to_string(world.project().join(path)).unwrap();
    assert_eq!(read("README.md"), "half a thought\r\nwithout an end");
    assert_eq!((read("untracked.txt").as_str(), read("staged.txt").as_str()), ("mine", "staged"));
    assert!(greet(&world).contains(POLITE));
    let status = |path: &str| repo.status_file(Path::new(path)).unwrap();
    assert_eq!(status("README.md"), git2::Status::WT_MODIFIED);
    assert_eq!(status("untracked.txt"), git2::Status::WT_NEW);
    assert_eq!(status("staged.txt"), git2::Status::INDEX_NEW, "what was staged stays staged");
    assert_eq!(status("greet.sh"), git2::Status::CURRENT);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uncommitted_work_on_the_same_files_is_refused_with_their_names() {
    let (world, workshop, project, view) = at_hand_over().await;
    let run = handed_over(&project, &view).await;
    let original = greet(&world);
    put(&world, "greet.sh", "echo mine\n");
    put(&world, "docs/manners.md", "mine, never committed\n");
    let before = world.user_state();
    let problem = accept(&project, &run).await.unwrap_err();
    assert_eq!(problem.code, Code::AcceptDirty);
    assert_eq!(problem.details, ["docs/manners.md", "greet.sh"]);
    assert_eq!(world.user_state(), before, "a refused accept changes nothing");
    put(&world, "greet.sh", &original);
    std::fs::remove_file(world.project().join("docs/manners.md")).unwrap();
    accept(&project, &run).await.unwrap();
    assert!(greet(&world).contains(POLITE) && git::is_clean(&world.project()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_head_moves_and_no_branch_does() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let repo = Repository::open(world.project()).unwrap();
    let base = repo.head().unwrap().target().unwrap();
    repo.set_head_detached(base).unwrap();
    let (view, _) = waits(&project).await;
    assert_eq!(view.base.branch, None);
    let run = handed_over(&project, &view).await;
    let (branch, to, mode) = accept(&project, &run).await.unwrap();
    assert_eq!((branch.as_str(), mode), ("HEAD", AcceptMode::FastForward));
    assert_eq!(head(&world.project()), ("HEAD".to_owned(), to));
    assert_eq!(repo.refname_to_id("refs/heads/main").unwrap(), base, "main is not where the user was");
    assert!(git::is_clean(&world.project()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_branch_that_is_checked_out_at_the_accept_is_the_one_that_moves() {
    let (world, workshop, project, view) = at_hand_over().await;
    let repo = Repository::open(world.project()).unwrap();
    let base = repo.head().unwrap().peel_to_commit().unwrap();
    repo.branch("topic", &base, false).unwrap();
    repo.set_head("refs/heads/topic").unwrap();
    commit(&world.project(), "topic.md", "topic\n", "docs: topic");
    let run = handed_over(&project, &view).await;
    let (branch, to, _) = accept(&project, &run).await.unwrap();
    assert_eq!(branch, "topic", "and it is said which");
    assert_eq!(head(&world.project()), ("refs/heads/topic".to_owned(), to));
    assert_eq!(repo.refname_to_id("refs/heads/main").unwrap(), base.id());
    assert!(git::is_clean(&world.project()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_the_same_time_are_both_accepted_one_after_the_other() {
    let world = World::with_script("pages.yaml").await;
    let (workshop, project) = world.open().await;
    let begin = |text: &str| {
        let goal = format!("Write page {text}");
        start(
            &project,
            Op::StartRun {
                goal,
                model: None,
                approve: vec![AskKind::HandOver],
                deny_asks: false,
                flow: None,
                priority: atelier_protocol::event::Priority::Normal,
                budget_tokens: None,
                on: None,
            },
        )
    };
    let (one, two) = tokio::join!(begin("one"), begin("two"));
    let ((first, _), (second, _)) =
        tokio::join!(follow(&project, &one, |v| v.state.is_final()), follow(&project, &two, |v| v.state.is_final()));
    assert_eq!(
        (first.state, second.state),
        (RunState::Done, RunState::Done),
        "{:?} {:?}",
        first.problem,
        second.problem
    );
    assert_eq!(accept(&project, &two).await.unwrap().2, AcceptMode::FastForward);
    assert_eq!(accept(&project, &one).await.unwrap().2, AcceptMode::Merge);
    for (page, text) in [("docs/one.md", "One.\n"), ("docs/two.md", "Two.\n")] {
        assert_eq!(std::fs::read_to_string(world.project().join(page)).unwrap(), text);
    }
    assert!(git::is_clean(&world.project()));
    workshop.close().await;
}

/// A second door that asks for `op` while the first one's accept is between its intent and its deed.
struct SecondDoor {
    asks: OnceLock<(Project, Op)>,
    answer: Mutex<Option<std::thread::JoinHandle<Result<Reply, Problem>>>>,
}

impl SecondDoor {
    fn witness(self: &Arc<Self>) -> Witness {
        let (door, runtime) = (self.clone(), tokio::runtime::Handle::current());
        Arc::new(move |moment| {
            let Moment::After(events) = moment else { return };
            let begins = |e: &Envelope| matches!(&e.event, Event::EffectIntended { effect: Effect::Accept { .. }, .. });
            let mut answer = door.answer.lock().unwrap();
            if answer.is_some() || !events.iter().any(begins) {
                return;
            }
            let (runtime, (project, op)) = (runtime.clone(), door.asks.get().unwrap().clone());
            let asking = std::thread::spawn(move || runtime.block_on(project.submit(op)));
            // It is answered now, or waits until the first is done; no longer than this either way.
            let began = Instant::now();
            while !asking.is_finished() && began.elapsed() < Duration::from_millis(300) {
                std::thread::yield_now();
            }
            *answer = Some(asking);
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_an_accept_is_under_way_no_other_door_accepts_or_discards() {
    for discards in [false, true] {
        let world = World::with_script("short.yaml").await;
        let door = Arc::new(SecondDoor { asks: OnceLock::new(), answer: Mutex::new(None) });
        let mut options = world.options(steady::sources(1));
        options.witness = Some(door.witness());
        let workshop = Workshop::open(options).await.unwrap();
        workshop.initialise(&world.project()).await.unwrap();
        let project = workshop.open_project(&world.project()).await.unwrap();
        let run = start(&project, goal(true)).await;
        let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
        assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
        let op = match discards {
            true => Op::DiscardRun { run: run.clone(), anyway: false },
            false => Op::AcceptRun { run: run.clone(), how: Default::default() },
        };
        assert!(door.asks.set((project.clone(), op)).is_ok());

        let (_, commit, _) = accept(&project, &run).await.unwrap();
        let asking = door.answer.lock().unwrap().take().unwrap();
        let second = tokio::task::spawn_blocking(move || asking.join().unwrap()).await.unwrap();
        assert_eq!(second.unwrap_err().code, Code::WrongState, "discards: {discards}");
        let (view, events) = follow(&project, &run, |v| v.disposition != Disposition::Pending).await;
        assert_eq!(view.disposition, Disposition::Accepted { commit: commit.clone() });
        assert_eq!(head(&world.project()).1, commit);
        assert!(git::is_clean(&world.project()));
        let told = kinds(&events);
        assert_eq!(told.iter().filter(|kind| *kind == "run_accepted").count(), 1);
        assert!(!told.contains(&"run_discarded".to_owned()));
        workshop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_within_a_repository_is_the_same_project() {
    let (world, workshop, project, view) = at_hand_over().await;
    let inner = workshop.open_project(&world.project().join("tests")).await.unwrap();
    assert_eq!((inner.id(), inner.root()), (project.id(), project.root()));
    let run = handed_over(&inner, &view).await;
    accept(&inner, &run).await.unwrap();
    assert!(greet(&world).contains(POLITE));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_worked_on_is_named_and_left_alone() {
    let world = World::with_script("short.yaml").await;
    let workshop = Workshop::open(world.options(steady::sources(1))).await.unwrap();
    let empty = world.folder.path().join("empty");
    Repository::init(&empty).unwrap();
    let bare = world.folder.path().join("bare.git");
    Repository::init_bare(&bare).unwrap();
    for (folder, code, hint) in
        [(&empty, Code::NoCommit, "first commit"), (&bare, Code::UnsupportedRepository, "Clone it")]
    {
        let Err(problem) = workshop.open_project(folder).await else { panic!("{} was opened", folder.display()) };
        assert_eq!(problem.code, code);
        assert!(problem.hint.contains(hint), "{}", problem.hint);
    }
    assert!(workshop.known_projects().await.unwrap().is_empty(), "what cannot be worked on is no project");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_merge_nothing_is_started_or_accepted() {
    let (world, workshop, project, view) = at_hand_over().await;
    let run = handed_over(&project, &view).await;
    let tip = head(&world.project()).1;
    std::fs::write(world.project().join(".git/MERGE_HEAD"), format!("{tip}\n")).unwrap();
    let before = world.user_state();
    for op in [goal(true), Op::AcceptRun { run: run.clone(), how: Default::default() }] {
        let problem = project.submit(op).await.unwrap_err();
        assert_eq!(problem.code, Code::RepositoryBusy, "{problem:?}");
        assert!(problem.message.contains("a merge"), "{}", problem.message);
    }
    assert_eq!(world.user_state(), before);
    std::fs::remove_file(world.project().join(".git/MERGE_HEAD")).unwrap();
    accept(&project, &run).await.unwrap();
    assert_ne!(of_the_user(&world), before);
    workshop.close().await;
}
