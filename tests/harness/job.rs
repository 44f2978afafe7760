//! What the victim does: a whole small job, or the rest of one that was cut off. It tells its parent what it was told.
//!
//! `ack SEQ CLASS HASH` is an event that was seen as committed, `run ID`, `accepted COMMIT` and `discarded` are answers to
//! ops; `end STATE` is the state the run came to rest in, `wrong TEXT` something that is not as it must be then, `problem
//! CODE TEXT` an end without one. What stands on a line was acknowledged and may never be lost.

use crate::world::{goal_by, on_top, rests};
use atelier_engine::Project;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{AcceptMode, Acceptance, Answer, Ask, EffectOutcome, Envelope, Event};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};

/// Names the flow that a job follows; without it the project's.
pub const FLOW: &str = "VICTIM_FLOW";
/// Says the goal of a job's run; without it the tour's.
pub const GOAL: &str = "VICTIM_GOAL";

/// The goal of a run that stands on another one.
pub const ON_TOP: &str = "Say goodbye too.";

/// A flow of every kind of step that can be undone, and then one that fails.
pub const SAGA: &str = "  - {id: make, kind: script, title: Make a page, argv: [sh, -c, mkdir -p docs && echo page > docs/page.md], undo: restore}
  - {id: check, kind: check, title: Check}
  - {id: approve, kind: approve, title: Ask}
  - {id: publish, kind: hand_over, title: Publish, undo: unpublish}
  - {id: todo, kind: task, title: Note it, task: Tell people about the page, undo: retract}
  - {id: up, kind: service, title: Serve, argv: [sh, -c, echo listening; exec sleep 600], ready: listening, undo: end}
  - {id: sign, kind: script, title: Sign, argv: [sh, -c, echo signed > docs/signed.md], undo: {run: [sh, -c, test -f docs/signed.md && rm docs/signed.md]}}
  - {id: fail, kind: script, title: Fail, argv: [sh, -c, echo no such luck; exit 3]}
";

/// What is done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// It is started and hands over its work; the user has not decided yet.
    Work,
    /// The same, and the user takes it.
    Accept,
    /// The same, and the user throws it away.
    Discard,
    /// It fails, and what it did is undone.
    Undo,
    /// One that is there is forked from its middle, and the user takes the fork.
    Fork,
    /// One stands on another that waits for its review; the lower is taken as one commit, then the upper.
    Stack,
    /// As `Accept`, by a process that stays and goes on by itself when the disk was full.
    Stay,
}

impl Job {
    const ALL: [(Job, &'static str); 7] = [
        (Job::Work, "work"),
        (Job::Accept, "accept"),
        (Job::Discard, "discard"),
        (Job::Undo, "undo"),
        (Job::Fork, "fork"),
        (Job::Stack, "stack"),
        (Job::Stay, "stay"),
    ];

    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(job, _)| *job == self).map_or("", |(_, word)| word)
    }

    /// The job of a word.
    pub fn named(word: &str) -> Option<Job> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(job, _)| *job)
    }

    /// The state in which its run ends.
    fn end(self) -> RunState {
        if self == Job::Undo { RunState::Failed } else { RunState::Done }
    }
}

/// Prints one line to whoever started this process.
#[expect(clippy::print_stdout, reason = "it talks to its parent")]
pub fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Tells every event from the first on as it is seen, for as long as the project is open, and then `seen` of its number.
pub fn acknowledge(project: &Project, seen: impl Fn(u64) + Send + 'static) {
    let mut frames = project.follow(Seq::ZERO);
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if let Frame::Event(event) = frame {
                say(format_args!("ack {} {:?} {}", event.seq, event.event.class(), event.payload_hash));
                seen(event.seq.0);
            }
        }
    });
}

