//! `atelier approvals` and `atelier answer`: list and answer open questions. Answering only records; `runs resume` goes on.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use crate::story;
use atelier_engine::Project;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Ask};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::ApprovalView;
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand, Debug)]
pub enum ApprovalsVerb {
    /// The questions that wait.
    List,
    /// Answer yes.
    Approve {
        /// The question's id; not needed where only one waits.
        id: Option<String>,
        /// A word with it.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Answer no.
    Reject {
        /// The question's id; not needed where only one waits.
        id: Option<String>,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
    },
}

pub async fn approvals(args: &Args, verb: &ApprovalsVerb, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let end = match verb {
        ApprovalsVerb::List => list(&project, out).await,
        ApprovalsVerb::Approve { id, note } => answer(&project, id.as_deref(), Answer::Approve, note, out).await,
        ApprovalsVerb::Reject { id, note } => answer(&project, id.as_deref(), Answer::Reject, note, out).await,
    };
    workshop.close().await;
    end
}

async fn open(project: &Project) -> Result<Vec<ApprovalView>, Problem> {
    match project.submit(Op::ListApprovals).await? {
        Reply::Approvals(open) => Ok(open),
        _ => Err(unexpected()),
    }
}

async fn list(project: &Project, out: &Out) -> End {
    let open = open(project).await?;
    if open.is_empty() {
        out.say("nothing waits for you");
    }
    for asked in &open {
        out.say(format!("{}  run {}\n  {}", asked.id, asked.run, story::question(&asked.ask)));
    }
    Ok(Finished::done(json!({"approvals": open})))
}

/// `atelier answer`: the answer to a question in words.
pub async fn in_words(args: &Args, id: Option<&str>, text: &str, out: &Out) -> End {
    if text.trim().is_empty() {
        return Err(Problem::new(
            Code::BadArgument,
            "The answer is empty.",
            "Say something, or take the default with `atelier approvals reject`.",
        ));
    }
    let (workshop, project) = session::project(args).await?;
    let in_words = |asked: &ApprovalView| matches!(asked.ask, Ask::Question { .. });
    let end = match open(&project).await {
        Ok(open) => settle(&project, id, open.into_iter().filter(in_words).collect(), Answer::Approve, text, out).await,
        Err(problem) => Err(problem),
    };
    workshop.close().await;
    end
}

async fn answer(project: &Project, id: Option<&str>, answer: Answer, note: &str, out: &Out) -> End {
    settle(project, id, open(project).await?, answer, note, out).await
}

async fn settle(
    project: &Project,
    id: Option<&str>,
    open: Vec<ApprovalView>,
    answer: Answer,
    note: &str,
    out: &Out,
) -> End {
    let asked = match (id, open.as_slice()) {
        (Some(id), _) => open.iter().find(|asked| asked.id.as_str() == id),
        (None, [only]) => Some(only),
        (None, []) => return Err(none("Nothing waits for an answer.", "Look at the runs with `atelier runs list`.")),
        (None, _) => return Err(none("Several questions wait.", "Name one; see `atelier approvals list`.")),
    };
    let Some(asked) = asked.cloned() else {
        let message = format!("No open question has the id {}.", id.unwrap_or_default());
        return Err(none(&message, "List the open ones with `atelier approvals list`."));
    };
    project.submit(Op::SettleApproval { approval: asked.id.clone(), answer, note: note.to_owned() }).await?;
    let said = if answer == Answer::Approve { "approved" } else { "rejected" };
    let said = if matches!(asked.ask, Ask::Question { .. }) && answer == Answer::Approve { "answered" } else { said };
    out.say(format!("{said}; go on with `atelier runs resume {}`", asked.run));
    Ok(Finished::done(json!({"approval": asked.id, "run": asked.run, "answer": answer})))
}

fn none(message: &str, hint: &str) -> Problem {
    Problem::new(Code::UnknownApproval, message, hint)
}
