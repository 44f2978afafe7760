//! Who is asked before a run's branch and tree are removed.
//!
//! `live`: nobody works on the run. `published`: its branch is where it was recorded. `content`: its tree holds nothing
//! that no checkpoint recorded, unless the user said that it may go.

use crate::bus::Core;
use crate::bus::barrier::{self, TIME, Voter};
use crate::desk::Desk;
use atelier_protocol::error::Problem;
use atelier_protocol::event::Vote;
use atelier_protocol::view::RunView;
use atelier_repo::{RunTree, Tip, UserRepo, branch_of};
use std::path::PathBuf;
use std::time::Duration;

const CLEAR: Vote = Vote::Clear;
/// How often, and after how long, it is looked again whether a run's task has ended.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(10);
/// Changed files that an alarm names.
const NAMED: usize = 5;

/// Whether something works on the run now.
pub(crate) type Works<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// Asks everyone concerned by the removal of a run that has ended. With `anyway` unrecorded work in its tree may go.
pub(crate) async fn may_discard(desk: &Desk, view: &RunView, works: Works<'_>, anyway: bool) -> Result<(), Problem> {
    let core = Core::of(desk);
    let live = still(works).await;
    let run = view.id.clone();
    let alive = Voter::new("live", async move { if live { alarm("something still works on the run") } else { CLEAR } });
    let (root, id) = (desk.root.clone(), run.clone());
    let recorded = view.branch.as_ref().and_then(|_| view.commits.last().map(|commit| commit.id.clone()));
    let published = Voter::new(
        "published",
        at_once(move || {
            let repo = UserRepo::open(&root).map_err(|e| e.problem().message)?;
            let branch = branch_of(&id);
            match (repo.handed_over_at(&id).map_err(|e| e.to_string())?, recorded) {
                (Some(at), Some(tip)) if at != tip => Err(format!("the branch `{branch}` is at {at}, not at {tip}")),
                (Some(at), None) => Err(format!("there is a branch `{branch}` at {at} that was never handed over")),
                _ => Ok(()),
            }
        }),
    );
    let mut voters = vec![alive, published];
    if !anyway {
        let dir = desk.places.tree(&desk.project, &run);
        let kept = view.checkpoint.as_ref().map(|point| point.commit.clone());
        voters.push(Voter::new("content", at_once(move || unrecorded(dir, kept))));
    }
    let act = format!("discard/{run}");
    let verdict = barrier::ask(&core, &act, voters, TIME).await?;
    barrier::open(
        verdict,
        &format!("Discarding run {run}"),
        "Look at what it names. Work that no checkpoint recorded goes with `atelier runs discard --anyway`.",
    )
}

/// Whether something still works after a moment: that a run ended is the last thing its task records.
async fn still(works: Works<'_>) -> bool {
    for _ in 0..LOOKS {
        if !works() {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    works()
}

/// Looks for work in the tree that would be lost.
fn unrecorded(dir: PathBuf, kept: Option<String>) -> Result<(), String> {
    if !dir.exists() {
        return Ok(());
    }
    // A tree that cannot be opened holds nothing that could be looked at; removing it is all that is left.
    let Ok(tree) = RunTree::open(&dir) else { return Ok(()) };
    let since = kept.unwrap_or_else(|| tree.base());
    let changed = tree.diff(&since, Tip::Files).map_err(|e| e.problem().message)?.files;
    let names: Vec<&str> = changed.iter().take(NAMED).map(|file| file.change.path.as_str()).collect();
    match changed.len() {
        0 => Ok(()),
        n if n > NAMED => Err(format!("no checkpoint recorded {} and {} more", names.join(", "), n - NAMED)),
        _ => Err(format!("no checkpoint recorded {}", names.join(", "))),
    }
}

/// A look at files or refs, off the async threads; what cannot be looked at is an alarm.
async fn at_once(look: impl FnOnce() -> Result<(), String> + Send + 'static) -> Vote {
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(())) => CLEAR,
        Ok(Err(reason)) => alarm(&reason),
        Err(error) => alarm(&format!("it could not look: {error}")),
    }
}

fn alarm(reason: &str) -> Vote {
    Vote::Alarm { reason: reason.to_owned() }
}