/// Does a job from its beginning.
pub async fn start(project: &Project, job: Job) -> Result<(), Problem> {
    project.allow_commands().await?;
    let asked = match job {
        Job::Stack => return stack(project).await,
        Job::Fork => fork_of(project).await?,
        _ => {
            let mut op = goal_by(true, std::env::var(FLOW).ok());
            if let (Op::StartRun { goal, .. }, Ok(wanted)) = (&mut op, std::env::var(GOAL)) {
                *goal = wanted;
            }
            op
        }
    };
    let Reply::Run(run) = project.submit(asked).await? else { return Err(odd()) };
    say(format_args!("run {run}"));
    finish(project, &run, job).await
}

/// Goes on with what is there, as a user does after a crash; starts anew where nothing was begun.
pub async fn resume(project: &Project, job: Job) -> Result<(), Problem> {
    if job == Job::Stack {
        return stack(project).await;
    }
    let mut any = false;
    for view in runs(project).await? {
        // A child's parent goes on with it; the run that is forked is not what the job is about.
        if view.parent.is_some() || (job == Job::Fork && view.forked.is_none()) {
            continue;
        }
        any = true;
        if !view.state.is_final() {
            project.submit(Op::ResumeRun { run: view.id.clone() }).await?;
        }
        finish(project, &view.id, job).await?;
    }
    if any { Ok(()) } else { start(project, job).await }
}

async fn runs(project: &Project) -> Result<Vec<RunView>, Problem> {
    let list = Op::ListRuns { states: Vec::new(), limit: None };
    let Reply::Runs(listed) = project.submit(list).await? else { return Err(odd()) };
    let mut views = Vec::new();
    for run in listed {
        views.push(view_of(project, &run.id).await?);
    }
    Ok(views)
}

async fn view_of(project: &Project, run: &RunId) -> Result<RunView, Problem> {
    match project.submit(Op::ShowRun { run: run.clone(), at: None }).await? {
        Reply::RunView(view) => Ok(*view),
        _ => Err(odd()),
    }
}

/// An op that forks the run that is there right after its first file was written.
async fn fork_of(project: &Project) -> Result<Op, Problem> {
    let original = runs(project).await?.into_iter().find(|view| view.forked.is_none()).ok_or_else(odd)?.id;
    let read = Op::ReadEvents { run: Some(original.clone()), after: Seq::ZERO, limit: 10_000 };
    let Reply::Events(events) = project.submit(read).await? else { return Err(odd()) };
    let wrote = |event: &&Envelope| matches!(&event.event, Event::EffectSettled { key, outcome: EffectOutcome::Landed } if key.starts_with("write:"));
    let at = events.iter().find(wrote).map(|event| event.seq);
    Ok(Op::ForkRun { run: original, at })
}

/// Does what is left of the job with two runs.
async fn stack(project: &Project) -> Result<(), Problem> {
    project.allow_commands().await?; // the process may have been killed before
    let all = runs(project).await?;
    let lower = match all.iter().find(|view| view.on.is_none()) {
        Some(view) => view.id.clone(),
        None => started(project, goal_by(false, None)).await?,
    };
    let upper = match all.iter().find(|view| view.on.is_some()) {
        Some(view) => view.id.clone(),
        None => {
            to_review(project, &lower).await?;
            started(project, on_top(&lower, ON_TOP)).await?
        }
    };
    to_review(project, &upper).await?;
    taken_up(project, &lower).await?;
    finish(project, &lower, Job::Work).await?;
    if view_of(project, &lower).await?.disposition == Disposition::Pending {
        let how = Acceptance { way: Some(AcceptMode::Squash), ..Acceptance::default() };
        project.submit(Op::AcceptRun { run: lower, how }).await?;
    }
    taken_up(project, &upper).await?;
    finish(project, &upper, Job::Accept).await
}

/// Goes on with a run that a process left behind.
async fn taken_up(project: &Project, run: &RunId) -> Result<(), Problem> {
    if view_of(project, run).await?.state.rests() {
        project.submit(Op::ResumeRun { run: run.clone() }).await?;
    }
    Ok(())
}

async fn started(project: &Project, op: Op) -> Result<RunId, Problem> {
    let Reply::Run(run) = project.submit(op).await? else { return Err(odd()) };
    say(format_args!("run {run}"));
    Ok(run)
}

