//! A run's commits to another repository, once the user has seen what would leave and where to.
//!
//! What is shown names the commit; only that commit is pushed. Another machine is reached through the proxy of `egress` alone,
//! with a pass for that host, so the ledger has it and local-only mode stops it. Keys in what would leave stop it too, unless
//! the user says that they may go.

use crate::accept::{append, settled};
use crate::desk::Desk;
use crate::leaks;
use crate::run::machine_of;
use atelier_egress::{Pass, Proxy};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event, Push, PushView};
use atelier_protocol::ids::RunId;
use atelier_protocol::op::Reply;
use atelier_protocol::view::RunView;
use atelier_repo::UserRepo;

/// The effect's key.
pub(crate) const PUSH: &str = "push";

/// What a push would send, and where to. Nothing is sent.
pub(crate) async fn show(desk: &Desk, run: &RunId, remote: &str, to: Option<&str>) -> Result<Reply, Problem> {
    let view = machine_of(desk, run).await?.view;
    let plan = plan(desk, run, remote, to).await?;
    Ok(Reply::Push(PushView { push: plan, keys: keys(desk, &view).await? }))
}

/// Pushes the commit that was shown.
pub(crate) async fn push(
    desk: &Desk,
    run: &RunId,
    remote: &str,
    to: Option<&str>,
    shown: &str,
    anyway: bool,
) -> Result<Reply, Problem> {
    let mut machine = settled(desk, run).await?;
    let plan = plan(desk, run, remote, to).await?;
    if plan.tip != shown {
        return Err(Problem::new(
            Code::WrongState,
            format!("The run's branch is at {} now, not at {shown}.", plan.tip),
            "Look again at what would be pushed.",
        ));
    }
    let keys = keys(desk, &machine.view).await?;
    if !keys.is_empty() && !anyway {
        return Err(Problem::new(
            Code::NotPermitted,
            format!("What would be pushed holds {} that look like keys or personal data.", count(keys.len())),
            "Have the run take them out, or push them knowingly (`--anyway`).",
        )
        .with_details(keys));
    }
    if plan.host.is_some() && (desk.settings)().local_only {
        return Err(Problem::new(
            Code::LocalOnly,
            format!("`{}` is another machine, and local-only mode is on.", plan.url),
            "Turn local-only mode off, or push to a folder of this machine.",
        ));
    }
    let effect =
        Effect::Push { remote: plan.remote.clone(), url: plan.url.clone(), to: plan.to.clone(), tip: plan.tip.clone() };
    append(desk, &mut machine, vec![Event::EffectIntended { key: PUSH.to_owned(), effect }]).await?;
    let done = perform(desk, run, &plan).await;
    let outcome = match &done {
        Ok(()) => EffectOutcome::Landed,
        Err(problem) => EffectOutcome::NotLanded { problem: Some(problem.clone()) },
    };
    append(desk, &mut machine, vec![Event::EffectSettled { key: PUSH.to_owned(), outcome }]).await?;
    done?;
    Ok(Reply::Push(PushView { push: plan, keys }))
}

async fn perform(desk: &Desk, run: &RunId, plan: &Push) -> Result<(), Problem> {
    let performing = plan.clone();
    let Some(host) = plan.host.clone() else {
        return desk.with_repo(move |repo| repo.perform_push(&performing, None).map_err(|e| e.problem())).await;
    };
    let closed = |e: std::io::Error| {
        Problem::new(Code::Io, format!("The door to other machines cannot be opened: {e}."), "Try it again.")
    };
    let proxy = Proxy::open(&desk.egress).await.map_err(closed)?;
    let pass = Pass {
        purpose: "push".to_owned(),
        hosts: vec![host],
        holder: None, // the user saw the address and said yes to it
        project: Some(desk.project.clone()),
        run: Some(run.clone()),
        role: None,
    };
    let ticket = proxy.admit(pass).map_err(closed)?;
    let door = ticket.url();
    let done = desk.with_repo(move |repo| repo.perform_push(&performing, Some(&door)).map_err(|e| e.problem()));
    done.await
}

async fn plan(desk: &Desk, run: &RunId, remote: &str, to: Option<&str>) -> Result<Push, Problem> {
    let (run, remote, to) = (run.clone(), remote.to_owned(), to.map(str::to_owned));
    desk.with_repo(move |repo| repo.plan_push(&run, &remote, to.as_deref()).map_err(|e| e.problem())).await
}

/// Where the run's changes add what looks like a key or personal data: `path:line what`.
async fn keys(desk: &Desk, view: &RunView) -> Result<Vec<String>, Problem> {
    let (Some(tip), base) = (view.commits.last().map(|commit| commit.id.clone()), view.base.commit.clone()) else {
        return Ok(Vec::new());
    };
    let diff = move |repo: &UserRepo| repo.diff(&base, &tip).map_err(|e| e.problem());
    Ok(leaks::added(&desk.with_repo(diff).await?, |_| true))
}

fn count(places: usize) -> String {
    if places == 1 { "one place".to_owned() } else { format!("{places} places") }
}
