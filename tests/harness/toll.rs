//! Campaigns against the promise: nothing acknowledged is lost, no effect happens twice, any run goes on.
//!
//! A [`Field`] holds a prepared project and how the jobs of a [`Course`] end in it when nothing happens. A trial plays a
//! job in a fresh copy, hurts it, lets a new process go on, and [`judge`](Field::judge)s what is there against that end.
//! What is found wrong is counted in a [`Toll`] with a line that says which trial it was, so that it can be played again.

pub mod child;
pub mod course;
pub mod disk;
pub mod full;
pub mod judge;
pub mod kills;
pub mod mutants;
pub mod nth;
pub mod power;
pub mod seed;

use crate::job::Job;
use crate::world::World;
use atelier_protocol::mutant::Mutant;
use child::{Preload, Seen};
use course::Course;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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

    /// The counts as a bench record holds them; `blows` is the word for what hits.
    pub fn figures(&self, blows: &str) -> Value {
        json!({
            "trials": self.trials, blows: self.hits, "lost acknowledgements": self.lost,
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

/// A prepared project, and how the jobs of a course end in it when nothing happens.
pub struct Field {
    /// The scripted model and the scratch folder.
    pub world: World,
    /// The program that plays jobs.
    pub victim: PathBuf,
    /// What is played.
    pub course: Course,
    /// How each job leaves the project.
    ends: BTreeMap<Job, End>,
    /// Events that the course's first job makes, by number.
    pub events: std::ops::RangeInclusive<u64>,
    /// Appends of that job.
    pub appends: u64,
    /// Calls of that job that change anything.
    pub calls: u64,
    /// How long it takes.
    pub took: Duration,
    /// The rule that is broken, by victims or by those who go on after them.
    pub mutant: Option<Mutant>,
}

impl Field {
    /// Prepares a project, and plays each job of a course once.
    #[expect(clippy::panic, reason = "a harness fails loudly")]
    pub async fn prepare(course: Course, victim: &Path) -> Field {
        let world = World::with_script("short.yaml").await;
        course.prepare(&world);
        let (workshop, _) = world.open().await;
        workshop.close().await;
        let ends = BTreeMap::from([(Job::Discard, End::of(&world.project()))]);
        let (victim, events, took) = (victim.to_owned(), 0..=0, Duration::ZERO);
        let mut field = Field { world, victim, course, ends, events, appends: 0, calls: 0, took, mutant: None };
        for (n, job) in course.jobs().iter().enumerate() {
            let place = tokio::task::block_in_place(|| field.place_for(*job, "whole"));
            let before = judge::events(&place.home).unwrap_or_default().len() as u64;
            let counts = place.folder.join("counts");
            let begun = Instant::now();
            let told = tokio::task::block_in_place(|| {
                let preload = Preload { count: Some(counts.clone()), ..Preload::fast(&place.folder) };
                field.play(&place, job.word(), None, &preload, None)
            });
            if told.exit != Some(0) || told.wrong().next().is_some() {
                panic!("{job:?}: {}", told.text());
            }
            let end = End::of(&place.project);
            match field.ends.get(job) {
                Some(wanted) if *wanted != end => panic!("{job:?} ends as {end:?}, not as {wanted:?}"),
                _ => drop(field.ends.insert(*job, end)),
            }
            if n == 0 {
                let events = judge::events(&place.home).unwrap_or_default();
                let text = std::fs::read_to_string(counts).unwrap_or_default();
                let appends = told.out.lines().find_map(|line| line.strip_prefix("appends ")?.parse().ok());
                (field.events, field.appends) = (before + 1..=events.len() as u64, appends.unwrap_or(0));
                (field.calls, field.took) = (child::count(&text, "any"), begun.elapsed());
            }
        }
        field
    }

    /// A fresh copy of the prepared project.
    pub fn place(&self, name: &str) -> Place {
        let place = self.empty(name);
        copy(&self.world.project(), &place.project);
        place
    }

    /// A place in which a job can begin: some go on from a run that is there.
    pub fn place_for(&self, job: Job, name: &str) -> Place {
        if job == Job::Fork { self.place_with_run(name) } else { self.place(name) }
    }

    /// A place with a run in it that handed over its work. It is made once for each name and then copied: what a run leaves
    /// on the disk names the folders that it was made in.
    #[expect(clippy::panic, reason = "a harness fails loudly")]
    pub fn place_with_run(&self, name: &str) -> Place {
        let kept = self.world.folder.path().join("kept").join(name);
        if !kept.exists() {
            let place = self.place(name);
            let seen =
                self.play_with(&self.victim, &place, Job::Work.word(), None, &Preload::fast(&place.folder), None);
            if seen.exit != Some(0) {
                panic!("{}", seen.text());
            }
            copy(&place.folder, &kept);
        }
        let place = self.empty(name);
        copy(&kept, &place.folder);
        place
    }

    fn empty(&self, name: &str) -> Place {
        let folder = self.world.folder.path().join("trials").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        Place { home: folder.join("home"), project: folder.join("greet"), folder }
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
        let breaks = self.mutant.is_some_and(|mutant| job.starts_with("resume") == mutants::is_of_recovery(mutant));
        let program = if breaks { self.victim.with_file_name("mutant") } else { self.victim.clone() };
        self.play_with(&program, place, job, moment, preload, kill_after)
    }

    /// Has the victim do a job to its end, and shows each line that it says as it is said.
    pub fn play_and(&self, place: &Place, job: &str, preload: &Preload, see: impl FnMut(&str) + Send) -> Seen {
        child::run_and(&mut self.command_of(&self.victim, place, job, None, preload), None, see)
    }

    fn play_with(
        &self,
        program: &Path,
        place: &Place,
        job: &str,
        moment: Option<(&str, u64)>,
        preload: &Preload,
        kill_after: Option<Duration>,
    ) -> Seen {
        child::run(&mut self.command_of(program, place, job, moment, preload), kill_after)
    }

    fn command_of(
        &self,
        program: &Path,
        place: &Place,
        job: &str,
        moment: Option<(&str, u64)>,
        preload: &Preload,
    ) -> Command {
        let mut command = Command::new(program);
        command.args([&place.home, &place.project]).args([&self.world.stage.url(), job]);
        if let Some((when, n)) = moment {
            command.args([when, &n.to_string()]);
        }
        if let Some(flow) = self.course.flow() {
            command.env(crate::job::FLOW, flow);
        }
        if let Some(goal) = self.course.goal() {
            command.env(crate::job::GOAL, goal);
        }
        if let Some(mutant) = self.mutant {
            command.env("VICTIM_MUTANT", format!("{mutant:?}"));
        }
        preload.of(&mut command);
        command
    }

    /// How a job must leave the project.
    pub fn end_of(&self, job: Job) -> &End {
        // Of those that were not played, each ends as the first does.
        self.ends.get(&job).or_else(|| self.ends.get(&self.course.jobs()[0])).unwrap_or(&self.ends[&Job::Discard])
    }
}

/// Makes trials on `workers` threads until `enough`. `done` is told after each, with what was found so far.
pub fn campaign<T: Sync>(
    trials: &[T],
    workers: usize,
    make: impl Fn(&T, usize) -> Toll + Sync,
    enough: impl Fn(&Toll) -> bool + Sync,
    done: impl Fn(&Toll) + Sync,
) -> Toll {
    let (next, over, sum) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(Toll::default()));
    let (make, enough, done) = (&make, &enough, &done);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, over, sum) = (&next, &over, &sum);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst)
                    && let Some(trial) = trials.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let toll = make(trial, worker);
                    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    sum.add(toll);
                    done(&sum);
                    over.fetch_or(enough(&sum), Ordering::SeqCst);
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
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
