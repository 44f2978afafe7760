//! `atelier runs push`: what would leave for a remote, and, with the user's yes, the push.

use crate::out::{End, Finished, Out, unexpected};
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::PushView;
use atelier_protocol::op::{Op, Reply};
use serde_json::json;

/// What is pushed, and whether the user said yes.
pub struct Wanted<'a> {
    pub remote: &'a str,
    pub to: Option<&'a str>,
    pub yes: bool,
    pub anyway: bool,
}

pub async fn push(project: &Project, run: RunId, wanted: &Wanted<'_>, out: &Out) -> End {
    let (remote, to) = (wanted.remote.to_owned(), wanted.to.map(str::to_owned));
    let shown = push_of(project, Op::ShowPush { run: run.clone(), remote: remote.clone(), to: to.clone() }).await?;
    tell(&shown, out);
    if !wanted.yes {
        return Err(Problem::new(
            Code::NeedsApproval,
            "Nothing was pushed yet.",
            "To push this, give the same command with `--yes`.",
        )
        .with_details(shown.keys));
    }
    let op = Op::PushRun { run: run.clone(), remote, to, tip: shown.push.tip, anyway: wanted.anyway };
    let done = push_of(project, op).await?;
    out.say(format!("pushed {} to {} as `{}`", story::short(&done.push.tip), done.push.url, done.push.to));
    Ok(Finished::done(json!({"run": {"id": run}, "push": done})))
}

async fn push_of(project: &Project, op: Op) -> Result<PushView, Problem> {
    match project.submit(op).await? {
        Reply::Push(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

fn tell(PushView { push, keys }: &PushView, out: &Out) {
    let place = match &push.host {
        Some(host) => format!("{host}, another machine"),
        None => "this machine".to_owned(),
    };
    out.say(format!("to `{}` ({}) on {place}, as the branch `{}`:", push.remote, push.url, push.to));
    for commit in &push.commits {
        out.say(format!("  {} {}", story::short(&commit.id), commit.subject));
    }
    if push.commits.is_empty() {
        out.say("  the remote has these commits already");
    }
    for file in &push.files {
        out.say(format!("  {}", story::changed(file)));
    }
    for key in keys {
        out.say(format!("  looks like a key or personal data: {key}"));
    }
}
