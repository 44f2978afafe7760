//! Storms in a folder: afterwards an index that followed equals one that was made anew.
//!
//! Guards the rule that no change is lost without saying so. A mutant that turns it red: leaving out the look into a new
//! folder (`tree::below` in `watch::Work::follow`).

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_search::{Ask, Index};
use atelier_watch::{Change, Options, Status, Watch};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A watched folder and an index that follows it.
struct House {
    home: tempfile::TempDir,
    index: Arc<Index>,
    watch: Watch,
    told: Receiver<Change>,
    rounds: u32,
}

impl House {
    fn new(prepare: impl FnOnce(&Path), options: Options) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("project");
        fs::create_dir(&root).unwrap();
        prepare(&root);
        let index = Arc::new(Index::open(&home.path().join("index")).unwrap());
        let (tell, told) = channel();
        let (following, folder) = (index.clone(), root.clone());
        let options = Options { idle: Duration::from_millis(50), round: Duration::from_millis(50), ..options };
        let watch = Watch::start(&root, options, move |change| {
            let done = match change.everything {
                true => following.refresh(&folder).map(drop),
                false => following.changed(&folder, change.paths.clone()),
            };
            // A folder that is gone cannot be read; it is told of again when it is back.
            drop(done);
            let _ = tell.send(change);
        })
        .unwrap();
        index.refresh(&root).unwrap();
        Self { home, index, watch, told, rounds: 0 }
    }
    fn root(&self) -> PathBuf {
        self.home.path().join("project")
    }
    fn write(&self, path: &str, text: &str) {
        let file = self.root().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    /// Waits until what was done so far has been told, by something done after it.
    fn told(&mut self) -> Vec<Change> {
        self.rounds += 1;
        let mark = format!("zz-mark-{}.txt", self.rounds);
        self.write(&mark, &format!("mark {}\n", self.rounds));
        let mut changes = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let change = self.told.recv_timeout(left).unwrap_or_else(|_| panic!("{mark} was never told: {changes:?}"));
            let done = change.paths.contains(&mark) || (change.everything && self.has(&mark));
            changes.push(change);
            if done {
                return changes;
            }
        }
    }
    fn has(&self, path: &str) -> bool {
        content(&self.index, &self.root()).iter().any(|(known, _)| known == path)
    }
    /// The index that followed against one that is made anew.
    fn holds(&self) {
        let fresh = Index::open(&self.home.path().join("fresh")).unwrap();
        fresh.refresh(&self.root()).unwrap();
        let (followed, anew) = (content(&self.index, &self.root()), content(&fresh, &self.root()));
        drop(fresh);
        fs::remove_dir_all(self.home.path().join("fresh")).unwrap();
        assert_eq!(followed, anew);
    }
}

/// What an index finds: every file of these tests has the word `mark` or `word` in it.
fn content(index: &Index, root: &Path) -> BTreeSet<(String, String)> {
    let ask = Ask { query: "mark word", limit: 200, ..Ask::default() };
    let hits = index.search(root, ask).map(|found| found.hits).unwrap_or_default();
    hits.into_iter().map(|hit| (hit.path, hit.hash.as_str().to_owned())).collect()
}

fn files(root: &Path, count: usize) {
    for n in 0..count {
        fs::write(root.join(format!("file{n}.txt")), format!("word number{n}\n")).unwrap();
    }
}

#[test]
fn saves_are_followed_however_an_editor_makes_them() {
    let mut house = House::new(|root| files(root, 5), Options::default());
    assert!(matches!(house.watch.status(), Status::Watching { .. }));
    house.write("file0.txt", "word truncated and written\n");
    // Written beside and renamed over it.
    house.write("file1.txt.tmp", "word renamed over\n");
    fs::rename(house.root().join("file1.txt.tmp"), house.root().join("file1.txt")).unwrap();
    // The old one kept as a backup, the new one made anew.
    fs::rename(house.root().join("file2.txt"), house.root().join("file2.txt~")).unwrap();
    house.write("file2.txt", "word made anew\n");
    fs::remove_file(house.root().join("file3.txt")).unwrap();
    let changes = house.told();
    assert!(changes.iter().all(|change| !change.everything), "{changes:?}");
    house.holds();
}

#[test]
fn folders_that_are_made_moved_and_removed_are_followed() {
    let mut house = House::new(|root| files(root, 3), Options::default());
    house.write("a/b/c/deep.txt", "word deep\n");
    house.told();
    house.holds();
    fs::rename(house.root().join("a"), house.root().join("moved")).unwrap();
    house.told();
    house.holds();
    house.write("moved/b/c/deep.txt", "word after the move\n");
    house.write("moved/b/new.txt", "word new\n");
    house.told();
    house.holds();
    fs::remove_dir_all(house.root().join("moved")).unwrap();
    house.told();
    house.holds();
}

#[test]
fn a_storm_of_renames_is_followed() {
    let mut house = House::new(|root| files(root, 60), Options { most_paths: 16, ..Options::default() });
    for round in 0..20 {
        for n in 0..60 {
            let name = |round: usize| {
                house.root().join(if round == 0 { format!("file{n}.txt") } else { format!("file{n}-{round}.txt") })
            };
            fs::rename(name(round), name(round + 1)).unwrap();
        }
    }
    let changes = house.told();
    assert!(changes.iter().any(|change| change.everything), "so many paths are told as everything");
    house.holds();
}

