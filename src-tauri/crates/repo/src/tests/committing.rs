//! What is accepted is committed as the user commits: asked of the user's hooks, signed as the user's configuration asks.
//!
//! Guards: a hook sees the result and nothing of the user's, its no refuses the accept before anything is changed, what it
//! changes is never taken unseen; a commit that should be signed is signed or the accept is refused.
//! Turns red, for example, when `Rehearsal::changed` no longer compares what is to be committed, or `signed` believes git
//! without looking for the signature.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Accept, AcceptRefusal, Rehearsal};
use atelier_protocol::error::Code;
use atelier_protocol::event::{AcceptMode, Acceptance};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn script(project: &Project, path: &str, text: &str) {
    project.write(path, format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(project.path(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn planned(project: &Project, how: &Acceptance) -> Accept {
    let tree = project.tree(&run_id(1));
    write(tree.root(), "lib.txt", "one\ntwo\n");
    write(tree.root(), "tests/a.txt", "t\n");
    let tip = hand_over(project, &tree, "add two").tip().to_owned();
    project.open().plan_accept(&run_id(1), &tip, how, AT_MS).unwrap()
}

fn way(way: AcceptMode) -> Acceptance {
    Acceptance { way: Some(way), ..Acceptance::default() }
}

/// Runs the hooks as a caller does, but in the open: name and arguments of each, and how it ended.
fn run(rehearsal: &Rehearsal) -> Vec<(String, bool)> {
    let ended = |hook: &crate::Hook| {
        let mut command = Command::new(&hook.argv[0]);
        command.args(&hook.argv[1..]).envs(hook.env.iter().cloned()).current_dir(rehearsal.root());
        let root = rehearsal.root().display().to_string();
        let said = hook.argv[1..].join(" ").replace(&root, "");
        (format!("{} {said}", hook.name), command.status().unwrap().success())
    };
    rehearsal.hooks.iter().map(ended).collect()
}

fn signed_commits(project: &Project, tip: &str, how_many: usize) -> Vec<String> {
    let repo = project.git();
    let mut commit = repo.find_commit(git2::Oid::from_str(tip).unwrap()).unwrap();
    let mut all = Vec::new();
    for _ in 0..how_many {
        let (signature, _) = repo.extract_signature(&commit.id(), None).unwrap();
        all.push(String::from_utf8_lossy(&signature).into_owned());
        commit = commit.parent(0).unwrap();
    }
    assert!(repo.extract_signature(&commit.id(), None).is_err(), "what the user had is not touched");
    all
}

#[test]
fn hooks_see_the_result_beside_the_users_folder_and_have_their_say_in_gits_order() {
    let project = Project::new(&[("lib.txt", "one\n")]);
    script(&project, ".git/hooks/pre-commit", "grep -q two lib.txt && test -f tests/a.txt && test ! -f dirty");
    script(&project, ".git/hooks/prepare-commit-msg", "echo \"Prepared: $2\" >> \"$1\"");
    script(&project, ".git/hooks/commit-msg", "grep -q Prepared \"$1\"");
    project.write("dirty", "mine\n");
    let plan = planned(&project, &Acceptance::default());
    let before = project.state();
    let rehearsal = project.open().rehearse(&plan, &project.data().join("rehearsal")).unwrap().unwrap();
    insta::assert_debug_snapshot!(run(&rehearsal), @r#"
    [
        (
            "pre-commit ",
            true,
        ),
        (
            "prepare-commit-msg /.git/COMMIT_EDITMSG message",
            true,
        ),
        (
            "commit-msg /.git/COMMIT_EDITMSG",
            true,
        ),
        (
            "prepare-commit-msg /.git/COMMIT_EDITMSG_1 message",
            true,
        ),
        (
            "commit-msg /.git/COMMIT_EDITMSG_1",
            true,
        ),
    ]
    "#);
    let messages = rehearsal.changed().unwrap();
    rehearsal.end().unwrap();
    assert!(!project.data().join("rehearsal").exists());
    assert_eq!(project.state(), before, "hooks ran beside what is the user's");

    let made = project.open().remake(&plan, &messages, false).unwrap();
    project.open().perform_accept(&made).unwrap();
    let repo = project.git();
    let tip = repo.head().unwrap().peel_to_commit().unwrap();
    let said: Vec<bool> =
        [&tip, &tip.parent(0).unwrap()].map(|commit| commit.message().unwrap().ends_with("Prepared: message\n")).into();
    assert_eq!((said, project.read("lib.txt").as_str()), (vec![true, true], "one\ntwo\n"));
    assert_eq!(tip.parent(0).unwrap().parent_id(0).unwrap().to_string(), plan.from, "as many commits as before");
}

#[test]
fn what_a_hook_spoils_is_not_taken() {
    let spoil = |text: &str| {
        let project = Project::new(&[("lib.txt", "one\n")]);
        script(&project, ".git/hooks/pre-commit", text);
        script(&project, ".git/hooks/commit-msg", ":");
        let plan = planned(&project, &way(AcceptMode::Squash));
        let before = project.state();
        let rehearsal = project.open().rehearse(&plan, &project.data().join("rehearsal")).unwrap().unwrap();
        run(&rehearsal);
        let said = rehearsal.changed();
        assert_eq!(project.state(), before);
        said
    };
    assert_eq!(spoil(":").unwrap(), BTreeMap::new());
    assert_eq!(spoil("echo spoiled > lib.txt").unwrap(), BTreeMap::new(), "git leaves what is not staged too");
    assert_eq!(spoil("git config core.fsmonitor /bin/false; touch ../ran").unwrap(), BTreeMap::new());
    if Command::new("git").arg("--version").output().is_ok() {
        let refusal = spoil("echo spoiled > lib.txt; git add -A").unwrap_err();
        assert!(matches!(&refusal, AcceptRefusal::HookRewrote { paths } if paths == &["lib.txt"]), "{refusal}");
        assert_eq!(refusal.problem().code, Code::HookRefused);
    }
    assert!(matches!(spoil(": > .git/COMMIT_EDITMSG"), Err(AcceptRefusal::HookEmptied)));
    assert!(matches!(spoil("ln -sf /etc/passwd .git/COMMIT_EDITMSG"), Err(AcceptRefusal::HookEmptied)));
}

#[test]
fn a_merge_asks_the_hook_for_merges_and_without_hooks_nothing_is_laid_out() {
    let project = Project::new(&[("lib.txt", "one\n")]);
    let plan = planned(&project, &way(AcceptMode::Merge));
    let place = project.data().join("rehearsal");
    assert!(project.open().rehearse(&plan, &place).unwrap().is_none());
    script(&project, ".git/hooks/pre-commit", "exit 1");
    script(&project, ".git/hooks/post-merge", "exit 1");
    assert!(project.open().rehearse(&plan, &place).unwrap().is_none(), "neither is asked before a merge");
    project.write("hooks/none", "");
    script(&project, "hooks/pre-merge-commit", "exit 7");
    let mut config = project.git().config().unwrap();
    config.set_str("core.hooksPath", "hooks").unwrap();
    let rehearsal = project.open().rehearse(&plan, &place).unwrap().unwrap();
    assert_eq!(run(&rehearsal), [("pre-merge-commit ".to_owned(), false)]);
}

#[test]
fn commits_are_signed_as_the_configuration_asks_or_refused() {
    if Command::new("git").arg("--version").output().is_err() {
        return;
    }
    let project = Project::new(&[("lib.txt", "one\n")]);
    let plan = planned(&project, &Acceptance::default());
    let user = project.open();
    assert!(!user.wants_signatures().unwrap());
    let mut config = project.git().config().unwrap();
    config.set_bool("commit.gpgsign", true).unwrap();
    config.set_str("gpg.program", &project.path(".git/gpg").display().to_string()).unwrap();
    assert!(user.wants_signatures().unwrap());
    let before = project.state();
    let none = BTreeMap::new();
    let refusal = user.remake(&plan, &none, true).unwrap_err();
    assert_eq!(refusal.problem().code, Code::SigningFailed, "there is no such program: {refusal}");
    script(&project, ".git/gpg", "cat > /dev/null; echo 'no key for you' >&2; exit 2");
    let refusal = user.remake(&plan, &none, true).unwrap_err();
    assert!(refusal.to_string().contains("no key for you"), "{refusal}");
    // It says that it signed, and git makes a commit of it; there is no signature in that.
    script(&project, ".git/gpg", "cat > /dev/null; echo '[GNUPG:] SIG_CREATED ' >&2");
    let refusal = user.remake(&plan, &none, true).unwrap_err();
    assert!(refusal.to_string().contains("has no signature"), "{refusal}");
    assert_eq!(refusal.problem().code, Code::SigningFailed);
    assert_eq!(project.head(), plan.from);

    script(
        &project,
        ".git/gpg",
        "cat > /dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\n\
         printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nme\\n-----END PGP SIGNATURE-----\\n'",
    );
    let made = user.remake(&plan, &none, true).unwrap();
    user.perform_accept(&made).unwrap();
    let signatures = signed_commits(&project, &made.to, 2);
    assert!(signatures.iter().all(|text| text.contains("PGP SIGNATURE")), "{signatures:?}");
    let repo = project.git();
    let of = |id: &str| repo.find_commit(git2::Oid::from_str(id).unwrap()).unwrap();
    let (was, is) = (of(&plan.to), of(&made.to));
    assert_eq!((was.tree_id(), was.message(), was.time()), (is.tree_id(), is.message(), is.time()));
    assert_eq!(was.author().to_string(), is.author().to_string());
    let lost: Vec<_> = before.iter().filter(|(key, _)| key.contains("mine")).collect();
    assert!(lost.is_empty());
}
