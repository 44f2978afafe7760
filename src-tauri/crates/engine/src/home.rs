//! The home store: settings, known projects, what left this machine and what may.

use crate::library;
use crate::outgoing::{self, Permissions};
use crate::sources::Sources;
use atelier_journal::{Journal, OpHandler};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{EgressNote, Event, LibraryNote, ModelCard, NewEvent};
use atelier_protocol::ids::{ProjectId, Seq};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ModelChoice, Settings};
use atelier_protocol::view::KnownProject;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// The owner's side of the home store.
pub(crate) struct HomeOwner {
    journal: Journal,
    sources: Sources,
    known: Mutex<Known>,
}

/// The kinds of events that say it.
const KINDS: &[&str] = &[
    "settings_changed",
    "project_opened",
    "cloud_permitted",
    "cloud_revoked",
    "card_measured",
    "pull_started",
    "pull_ended",
    "project_shared",
    "note_kept",
    "note_dropped",
];

/// Tokens that a conversation must be allowed: less would sum up what was just said.
const LEAST_MEMORY: u32 = 1024;

/// What the home store's events say.
#[derive(Default)]
struct Known {
    seq: Seq,
    settings: Settings,
    /// Latest first.
    projects: Vec<Enrolled>,
    /// The last card of each model, by digest.
    cards: BTreeMap<String, ModelCard>,
    /// Pulls that began and did not end.
    pulls: Vec<ModelChoice>,
    permissions: Permissions,
    /// Newest first.
    notes: Vec<LibraryNote>,
}

struct Enrolled {
    view: KnownProject,
    common_dir: String,
    root_commit: Option<String>,
}

impl HomeOwner {
    pub(crate) async fn take_over(journal: Journal, sources: Sources) -> Result<Self, Problem> {
        let owner = Self { journal, sources, known: Mutex::new(Known::default()) };
        let mut known = owner.known.lock().await;
        owner.catch_up(&mut known).await?;
        drop(known);
        Ok(owner)
    }

    async fn catch_up(&self, known: &mut Known) -> Result<(), Problem> {
        loop {
            let page = self.journal.read_kinds(KINDS, known.seq, 1000).await?;
            if page.is_empty() {
                return Ok(());
            }
            for envelope in page {
                known.seq = envelope.seq;
                known.permissions.apply(&envelope.event);
                known.apply(envelope.event);
            }
        }
    }

    async fn append(&self, known: &mut Known, event: Event) -> Result<(), Problem> {
        self.journal.append(vec![NewEvent::of_store(event)]).await?;
        self.catch_up(known).await
    }

    async fn perform(&self, op: Op) -> Result<Reply, Problem> {
        match op {
            // The ledger follows from no state and changes none: nobody waits for it.
            Op::RecordEgress { notes } => {
                let event = |note| match note {
                    EgressNote::Begun { entry } => NewEvent::of_store(Event::EgressRecorded { entry }),
                    EgressNote::Ended { end } => NewEvent::of_store(Event::EgressEnded { end }),
                };
                self.journal.append(notes.into_iter().map(event).collect()).await?;
                Ok(Reply::Done)
            }
            Op::ShowEgress { limit, run, local } => {
                Ok(Reply::Egress(outgoing::ledger(&self.journal, limit as usize, run.as_ref(), local).await?))
            }
            op => self.decide(op).await,
        }
    }

    async fn decide(&self, op: Op) -> Result<Reply, Problem> {
        let mut known = self.known.lock().await;
        match op {
            Op::ShowSettings => Ok(Reply::Settings(known.settings.clone())),
            Op::ChangeSettings { settings } => {
                check(&settings)?;
                if settings != known.settings {
                    self.append(&mut known, Event::SettingsChanged { settings }).await?;
                }
                Ok(Reply::Done)
            }
            Op::ListProjects => Ok(known.listed()),
            Op::EnrolProject { path, name, common_dir, root_commit } => {
                if let Some(id) = known.unchanged(&path, &common_dir, root_commit.as_ref()) {
                    return Ok(Reply::Enrolled(id));
                }
                let project =
                    known.moved_here(&common_dir, root_commit.as_ref()).unwrap_or_else(|| self.sources.project_id());
                let opened = Event::ProjectOpened { project: project.clone(), path, name, common_dir, root_commit };
                self.append(&mut known, opened).await?;
                Ok(Reply::Enrolled(project))
            }
            Op::AdoptProject { project, path, name, common_dir, root_commit } => {
                let opened = Event::ProjectOpened { project: project.clone(), path, name, common_dir, root_commit };
                self.append(&mut known, opened).await?;
                Ok(Reply::Enrolled(project))
            }
            Op::ShareProject { project, shared } => {
                let now = known.projects.iter().find(|known| known.view.id == project).map(|known| known.view.shared);
                let Some(now) = now else {
                    let hint = "Open it once.";
                    return Err(Problem::new(Code::BadArgument, format!("There is no project {project}."), hint));
                };
                if now != shared {
                    self.append(&mut known, Event::ProjectShared { project, shared }).await?;
                }
                Ok(known.listed())
            }
            Op::ListLibrary => Ok(Reply::Library(known.notes.clone())),
            Op::KeepNote { title, text } => {
                let note = library::note(&title, &text, self.sources.clock.now_ms())?;
                if known.notes.len() >= library::MOST {
                    let message = format!("The library holds {} notes already.", library::MOST);
                    return Err(Problem::new(Code::BadArgument, message, "Remove some that are not needed any more."));
                }
                if !known.notes.iter().any(|kept| kept.id == note.id) {
                    self.append(&mut known, Event::NoteKept { note }).await?;
                }
                Ok(Reply::Library(known.notes.clone()))
            }
            Op::DropNote { id } => {
                if !known.notes.iter().any(|note| note.id == id) {
                    let message = format!("There is no note `{id}` in the library.");
                    return Err(Problem::new(Code::BadArgument, message, "List them with `atelier library list`."));
                }
                self.append(&mut known, Event::NoteDropped { id }).await?;
                Ok(Reply::Library(known.notes.clone()))
            }
            Op::ListCards => Ok(Reply::Cards(known.cards.values().cloned().collect())),
            Op::RecordCard { card } => {
                self.append(&mut known, Event::CardMeasured { card }).await?;
                Ok(Reply::Done)
            }
            Op::ListPulls => Ok(Reply::Pulls(known.pulls.clone())),
            Op::NotePull { provider, model, ended } => {
                let begun = known.pulls.iter().any(|pull| pull.provider == provider && pull.model == model);
                match ended {
                    None if !begun => self.append(&mut known, Event::PullStarted { provider, model }).await?,
                    Some(done) if begun => self.append(&mut known, Event::PullEnded { provider, model, done }).await?,
                    _ => {}
                }
                Ok(Reply::Done)
            }
            Op::PermitCloud { permission } => {
                if known.permissions.adds(&permission) {
                    self.append(&mut known, Event::CloudPermitted { permission }).await?;
                }
                Ok(Reply::Permissions(known.permissions.held().to_vec()))
            }
            Op::RevokeCloud { project, provider, host } => {
                if known.permissions.has(&project, &provider, host.as_deref()) {
                    self.append(&mut known, Event::CloudRevoked { project, provider, host }).await?;
                }
                Ok(Reply::Permissions(known.permissions.held().to_vec()))
            }
            Op::ListPermissions => Ok(Reply::Permissions(known.permissions.held().to_vec())),
            other => Err(Problem::new(
                Code::BadArgument,
                format!("`{}` is asked of a project.", name_of(&other)),
                "Open a project first.",
            )),
        }
    }
}

