//! Finds out how a run comes to the user's branch: forward, merged, or as one commit of all or of chosen parts.
//!
//! A three-way merge where the branch moved on. Conflicts are shown with both sides; what the user says about each settles
//! it, and one that is not settled refuses the whole. Everything is put together in memory, so a refusal leaves nothing
//! behind. A commit that is not the checked one says that it is unchecked.

use crate::accept::{Accept, AcceptRefusal, HEAD, conflicting};
use crate::fault::{Fault, git};
use crate::hand_over::branch_of;
use crate::landing::Landing;
use crate::listing::{FILE, new_objects};
use crate::message::lint;
use crate::open::{UserRepo, author};
use crate::paths::{shown, to_os};
use crate::scan::index_entry;
use crate::{pack, parts};
use atelier_protocol::event::{AcceptMode, Acceptance, ConflictView, Resolution, Take};
use atelier_protocol::ids::RunId;
use git2::{Commit, Index, IndexEntry, Oid, Repository, Tree};

impl UserRepo {
    /// Finds out how the commit `tip` of `run` comes to the branch that is checked out. Where that needs a commit, it is made
    /// here (unreachable until the accept is performed). Refused where uncommitted changes and the run touch the same files,
    /// or both sides changed the same places and nothing is said about that.
    pub fn plan_accept(&self, run: &RunId, tip: &str, how: &Acceptance, at_ms: u64) -> Result<Accept, AcceptRefusal> {
        let repo = self.repo()?;
        self.release_index(run)?;
        self.refuse_busy(&repo)?;
        pack::hold_in_memory(&repo)?;
        if let Some(why) = how.message.as_deref().map(lint).filter(|why| !why.is_empty()) {
            return Err(AcceptRefusal::Message { why });
        }
        let doing = || git("planning the accept");
        let (branch, from) = self.head_of(&repo)?;
        let tip = commit(&repo, tip)?;
        if from == tip.id() || repo.graph_descendant_of(from, tip.id()).map_err(doing())? {
            return Err(AcceptRefusal::AlreadyThere);
        }
        let forward = repo.graph_descendant_of(tip.id(), from).map_err(doing())?;
        let mode = match (how.way, &how.only) {
            (_, Some(_)) | (Some(AcceptMode::Squash), None) => AcceptMode::Squash,
            (Some(AcceptMode::FastForward), None) if !forward => return Err(AcceptRefusal::NotForward),
            (Some(AcceptMode::Merge), None) => AcceptMode::Merge,
            (_, None) if forward => AcceptMode::FastForward,
            (_, None) => AcceptMode::Merge,
        };
        let to = match mode {
            AcceptMode::FastForward => tip.id(),
            _ => self.join(&repo, run, from, &tip, how, mode, at_ms)?,
        };
        let change = Landing::between(&repo, from, to)?;
        change.refuse_filters(&repo)?;
        change.refuse_dirty(&repo, self.root())?;
        if mode != AcceptMode::FastForward {
            let tree = |id: Oid| repo.find_commit(id).and_then(|c| c.tree()).map_err(doing());
            let new = new_objects(&repo, Some(&tree(from)?), &tree(to)?)?;
            pack::write(&repo, new.into_iter().chain([to]), &self.common_dir().join("objects"))?;
        }
        Ok(Accept {
            run: run.clone(),
            branch: branch.unwrap_or_else(|| HEAD.to_owned()),
            from: from.to_string(),
            to: to.to_string(),
            mode,
        })
    }

    /// The files that the branch which is checked out and the commit `tip` both changed in the same place.
    pub fn conflicts(&self, tip: &str) -> Result<Vec<ConflictView>, AcceptRefusal> {
        let repo = self.repo()?;
        pack::hold_in_memory(&repo)?;
        let (_, from) = self.head_of(&repo)?;
        let tip = commit(&repo, tip)?;
        let sides = Sides::of(&repo, from, &tip)?;
        let merged = sides.merge(&repo, &sides.run)?;
        let mut all = Vec::new();
        for conflict in merged.conflicts().map_err(git("merging"))? {
            all.push(view(&repo, &conflict.map_err(git("merging"))?, ["your branch", "the run"])?);
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    /// The commit that brings the run, or parts of it, together with the branch; in memory only.
    #[expect(clippy::too_many_arguments, reason = "one call; a type for it would say nothing")]
    fn join(
        &self,
        repo: &Repository,
        run: &RunId,
        from: Oid,
        tip: &Commit<'_>,
        how: &Acceptance,
        mode: AcceptMode,
        at_ms: u64,
    ) -> Result<Oid, AcceptRefusal> {
        let doing = || git("merging");
        let sides = Sides::of(repo, from, tip)?;
        let wanted = match &how.only {
            Some(only) => repo.find_tree(parts::choose(repo, &sides.base, &sides.run, only)?).map_err(doing())?,
            None => sides.run.clone(),
        };
        let mut merged = sides.merge(repo, &wanted)?;
        for resolution in &how.resolved {
            settle(repo, &mut merged, resolution)?;
        }
        if merged.has_conflicts() {
            return Err(AcceptRefusal::Conflict { paths: conflicting(&merged)? });
        }
        let tree = repo.find_tree(merged.write_tree_to(repo).map_err(doing())?).map_err(doing())?;
        if tree.id() == sides.yours.id() {
            return Err(AcceptRefusal::AlreadyThere);
        }
        let ours = repo.find_commit(from).map_err(doing())?;
        let who = author(repo, at_ms)?;
        let first = self.first_message(repo, from, tip)?;
        let parents: &[&Commit<'_>] = if mode == AcceptMode::Merge { &[&ours, tip] } else { &[&ours] };
        let text = match (&how.message, mode) {
            (Some(text), _) => format!("{}\n", text.trim_end()),
            (None, AcceptMode::Merge) => {
                format!("Merge {}: {}\n", branch_of(run), first.lines().next().unwrap_or_default())
            }
            (None, _) if tree.id() == tip.tree_id() => first,
            (None, _) => unchecked(&first),
        };
        Ok(repo.commit(None, &who, &who, &text, &tree, parents).map_err(doing())?)
    }

    /// What the run did: its first commit says it.
    fn first_message(&self, repo: &Repository, from: Oid, tip: &Commit<'_>) -> Result<String, Fault> {
        let doing = || git("reading the run's commits");
        let mut walk = repo.revwalk().map_err(doing())?;
        walk.push(tip.id()).and_then(|()| walk.hide(from)).map_err(doing())?;
        let first = walk.filter_map(Result::ok).last().unwrap_or(tip.id());
        let commit = repo.find_commit(first).map_err(doing())?;
        Ok(shown(commit.message_bytes()))
    }
}

/// What is brought together.
struct Sides<'repo> {
    base: Tree<'repo>,
    yours: Tree<'repo>,
    run: Tree<'repo>,
}

impl<'repo> Sides<'repo> {
    fn of(repo: &'repo Repository, from: Oid, tip: &Commit<'repo>) -> Result<Sides<'repo>, AcceptRefusal> {
        let doing = || git("merging");
        let base = repo.merge_base(from, tip.id()).map_err(doing())?;
        let tree = |id: Oid| repo.find_commit(id).and_then(|c| c.tree()).map_err(doing());
        Ok(Sides { base: tree(base)?, yours: tree(from)?, run: tip.tree().map_err(doing())? })
    }

    fn merge(&self, repo: &Repository, wanted: &Tree<'_>) -> Result<Index, Fault> {
        repo.merge_trees(&self.base, &self.yours, wanted, None).map_err(git("merging"))
    }
}

fn commit<'repo>(repo: &'repo Repository, id: &str) -> Result<Commit<'repo>, AcceptRefusal> {
    let none = || AcceptRefusal::NoCommit { commit: id.to_owned() };
    repo.find_commit(Oid::from_str(id).map_err(|_| none())?).map_err(|_| none())
}

