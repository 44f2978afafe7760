//! Keys and secrets, planted where they lie on a real machine, and a search of every byte afterwards.
//!
//! Guards: a key goes to its own server and stands nowhere else: in no file of the home folder, no log, no line that is
//! printed, no answer, and nothing that any model is told. Turned red by keeping a key in the settings, by a header that
//! is printed, by a command that inherits the environment, and by a policy that lets a role read `.env`.

use atelier_engine::Workshop;
use atelier_models::{Keychain, Keys, Vault};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::view::RunState;
use atelier_stage::{Script, tour};
use atelier_tests::steady;
use atelier_tests::world::{follow, goal, start};
use atelier_tests::{Cli, Door, World};
use secrecy::SecretString;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// In the environment, for the server that is asked.
const OF_THE_SERVER: &str = "sk-planted-env-3f1c9a7be2d4";
/// In the environment, for other programs.
const OF_OTHERS: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "sk-planted-vendor-77aa01c5"),
    ("GITHUB_TOKEN", "ghp_plantedtoken0123456789abcdef01234567"),
    ("AWS_SECRET_ACCESS_KEY", "plantedAwsSecret/0123456789+abcdefghijk"),
];
/// In the file that a passphrase seals.
const SEALED: &str = "sk-planted-sealed-90ccd1e2";
/// What seals it.
const PASSPHRASE: &str = "planted horse battery staple";
/// In the keychain.
const IN_KEYCHAIN: &str = "sk-planted-chain-5b5b5b5b";
/// In a file of the project that version control leaves out.
const IN_FILE: &str = "planted-db-password-x9Q2";

/// The tour, whose analyst would like to read `.env` and whose check prints all it can see.
async fn world() -> World {
    let script = include_str!("../../assets/stage/tour.yaml");
    let curious = script.replacen("{path: tests/run.sh}", "{path: .env}", 1);
    assert_ne!(script, curious);
    let world = World::playing(Script::read("curious.yaml", &curious).unwrap()).await;
    let project = world.project();
    std::fs::write(project.join(".env"), format!("DB_PASSWORD={IN_FILE}\n")).unwrap();
    std::fs::write(project.join(".gitignore"), ".env\n").unwrap();
    let run = project.join("tests/run.sh");
    let check = std::fs::read_to_string(&run).unwrap();
    let snoop = "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; cat .env ../.env \"$HOME\"/.env 2>/dev/null; ";
    let at = check.find('\n').unwrap() + 1;
    std::fs::write(&run, format!("{}({snoop} true) || true\n{}", &check[..at], &check[at..])).unwrap();
    world
}

fn everything() -> impl Iterator<Item = &'static str> {
    [OF_THE_SERVER, SEALED, PASSPHRASE, IN_KEYCHAIN, IN_FILE].into_iter().chain(OF_OTHERS.map(|(_, secret)| secret))
}

/// No secret is in a text; `except` may be.
fn clean(what: &str, text: &str, except: &[&str]) {
    for secret in everything().filter(|secret| !except.contains(secret)) {
        assert!(!text.contains(secret), "{secret} is in {what}");
    }
}

/// No secret is in a byte of a folder.
fn clean_folder(folder: &Path) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            looked_at += clean_folder(&path);
        } else if entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for secret in everything() {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} is in {}", path.display());
            }
            looked_at += 1;
        }
    }
    looked_at
}

/// What the model was told, headers and bodies.
fn told(world: &World) -> String {
    let of = |chat: &atelier_stage::Exchange| format!("{:?} {}", chat.headers, chat.body);
    world.stage.transcript().iter().map(of).collect()
}

