//! A world for one scenario: a home, a project, a scripted model.

use crate::steady;
use atelier_engine::{Places, Project, Sources, Witness, Workshop, WorkshopOptions};
use atelier_models::{Keys, Vault};
use atelier_protocol::RunId;
use atelier_protocol::event::{Envelope, Event};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::view::{RunState, RunView};
use atelier_sandbox::Sandbox;
use atelier_stage::{Options, Script, Stage, tour};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than anything in a scenario takes; reaching it is a failure, not a pace.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home, a project and a scripted model.
pub struct World {
    /// Holds everything; removed at the end.
    pub folder: tempfile::TempDir,
    /// The scripted model.
    pub stage: Stage,
}

impl World {
    /// A world whose model plays the shipped tour, without its pauses.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub async fn with_tour() -> World {
        World::playing(tour::script().expect("the shipped script reads")).await
    }

    /// A world whose model plays a script of the fixtures.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub async fn with_script(name: &str) -> World {
        let path = fixtures().join("stage").join(name);
        let text = std::fs::read_to_string(&path).expect("a script of the fixtures");
        World::playing(Script::read(name, &text).expect("a script that reads")).await
    }

    /// A world whose model plays `script`, without its pauses.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub async fn playing(mut script: Script) -> World {
        script.pace_ms = 0;
        script.models.iter_mut().for_each(|model| model.load_ms = 0);
        let folder = tempfile::Builder::new().prefix("atelier-world-").tempdir().expect("a temporary folder");
        let stage = Stage::start(script, Options::default()).await.expect("the stage starts");
        let world = World { folder, stage };
        tour::write_sample(&world.project()).expect("the sample is written");
        world
    }

    /// The home folder.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("greet")
    }

    /// The scripted model as a server of the settings.
    pub fn server(&self) -> ProviderSettings {
        ProviderSettings { id: "server".to_owned(), kind: ProviderKind::Ollama, base_url: self.stage.url() }
    }

    /// Options for a workshop in this world.
    pub fn options(&self, sources: Sources) -> WorkshopOptions {
        options(&self.home(), self.server(), sources, None)
    }

    /// Opens a workshop and the project, made a repository before.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub async fn open(&self) -> (Workshop, Project) {
        let workshop = Workshop::open(self.options(steady::sources(1))).await.expect("the workshop opens");
        if !self.project().join(".git").exists() {
            workshop.initialise(&self.project()).await.expect("the sample becomes a repository");
        }
        let project = workshop.open_project(&self.project()).await.expect("the project opens");
        (workshop, project)
    }

    /// What the user could lose of the project.
    pub fn user_state(&self) -> BTreeMap<String, Vec<u8>> {
        user_state(&self.project())
    }
}

/// Every file of a project's folder with its bytes, the git directory's objects left out: what a user could lose.
pub fn user_state(project: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    collect(project, project, &mut state);
    state.retain(|path, _| !path.starts_with(".git/objects/"));
    state
}

/// Options for a workshop under `home` that knows one model server.
pub fn options(home: &Path, server: ProviderSettings, sources: Sources, witness: Option<Witness>) -> WorkshopOptions {
    WorkshopOptions {
        places: Places::under(home),
        sources,
        door: "test",
        attends: false,
        providers: Some(vec![server]),
        sandbox: Some(Sandbox::detect()),
        keys: no_keychain(home),
        witness,
    }
}

/// The keys of a home, without the keychain of whoever runs the test.
pub fn no_keychain(home: &Path) -> Keys {
    Keys::new(Vault::new(home.join("config/keys.sealed"), None)).without_keychain()
}

/// The folder of the fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn collect(root: &Path, folder: &Path, state: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
            state.insert(format!("{name}/"), Vec::new());
            collect(root, &path, state);
        } else if kind.as_ref().is_ok_and(std::fs::FileType::is_symlink) {
            let target = std::fs::read_link(&path).map(|t| t.to_string_lossy().into_owned()).unwrap_or_default();
            state.insert(name, format!("link to {target}").into_bytes());
        } else {
            let mut bytes = mode(&path).into_bytes();
            bytes.extend(std::fs::read(&path).unwrap_or_default());
            state.insert(name, bytes);
        }
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).map(|meta| format!("{:o}\n", meta.permissions().mode())).unwrap_or_default()
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> String {
    String::new()
}

