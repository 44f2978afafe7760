//! The project's search index at work: brought up to date, completed beside, asked.
//!
//! Files, commits and records are one answer where several kinds are asked for. What it had to do without is said.

use crate::desk::{Desk, blocking};
use crate::meaning::Sense;
use crate::shelf;
use atelier_protocol::context::ContextView;
use atelier_protocol::error::Problem;
use atelier_protocol::view::{Found, Hit, HitKind, IndexPart, IndexView};
use atelier_repo::{Told, UserRepo};
use atelier_search::{Ask, Index, PastCommit, Want};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long an answer waits for parts of the index that are being made.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the index works on its parts before others have their turn.
const SLICE: Duration = Duration::from_secs(1);

impl Desk {
    /// Brings the index up to date. What takes longer in a large project (definitions, history) is waited for a moment
    /// and goes on beside; answers name it as missing until it is there.
    pub async fn refresh_index(self: &Arc<Self>) -> Result<IndexView, Problem> {
        let index = self.index()?;
        match self.kept(&index).filter(|view| view.missing.is_empty()) {
            Some(view) => Ok(view),
            None => self.look_around().await,
        }
    }

    /// The same for a question, which waits for nothing where the folder is followed anyway.
    pub(crate) async fn index_for_asking(self: &Arc<Self>) -> Result<IndexView, Problem> {
        let index = self.index()?;
        let Some(view) = self.kept(&index) else { return self.look_around().await };
        if !view.missing.is_empty() && !self.completing.load(Ordering::Acquire) {
            // Whoever worked on it was held up, by a full disk perhaps.
            let (root, busy) = (self.root.clone(), self.completing.clone());
            tokio::task::spawn_blocking(move || {
                complete_index(&index, &root, UserRepo::open(&root).ok().as_ref(), &busy)
            });
        }
        Ok(view)
    }

    async fn look_around(self: &Arc<Self>) -> Result<IndexView, Problem> {
        let (index, desk) = (self.index()?, self.clone());
        let completing = blocking(move || {
            let repo = UserRepo::open(&desk.root).ok();
            // A project without a commit has no past.
            let head = repo.as_ref().and_then(|repo| repo.head_commit().ok());
            index.at_head(head);
            let view = desk.covering(|| Ok(index.refresh(&desk.root)?))?;
            if view.missing.is_empty() {
                return Ok(Err(view));
            }
            let (root, busy) = (desk.root.clone(), desk.completing.clone());
            Ok(Ok(tokio::task::spawn_blocking(move || complete_index(&index, &root, repo.as_ref(), &busy))))
        });
        match completing.await? {
            Err(view) => return Ok(IndexView { watch: self.watched(), ..view }),
            Ok(work) => {
                let _ = tokio::time::timeout(PATIENCE, work).await;
            }
        }
        Ok(IndexView { watch: self.watched(), ..self.index()?.status()? })
    }

    /// What is in the index now.
    pub async fn index_state(self: &Arc<Self>) -> Result<IndexView, Problem> {
        let view = IndexView { watch: self.watched(), ..self.index()?.status()? };
        self.with_documents(view).await
    }

    /// The same with the files of other formats, which are left out of the index and found all the same.
    pub(crate) async fn with_documents(self: &Arc<Self>, view: IndexView) -> Result<IndexView, Problem> {
        let documents = self.documents().await?;
        let mut view = IndexView { documents: documents.count, ..view };
        view.skipped.retain_mut(|(path, reason)| match documents.read.get(path) {
            Some(None) => false,
            Some(Some(problem)) => {
                reason.clone_from(problem);
                true
            }
            None => true,
        });
        if documents.unread > 0 {
            view.missing.push(IndexPart::Documents);
        }
        view.meaning = self.meaning_view();
        // What cannot be made is a problem, not something to wait for.
        if view.meaning.as_ref().is_some_and(|meaning| meaning.wanting > 0 && meaning.problem.is_none()) {
            view.missing.push(IndexPart::Meaning);
        }
        Ok(view)
    }

    /// What of the project is put before a model for a goal, as the files under `root` are. `said` is what the prompt
    /// holds already, `overlay` are the paths that are others there than in the user's folder.
    pub async fn context(
        &self,
        root: PathBuf,
        goal: String,
        budget: u32,
        said: String,
        overlay: Vec<String>,
    ) -> Result<ContextView, Problem> {
        let index = self.index()?;
        let near = match self.sense(std::slice::from_ref(&goal)).await {
            Sense::Near(mut near) => near.pop().unwrap_or_default(),
            Sense::Off | Sense::Without(_) => Vec::new(),
        };
        let pack =
            move || index.context(&root, Want { goal: &goal, budget, said: &said, near: &near, overlay: &overlay });
        blocking(move || Ok(pack()?)).await
    }

    /// Searches the project's folder.
    pub async fn search(&self, query: &str, limit: u32) -> Result<Vec<Hit>, Problem> {
        self.search_in(self.root.clone(), query, limit, Vec::new()).await
    }

