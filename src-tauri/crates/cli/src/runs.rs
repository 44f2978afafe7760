//! `atelier runs`: looks at runs and decides about their results.

use crate::args::Args;
use crate::follow::follow;
use crate::out::{End, Finished, Out, unexpected};
use crate::push;
use crate::review::{self, AcceptArgs};
use crate::session;
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::Problem;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{DiffView, Disposition, RunState, Side};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

/// Events that are read at once.
const PAGE: u32 = 1000;

#[derive(Subcommand, Debug)]
pub enum RunsVerb {
    /// The runs, newest first.
    List {
        /// Only runs that are in this state, such as `waits_for_approval` or `failed`; may be given more than once.
        #[arg(long = "state", value_name = "STATE", value_parser = run_state)]
        states: Vec<RunState>,
        /// At most so many.
        #[arg(long)]
        limit: Option<u32>,
    },
    /// One run: steps, children, checks, changes.
    Show {
        /// The run's id, or `last`.
        run: String,
        /// As it was after this event.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        /// Show the changes as a diff too.
        #[arg(long)]
        diff: bool,
    },
    /// What was told in short of a run's conversations, by whom, and the messages to the letter.
    Memory {
        /// The run's id, or `last`.
        run: String,
        /// The messages themselves too.
        #[arg(long)]
        whole: bool,
    },
    /// The recorded events of a run.
    Events {
        /// The run's id, or `last`.
        run: String,
        /// Only after this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// Go on with an interrupted, parked or answered run.
    Resume {
        /// The run's id, or `last`.
        run: String,
    },
    /// Continue a run another way: a new run with its history, and its tree as it was, up to an event.
    Fork {
        /// The run's id, or `last`.
        run: String,
        /// The last event that is kept; without it the last one that a fork can go on from.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        /// Do not wait: print the fork's id and leave it to the window or command that owns the project.
        #[arg(long)]
        detach: bool,
    },
    /// Bring a run's commits, or parts of its changes, to your branch.
    Accept(AcceptArgs),
    /// The files that your branch (or the run below) and the run both changed in the same place, with both sides.
    Conflicts {
        /// The run's id, or `last`.
        run: String,
        /// Also write each, with conflict markers, into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Put a run on what the run it stands on is now. Runs do this by themselves; what both changed must be settled here.
    Rebase {
        /// The run's id, or `last`.
        run: String,
        /// How a conflict is settled: `PATH=base` (the run below), `PATH=run`, or `PATH=@FILE`; more than once.
        #[arg(long, value_name = "PATH=TAKE")]
        resolve: Vec<String>,
    },
    /// Remark on lines of a run's result; rejecting its hand-over then sends it back to the author.
    Comment {
        /// The run's id, or `last`.
        run: String,
        /// The file.
        path: String,
        /// The lines that are meant, as the new side of the diff counts them: `12` or `12-15`.
        #[arg(long, value_parser = line_range)]
        lines: Option<(u32, u32)>,
        /// What is to change.
        #[arg(short = 'm', long = "text")]
        text: String,
    },
    /// Push a handed-over run's commits to a remote; without `--yes` only says what would leave and where to.
    Push {
        /// The run's id, or `last`.
        run: String,
        /// The remote, as `git remote` names it.
        #[arg(long, value_name = "NAME", default_value = "origin")]
        remote: String,
        /// The branch there; without it the run's own name.
        #[arg(long, value_name = "BRANCH")]
        to: Option<String>,
        /// Push it.
        #[arg(long)]
        yes: bool,
        /// Also where it holds what looks like keys or personal data.
        #[arg(long)]
        anyway: bool,
    },
    /// Write what a run was and did as Markdown or JSON, with keys and personal data masked.
    Record(crate::record::RecordArgs),
    /// Remove a run's branch and tree.
    Discard {
        /// The run's id, or `last`.
        run: String,
        /// Also where its tree holds work that no checkpoint recorded.
        #[arg(long)]
        anyway: bool,
    },
    /// Take the newest thing back that happened to a run: its discard, accept, hand-over, or a step.
    Undo {
        /// The run's id, or `last`.
        run: String,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop a run; its tree stays until it is discarded.
    Cancel {
        /// The run's id, or `last`.
        run: String,
    },
}

/// A state by the name it has in the output of `--json`.
fn run_state(text: &str) -> Result<RunState, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        let names = RunState::ALL.map(|state| serde_json::to_value(state).unwrap_or_default());
        let names: Vec<&str> = names.iter().filter_map(serde_json::Value::as_str).collect();
        format!("the states are {}", names.join(", "))
    })
}

