//! A folder with a home, the sample project with a flow of its own, and a scripted server in another process.

use crate::wire::Target;
use atelier_engine::{Places, Project, Sources, Witness, Workshop, WorkshopOptions};
use atelier_protocol::RunId;
use atelier_protocol::event::AskKind;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ProviderKind, ProviderSettings, Settings};
use atelier_sandbox::Sandbox;
use atelier_stage::{Options, Script, Stage, tour};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where it is measured. Removed at the end.
pub struct Place {
    pub folder: PathBuf,
    server: Option<Serving>,
}

/// The scripted server in a process of its own. Ends with it.
pub struct Serving {
    process: Child,
    pub url: String,
}

impl Serving {
    /// Its OpenAI-style route.
    pub fn target(&self) -> Target {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
        Target { port, path: "/v1/chat/completions", header: String::new() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Plays a script in another process.
pub fn serving(folder: &Path, script: &str, transcript: Option<&Path>) -> Serving {
    let file = folder.join("script.yaml");
    std::fs::write(&file, script).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("serve").arg(&file).args(transcript).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
    Serving { process, url: url.trim().to_owned() }
}

impl Place {
    /// A new folder whose project has the flow `flow`; a server plays `script`. Neither where none is given.
    pub fn new(folder: &Path, flow: Option<&str>, script: Option<&str>) -> Place {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        tour::write_sample(&project_of(&folder)).unwrap();
        if let Some(flow) = flow {
            let flows = project_of(&folder).join(".atelier/flows");
            std::fs::create_dir_all(&flows).unwrap();
            std::fs::write(flows.join("load.yaml"), flow).unwrap();
        }
        let server = script.map(|script| serving(&folder, script, None));
        Place { folder, server }
    }

    /// Opens a workshop that stays, with so many slots, and the project.
    pub async fn open(&self, slots: Option<usize>, witness: Option<Witness>) -> (Workshop, Project) {
        let url = self.server.as_ref().map_or_else(|| "http://127.0.0.1:9".to_owned(), |server| server.url.clone());
        let workshop = open(&self.folder, Some(url), witness).await;
        if !project_of(&self.folder).join(".git").exists() {
            workshop.initialise(&project_of(&self.folder)).await.unwrap();
        }
        if let Some(slots) = slots {
            let Ok(Reply::Settings(settings)) = workshop.submit(Op::ShowSettings).await else { panic!("no settings") };
            let active_runs = u32::try_from(slots).unwrap();
            let settings = Settings { active_runs, providers: Settings::default().providers, ..settings };
            workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
        }
        let project = workshop.open_project(&project_of(&self.folder)).await.unwrap();
        (workshop, project)
    }

    /// Bytes below a folder of the store, by the beginning of the files' names; all where that is empty.
    pub fn stored(&self, beginning: &str) -> u64 {
        let stores = self.folder.join("home/data/stores");
        let of_project = |store: &std::fs::DirEntry| store.file_name() != "home";
        std::fs::read_dir(stores).unwrap().flatten().filter(of_project).map(|s| bytes(&s.path(), beginning)).sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A workshop in a folder that is prepared.
pub async fn open(folder: &Path, url: Option<String>, witness: Option<Witness>) -> Workshop {
    let server = |base_url| ProviderSettings { id: "server".to_owned(), kind: ProviderKind::Ollama, base_url };
    let options = WorkshopOptions {
        places: Places::under(&folder.join("home")),
        sources: Sources::of_the_machine(),
        door: "load",
        attends: true,
        providers: url.map(|url| vec![server(url)]),
        sandbox: Some(Sandbox::detect()),
        keys: atelier_tests::world::no_keychain(&folder.join("home")),
        witness,
    };
    Workshop::open(options).await.unwrap()
}

pub fn project_of(folder: &Path) -> PathBuf {
    folder.join("greet")
}

/// Starts a run by the project's flow.
pub async fn start(project: &Project, goal: String, approve: Vec<AskKind>) -> RunId {
    let op = Op::StartRun {
        goal,
        model: None,
        approve,
        deny_asks: false,
        flow: Some("load".to_owned()),
        priority: atelier_protocol::event::Priority::Normal,
        budget_tokens: None,
        on: None,
    };
    match project.submit(op).await {
        Ok(Reply::Run(run)) => run,
        other => panic!("no run was started: {other:?}"),
    }
}

/// Plays a script until it is killed; says where on standard output.
pub async fn serve(file: &Path, transcript: Option<PathBuf>) {
    let script = Script::read("script.yaml", &std::fs::read_to_string(file).unwrap()).unwrap();
    let stage = Stage::start(script, Options { transcript, ..Options::default() }).await.unwrap();
    println!("{}", stage.url());
    std::future::pending::<()>().await;
}

fn bytes(folder: &Path, beginning: &str) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            sum += bytes(
                &entry.path(),
                if entry.file_name().to_string_lossy().starts_with(beginning) { "" } else { beginning },
            );
        } else if entry.file_name().to_string_lossy().starts_with(beginning) {
            sum += meta.len();
        }
    }
    sum
}
