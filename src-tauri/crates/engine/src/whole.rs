//! The whole state of a project as one file, and back: its history with all contents, what git holds of its runs, the
//! settings without secrets.
//!
//! Read back into another folder or home it has the same hash. Everything is looked through before anything is changed:
//! a file that is cut or damaged, or of another project, changes nothing. Nothing in it is masked, since a masked history
//! would be another one.

use crate::desk::blocking;
use crate::dormant::unpack_trees;
use crate::mend::Idle;
use crate::owner::ProjectOwner;
use crate::workshop::Workshop;
use atelier_journal::{Chain, open_read_only};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{ProjectId, RunId, Seq, StoreId};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::Settings;
use atelier_protocol::view::StateFile;
use atelier_repo::{TreeSpec, UserRepo, read_archive, write_archive};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What the file says of itself.
#[derive(Serialize, Deserialize)]
struct About {
    kind: String,
    project: ProjectId,
    name: String,
    root_commit: String,
    events: Seq,
    hash: Hash,
}

/// What an archive of this kind is called in itself.
const KIND: &str = "atelier project state";
const STORE: &str = "store";
const BUNDLE: &str = "repository.bundle";
const SETTINGS: &str = "settings.json";

/// What came of an import.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedState {
    /// The hash that the state had, and must have again.
    pub hash: Hash,
    /// The last event in it.
    pub events: Seq,
    /// Runs that have a tree, or had one.
    pub runs: usize,
    /// Where the store is that was there before.
    pub kept: Option<PathBuf>,
    /// The settings in the file; they are put in force only where that is asked for.
    pub settings: Settings,
}

impl ProjectOwner {
    /// Writes the state of the project into one new file, as of now.
    pub(crate) async fn export_state(&self, to: &str) -> Result<Reply, Problem> {
        let _alone = self.desk.alone().await;
        let busy = self.list(&[], None).await?.into_iter().find(|run| run.state.is_at_work());
        if let Some(run) = busy {
            return Err(Problem::new(
                Code::WrongState,
                format!("Run {} is at work, so there is no one state of its tree.", run.id),
                "Wait until it waits or has ended, or stop it; then export again.",
            ));
        }
        let to = PathBuf::from(to);
        let scratch = scratch(to.parent().unwrap_or(Path::new(".")))?;
        let folder = scratch.path().join("state");
        make(&folder)?;
        let copy = self.desk.journal.back_up(folder.join(STORE)).await?;
        if let Some(name) = copy.damaged_blobs.first() {
            return Err(Problem::new(
                Code::StoreDamaged,
                format!("The content {name} in the store is damaged."),
                "Look at the store with `atelier state check`.",
            ));
        }
        let Reply::State(state) = self.hash_state(false).await? else {
            return Err(crate::run::defect("the read models did not answer with their hashes"));
        };
        let settings = serde_json::to_vec_pretty(&without_secrets((self.desk.settings)())).unwrap_or_default();
        write(&folder.join(SETTINGS), &settings)?;
        let trees = self.desk.places.trees(&self.desk.project);
        let (events, project, root) = (copy.last, self.desk.project.clone(), self.desk.root.clone());
        let about = blocking(move || {
            let repo = UserRepo::open(&root).map_err(|e| e.problem())?;
            let runs = runs_in(&trees)?;
            repo.carry_out(&runs, &scratch.path().join("git"), &folder.join(BUNDLE)).map_err(|e| e.problem())?;
            let name = root.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            let root_commit = repo.identity().map_err(|e| e.problem())?.root_commit;
            let about = About { kind: KIND.to_owned(), project, name, root_commit, events, hash: state.hash };
            let value = serde_json::to_value(&about).unwrap_or_default();
            let bytes = write_archive(&folder, value, &to).map_err(|e| e.problem())?;
            let path = to.to_string_lossy().into_owned();
            Ok(StateFile { path, bytes, events, runs: runs.len() as u64, hash: about.hash })
        });
        Ok(Reply::StateFile(about.await?))
    }
}

