//! One process's Atelier: the home store, the settings, the way to model servers, and the projects it opened.

use crate::allowance::Doors;
use crate::answers::Answers;
use crate::bus;
use crate::choices::Choices;
use crate::consent::Allowed;
use crate::desk::{Desk, Witness};
use crate::digest::Runs;
use crate::dormant;
use crate::home::HomeOwner;
use crate::keys::KeyRing;
use crate::ledger::HomeLedger;
use crate::loaded::{self, Loaded};
use crate::mend::Idle;
use crate::model_work::{Bench, Works};
use crate::objects::Objects;
use crate::owner::{ProjectOwner, Recovery};
use crate::places::Places;
use crate::processes::Processes;
use crate::project::Project;
use crate::questions::Questions;
use crate::rulebook::Rulebook;
use crate::scheduler::Scheduler;
use crate::seat::{MakeOwner, Seat};
use crate::servers;
use crate::sources::Sources;
use crate::spending::Spending;
use crate::tab::Tab;
use atelier_egress::{Egress, EgressPolicy};
use atelier_journal::{OpHandler, Projection, Projections, StoreConfig};
use atelier_models::{Keys, Traffic};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, ModelCard};
use atelier_protocol::ids::{ProjectId, Seq, StoreId};
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::settings::{ProviderSettings, Settings};
use atelier_protocol::view::{KnownProject, ProviderView};
use atelier_repo::UserRepo;
use atelier_sandbox::{Sandbox, Toolchain};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::{OnceCell, mpsc};

/// How a door opens the workshop.
#[derive(Clone)]
pub struct WorkshopOptions {
    /// Where files are kept.
    pub places: Places,
    /// Time and randomness.
    pub sources: Sources,
    /// Which program it is, such as `window` or `cli`.
    pub door: &'static str,
    /// Whether this door stays open and looks after every run, or performs one command and goes.
    pub attends: bool,
    /// Model servers used instead of the settings' ones, for this process only.
    pub providers: Option<Vec<ProviderSettings>>,
    /// What confines commands; `None` finds out.
    pub sandbox: Option<Sandbox>,
    /// Where keys of model servers are looked for.
    pub keys: Keys,
    /// Sees every append, for harnesses; `None` in programs.
    pub witness: Option<Witness>,
}

impl WorkshopOptions {
    /// A program of this user on this machine.
    pub fn of_this_user(door: &'static str, attends: bool) -> Result<Self, Problem> {
        let places = Places::of_this_user()?;
        let sources = Sources::of_the_machine();
        let keys = crate::keys::of_this_user(&places);
        Ok(Self { keys, places, sources, door, attends, providers: None, sandbox: None, witness: None })
    }
}

/// One process's Atelier.
pub struct Workshop {
    pub(crate) shared: Arc<Shared>,
    home: Seat,
    open: Mutex<HashMap<ProjectId, Project>>,
    /// What calls of other programs use, by the project they come for.
    pub(crate) tabs: Mutex<HashMap<ProjectId, Arc<Tab>>>,
    /// Answers that are kept for them.
    pub(crate) answers: Mutex<HashMap<Option<ProjectId>, Arc<Answers>>>,
}

pub(crate) struct Shared {
    pub(crate) options: WorkshopOptions,
    settings: RwLock<Settings>,
    pub(crate) egress: Egress,
    pub(crate) keys: Arc<KeyRing>,
    /// Who of all projects may be at work.
    scheduler: Arc<Scheduler>,
    sandbox: OnceCell<Sandbox>,
    toolchain: Toolchain,
    /// Calls to models that are under way.
    pub(crate) traffic: Arc<Traffic>,
    /// What was measured about models, by digest.
    pub(crate) cards: RwLock<BTreeMap<String, ModelCard>>,
    /// Work on models that goes on in the background.
    works: Arc<Works>,
    /// Models that runs use on servers of this machine.
    pub(crate) loaded: Arc<Loaded>,
    /// What model servers said a moment ago.
    pub(crate) lately: servers::Lately,
    /// Model servers of single projects in this process, by folder: those of a tour, say.
    servers: RwLock<HashMap<PathBuf, Vec<ProviderSettings>>>,
}

