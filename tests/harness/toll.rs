//! Campaigns against the promise: nothing acknowledged is lost, no effect happens twice, any run goes on.
//!
//! A [`Field`] holds a prepared project and how a job in it ends when nothing happens. A trial plays the job in a fresh
//! copy, hurts it, lets a new process go on, and [`judge`](Field::judge)s what is there against that end. What is found
//! wrong is counted in a [`Toll`] with a line that says which trial it was, so that it can be played again.

pub mod child;
pub mod disk;
pub mod judge;
pub mod kills;
pub mod nth;
pub mod power;
pub mod seed;

use crate::job::Ending;
use crate::world::World;
use child::{Preload, Seen};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longer than any step of a trial takes, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(90);

/// What a campaign found. All but `trials` and `hits` must be nought.
#[derive(Debug, Default, Clone)]
pub struct Toll {
    /// Trials made.
    pub trials: u64,
    /// Those in which the blow fell: the process was killed, the call failed, the power was cut.
    pub hits: u64,
    /// Acknowledged events that were gone or had become others.
    pub lost: u64,
    /// Effects that happened twice.
    pub repeated: u64,
    /// Processes and child runs that nobody looks after.
    pub orphans: u64,
    /// Trials that ended with other files, commits or branches than they should.
    pub wrong: u64,
    /// Trials that could not be brought to their end: stuck, refused, or out of time.
    pub stuck: u64,
    /// Errors without a name, and panics.
    pub unnamed: u64,
    /// A line for each finding.
    pub findings: Vec<String>,
}

impl Toll {
    /// Takes another's counts in.
    pub fn add(&mut self, other: Toll) {
        self.trials += other.trials;
        self.hits += other.hits;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.orphans += other.orphans;
        self.wrong += other.wrong;
        self.stuck += other.stuck;
        self.unnamed += other.unnamed;
        self.findings.extend(other.findings);
    }

    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.lost + self.repeated + self.orphans + self.wrong + self.stuck + self.unnamed == 0
    }

    /// The counts as a bench record holds them.
    pub fn figures(&self) -> Value {
        json!({
            "trials": self.trials, "hits": self.hits, "lost acknowledgements": self.lost,
            "repeated effects": self.repeated, "orphaned children": self.orphans, "wrong trees": self.wrong,
            "stuck": self.stuck, "unnamed errors": self.unnamed,
        })
    }
}

/// How a job in a project leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The git tree of the user's branch.
    pub tree: String,
    /// The subjects of its commits, newest first.
    pub log: Vec<String>,
    /// Branches of runs.
    pub branches: usize,
    /// What is changed, staged or untracked in the user's folder.
    pub status: String,
}

impl End {
    /// How the project is now.
    pub fn of(project: &Path) -> End {
        let lines = |arguments: &[&str]| git(project, arguments).lines().map(str::to_owned).collect::<Vec<_>>();
        End {
            tree: git(project, &["rev-parse", "main^{tree}"]).trim().to_owned(),
            log: lines(&["log", "--format=%s", "main"]),
            branches: lines(&["for-each-ref", "refs/heads/atelier"]).len(),
            status: git(project, &["status", "--porcelain"]),
        }
    }
}

/// Asks git, and gives what it says, also where that is a complaint.
pub fn git(project: &Path, arguments: &[&str]) -> String {
    let said = Command::new("git").arg("-C").arg(project).args(arguments).env("GIT_OPTIONAL_LOCKS", "0").output();
    said.map_or_else(
        |error| error.to_string(),
        |said| String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr),
    )
}

/// A prepared project, and how the job in it ends when nothing happens.
pub struct Field {
    /// The scripted model and the scratch folder.
    pub world: World,
    /// The program that plays jobs.
    pub victim: PathBuf,
    /// How an accepted job ends.
    pub accepted: End,
    /// How a discarded job ends: as the project was before.
    pub before: End,
    /// Events of an accepted job.
    pub events: u64,
    /// Appends of an accepted job.
    pub appends: u64,
    /// Calls of an accepted job that change anything.
    pub calls: u64,
    /// The flow that jobs follow; `None` is the project's.
    pub flow: Option<&'static str>,
    /// The rule that victims break, see `harness/victim/mutant.rs`. Those who recover break none.
    pub mutant: Option<&'static str>,
}

impl Field {
    /// Prepares a project, and plays the job once by a flow.
    #[expect(clippy::panic, reason = "a harness fails loudly")]
    pub async fn prepare(flow: Option<&'static str>, victim: &Path) -> Field {
        let world = World::with_script("short.yaml").await;
        let (workshop, _) = world.open().await;
        workshop.close().await;
        let before = End::of(&world.project());
        let (victim, accepted) = (victim.to_owned(), before.clone());
        let field = Field { world, victim, accepted, before, events: 0, appends: 0, calls: 0, flow, mutant: None };
        let place = field.place("whole");
        let counts = place.folder.join("counts");
        let told = tokio::task::block_in_place(|| {
            let preload = Preload { count: Some(counts.clone()), ..Preload::fast(&place.folder) };
            field.play(&place, "accept", None, &preload, None)
        });
        let (Some(0), accepted) = (told.exit, End::of(&place.project)) else { panic!("{}", told.text()) };
        let events = judge::events(&place.home).unwrap_or_default();
        let text = std::fs::read_to_string(counts).unwrap_or_default();
        let appends = told.out.lines().find_map(|line| line.strip_prefix("appends ")?.parse().ok()).unwrap_or(0);
        Field { accepted, events: events.len() as u64, appends, calls: child::count(&text, "any"), ..field }
    }

    /// A fresh copy of the prepared project.
    pub fn place(&self, name: &str) -> Place {
        let folder = self.world.folder.path().join("trials").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let place = Place { home: folder.join("home"), project: folder.join("greet"), folder };
        copy(&self.world.project(), &place.project);
        place
    }

    /// Has the victim do a job to its end, or to the moment it is killed at.
    pub fn play(
        &self,
        place: &Place,
        job: &str,
        moment: Option<(&str, u64)>,
        preload: &Preload,
        kill_after: Option<Duration>,
    ) -> Seen {
        let mut command = Command::new(&self.victim);
        command.args([&place.home, &place.project]).args([&self.world.stage.url(), job]);
        if let Some((when, n)) = moment {
            command.args([when, &n.to_string()]);
        }
        if let Some(flow) = self.flow {
            command.env(crate::job::FLOW, flow);
        }
        if let Some(mutant) = self.mutant.filter(|_| !job.starts_with("resume")) {
            command.env("VICTIM_MUTANT", mutant);
        }
        preload.of(&mut command);
        child::run(&mut command, kill_after)
    }

    /// How a job must leave the project.
    pub fn end_of(&self, ending: Ending) -> &End {
        match ending {
            Ending::Accept => &self.accepted,
            Ending::Discard => &self.before,
        }
    }
}

/// A folder in which one trial is made.
pub struct Place {
    /// All of it.
    pub folder: PathBuf,
    /// Atelier's files.
    pub home: PathBuf,
    /// The user's project.
    pub project: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::env::var_os("ATELIER_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Copies a folder with everything in it.
#[expect(clippy::expect_used, reason = "a harness fails loudly")]
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a folder can be read").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&entry.path(), &target),
            _ => drop(std::fs::copy(entry.path(), target).expect("a file can be copied")),
        }
    }
}
