//! `atelier approvals`: lists and answers open questions. Answering only records; `runs resume` goes on.

use crate::args::{ApprovalsVerb, Args};
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use crate::story;
use atelier_engine::Project;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Answer;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::ApprovalView;
use serde_json::json;

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

async fn answer(project: &Project, id: Option<&str>, answer: Answer, note: &str, out: &Out) -> End {
    let open = open(project).await?;
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
    out.say(format!("{said}; go on with `atelier runs resume {}`", asked.run));
    Ok(Finished::done(json!({"approval": asked.id, "run": asked.run, "answer": answer})))
}

fn none(message: &str, hint: &str) -> Problem {
    Problem::new(Code::UnknownApproval, message, hint)
}
