//! What a confined command can and cannot do, for every mechanism that works on this machine.
//!
//! Each refusal has a control: the same command unconfined, which succeeds. Linux only, because nothing confines elsewhere.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly and say what it leaves out"
)]

use atelier_sandbox::{Mechanism, Ran, Sandbox, SpawnError, Spec, Toolchain};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder to work in, a private home, and a folder that is nobody's business.
struct Bench {
    _folder: tempfile::TempDir,
    tree: PathBuf,
    home: PathBuf,
    outside: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [tree, home, outside] = ["tree", "home", "outside"].map(|name| root.join(name));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "the secret").unwrap();
        Self { _folder: folder, tree, home, outside }
    }

    fn spec(&self, script: &str) -> Spec {
        let mut spec = Spec::new(["sh", "-c", script], &self.tree, &self.home);
        spec.writable.push(self.tree.clone());
        spec.timeout = Duration::from_secs(60);
        spec
    }

    async fn run(&self, mechanism: Mechanism, script: &str) -> Ran {
        run(mechanism, self.spec(script)).await
    }
}

async fn run(mechanism: Mechanism, spec: Spec) -> Ran {
    Sandbox::with(mechanism).run(spec, std::future::pending(), |_| {}).await.unwrap()
}

fn text(ran: &Ran) -> String {
    String::from_utf8_lossy(&ran.output).into_owned()
}

/// The mechanisms that confine on this machine; says which are left out and why.
async fn confining() -> Vec<Mechanism> {
    let mut usable = Vec::new();
    for mechanism in [Mechanism::Bubblewrap, Mechanism::Landlock] {
        let bench = Bench::new();
        match Sandbox::with(mechanism).run(bench.spec(":"), std::future::pending(), |_| {}).await {
            Ok(_) => usable.push(mechanism),
            Err(SpawnError::NotConfined { reason, .. }) => eprintln!("left out: {mechanism:?} ({reason})"),
            Err(other) => panic!("{other}"),
        }
    }
    usable
}

/// Runs the script confined, where it must fail, and unconfined, where it must succeed.
async fn refused_only_when_confined(script: impl Fn(&Bench) -> String) {
    for mechanism in confining().await {
        let bench = Bench::new();
        let ran = bench.run(mechanism, &script(&bench)).await;
        assert!(!ran.succeeded(), "{mechanism:?} let it pass: {}", text(&ran));
        assert_eq!(ran.mechanism, mechanism);
    }
    let bench = Bench::new();
    let control = bench.run(Mechanism::None, &script(&bench)).await;
    assert!(control.succeeded(), "the control: {}", text(&control));
}

#[tokio::test]
async fn what_is_detected_here_really_confines() {
    let mechanism = Sandbox::detect().mechanism();
    let usable = confining().await;
    assert_eq!(mechanism, usable.first().copied().unwrap_or(Mechanism::None));
}

#[tokio::test]
async fn writing_is_possible_inside_only() {
    refused_only_when_confined(|bench| format!("echo x > '{}/new'", bench.outside.display())).await;
    refused_only_when_confined(|bench| format!("echo x >> '{}/secret'", bench.outside.display())).await;
    refused_only_when_confined(|bench| format!("rm '{}/secret'", bench.outside.display())).await;
    for mechanism in confining().await {
        let bench = Bench::new();
        let script = "mkdir a && echo tree > a/b && mv a/b c && echo home > \"$HOME/h\" && \
                      t=$(mktemp) && echo tmp > \"$t\" && rm \"$t\" && : > /dev/null";
        let ran = bench.run(mechanism, script).await;
        assert!(ran.succeeded(), "{mechanism:?}: {}", text(&ran));
        assert_eq!(fs::read_to_string(bench.tree.join("c")).unwrap(), "tree\n");
        assert_eq!(fs::read_to_string(bench.home.join("h")).unwrap(), "home\n");
    }
}

#[tokio::test]
async fn nothing_of_the_machine_can_be_changed() {
    for mechanism in confining().await {
        let bench = Bench::new();
        for place in ["/usr", "/etc", "/", "/var/lib", "/proc/sys/kernel", "/opt"] {
            let ran = bench.run(mechanism, &format!("echo x > {place}/atelier-was-here")).await;
            assert!(!ran.succeeded(), "{mechanism:?} let it write in {place}");
            assert!(!Path::new(place).join("atelier-was-here").exists());
        }
    }
}