/// Starts a run and gives its id. Its user has allowed what the project brings along.
#[expect(clippy::panic, reason = "a harness fails loudly")]
pub async fn start(project: &Project, op: Op) -> RunId {
    if let Err(problem) = project.allow_commands().await {
        panic!("the project's commands were not allowed: {problem}");
    }
    begin(project, op).await
}

/// Starts a run as it is and gives its id: it asks for what nobody has allowed.
#[expect(clippy::panic, reason = "a harness fails loudly")]
pub async fn begin(project: &Project, op: Op) -> RunId {
    match project.submit(op).await {
        Ok(Reply::Run(run)) => run,
        other => panic!("no run was started: {other:?}"),
    }
}

/// An op that starts the tour's goal; `approve` answers the hand-over beforehand.
pub fn goal(approve: bool) -> Op {
    goal_by(approve, None)
}

/// The same by a flow, or by the project's.
pub fn goal_by(approve: bool, flow: Option<String>) -> Op {
    use atelier_protocol::event::AskKind;
    Op::StartRun {
        goal: tour::GOAL.to_owned(),
        model: None,
        // A named flow may run commands of its own.
        approve: [(approve, AskKind::HandOver), (approve && flow.is_some(), AskKind::Command)]
            .into_iter()
            .filter_map(|(yes, kind)| yes.then_some(kind))
            .collect(),
        deny_asks: false,
        flow,
        priority: atelier_protocol::event::Priority::Normal,
        budget_tokens: None,
        on: None,
    }
}

/// An op that starts a run on top of another one, which is asked about before its hand-over.
pub fn on_top(run: &RunId, goal: &str) -> Op {
    Op::StartRun {
        goal: goal.to_owned(),
        model: None,
        approve: Vec::new(),
        deny_asks: false,
        flow: None,
        priority: atelier_protocol::event::Priority::Normal,
        budget_tokens: None,
        on: Some(run.clone()),
    }
}

/// Follows a run until `until` says so, and gives its events.
#[expect(clippy::panic, clippy::expect_used, reason = "a harness fails loudly")]
pub async fn follow(project: &Project, run: &RunId, until: impl Fn(&RunView) -> bool) -> (RunView, Vec<Envelope>) {
    let mut frames = project.follow(Seq::ZERO);
    let mut events: Vec<Envelope> = Vec::new();
    let watched = async {
        let mut live = false;
        while let Some(frame) = frames.recv().await {
            match frame {
                Frame::Event(event) if event.run.as_ref() == Some(run) => events.push(*event),
                Frame::CaughtUp(_) => live = true,
                Frame::Lost(problem) => panic!("the subscription was lost: {problem}"),
                _ => {}
            }
            let Some(view) = RunView::of(&events).filter(|view| live && until(view)) else { continue };
            // A question that a grant answers is asked and answered in one append, but told in two frames.
            let Ok(Reply::RunView(now)) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await else {
                return;
            };
            if !view.state.waits_for_user() || now.state.waits_for_user() {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, watched).await.is_err() {
        let last = events.last().map(|e| format!("{:?}", e.event));
        panic!("the run did not get there in time; its last event is {last:?}");
    }
    (RunView::of(&events).expect("a run begins with its start"), events)
}

/// Whether a run neither goes on by itself nor can be expected to.
pub fn rests(view: &RunView) -> bool {
    !view.state.is_at_work()
        && !matches!(view.state, RunState::Interrupted | RunState::WaitsForSlot | RunState::WaitsForChild)
}

/// The kinds of events, in order: a story that can be read at a glance.
pub fn kinds(events: &[Envelope]) -> Vec<String> {
    events.iter().map(|e| kind(&e.event)).collect()
}

/// An event's kind as it is stored.
pub fn kind(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    value["kind"].as_str().unwrap_or("?").to_owned()
}