    /// Searches with the index of the project, in the state of the files under `root`; `overlay` as in [`Self::context`].
    pub async fn search_in(
        &self,
        root: PathBuf,
        query: &str,
        limit: u32,
        overlay: Vec<String>,
    ) -> Result<Vec<Hit>, Problem> {
        Ok(self.find_in(root, vec![query.to_owned()], limit, Vec::new(), overlay).await?.remove(0).hits)
    }

    /// Answers to several questions, each with what it had to do without; hits are cut from files, or from `kinds`.
    pub async fn find(
        self: &Arc<Self>,
        queries: Vec<String>,
        limit: u32,
        kinds: Vec<HitKind>,
    ) -> Result<Vec<Found>, Problem> {
        let (records, files): (Vec<HitKind>, Vec<HitKind>) =
            kinds.iter().copied().partition(|kind| shelf::holds(*kind));
        if records.is_empty() {
            let mut found = self.find_in(self.root.clone(), queries, limit, files, Vec::new()).await?;
            found.iter_mut().take(1).for_each(|found| found.unpacked = self.told_unpacked());
            return Ok(found);
        }
        let (notes, records): (Vec<HitKind>, Vec<HitKind>) =
            records.into_iter().partition(|kind| *kind == HitKind::Note);
        let (mut beside, missing) = match records.is_empty() {
            true => (vec![Vec::new(); queries.len()], Vec::new()),
            false => self.find_records(&queries, limit, &records).await?,
        };
        if !notes.is_empty() {
            let found = self.find_notes(&queries, limit).await?;
            beside.iter_mut().zip(found).for_each(|(beside, notes)| beside.extend(notes));
        }
        let mut found = match files.is_empty() {
            true => vec![Found::default(); queries.len()],
            false => self.find_in(self.root.clone(), queries, limit, files, Vec::new()).await?,
        };
        for (found, beside) in found.iter_mut().zip(beside) {
            found.hits.extend(beside);
            found.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
            found.hits.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            found.missing.extend(&missing);
        }
        found.iter_mut().take(1).for_each(|found| found.unpacked = self.told_unpacked());
        Ok(found)
    }

    async fn find_in(
        &self,
        root: PathBuf,
        queries: Vec<String>,
        limit: u32,
        kinds: Vec<HitKind>,
        overlay: Vec<String>,
    ) -> Result<Vec<Found>, Problem> {
        let index = self.index()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (near, without) = match self.sense(&queries).await {
            Sense::Off => (Vec::new(), None),
            Sense::Near(near) => (near, None),
            Sense::Without(problem) => (Vec::new(), Some(problem)),
        };
        let learning = self.meaning_view().is_some_and(|view| view.wanting > 0);
        blocking(move || {
            let answer = |(at, query): (usize, &String)| {
                let near = near.get(at).map_or(&[][..], Vec::as_slice);
                let ask = Ask { query, limit, kinds: &kinds, overlay: &overlay, near };
                let mut found = index.search(&root, ask)?;
                found.without_meaning.clone_from(&without);
                found.missing.extend(learning.then_some(IndexPart::Meaning));
                Ok(found)
            };
            queries.iter().enumerate().map(answer).collect()
        })
        .await
    }

    pub(crate) fn index(&self) -> Result<Arc<Index>, Problem> {
        let mut slot = self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(index) = &*slot {
            return Ok(index.clone());
        }
        let dir = self.places.index(&self.project);
        self.unpack_for_search(&dir);
        let index = Arc::new(Index::open(&dir)?);
        *slot = Some(index.clone());
        Ok(index)
    }
}

/// Works on what the index lacks until it is complete; one at a time.
pub(crate) fn complete_index(index: &Index, root: &Path, repo: Option<&UserRepo>, busy: &AtomicBool) {
    if busy.swap(true, Ordering::AcqRel) {
        return;
    }
    let work = || -> Result<(), Problem> {
        if let Some(repo) = repo {
            remember_history(index, repo)?;
        }
        while !index.complete(root, SLICE)? {}
        Ok(())
    };
    if let Err(problem) = work() {
        tracing::warn!(%problem, "the search index could not be completed");
    }
    busy.store(false, Ordering::Release);
}

/// Hands the messages of earlier commits to the index, as far as they are new to it.
fn remember_history(index: &Index, repo: &UserRepo) -> Result<(), Problem> {
    let known = index.remembered();
    let history = repo
        .history(known.as_deref(), atelier_search::MOST_COMMITS, atelier_search::MOST_PATHS)
        .map_err(|e| e.problem())?;
    if known.as_ref() == Some(&history.head) {
        return Ok(());
    }
    let commits = history.commits.into_iter().map(|told| {
        let Told { id, at_ms, message, paths } = told;
        PastCommit { id, at_ms, message, paths }
    });
    match history.whole {
        true => index.remember(&history.head, commits)?,
        false => index.remember_newer(&history.head, commits, &history.moved)?,
    }
    Ok(())
}
