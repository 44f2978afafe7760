//! Killed at every append of a run, just before and just after its commit, a run goes on in a new process to the same
//! tree and the same commits, once.

use crate::git;
use atelier_tests::world::World;
use atelier_tests::{Cli, steady};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_at_any_append_ends_the_same() {
    let world = World::with_script("short.yaml").await;
    let seed = world.folder.path().join("seed");
    initialise(&world, &seed).await;
    let whole = play(&world, &seed, &world.folder.path().join("whole"), None);
    assert!(whole.text.contains("end Done"), "{}", whole.text);
    assert_eq!(whole.appends, 0, "nobody was killed");

    let total = Arc::new(AtomicU64::new(0));
    let next = Arc::new(AtomicU64::new(1));
    let context = Arc::new((world, seed, whole));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (context, next, total) = (context.clone(), next.clone(), total.clone());
            tokio::task::spawn_blocking(move || {
                let (world, seed, whole) = &*context;
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let mut killed = false;
                    for when in ["before", "after"] {
                        let folder = world.folder.path().join(format!("{when}-{n}"));
                        let ended = play(world, seed, &folder, Some((when, n)));
                        if ended.appends == 0 {
                            continue; // the run has fewer appends
                        }
                        killed = true;
                        total.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(ended.tree, whole.tree, "killed {when} append {n}");
                        assert_eq!(ended.log, whole.log, "killed {when} append {n}");
                        assert_eq!(
                            ended.branches,
                            1,
                            "killed {when} append {n}: {:?}",
                            git::refs(&folder.join("greet"))
                        );
                        std::fs::remove_dir_all(&folder).unwrap();
                    }
                    if !killed {
                        return;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let kills = total.load(Ordering::SeqCst);
    eprintln!("killed {kills} times; every run ended with the same tree and commits, once");
    assert!(kills > 40, "only {kills} moments were tried");
}

struct Ended {
    tree: String,
    log: Vec<String>,
    /// Branches that were handed over.
    branches: usize,
    /// Kills: 1, or 0 where the run came to its end before the moment.
    appends: u64,
    text: String,
}

async fn initialise(world: &World, seed: &Path) {
    let workshop = atelier_engine::Workshop::open(world.options(steady::sources(7))).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    workshop.close().await;
    copy(&world.project(), seed);
}

/// Plays the run in a fresh copy; where it is killed, resumes it with the real program in a new process.
fn play(world: &World, seed: &Path, folder: &Path, moment: Option<(&str, u64)>) -> Ended {
    let (home, project) = (folder.join("home"), folder.join("greet"));
    copy(seed, &project);
    let url = world.stage.url();
    let n = moment.map(|(_, n)| n.to_string());
    let mut arguments: Vec<&str> = Vec::new();
    if let (Some((when, _)), Some(n)) = (moment, &n) {
        arguments.extend([when, n.as_str()]);
    }
    let output = victim(&home, &project, &url, &arguments);
    let killed = output.status.code().is_none();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if killed {
        finish(&Cli::new(&home, &project, &url), &text);
    }
    let branches = git::refs(&project).iter().filter(|r| r.starts_with("refs/heads/atelier/")).count();
    Ended {
        tree: git::tree(&project, "main"),
        log: git::log(&project, "main"),
        branches,
        appends: u64::from(killed),
        text,
    }
}

/// What a user does after a crash: resume, then accept what is not accepted yet.
fn finish(cli: &Cli, before: &str) {
    let listed = cli.run(&["runs", "list"]);
    assert_eq!(listed.exit, 0, "{}", listed.text);
    let runs = listed.last()["result"]["runs"].as_array().unwrap().clone();
    if runs.is_empty() {
        // Killed before the start was recorded: the user was told nothing and starts again.
        let again = cli.run(&["run", atelier_stage::tour::GOAL, "--approve", "hand_over"]);
        assert_eq!(again.exit, 0, "{}", again.text);
    } else if runs[0]["state"] != "done" {
        let resumed = cli.run(&["runs", "resume", "last"]);
        assert_eq!(resumed.exit, 0, "{before}\n{}", resumed.text);
    }
    let now = cli.run(&["runs", "show", "last"]);
    if now.last()["result"]["run"]["disposition"]["disposition"] == "pending" {
        let accepted = cli.run(&["runs", "accept", "last"]);
        assert_eq!(accepted.exit, 0, "{}", accepted.text);
    }
}

fn victim(home: &Path, project: &Path, url: &str, moment: &[&str]) -> Output {
    Command::new(PathBuf::from(env!("CARGO_BIN_EXE_victim")))
        .args([home, project])
        .arg(url)
        .args(moment)
        .output()
        .unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