/// `12` or `12-15`, from 1.
fn line_range(text: &str) -> Result<(u32, u32), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from > 0 && to >= from => Ok((from, to)),
        _ => Err("write a line such as 12, or lines such as 12-15".to_owned()),
    }
}

pub async fn runs(args: &Args, verb: &RunsVerb, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let end = perform(&project, verb, out).await;
    workshop.close().await;
    end
}

async fn perform(project: &Project, verb: &RunsVerb, out: &Out) -> End {
    match verb {
        RunsVerb::List { states, limit } => list(project, states.clone(), *limit, out).await,
        RunsVerb::Show { run, at, diff } => {
            show(project, &session::run_id(project, run).await?, at.map(Seq), *diff, out).await
        }
        RunsVerb::Memory { run, whole } => {
            crate::memory::show(project, &session::run_id(project, run).await?, *whole, out).await
        }
        RunsVerb::Fork { run, at, detach } => {
            fork(project, session::run_id(project, run).await?, at.map(Seq), *detach, out).await
        }
        RunsVerb::Events { run, after } => {
            events(project, session::run_id(project, run).await?, Seq(*after), out).await
        }
        RunsVerb::Resume { run } => resume(project, session::run_id(project, run).await?, out).await,
        RunsVerb::Accept(args) => review::accept(project, session::run_id(project, &args.run).await?, args, out).await,
        RunsVerb::Conflicts { run, out: to } => {
            review::conflicts(project, session::run_id(project, run).await?, to.as_deref(), out).await
        }
        RunsVerb::Rebase { run, resolve } => {
            review::rebase(project, session::run_id(project, run).await?, resolve, out).await
        }
        RunsVerb::Comment { run, path, lines, text } => {
            review::comment(project, session::run_id(project, run).await?, path, *lines, text, out).await
        }
        RunsVerb::Push { run, remote, to, yes, anyway } => {
            let wanted = push::Wanted { remote, to: to.as_deref(), yes: *yes, anyway: *anyway };
            push::push(project, session::run_id(project, run).await?, &wanted, out).await
        }
        RunsVerb::Record(wanted) => {
            crate::record::record(project, session::run_id(project, &wanted.run).await?, wanted, out).await
        }
        RunsVerb::Discard { run, anyway } => {
            let run = session::run_id(project, run).await?;
            project.submit(Op::DiscardRun { run: run.clone(), anyway: *anyway }).await?;
            out.say("discarded: the run's branch and tree are gone, your files are as they were");
            Ok(Finished::done(json!({"run": {"id": run}, "disposition": "discarded"})))
        }
        RunsVerb::Undo { run, dry_run } => {
            let run = session::run_id(project, run).await?;
            crate::ops::undo_of_run(project, &run, *dry_run, out).await
        }
        RunsVerb::Cancel { run } => {
            let run = session::run_id(project, run).await?;
            project.submit(Op::CancelRun { run: run.clone() }).await?;
            out.say(format!("stopped; remove what it made with `atelier runs discard {run}`"));
            Ok(Finished::done(json!({"run": {"id": run}, "state": "cancelled"})))
        }
    }
}

async fn list(project: &Project, states: Vec<RunState>, limit: Option<u32>, out: &Out) -> End {
    let all = states.is_empty();
    let Reply::Runs(runs) = project.submit(Op::ListRuns { states, limit }).await? else { return Err(unexpected()) };
    if runs.is_empty() && !all {
        out.say("no run is in that state");
    } else if runs.is_empty() {
        out.say("no runs yet; start one with `atelier run \"GOAL\"`");
    }
    for run in &runs {
        let goal = run.goal.lines().next().unwrap_or_default();
        let behind =
            if run.behind && run.disposition == Disposition::Pending { "  ! behind the run below" } else { "" };
        out.say(format!(
            "{}  {:<15} {:>3} {:<5}  {goal}{behind}",
            run.id,
            // A run that worked for another has nothing of its own to be decided.
            if run.parent.is_some() && run.state == RunState::Done {
                "done"
            } else {
                story::state(run.state, &run.disposition)
            },
            run.files,
            if run.files == 1 { "file" } else { "files" }
        ));
    }
    if let Some(run) = runs.iter().find(|run| run.behind && run.disposition == Disposition::Pending) {
        out.say(format!(
            "The run below one of them moved and it could not follow: `atelier runs show {}` says why, \
             `atelier runs conflicts` shows both sides, `atelier runs rebase` puts it on top.",
            run.id
        ));
    }
    Ok(Finished::done(json!({"runs": runs})))
}

