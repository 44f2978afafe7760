//! Whom the program tries to reach, by the calls themselves: an attempt counts whether or not anybody hears of its end.
//!
//! Guards: in local-only mode no process of ours connects, sends or looks a name up beyond this machine. Turned red by a
//! `refusal` of the door that forgets local-only mode; the second half shows that such an attempt would be seen.

use atelier_protocol::op::Op;
use atelier_protocol::settings::{ProviderKind, ProviderSettings, Settings};
use atelier_tests::toll::child::Preload;
use atelier_tests::{Cli, World};
use std::collections::BTreeSet;
use std::process::Command;

/// An address for documentation (RFC 5737): nobody is there.
const FAR: &str = "192.0.2.1";
/// A name that never leads anywhere (RFC 6761).
const NAMED: &str = "models.invalid";

/// Runs a command and gives whom it tried to reach.
fn reached(world: &World, mut command: Command) -> BTreeSet<String> {
    let file = world.folder.path().join("peers");
    let _ = std::fs::remove_file(&file);
    Preload { peers: Some(file.clone()), ..Preload::fast(world.folder.path()) }.of(&mut command);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A server of the settings and two that are elsewhere, preferred to it.
fn settings(world: &World, local_only: bool) -> Settings {
    let far = |id: &str, host: &str| ProviderSettings {
        id: id.to_owned(),
        kind: ProviderKind::OpenAi,
        base_url: format!("https://{host}/v1"),
    };
    let providers = vec![far("far", FAR), far("named", NAMED), world.server()];
    Settings { local_only, providers, ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_local_only_mode_nobody_but_this_machine_is_even_tried() {
    let world = World::with_tour().await;
    let (workshop, _) = world.open().await;
    workshop.submit(Op::ChangeSettings { settings: settings(&world, true) }).await.unwrap();
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), "");
    let command = |arguments: &[&str]| {
        let mut command = cli.plain(arguments);
        // One that would be taken for every request if the door did not know better.
        command.env("HTTPS_PROXY", format!("http://{FAR}:3128")).env("HTTP_PROXY", format!("http://{FAR}:3128"));
        command
    };

    let stage = format!("connect {}", world.stage.url().trim_start_matches("http://"));
    let mut seen = reached(&world, command(&["models"]));
    let goal = atelier_stage::tour::GOAL;
    seen.extend(reached(&world, command(&["run", goal, "--approve", "hand_over", "--approve", "project_commands"])));
    assert!(world.stage.chats().len() > 5, "the whole job was played");
    assert!(seen.remove(&stage), "{seen:?}");
    let elsewhere: Vec<&String> = seen.iter().filter(|peer| !peer.starts_with("connect unix ")).collect();
    assert_eq!(elsewhere, [""; 0], "only its own sockets besides");

    // The same without the lock: now both are tried, and that is seen.
    let (workshop, _) = world.open().await;
    workshop.submit(Op::ChangeSettings { settings: settings(&world, false) }).await.unwrap();
    workshop.close().await;
    let tried = [format!("connect {FAR}:443"), format!("resolve {NAMED}")];
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        seen.extend(reached(&world, cli.plain(&["models"])));
        // On a busy machine the time for a question may be over before its socket is opened.
        if tried.iter().all(|peer| seen.contains(peer)) {
            break;
        }
    }
    assert!(tried.iter().all(|peer| seen.contains(peer)), "{seen:?}");
}
