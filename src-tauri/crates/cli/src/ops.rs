//! `atelier ops`: the operations that can be taken back, what taking one back would change, and doing it.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{AcceptMode, Change, OperationKind, OperationView, UndoPreview};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use clap::Subcommand;
use serde_json::json;

/// Operations that are looked through for the one that is meant.
const MOST: u32 = 10_000;

#[derive(Subcommand, Debug)]
pub enum OpsVerb {
    /// The operations, newest first.
    List {
        /// Only those of this run, by its id or `last`.
        #[arg(long)]
        run: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One operation, and exactly which files change when it is taken back now.
    Show {
        /// Its number.
        operation: u64,
    },
    /// Take an operation back.
    Undo {
        /// Its number; without it the newest one that is in force.
        operation: Option<u64>,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Do an operation again that was taken back.
    Redo {
        /// Its number; without it the last one that was taken back.
        operation: Option<u64>,
    },
}

pub async fn ops(args: &Args, verb: &OpsVerb, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let end = perform(&project, verb, out).await;
    workshop.close().await;
    end
}

async fn perform(project: &Project, verb: &OpsVerb, out: &Out) -> End {
    match verb {
        OpsVerb::List { run, limit } => list(project, run.as_deref(), *limit, out).await,
        OpsVerb::Show { operation } => show(project, Seq(*operation), out).await,
        OpsVerb::Undo { operation, dry_run } => {
            let operation = match operation {
                Some(number) => Seq(*number),
                None => newest(project, None).await?,
            };
            if *dry_run { show(project, operation, out).await } else { undo(project, operation, out).await }
        }
        OpsVerb::Redo { operation } => {
            let operation = undoing(project, operation.map(Seq)).await?;
            redo(project, operation, out).await
        }
    }
}

/// Takes the newest operation of a run back that is in force.
pub async fn undo_of_run(project: &Project, run: &RunId, dry_run: bool, out: &Out) -> End {
    let operation = newest(project, Some(run)).await?;
    if dry_run { show(project, operation, out).await } else { undo(project, operation, out).await }
}

async fn list(project: &Project, run: Option<&str>, limit: u32, out: &Out) -> End {
    let run = match run {
        Some(text) => Some(session::run_id(project, text).await?),
        None => None,
    };
    let all = operations(project, run, limit).await?;
    if all.is_empty() {
        out.say("nothing that could be taken back was done yet");
    }
    for operation in &all {
        out.say(line(operation));
    }
    Ok(Finished::done(json!({"operations": all})))
}

async fn show(project: &Project, operation: Seq, out: &Out) -> End {
    let operation = one(project, Op::ShowOperation { operation }).await?;
    out.say(line(&operation));
    out.say(format!("  {}", what(&operation.change)));
    match &operation.preview {
        Some(UndoPreview::Possible { change, files }) => {
            out.say(format!("taking it back: {}", what(change)));
            for file in files {
                out.say(format!("  {}", story::changed(file)));
            }
            if files.is_empty() {
                out.say("  no file changes");
            }
        }
        Some(UndoPreview::Refused { problem }) => {
            out.say("it cannot be taken back now:");
            out.say(crate::out::for_people(problem));
        }
        None => {}
    }
    Ok(Finished::done(json!({"operation": operation})))
}

async fn undo(project: &Project, operation: Seq, out: &Out) -> End {
    let end = take(project, operation, out).await?;
    out.say(format!("do it again with `atelier ops redo {operation}`"));
    Ok(end)
}

async fn redo(project: &Project, operation: Seq, out: &Out) -> End {
    let end = take(project, operation, out).await?;
    out.say("take it back with `atelier ops undo`");
    Ok(end)
}

async fn take(project: &Project, operation: Seq, out: &Out) -> End {
    let Reply::Operations(shown) = project.submit(Op::ShowOperation { operation }).await? else {
        return Err(unexpected());
    };
    let preview = shown.into_iter().next().and_then(|operation| operation.preview);
    let done = one(project, Op::UndoOperation { operation }).await?;
    out.say(format!("{} ({})", done.title, what(&done.change)));
    let files = match preview {
        Some(UndoPreview::Possible { files, .. }) => files,
        _ => Vec::new(),
    };
    for file in &files {
        out.say(format!("  {}", story::changed(file)));
    }
    Ok(Finished::done(json!({"operation": done, "files": files})))
}

/// The newest operation that is in force and is no taking back.
async fn newest(project: &Project, run: Option<&RunId>) -> Result<Seq, Problem> {
    let all = operations(project, run.cloned(), MOST).await?;
    let found = all.iter().find(|op| op.undone_by.is_none() && op.kind != OperationKind::Undo);
    found
        .map(|op| op.operation)
        .ok_or_else(|| Problem::new(Code::WrongState, "There is nothing to take back.", "Look at `atelier ops list`."))
}

/// The operation that took `operation` back, or the newest that took any back.
async fn undoing(project: &Project, operation: Option<Seq>) -> Result<Seq, Problem> {
    let all = operations(project, None, MOST).await?;
    let found = match operation {
        Some(operation) => all.iter().find(|op| op.operation == operation).and_then(|op| op.undone_by),
        None => {
            let in_force = |op: &&OperationView| op.kind == OperationKind::Undo && op.undone_by.is_none();
            let takes_back = |op: &&OperationView| {
                all.iter().any(|first| Some(first.operation) == op.undoes && first.kind != OperationKind::Undo)
            };
            all.iter().filter(in_force).find(takes_back).map(|op| op.operation)
        }
    };
    found.ok_or_else(|| {
        Problem::new(
            Code::WrongState,
            "Nothing was taken back that could be done again.",
            "Look at `atelier ops list`.",
        )
    })
}

async fn operations(project: &Project, run: Option<RunId>, limit: u32) -> Result<Vec<OperationView>, Problem> {
    match project.submit(Op::ListOperations { run, limit }).await? {
        Reply::Operations(all) => Ok(all),
        _ => Err(unexpected()),
    }
}

async fn one(project: &Project, op: Op) -> Result<OperationView, Problem> {
    match project.submit(op).await? {
        Reply::Operations(all) => all.into_iter().next().ok_or_else(unexpected),
        _ => Err(unexpected()),
    }
}

fn line(operation: &OperationView) -> String {
    let state = match operation.undone_by {
        Some(by) => format!("  (taken back by {by})"),
        None => String::new(),
    };
    format!("{:>6}  {}  {}{state}", operation.operation, operation.run, operation.title)
}

fn what(change: &Change) -> String {
    match change {
        Change::Tree { from, to } => {
            format!("the run's working copy goes from {} to {}", story::short(from), story::short(to))
        }
        Change::Published { branch, to: Some(to), .. } => format!("`{branch}` is made at {}", story::short(to)),
        Change::Published { branch, to: None, .. } => format!("`{branch}` is removed"),
        Change::Branch { branch, from, to, mode } => {
            let how = match mode {
                AcceptMode::Back => "goes back",
                AcceptMode::Revert => "gets a commit that takes it back",
                AcceptMode::FastForward => "moves forward",
                AcceptMode::Merge => "is merged",
                AcceptMode::Squash => "gets one commit",
            };
            format!("`{branch}` {how}, from {} to {}", story::short(from), story::short(to))
        }
        Change::Traces { gone: true, .. } => "the run's branch and working copy are removed".to_owned(),
        Change::Traces { gone: false, .. } => "the run's branch and working copy come back".to_owned(),
    }
}