#[test]
fn what_is_ignored_costs_no_watch_and_tells_nothing() {
    let prepare = |root: &Path| {
        files(root, 3);
        fs::write(root.join(".gitignore"), "target/\n").unwrap();
        fs::create_dir_all(root.join("target/debug/deps")).unwrap();
    };
    let mut house = House::new(prepare, Options::default());
    assert_eq!(house.watch.status(), Status::Watching { folders: 1 });
    for n in 0..5_000 {
        fs::write(house.root().join(format!("target/debug/deps/{n}.o")), "word\n").unwrap();
    }
    house.write("target/new/folder/x.txt", "word\n");
    let changes = house.told();
    let told: BTreeSet<String> = changes.into_iter().flat_map(|change| change.paths).collect();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["zz-mark-1.txt"]);
    assert_eq!(house.watch.status(), Status::Watching { folders: 1 });
    // Other rules make other folders count.
    house.write(".gitignore", "debug/\n");
    house.told();
    house.holds();
    house.write("target/new/folder/y.txt", "word now counts\n");
    house.told();
    house.holds();
}

#[test]
fn without_watches_it_looks_around_and_says_so() {
    let prepare = |root: &Path| {
        for n in 0..6 {
            fs::create_dir(root.join(format!("folder{n}"))).unwrap();
            fs::write(root.join(format!("folder{n}/a.txt")), "word\n").unwrap();
        }
    };
    let mut house = House::new(prepare, Options { most_watches: 4, ..Options::default() });
    let Status::Polling { reason, .. } = house.watch.status() else { panic!("{:?}", house.watch.status()) };
    assert!(reason.contains("no watches left"), "{reason}");
    house.write("folder3/a.txt", "word that changed\n");
    fs::remove_file(house.root().join("folder4/a.txt")).unwrap();
    house.told();
    house.holds();
}

#[test]
fn watches_that_run_out_later_are_noticed() {
    let mut house = House::new(|root| files(root, 2), Options { most_watches: 5, ..Options::default() });
    assert!(matches!(house.watch.status(), Status::Watching { .. }));
    for n in 0..10 {
        house.write(&format!("new{n}/a.txt"), "word\n");
    }
    house.told();
    assert!(matches!(house.watch.status(), Status::Polling { .. }));
    house.write("new9/a.txt", "word again\n");
    house.told();
    house.holds();
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_followed() {
    let mut house = House::new(|root| files(root, 3), Options::default());
    fs::rename(house.root(), house.home.path().join("away")).unwrap();
    let gone = house.told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(gone.everything);
    assert_eq!(house.watch.status(), Status::Gone);
    fs::create_dir(house.root()).unwrap();
    house.write("other.txt", "word of another folder\n");
    house.told();
    house.holds();
    assert!(matches!(house.watch.status(), Status::Watching { .. }));
}

#[test]
fn a_folder_that_is_made_again_at_once_is_followed() {
    let mut house = House::new(|root| files(root, 3), Options::default());
    // Often it gets the same number.
    fs::remove_dir_all(house.root()).unwrap();
    fs::create_dir(house.root()).unwrap();
    house.write("other.txt", "word of another folder\n");
    house.told();
    house.holds();
    house.write("other.txt", "word that is followed\n");
    house.told();
    house.holds();
}

#[test]
fn a_mark_is_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    fs::create_dir_all(root.join(".git/logs")).unwrap();
    fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    let options = Options { marks: vec![root.join(".git/HEAD")], ..Options::default() };
    let (tell, told) = channel();
    let watch = Watch::start(&root, options, move |change| drop(tell.send(change))).unwrap();
    fs::write(root.join(".git/index"), "not told").unwrap();
    fs::write(root.join(".git/HEAD"), "ref: refs/heads/other\n").unwrap();
    let change = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(change, Change { marks: true, ..Change::default() });
    drop(watch);
}

#[test]
fn a_mark_that_comes_later_with_its_folders_is_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let marks = vec![root.join(".git/HEAD"), root.join(".git/logs/HEAD")];
    let (tell, told) = channel();
    let watch = Watch::start(&root, Options { marks, ..Options::default() }, move |change| drop(tell.send(change)));
    let next = || told.recv_timeout(Duration::from_secs(60)).unwrap();
    // As `git init` does, and a first commit after it.
    fs::create_dir(root.join(".git")).unwrap();
    assert_eq!(next(), Change { marks: true, ..Change::default() });
    fs::create_dir(root.join(".git/logs")).unwrap();
    assert_eq!(next(), Change { marks: true, ..Change::default() });
    fs::write(root.join(".git/logs/HEAD"), "a commit\n").unwrap();
    assert_eq!(next(), Change { marks: true, ..Change::default() });
    // Made anew as another repository.
    fs::remove_dir_all(root.join(".git")).unwrap();
    fs::create_dir_all(root.join(".git/logs")).unwrap();
    fs::write(root.join("a.txt"), "word\n").unwrap();
    while !next().paths.contains("a.txt") {}
    fs::write(root.join(".git/logs/HEAD"), "another commit\n").unwrap();
    while !next().marks {}
    drop(watch);
}