/// Settles the conflict in one file as the user says.
pub(crate) fn settle(repo: &Repository, merged: &mut Index, resolution: &Resolution) -> Result<(), AcceptRefusal> {
    let doing = || git("settling a conflict");
    let named = |entry: &Option<IndexEntry>| entry.as_ref().is_some_and(|e| shown(&e.path) == resolution.path);
    let mut found = None;
    for conflict in merged.conflicts().map_err(doing())? {
        let conflict = conflict.map_err(doing())?;
        if [&conflict.our, &conflict.their, &conflict.ancestor].into_iter().any(named) {
            found = Some(conflict);
            break;
        }
    }
    let none = || AcceptRefusal::NoPart { what: format!("conflict in `{}`", resolution.path) };
    let conflict = found.ok_or_else(none)?;
    for side in [&conflict.our, &conflict.their, &conflict.ancestor].into_iter().flatten() {
        if let Some(path) = to_os(&side.path) {
            for stage in 0..4 {
                match merged.remove(&path, stage) {
                    Err(e) if e.code() == git2::ErrorCode::NotFound => {}
                    other => other.map_err(doing())?,
                }
            }
        }
    }
    let taken = match &resolution.take {
        Take::Yours => conflict.our,
        Take::Run => conflict.their,
        Take::Text { text } => {
            let id = repo.blob(text.as_bytes()).map_err(doing())?;
            let like = conflict.our.or(conflict.their).or(conflict.ancestor).ok_or_else(none)?;
            let mode = if like.mode & 0o170_000 == 0o100_000 { like.mode } else { FILE };
            Some(IndexEntry { mode, id, ..like })
        }
    };
    if let Some(entry) = taken {
        let plain = index_entry(&entry.path, crate::listing::Entry { mode: entry.mode, id: entry.id });
        merged.add(&plain).map_err(doing())?;
    }
    Ok(())
}

/// A conflict for people; `sides` are what its first and second side are called in the text with markers.
pub(crate) fn view(
    repo: &Repository,
    conflict: &git2::IndexConflict,
    [ours_are, theirs_are]: [&str; 2],
) -> Result<ConflictView, Fault> {
    let text = |entry: &Option<IndexEntry>| {
        let blob = entry.as_ref().and_then(|entry| repo.find_blob(entry.id).ok());
        blob.map(|blob| shown(blob.content()))
    };
    let merged = match (&conflict.ancestor, &conflict.our, &conflict.their) {
        (Some(base), Some(ours), Some(theirs)) => {
            let mut options = git2::MergeFileOptions::new();
            options.our_label(ours_are).their_label(theirs_are);
            let merged = repo.merge_file_from_index(base, ours, theirs, Some(&mut options)).map_err(git("merging"))?;
            Some(shown(merged.content()))
        }
        _ => None,
    };
    let path = [&conflict.our, &conflict.their, &conflict.ancestor].into_iter().flatten().next();
    Ok(ConflictView {
        path: path.map(|entry| shown(&entry.path)).unwrap_or_default(),
        base: text(&conflict.ancestor),
        yours: text(&conflict.our),
        run: text(&conflict.their),
        merged,
    })
}

/// The message of a commit whose files are not those that were checked.
pub(crate) fn unchecked(message: &str) -> String {
    let lines = message.trim_end().lines();
    let told = |line: &str| {
        if line.starts_with("Atelier-Checks:") { "Atelier-Checks: unchecked".to_owned() } else { line.to_owned() }
    };
    lines.map(told).collect::<Vec<_>>().join("\n") + "\n"
}