#[tokio::test]
async fn other_folders_cannot_be_read() {
    refused_only_when_confined(|bench| format!("cat '{}/secret'", bench.outside.display())).await;
    // Through a link from inside, too.
    refused_only_when_confined(|bench| format!("ln -sf '{}/secret' link && cat link", bench.outside.display())).await;
    if let Some(home) =
        std::env::home_dir().filter(|home| fs::read_dir(home).is_ok_and(|mut list| list.next().is_some()))
    {
        refused_only_when_confined(move |_| format!("test -n \"$(ls -A '{}')\"", home.display())).await;
    }
}

#[tokio::test]
async fn what_is_opened_for_reading_can_be_read_but_not_changed() {
    for mechanism in confining().await {
        let bench = Bench::new();
        let mut spec =
            bench.spec(&format!("cat '{0}/secret' && ! echo x 2>/dev/null > '{0}/secret'", bench.outside.display()));
        spec.read_only = vec![bench.outside.clone(), bench.outside.join("not-there")];
        let ran = run(mechanism, spec).await;
        assert_eq!((ran.exit_code, text(&ran).as_str()), (Some(0), "the secret"), "{mechanism:?}");
    }
}

#[tokio::test]
async fn the_network_is_out_of_reach() {
    if !Path::new("/bin/bash").exists() {
        eprintln!("left out: bash is what connects here, and it is not installed");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    refused_only_when_confined(|_| format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'")).await;
}

#[tokio::test]
async fn under_bubblewrap_a_test_may_talk_to_itself() {
    let perl = Path::new("/usr/bin/perl").exists();
    if !confining().await.contains(&Mechanism::Bubblewrap) || !perl {
        eprintln!("left out: needs bubblewrap and perl");
        return;
    }
    let bench = Bench::new();
    let script = r#"perl -MIO::Socket::INET -e '
        my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "listen: $!";
        my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die "connect: $!";
        print "connected";'"#;
    let ran = bench.run(Mechanism::Bubblewrap, script).await;
    assert_eq!(text(&ran), "connected");
}

#[tokio::test]
async fn another_process_cannot_be_seen_into_or_signalled() {
    let own = std::process::id();
    refused_only_when_confined(|_| format!("test -n \"$(tr -d '\\0' < /proc/{own}/environ)\"")).await;
    refused_only_when_confined(|_| format!("kill -0 {own}")).await;
}

#[tokio::test]
async fn the_environment_is_clean() {
    for mechanism in [Mechanism::Bubblewrap, Mechanism::Landlock, Mechanism::None] {
        if mechanism != Mechanism::None && !confining().await.contains(&mechanism) {
            continue;
        }
        let bench = Bench::new();
        let mut spec = bench.spec("");
        spec.argv = vec!["env".to_owned()];
        spec.env.push(("EXTRA".to_owned(), "given".to_owned()));
        let ran = run(mechanism, spec).await;
        let text = text(&ran);
        let mut names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.retain(|name| *name != "PWD"); // bubblewrap says where it is
        names.sort_unstable();
        assert_eq!(names, ["CI", "EXTRA", "HOME", "LANG", "PATH", "TERM", "TMPDIR"], "{mechanism:?}");
        assert!(text.contains(&format!("HOME={}\n", bench.home.display())), "{text}");
    }
}

#[tokio::test]
async fn no_open_file_of_ours_is_handed_down() {
    for mechanism in confining().await {
        let bench = Bench::new();
        let ran = bench.run(mechanism, "ls /proc/self/fd | tr '\\n' ' '").await;
        // 3 is the listing itself.
        assert_eq!(text(&ran), "0 1 2 3 ", "{mechanism:?}");
    }
}

#[tokio::test]
async fn cargo_builds_offline_with_the_tools_opened() {
    let tools = Toolchain::detect();
    for mechanism in confining().await {
        let bench = Bench::new();
        fs::create_dir(bench.tree.join("src")).unwrap();
        // A crate that this workspace uses too, so it is in the registry's cache.
        let manifest = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        [dependencies]\nitoa = \"1\"\n[workspace]\n";
        fs::write(bench.tree.join("Cargo.toml"), manifest).unwrap();
        fs::write(
            bench.tree.join("src/lib.rs"),
            "#[test] fn holds() { assert_eq!(itoa::Buffer::new().format(2), \"2\") }",
        )
        .unwrap();
        let mut spec = bench.spec("");
        spec.argv = ["cargo", "test", "--offline", "--lib"].map(str::to_owned).to_vec();
        tools.open_to(&mut spec);
        let ran = run(mechanism, spec).await;
        assert!(ran.succeeded(), "{mechanism:?}: {}", text(&ran));
        assert!(text(&ran).contains("1 passed"), "{}", text(&ran));
    }
}
