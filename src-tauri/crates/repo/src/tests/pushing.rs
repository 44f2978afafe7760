//! A run's commits go to a remote: the ones that were shown, by a way that can be watched, never by force.
//!
//! Guards: the commits that arrive are those of the plan; nothing of the user's changes but what git last saw of the remote;
//! what is refused sends nothing.
//! Turns red, for example, when `perform_push` pushes the branch by name, or with `--force`.

use super::handing_over::hand_over;
use crate::fixture::{Project, run_id, write};
use crate::{PushError, Settled};
use atelier_protocol::error::Code;
use git2::{Oid, Repository};

/// A project with a handed-over run and a bare repository beside it as its remote.
fn with_remote() -> (Project, Repository, String) {
    let project = Project::new(&[("a", "1\n")]);
    let place = project.data().join("remote.git");
    let remote = Repository::init_bare(&place).unwrap();
    project.git().remote("origin", &place.display().to_string()).unwrap();
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    write(tree.root(), "tests/b", "b\n");
    let tip = hand_over(&project, &tree, "change a").tip().to_owned();
    (project, remote, tip)
}

#[test]
fn what_would_leave_is_said_and_then_just_that_arrives() {
    if super::git_program().is_none() {
        return;
    }
    let (project, remote, tip) = with_remote();
    let user = project.open();
    let before = project.state();
    let plan = user.plan_push(&run_id(1), "origin", Some("topic/a")).unwrap();
    let subjects: Vec<&str> = plan.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects.len(), 3, "the remote has nothing yet: {subjects:?}");
    assert_eq!((plan.host.as_deref(), plan.tip.as_str(), plan.files.len()), (None, tip.as_str(), 2));
    assert_eq!(project.state(), before, "looking changes nothing");
    assert_eq!(user.settle_push("origin", "topic/a", &tip), Settled::NotLanded);
    user.perform_push(&plan, None).unwrap();
    user.perform_push(&plan, None).unwrap();
    assert_eq!(remote.refname_to_id("refs/heads/topic/a").unwrap().to_string(), tip);
    assert_eq!(remote.references().unwrap().count(), 1, "nothing else arrived");
    assert_eq!(user.settle_push("origin", "topic/a", &tip), Settled::Landed);
    let again = user.plan_push(&run_id(1), "origin", Some("topic/b")).unwrap();
    assert_eq!((again.commits, again.files), (Vec::new(), Vec::new()), "it is known to be there");
    let changed: Vec<String> =
        project.state().into_iter().filter(|entry| !before.contains_key(&entry.0)).map(|e| e.0).collect();
    assert!(changed.iter().all(|key| key.contains("remotes/origin") || key.contains("refs/remotes")), "{changed:?}");
}

#[test]
fn a_commit_that_came_after_the_yes_stays_here() {
    if super::git_program().is_none() {
        return;
    }
    let (project, remote, tip) = with_remote();
    let user = project.open();
    let plan = user.plan_push(&run_id(1), "origin", None).unwrap();
    let (repo, branch) = (project.git(), format!("refs/heads/{}", plan.to));
    let shown = repo.find_commit(Oid::from_str(&tip).unwrap()).unwrap();
    let who = shown.author();
    let later = repo.commit(Some(&branch), &who, &who, "not shown", &shown.tree().unwrap(), &[&shown]).unwrap();
    user.perform_push(&plan, None).unwrap();
    assert_eq!(remote.refname_to_id(&branch).unwrap().to_string(), tip, "what was shown arrived");
    assert!(remote.find_commit(later).is_err(), "and nothing else");
}

#[test]
fn what_the_remote_has_besides_is_never_overwritten() {
    if super::git_program().is_none() {
        return;
    }
    let (project, remote, _) = with_remote();
    let user = project.open();
    let who = git2::Signature::now("B", "b@example.org").unwrap();
    let empty = remote.find_tree(remote.treebuilder(None).unwrap().write().unwrap()).unwrap();
    let theirs = remote.commit(Some("refs/heads/topic"), &who, &who, "theirs", &empty, &[]).unwrap();
    let plan = user.plan_push(&run_id(1), "origin", Some("topic")).unwrap();
    let refused = user.perform_push(&plan, None).unwrap_err();
    assert!(matches!(&refused, PushError::Refused { said } if said.contains("rejected")), "{refused}");
    assert_eq!(remote.refname_to_id("refs/heads/topic").unwrap(), theirs);
}

#[test]
fn what_cannot_be_pushed_is_refused_by_name() {
    let (project, _, _) = with_remote();
    let user = project.open();
    let code =
        |run: u8, remote: &str, to: Option<&str>| user.plan_push(&run_id(run), remote, to).unwrap_err().problem().code;
    assert_eq!(code(1, "upstream", None), Code::BadArgument);
    assert_eq!(code(2, "origin", None), Code::WrongState, "that run was not handed over");
    for name in ["-f", "a..b", "a b", ""] {
        assert_eq!(code(1, "origin", Some(name)), Code::BadArgument, "{name:?}");
    }
    let repo = project.git();
    for url in ["git@git.example.org:a.git", "http://git.example.org/a.git", "ext::sh -c 'touch pwned'"] {
        repo.remote_set_url("origin", url).unwrap();
        assert_eq!(code(1, "origin", None), Code::UnsupportedRepository, "{url}");
    }
    let head = Oid::from_str(&project.head()).unwrap();
    assert!(repo.find_commit(head).is_ok());
}

/// Without a pass there is no way out, whatever the configuration says of proxies.
#[test]
fn another_machine_is_reached_through_the_door_alone() {
    if super::git_program().is_none() {
        return;
    }
    let (project, _, _) = with_remote();
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", door.local_addr().unwrap());
    let user = project.open();
    project.git().remote_set_url("origin", "https://git.example.invalid/a.git").unwrap();
    let mut config = project.git().config().unwrap();
    config.set_str("http.https://git.example.invalid/.proxy", "").unwrap();
    let plan = user.plan_push(&run_id(1), "origin", None).unwrap();
    assert_eq!(plan.host.as_deref(), Some("git.example.invalid:443"));
    let asked = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        let (mut client, _) = door.accept().unwrap();
        let mut line = String::new();
        BufReader::new(client.try_clone().unwrap()).read_line(&mut line).unwrap();
        client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
        line
    });
    assert!(matches!(user.perform_push(&plan, Some(&address)), Err(PushError::Refused { .. })));
    assert_eq!(asked.join().unwrap().trim_end(), "CONNECT git.example.invalid:443 HTTP/1.1");
}