impl Workshop {
    /// Reads a project's state from a file into the project at `path`, a clone of the same repository. A history that is there
    /// is replaced only where that is wanted, and kept beside.
    pub async fn import_state(&self, file: &Path, path: &Path, replace: bool) -> Result<ImportedState, Problem> {
        let places = self.shared.options.places.clone();
        make(&places.data)?;
        let scratch = scratch(&places.data)?;
        let folder = scratch.path().join("state");
        make(&folder)?;
        let (from, into) = (file.to_owned(), folder.clone());
        let about = blocking(move || read_archive(&from, &into).map_err(|e| e.problem())).await?;
        let about: About = serde_json::from_value(about).map_err(|_| no_state())?;
        if about.kind != KIND {
            return Err(no_state());
        }
        let store = open_read_only(folder.join(STORE)).await?;
        let sound = matches!(store.verify().await?, Chain::Sound { .. });
        if !sound || *store.store() != StoreId::from(&about.project) {
            return Err(Problem::new(
                Code::StoreDamaged,
                "The history in the file is not as it was written.",
                "Export it again. Nothing was changed here.",
            ));
        }
        drop(store);
        let settings: Settings = fs::read(folder.join(SETTINGS))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or_else(no_state)?;
        let asked = path.to_owned();
        let (root, identity) = blocking(move || {
            let repo = UserRepo::open(&asked).map_err(|e| e.problem())?;
            Ok((repo.root().to_owned(), repo.identity().map_err(|e| e.problem())?))
        })
        .await?;
        if identity.root_commit != about.root_commit {
            return Err(Problem::new(
                Code::BadArgument,
                format!(
                    "The file holds the state of `{}`, another project than the one in {}.",
                    about.name,
                    root.display()
                ),
                "Choose a clone of that project with `--project`.",
            ));
        }
        self.refuse_elsewhere(&about, &root, replace).await?;
        let idle = Idle::hold(&places, StoreId::from(&about.project))?;
        if idle.holds_something() && !replace {
            return Err(holds_already(idle.dir()));
        }
        let bundle = folder.join(BUNDLE);
        let (project, carried_to, own) = (about.project.clone(), places.clone(), root.clone());
        let bare = scratch.path().join("git");
        let runs = blocking(move || {
            // Trees that are here stay, and what a run left in its own is not overwritten, also where they are packed.
            unpack_trees(&carried_to, &project)?;
            let repo = UserRepo::open(&own).map_err(|e| e.problem())?;
            let place = |run: &RunId| TreeSpec {
                run: run.clone(),
                dir: carried_to.tree(&project, run),
                base: String::new(), // the bundle says it
                provide: Vec::new(), // lent before the first command, if the user says yes
            };
            repo.carry_in(&bundle, &bare, &place).map_err(|e| e.problem())
        })
        .await?;
        let kept = idle.restore(&folder.join(STORE), replace).await?;
        let name = root.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        self.home_submit(Op::AdoptProject {
            project: about.project,
            path: root.to_string_lossy().into_owned(),
            name,
            common_dir: identity.common_dir.to_string_lossy().into_owned(),
            root_commit: Some(identity.root_commit),
        })
        .await?;
        Ok(ImportedState { hash: about.hash, events: about.events, runs, kept, settings })
    }

    /// Refused where the project is at work in another folder here, or the folder has a history of its own.
    async fn refuse_elsewhere(&self, about: &About, root: &Path, replace: bool) -> Result<(), Problem> {
        let here = root.to_string_lossy().into_owned();
        for known in self.known_projects().await? {
            if known.id == about.project && known.path != here && Path::new(&known.path).exists() {
                return Err(Problem::new(
                    Code::WrongState,
                    format!("This state is that of the project in {}, which is here too.", known.path),
                    "Import into another home (`ATELIER_HOME`), or move that folder away first.",
                ));
            }
            let own = self.shared.options.places.store(&StoreId::from(&known.id));
            if known.path == here && known.id != about.project && own.exists() && !replace {
                return Err(holds_already(&own));
            }
        }
        Ok(())
    }
}

fn holds_already(dir: &Path) -> Problem {
    Problem::new(
        Code::WrongState,
        format!("The project's store at {} holds a history already.", dir.display()),
        "Say `--replace` to put the imported one in its place; what is there is kept beside it.",
    )
}

fn no_state() -> Problem {
    Problem::new(
        Code::StoreDamaged,
        "The file holds no state of a project.",
        "Name a file that `atelier export state` wrote. Nothing was changed here.",
    )
}

/// Keys are in no settings; an address may hold a password all the same.
fn without_secrets(mut settings: Settings) -> Settings {
    for provider in &mut settings.providers {
        if let Some((scheme, rest)) = provider.base_url.split_once("://")
            && let Some((before, host)) = rest.split_once('@')
            && !before.contains('/')
        {
            provider.base_url = format!("{scheme}://{host}");
        }
    }
    settings
}

/// The runs whose trees lie in a folder, by its sub-folders' names.
fn runs_in(trees: &Path) -> Result<Vec<(RunId, PathBuf)>, Problem> {
    let mut runs = Vec::new();
    match fs::read_dir(trees) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|e| io(trees, &e))?;
                if let Ok(run) = entry.file_name().to_string_lossy().parse::<RunId>() {
                    runs.push((run, entry.path()));
                }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(trees, &e)),
    }
    runs.sort();
    Ok(runs)
}

/// A folder that goes away again.
fn scratch(beside: &Path) -> Result<Scratch, Problem> {
    let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
    let name = format!(".atelier-state-{}", std::process::id());
    let folder = (0..).map(|n| beside.join(format!("{name}-{n}"))).find(|place| !place.exists());
    let folder = folder.unwrap_or_else(|| beside.join(name));
    make(&folder)?;
    Ok(Scratch(folder))
}

struct Scratch(PathBuf);

impl Scratch {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left of it is named after this process
    }
}

fn make(folder: &Path) -> Result<(), Problem> {
    fs::create_dir_all(folder).map_err(|e| io(folder, &e))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Problem> {
    fs::write(file, bytes).map_err(|e| io(file, &e))
}

fn io(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        Code::Io,
        format!("{} cannot be used: {error}.", path.display()),
        "Check free space and who may write there; nothing was changed.",
    )
}