async fn show(project: &Project, run: &RunId, at: Option<Seq>, with_diff: bool, out: &Out) -> End {
    let Reply::RunView(view) = project.submit(Op::ShowRun { run: run.clone(), at }).await? else {
        return Err(unexpected());
    };
    out.say(story::summary(&view));
    if let Some(problem) = &view.problem {
        out.say(crate::out::for_people(problem));
    }
    if !with_diff {
        return Ok(Finished::done(json!({"run": view})));
    }
    let Reply::Diff(diff) = project.submit(Op::ShowDiff { run: run.clone() }).await? else { return Err(unexpected()) };
    out.say(unified(&diff));
    Ok(Finished::done(json!({"run": view, "diff": diff})))
}

async fn events(project: &Project, run: RunId, mut after: Seq, out: &Out) -> End {
    let mut count = 0usize;
    loop {
        let page = Op::ReadEvents { run: Some(run.clone()), after, limit: PAGE };
        let Reply::Events(events) = project.submit(page).await? else { return Err(unexpected()) };
        for event in &events {
            out.line("event", event);
            if !out.json() {
                let value = serde_json::to_value(event).unwrap_or_default();
                out.say(format!("{:>6} {} {}", event.seq, value["kind"].as_str().unwrap_or("?"), value["payload"]));
            }
        }
        count += events.len();
        match events.last() {
            Some(last) if events.len() == PAGE as usize => after = last.seq,
            _ => break,
        }
    }
    if count == 0 && after == Seq::ZERO {
        // An id that reads well but is nobody's.
        project.submit(Op::ShowRun { run: run.clone(), at: None }).await?;
    }
    Ok(Finished::done(json!({"run": {"id": run}, "events": count})))
}

async fn resume(project: &Project, run: RunId, out: &Out) -> End {
    // What is in the history already was told before.
    let Reply::RunView(view) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await? else {
        return Err(unexpected());
    };
    let Reply::Run(run) = project.submit(Op::ResumeRun { run }).await? else { return Err(unexpected()) };
    follow(project, &run, view.last_seq, out).await
}

async fn fork(project: &Project, run: RunId, at: Option<Seq>, detach: bool, out: &Out) -> End {
    let Reply::Run(fork) = project.submit(Op::ForkRun { run: run.clone(), at }).await? else {
        return Err(unexpected());
    };
    out.say(format!("run {fork} continues {run}"));
    if detach {
        return Ok(Finished::done(json!({"run": {"id": fork}, "forked": run})));
    }
    let told = first_own(project, &fork).await?; // what was copied was told before, in the original
    follow(project, &fork, told, out).await
}

/// The number before the first event of a fork that is not a copy.
async fn first_own(project: &Project, fork: &RunId) -> Result<Seq, Problem> {
    let mut after = Seq::ZERO;
    loop {
        let page = Op::ReadEvents { run: Some(fork.clone()), after, limit: PAGE };
        let Reply::Events(events) = project.submit(page).await? else { return Err(unexpected()) };
        match (events.iter().find(|event| event.cause.is_none()), events.last()) {
            (Some(own), _) => return Ok(Seq(own.seq.0 - 1)),
            (None, Some(last)) if events.len() == PAGE as usize => after = last.seq,
            (None, last) => return Ok(last.map_or(Seq::ZERO, |last| last.seq)),
        }
    }
}

fn unified(diff: &DiffView) -> String {
    let mut text = String::new();
    for file in &diff.files {
        text.push_str(&format!("\n{}\n", story::changed(&file.change)));
        for (number, hunk) in (1..).zip(&file.hunks) {
            text.push_str(&format!("@@ -{} +{} @@ {} (hunk {number})\n", hunk.old_start, hunk.new_start, hunk.header));
            for line in &hunk.lines {
                let mark = match line.side {
                    Side::Context => ' ',
                    Side::Added => '+',
                    Side::Removed => '-',
                };
                text.push_str(&format!("{mark}{}\n", line.text));
                if line.no_newline {
                    text.push_str("\\ no newline at end of file\n");
                }
            }
        }
        if file.cut {
            text.push_str("(the rest of this file's diff is very long and left out)\n");
        }
    }
    text
}