/// A command with the planted environment, and the passphrase on its standard input.
fn planted(mut command: Command) -> Command {
    command.env("ATELIER_KEY_SERVER", OF_THE_SERVER).env("ATELIER_LOG", "trace").env("RUST_LOG", "trace");
    command.envs(OF_OTHERS);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_and_secrets_of_files_stand_nowhere_after_a_whole_run() {
    let world = world().await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    // The same server, spoken to as OpenAI's: the kind that wants a key.
    let of = |arguments: &[&str]| planted(cli.command(&[&["--server-kind", "openai"], arguments].concat()));

    let done = of(&["run", tour::GOAL, "--approve", "hand_over"]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("a file for keys"), "the analyst asked for `.env` and was told why not");
    assert!(said.contains("CARGO_TARGET_DIR="), "the check printed what it saw");
    clean("what a run says and logs", &said, &[]);

    let door = Door::of(of(&["serve"]), &world.folder.path().join("door.log"));
    let system = "role: business_analyst\nstep: specify.1";
    let asked = json!({"messages": [{"role": "system", "content": system}, {"role": "user", "content": "go"}]});
    let (status, body) = door.with_token("POST", "/v1/chat/completions", Some(&asked));
    assert_eq!(status, 200, "{body}");
    clean("the door's answer", &body, &[]);
    clean("the door's log", &door.close(), &[]);
    for arguments in [&["keys", "list"][..], &["egress", "log", "--local"], &["doctor"], &["runs", "list"]] {
        let done = of(arguments).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        clean(&format!("{arguments:?}"), &said, &[]);
        if arguments == ["keys", "list"] {
            assert!(said.contains("ATELIER_KEY_SERVER"), "it says where the key is: {said}");
        }
    }

    assert!(told(&world).contains(&format!("Bearer {OF_THE_SERVER}")), "the server was shown its key");
    clean("what the model was told", &told(&world), &[OF_THE_SERVER]);
    assert!(world.stage.chats().iter().all(|chat| !chat.body.to_string().contains(OF_THE_SERVER)));
    assert!(clean_folder(&world.home()) > 20, "there was something to look at");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_key_is_used_and_neither_it_nor_its_passphrase_is_written_in_the_open() {
    use std::io::Write;
    use std::process::Stdio;
    let world = World::with_tour().await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let passphrase = world.folder.path().join("passphrase");
    std::fs::write(&passphrase, format!("{PASSPHRASE}\n")).unwrap();
    let of = |arguments: &[&str]| {
        // The passphrase on a descriptor of its own, as a shell gives it: `3<file`.
        let command = cli.command(&[&["--server-kind", "openai"], arguments].concat());
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<\"$0\"; exec \"$@\""]).arg(&passphrase).arg(command.get_program());
        shell.args(command.get_args()).env("ATELIER_VAULT_FD", "3").env("ATELIER_LOG", "trace");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    };
    let mut set = of(&["keys", "set", "server", "--sealed"]);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(format!("{SEALED}\n").as_bytes()).unwrap();
    let set = set.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&set.stdout), String::from_utf8_lossy(&set.stderr));
    assert_eq!(set.status.code(), Some(0), "{said}");
    clean("what is said about it", &said, &[]);

    let done = of(&["run", tour::GOAL, "--approve", "hand_over"]).stdin(Stdio::null()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{said}");
    clean("what a run says and logs", &said, &[]);
    assert!(told(&world).contains(&format!("Bearer {SEALED}")), "the server was shown its key");
    clean_folder(&world.home());

    // Without the passphrase it says so; a server on this machine is then asked without a key.
    let said = cli.run(&["--server-kind", "openai", "keys", "list"]);
    assert_eq!((said.exit, said.code()), (6, "keys_locked"), "{}", said.text);
    // A server that is not in the settings has no place for a key.
    let said = cli.run(&["keys", "set", "nobody"]);
    assert_eq!((said.exit, said.code()), (2, "bad_argument"), "{}", said.text);
}

/// A keychain of this process.
struct StandIn(BTreeMap<String, String>);

impl Keychain for StandIn {
    fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
        Ok(self.0.get(name).map(|key| SecretString::from(key.as_str())))
    }
    fn set(&self, _: &str, _: &SecretString) -> Result<(), String> {
        Err("it is for reading".to_owned())
    }
    fn remove(&self, _: &str) -> Result<bool, String> {
        Ok(false)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_keychain_goes_to_its_server_alone() {
    let world = World::with_tour().await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let server = ProviderSettings { kind: ProviderKind::OpenAi, ..world.server() };
    let name = format!("server at {}", world.stage.url().trim_start_matches("http://"));
    let keychain = StandIn(BTreeMap::from([(name, IN_KEYCHAIN.to_owned())]));
    let mut options = world.options(steady::sources(7));
    options.keys =
        Keys::new(Vault::new(world.home().join("config/keys.sealed"), None)).with_keychain(Arc::new(keychain));
    options.providers = Some(vec![server]);
    let workshop = Workshop::open(options).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let run = start(&project, goal(true)).await;
    let (view, events) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    clean("the history", &format!("{events:?}"), &[]);
    let shown = workshop.submit(Op::ShowEgress { limit: 1000, run: None, local: true }).await;
    let Ok(Reply::Egress(ledger)) = shown else { panic!("no ledger: {shown:?}") };
    clean("the ledger", &format!("{ledger:?}"), &[]);
    workshop.close().await;
    let chats = world.stage.chats();
    let header = format!("Bearer {IN_KEYCHAIN}");
    assert!(chats.iter().all(|chat| chat.headers.iter().any(|(_, value)| *value == header)), "each carries its key");
    assert!(chats.iter().all(|chat| !chat.body.to_string().contains(IN_KEYCHAIN)));
    clean_folder(&world.home());
}