impl Workshop {
    /// Opens the home store and follows the settings.
    pub async fn open(options: WorkshopOptions) -> Result<Workshop, Problem> {
        let sources = options.sources.clone();
        let make: MakeOwner = Box::new(move |journal, _| {
            let sources = sources.clone();
            Box::pin(async move {
                let owner = HomeOwner::take_over(journal, sources).await?;
                Ok(Arc::new(owner) as Arc<dyn OpHandler>)
            })
        });
        let home = Seat::take(config(&options, StoreId::home()), make).await?;
        let Reply::Settings(settings) = home.submit(Op::ShowSettings).await? else {
            return Err(Problem::new(
                Code::Internal,
                "The home store did not answer with settings.",
                "Please report this.",
            ));
        };
        let cards = match home.submit(Op::ListCards).await? {
            Reply::Cards(cards) => cards.into_iter().map(|card| (card.digest.clone(), card)).collect(),
            _ => BTreeMap::new(),
        };
        let policy = Arc::new(EgressPolicy::new(settings.local_only));
        if let Reply::Permissions(permissions) = home.submit(Op::ListPermissions).await? {
            policy.set_permissions(permissions);
        }
        let (unused, let_go) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            // Turns are for now and stand in no history, so they go by the machine's own time.
            loaded: Loaded::new(Sources::of_the_machine().clock, unused),
            sandbox: OnceCell::new_with(options.sandbox.clone()),
            scheduler: Scheduler::new(settings.active_runs as usize),
            toolchain: Toolchain::detect(),
            settings: RwLock::new(settings),
            egress: Egress::new(policy, Arc::new(HomeLedger::new(home.clone()))),
            keys: Arc::new(KeyRing::new(options.keys.clone())),
            traffic: Traffic::new(options.sources.clock.clone()),
            cards: RwLock::new(cards),
            works: Arc::default(),
            servers: RwLock::default(),
            lately: servers::Lately::default(),
            options,
        });
        if let Reply::Pulls(pulls) = home.submit(Op::ListPulls).await? {
            pulls.iter().for_each(|pull| shared.works.left(pull));
        }
        tokio::spawn(follow_home(home.clone(), Arc::downgrade(&shared)));
        tokio::spawn(loaded::let_go(Arc::downgrade(&shared), let_go));
        if shared.options.attends
            && let Some(age) = dormant::age(&shared.settings().packing)
        {
            tokio::spawn(dormant::pack_by_itself(home.clone(), shared.options.places.clone(), age));
        }
        Ok(Workshop { shared, home, open: Mutex::default(), tabs: Mutex::default(), answers: Mutex::default() })
    }

    /// The settings in force, with this process's own model servers where it has some.
    pub fn settings(&self) -> Settings {
        self.shared.settings()
    }

    /// The settings as they are kept, without what only this process uses.
    pub async fn saved_settings(&self) -> Result<Settings, Problem> {
        match self.home.submit(Op::ShowSettings).await? {
            Reply::Settings(settings) => Ok(settings),
            _ => {
                Err(Problem::new(Code::Internal, "The home store did not answer with settings.", "Please report this."))
            }
        }
    }

    /// Has an op of the home store performed; `ListModels` asks the model servers.
    pub async fn submit(&self, op: Op) -> Result<Reply, Problem> {
        match op {
            Op::ListModels => Ok(Reply::Models(self.models().await)),
            Op::PullModel { provider, model } => {
                self.bench().pull(&self.settings(), provider.as_deref(), &model).await?;
                Ok(Reply::ModelWork(self.shared.works.all()))
            }
            Op::ProbeModel { provider, model, context } => {
                let (settings, views) = (self.settings(), self.models().await);
                self.bench().probe(&settings, views, provider.as_deref(), &model, context).await?;
                Ok(Reply::ModelWork(self.shared.works.all()))
            }
            Op::ListModelWork => Ok(Reply::ModelWork(self.shared.works.all())),
            Op::StopModelWork { id } => {
                self.bench().stop(id).await?;
                Ok(Reply::ModelWork(self.shared.works.all()))
            }
            Op::SearchElsewhere { query, limit, kinds, except } => {
                let answer = self.search_elsewhere(&query, limit, &kinds, except.as_ref()).await?;
                Ok(Reply::Elsewhere(Box::new(answer)))
            }
            Op::ShowSettings => Ok(Reply::Settings(self.settings())),
            Op::ChangeSettings { settings } => {
                let changed = self.home.submit(Op::ChangeSettings { settings: settings.clone() }).await?;
                self.shared.take(settings); // the followed record says the same; this door need not wait for it
                Ok(changed)
            }
            op => ask_home(&self.home, &self.shared, op).await,
        }
    }

    /// Asks every model server what it has.
    pub async fn models(&self) -> Vec<ProviderView> {
        let clock = &self.shared.options.sources.clock;
        let mut views = servers::describe(&self.settings(), &self.shared.egress, &self.shared.keys, clock).await;
        servers::add_cards(&mut views, &self.shared.cards.read().unwrap_or_else(PoisonError::into_inner));
        views
    }

    fn bench(&self) -> Bench {
        Bench {
            egress: self.shared.egress.clone(),
            keys: self.shared.keys.clone(),
            sources: self.shared.options.sources.clone(),
            home: self.home.clone(),
            works: self.shared.works.clone(),
        }
    }

    /// Uses these model servers for the project in `root`, in this process only.
    pub fn use_servers_for(&self, root: &Path, servers: Vec<ProviderSettings>) {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        self.shared.servers.write().unwrap_or_else(PoisonError::into_inner).insert(root, servers);
    }

    pub(crate) async fn home_submit(&self, op: Op) -> Result<Reply, Problem> {
        self.home.submit(op).await
    }

    /// The folders opened before, latest first.
    pub async fn known_projects(&self) -> Result<Vec<KnownProject>, Problem> {
        match self.home.submit(Op::ListProjects).await? {
            Reply::Projects(projects) => Ok(projects),
            _ => Ok(Vec::new()),
        }
    }

    /// Makes a repository of a folder, with a first commit of what is in it. Only when the user asked for it.
    pub async fn initialise(&self, path: &Path) -> Result<(), Problem> {
        let (path, now) = (path.to_owned(), self.shared.options.sources.clock.now_ms());
        crate::desk::blocking(move || UserRepo::init(&path, now).map(|_| ()).map_err(|e| e.problem())).await
    }

    /// Opens the project that holds `path`.
    pub async fn open_project(&self, path: &Path) -> Result<Project, Problem> {
        let asked = path.to_owned();
        let (root, identity) = crate::desk::blocking(move || {
            let repo = UserRepo::open(&asked).map_err(|e| e.problem())?;
            let identity = repo.identity().map_err(|e| e.problem())?;
            Ok((repo.root().to_owned(), identity))
        })
        .await?;
        let name = root.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let enrol = Op::EnrolProject {
            path: root.to_string_lossy().into_owned(),
            name,
            common_dir: identity.common_dir.to_string_lossy().into_owned(),
            root_commit: Some(identity.root_commit),
        };
        let Reply::Enrolled(id) = self.home.submit(enrol).await? else {
            return Err(Problem::new(
                Code::Internal,
                "The home store did not answer with a project.",
                "Please report this.",
            ));
        };
        self.at(&id, root).await
    }

    /// Holds the store of the project in a folder while nobody owns it.
    pub async fn idle_store(&self, path: &Path) -> Result<Idle, Problem> {
        Idle::hold(&self.shared.options.places, StoreId::from(&self.known(path).await?.id))
    }

    /// The project in a folder that was opened before. It is not opened for this.
    pub async fn known(&self, path: &Path) -> Result<KnownProject, Problem> {
        let asked = path.to_owned();
        let common = crate::desk::blocking(move || {
            let repo = UserRepo::open(&asked).map_err(|e| e.problem())?;
            Ok(repo.root().to_string_lossy().into_owned())
        });
        let root = common.await?;
        let known = self.known_projects().await?.into_iter().find(|project| project.path == root);
        known.ok_or_else(|| {
            Problem::new(
                Code::BadArgument,
                format!("{root} was never opened here, so nothing is kept of it."),
                "Open it once, with `atelier index` for example, then try again.",
            )
        })
    }

    /// A project that this process has opened.
    pub fn opened(&self, id: &ProjectId) -> Option<Project> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// What confines commands on this machine. Found out once, by trying.
    pub async fn sandbox(&self) -> Sandbox {
        self.shared.sandbox().await
    }

    /// Leaves every store.
    pub async fn close(&self) {
        self.shared.works.leave();
        self.note_kept();
        let tabs: Vec<Arc<Tab>> =
            self.tabs.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, tab)| tab).collect();
        for tab in tabs {
            tab.close().await;
        }
        let open: Vec<Project> =
            self.open.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, p)| p).collect();
        for project in open {
            project.close().await;
        }
        self.shared.egress.settled().await;
        self.home.leave().await;
    }

    /// The project that is known to be in a folder, opened by this process or not.
    pub(crate) async fn at(&self, id: &ProjectId, root: PathBuf) -> Result<Project, Problem> {
        if let Some(open) = self.opened(id) {
            return Ok(open);
        }
        if !root.is_dir() {
            return Err(Problem::new(
                Code::NoFolder,
                format!("Its folder {} is not there.", root.display()),
                "Open the project where it is now.",
            ));
        }
        let project = self.sit_down(id.clone(), root).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(open.entry(id.clone()).or_insert(project).clone())
    }

    async fn sit_down(&self, id: ProjectId, root: PathBuf) -> Result<Project, Problem> {
        let (shared, home) = (self.shared.clone(), self.home.clone());
        let (project, folder) = (id.clone(), root.clone());
        let make: MakeOwner = Box::new(move |journal, taken_over| {
            let (shared, home, project, root) = (shared.clone(), home.clone(), project.clone(), folder.clone());
            Box::pin(async move {
                let (reader, measured, folder) = (shared.clone(), shared.clone(), root.clone());
                let clock = shared.options.sources.clock.clone();
                let desk = Arc::new(Desk {
                    objects: Objects::new(journal.clone(), clock, root.clone()),
                    projections: Projections::open(&journal, read_models()).await?,
                    journal,
                    sources: shared.options.sources.clone(),
                    places: shared.options.places.clone(),
                    project,
                    root,
                    sandbox: shared.sandbox().await,
                    toolchain: shared.toolchain.clone(),
                    egress: shared.egress.clone(),
                    keys: shared.keys.clone(),
                    home: {
                        let (home, shared) = (home, Arc::downgrade(&shared));
                        Arc::new(move |op| {
                            let (home, shared) = (home.clone(), shared.upgrade());
                            Box::pin(async move {
                                match shared {
                                    Some(shared) => ask_home(&home, &shared, op).await,
                                    None => home.submit(op).await, // the program is about to end
                                }
                            })
                        })
                    },
                    settings: Arc::new(move || reader.settings_of(&folder)),
                    traffic: shared.traffic.clone(),
                    cards: Arc::new(move || measured.cards.read().unwrap_or_else(PoisonError::into_inner).clone()),
                    free_memory: Arc::new(crate::sources::free_memory),
                    purse: Arc::default(),
                    index: Mutex::new(None),
                    beside: Default::default(),
                    minded: Default::default(),
                    completing: Arc::default(),
                    watching: Default::default(),
                    witness: shared.options.witness.clone(),
                    deciding: Default::default(),
                    stacks: Default::default(),
                    processes: Processes::default(),
                    doors: Doors::default(),
                    loaded: shared.loaded.clone(),
                    rulebook: Rulebook::default(),
                });
                // Who was following a run when its owner went away goes on with it; who just came may look first.
                let recovery = if taken_over { Recovery::Resume } else { Recovery::Mark };
                let owner = ProjectOwner::take_over(desk, &shared.scheduler, recovery, shared.options.attends).await?;
                Ok(Arc::new(owner) as Arc<dyn OpHandler>)
            })
        });
        let seat = Seat::take(config(&self.shared.options, StoreId::from(&id)), make).await?;
        Ok(Project { id, root, seat })
    }
}