impl Known {
    fn apply(&mut self, event: Event) {
        match event {
            Event::SettingsChanged { settings } => self.settings = settings,
            Event::CardMeasured { card } => {
                self.cards.insert(card.digest.clone(), *card);
            }
            Event::ProjectShared { project, shared } => {
                if let Some(known) = self.projects.iter_mut().find(|known| known.view.id == project) {
                    known.view.shared = shared;
                }
            }
            Event::NoteKept { note } => self.notes.insert(0, note),
            Event::NoteDropped { id } => self.notes.retain(|note| note.id != id),
            Event::PullStarted { provider, model } => self.pulls.push(ModelChoice { provider, model }),
            Event::PullEnded { provider, model, .. } => {
                self.pulls.retain(|pull| pull.provider != provider || pull.model != model);
            }
            Event::ProjectOpened { project, path, name, common_dir, root_commit } => {
                let shared = self.projects.iter().any(|p| p.view.id == project && p.view.shared);
                self.projects.retain(|p| p.view.id != project && p.common_dir != common_dir);
                let view = KnownProject { id: project, path, name, shared };
                self.projects.insert(0, Enrolled { view, common_dir, root_commit });
            }
            _ => {}
        }
    }

    fn listed(&self) -> Reply {
        Reply::Projects(self.projects.iter().map(|project| project.view.clone()).collect())
    }

    /// The id of a folder that is where it was; one that is the latest needs no new record.
    fn unchanged(&self, path: &str, common_dir: &str, root_commit: Option<&String>) -> Option<ProjectId> {
        let latest = self.projects.first()?;
        let same =
            latest.view.path == path && latest.common_dir == common_dir && latest.root_commit.as_ref() == root_commit;
        same.then(|| latest.view.id.clone())
    }

    /// The id of the same repository: at the same place, or gone from its old place and with the same first commit.
    fn moved_here(&self, common_dir: &str, root_commit: Option<&String>) -> Option<ProjectId> {
        let here = self.projects.iter().find(|p| p.common_dir == common_dir);
        let moved = || {
            self.projects.iter().find(|p| {
                root_commit.is_some()
                    && p.root_commit.as_ref() == root_commit
                    && !std::path::Path::new(&p.common_dir).exists()
            })
        };
        here.or_else(moved).map(|p| p.view.id.clone())
    }
}

/// Refuses settings that no part could work with.
fn check(settings: &Settings) -> Result<(), Problem> {
    let bad = |message: String| Err(Problem::new(Code::BadArgument, message, "Correct the setting and save again."));
    if settings.active_runs == 0 {
        return bad("At least one run must be allowed to be at work.".to_owned());
    }
    if settings.memory.tokens.is_some_and(|tokens| tokens < LEAST_MEMORY) {
        return bad(format!("A conversation must be allowed at least {LEAST_MEMORY} tokens."));
    }
    if settings.packing.after_days == Some(0) {
        return bad("A project that was just put down must not be packed: give at least 1 day, or never.".to_owned());
    }
    for (n, provider) in settings.providers.iter().enumerate() {
        if provider.id.trim().is_empty() {
            return bad("A model server has no name.".to_owned());
        }
        if settings.providers[..n].iter().any(|other| other.id == provider.id) {
            return bad(format!("Two model servers are called `{}`.", provider.id));
        }
        if !(provider.base_url.starts_with("http://") || provider.base_url.starts_with("https://")) {
            return bad(format!("`{}` is not an address: it must start with http:// or https://.", provider.base_url));
        }
    }
    Ok(())
}

fn name_of(op: &Op) -> String {
    let value = serde_json::to_value(op).unwrap_or_default();
    value["op"].as_str().unwrap_or("this").to_owned()
}

impl OpHandler for HomeOwner {
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>> {
        Box::pin(self.perform(op))
    }
}
