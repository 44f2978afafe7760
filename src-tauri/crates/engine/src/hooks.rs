//! Asks the user's git hooks about an accept, before anything of it is intended.
//!
//! A hook is the user's, but what it runs may be what the run wrote. So it runs as a check does: confined, without network,
//! in a copy (`repo::Rehearsal`); where nothing can confine it, it is not run and the accept is refused with a way on.

use crate::desk::Desk;
use crate::verify;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Mechanism;
use atelier_protocol::ids::RunId;
use atelier_repo::{Accept, Hook, Rehearsal};
use atelier_sandbox::Ran;
use std::collections::BTreeMap;

/// Time limit of one hook, in milliseconds.
const PATIENCE_MS: u64 = 600_000;

/// The messages that the hooks changed, by commit. A hook that says no is a problem with its last words.
pub(crate) async fn ask(desk: &Desk, run: &RunId, plan: &Accept) -> Result<BTreeMap<String, String>, Problem> {
    let (plan, root) = (plan.clone(), desk.places.tree(&desk.project, run).join("rehearsal"));
    let laid_out = desk.with_repo(move |repo| repo.rehearse(&plan, &root).map_err(|e| e.problem())).await?;
    let Some(rehearsal) = laid_out else { return Ok(BTreeMap::new()) };
    let said = ask_all(desk, &rehearsal).await;
    desk.with_repo(move |_| {
        let changed = said.and_then(|()| rehearsal.changed().map_err(|e| e.problem()));
        if let Err(fault) = rehearsal.end() {
            tracing::warn!(%fault, "the copy for hooks was left behind");
        }
        changed
    })
    .await
}

async fn ask_all(desk: &Desk, rehearsal: &Rehearsal) -> Result<(), Problem> {
    if desk.sandbox.mechanism() == Mechanism::None {
        let names: Vec<&str> = rehearsal.hooks.iter().map(|hook| hook.name.as_str()).collect();
        return Err(Problem::new(
            Code::NotConfined,
            format!("Nothing on this machine can confine your git hooks ({}), so they were not run.", names.join(", ")),
            "Install bubblewrap, or accept without hooks (`--no-verify`).",
        ));
    }
    for hook in &rehearsal.hooks {
        let mut spec = desk.confined(&hook.argv, rehearsal.root(), PATIENCE_MS).await?;
        spec.read_only.extend(rehearsal.reads.iter().cloned());
        spec.env.extend(hook.env.iter().cloned());
        let ran = desk.sandbox.run(spec, std::future::pending(), |_| {}).await.map_err(Problem::from)?;
        if !ran.succeeded() {
            return Err(refused(hook, &ran));
        }
    }
    Ok(())
}

fn refused(hook: &Hook, ran: &Ran) -> Problem {
    let how = match (ran.timed_out, ran.exit_code) {
        (true, _) => format!("did not end within {} minutes", PATIENCE_MS / 60_000),
        (_, Some(code)) => format!("said no (exit code {code})"),
        (_, None) => "was ended by a signal".to_owned(),
    };
    Problem::new(
        Code::HookRefused,
        format!("Your git hook `{}` {how}, so nothing was accepted.", hook.name),
        "Have the run mend what it names, mend the hook, or accept without hooks (`--no-verify`).",
    )
    .with_details(verify::tail(&String::from_utf8_lossy(&ran.output)).lines().map(str::to_owned))
}