impl Shared {
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(providers) = &self.options.providers {
            settings.providers.clone_from(providers);
            settings.model = None;
        }
        settings
    }

    /// The settings for one project: with its own model servers where it has some.
    fn settings_of(&self, root: &Path) -> Settings {
        let mut settings = self.settings();
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        if let Some(servers) = self.servers.read().unwrap_or_else(PoisonError::into_inner).get(&root) {
            settings.providers.clone_from(servers);
            settings.model = None;
        }
        settings
    }

    fn take(&self, settings: Settings) {
        self.egress.policy().set_local_only(settings.local_only);
        self.scheduler.set_slots(settings.active_runs as usize);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    async fn sandbox(&self) -> Sandbox {
        let found = self.sandbox.get_or_init(|| async {
            tokio::task::spawn_blocking(Sandbox::detect)
                .await
                .unwrap_or_else(|_| Sandbox::with(atelier_protocol::event::Mechanism::None))
        });
        found.await.clone()
    }
}

/// What is read of a project's history without folding it.
fn read_models() -> Vec<Arc<dyn Projection>> {
    let mut models: Vec<Arc<dyn Projection>> =
        vec![Arc::new(Runs), Arc::new(Questions), Arc::new(Choices), Arc::new(Spending), Arc::new(Allowed)];
    models.extend(bus::models::all());
    models
}