/// Brings a run to the question before its hand-over, or past it.
async fn to_review(project: &Project, run: &RunId) -> Result<(), Problem> {
    loop {
        let view = view_of(project, run).await?;
        let asked = view.pending_approval();
        if view.state.is_final() || asked.is_some_and(|asked| matches!(asked.ask, Ask::HandOver { .. })) {
            return Ok(());
        }
        if let Some(asked) = asked {
            let (approval, answer, note) = (asked.id.clone(), Answer::Approve, String::new());
            project.submit(Op::SettleApproval { approval, answer, note }).await?;
        }
        let _ = project.submit(Op::ResumeRun { run: run.clone() }).await; // it may be at work
        at_rest(project, run, Job::Stack).await?;
    }
}

async fn finish(project: &Project, run: &RunId, job: Job) -> Result<(), Problem> {
    let mut view = at_rest(project, run, job).await?;
    // Where nothing could confine a command, and before a fork is handed over, the user is asked, and says yes.
    while let Some(asked) = view.pending_approval().filter(|_| view.state.waits_for_user()) {
        let (approval, answer, note) = (asked.id.clone(), Answer::Approve, String::new());
        project.submit(Op::SettleApproval { approval, answer, note }).await?;
        let _ = project.submit(Op::ResumeRun { run: run.clone() }).await; // the answer alone may do
        view = at_rest(project, run, job).await?;
    }
    if view.state != job.end() {
        say(format_args!("end {:?}", view.state));
        return Err(view.problem.unwrap_or_else(odd));
    }
    match (job, &view.disposition) {
        (Job::Accept | Job::Fork | Job::Stay | Job::Stack, Disposition::Pending) => {
            let Reply::Accepted { commit, .. } =
                project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await?
            else {
                return Err(odd());
            };
            say(format_args!("accepted {commit}"));
        }
        (Job::Discard, Disposition::Pending) => {
            project.submit(Op::DiscardRun { run: run.clone(), anyway: false }).await?;
            say("discarded");
        }
        (Job::Undo, _) => undone(project, &view).await?,
        _ => {}
    }
    say(format_args!("end {:?}", view.state));
    Ok(())
}

/// Tells what a failed run has left of what it did.
async fn undone(project: &Project, view: &RunView) -> Result<(), Problem> {
    for step in view.steps.iter().filter(|step| step.undo.is_some() && step.undone.is_none()) {
        say(format_args!("wrong {} was not undone", step.id));
    }
    for file in view.checkpoint.iter().flat_map(|point| &point.files) {
        say(format_args!("wrong {} is left in the run's tree", file.path));
    }
    let shown = project.submit(Op::ShowObject { object: "board/team".to_owned(), at: None }).await?;
    let Reply::Object(board) = shown else { return Err(odd()) };
    if board.state["tasks"].as_object().is_none_or(|tasks| !tasks.is_empty()) {
        say(format_args!("wrong tasks are left: {}", board.state["tasks"]));
    }
    Ok(())
}

async fn at_rest(project: &Project, run: &RunId, job: Job) -> Result<RunView, Problem> {
    let mut frames = project.follow(Seq::ZERO);
    let mut live = false;
    loop {
        match frames.recv().await {
            Some(Frame::CaughtUp(_)) => live = true,
            Some(Frame::Event(event)) if event.run.as_ref() == Some(run) => {}
            Some(Frame::Lost(problem)) if job == Job::Stay && problem.code == Code::DiskFull => {
                say(format_args!("full {}", problem.message));
                (frames, live) = (project.follow(Seq::ZERO), false);
                continue;
            }
            Some(Frame::Lost(problem)) => return Err(problem),
            Some(_) => continue,
            None => return Err(odd()),
        }
        if !live {
            continue;
        }
        let view = view_of(project, run).await?;
        if rests(&view) {
            return Ok(view);
        }
    }
}

fn odd() -> Problem {
    Problem::new(Code::Internal, "The engine answered something else than was asked.", "Please report this.")
}