fn config(options: &WorkshopOptions, store: StoreId) -> StoreConfig {
    StoreConfig {
        dir: options.places.store(&store),
        run_dir: options.places.run.clone(),
        store,
        door: options.door.to_owned(),
        clock: options.sources.clock.clone(),
    }
}

/// Has an op of the home store performed. What may leave now holds for this process at once.
async fn ask_home(home: &Seat, shared: &Shared, op: Op) -> Result<Reply, Problem> {
    let reply = home.submit(op).await?;
    if let Reply::Permissions(permissions) = &reply {
        shared.egress.policy().set_permissions(permissions.clone());
    }
    Ok(reply)
}

/// Takes over what another door changed: settings, cards, and what may leave.
async fn follow_home(home: Seat, shared: std::sync::Weak<Shared>) {
    let mut frames = home.follow(Seq::ZERO);
    while let Some(frame) = frames.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        let Frame::Event(event) = frame else { continue };
        match event.event {
            Event::SettingsChanged { settings } => shared.take(settings),
            // Asked for as it is now: what was permitted long ago may have been taken back since.
            Event::CloudPermitted { .. } | Event::CloudRevoked { .. } => {
                if let Err(problem) = ask_home(&home, &shared, Op::ListPermissions).await {
                    tracing::warn!(%problem, "what may leave could not be asked; what was known still holds");
                }
            }
            Event::CardMeasured { card } => {
                shared.cards.write().unwrap_or_else(PoisonError::into_inner).insert(card.digest.clone(), *card);
            }
            _ => {}
        }
    }
}
