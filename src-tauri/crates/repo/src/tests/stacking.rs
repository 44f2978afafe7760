//! A run that stands on another one follows it, whatever way that goes, and no change is there twice or lost.
//!
//! Guards: after any order of steps, hand-overs, accepts, dropped hunks and undos the upper run's files are those of the run
//! below with the upper's own changes, or the places that both changed are named and nothing is touched. A killed move is
//! finished by performing it again, one that failed by the next.
//! Turns red, for example, when `moved` merges from the new base instead of from the old one, when `replayed` leaves the
//! parent on the old base, or when `rebase` moves the base before the files.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Fault, HandOver, Rebase, RebaseError, RunTree, Settled, TreeSpec};
use atelier_protocol::event::{AcceptMode, Acceptance, Commit, Part, Resolution, Take};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Places in a file that are far enough apart to be changed one without the other.
const SLOTS: usize = 5;
/// What each place says.
type Slots = BTreeMap<usize, String>;

/// Lines between the places, each there once.
fn quiet(slot: usize) -> String {
    (0..8).map(|line| format!("- {slot} {line}\n")).collect()
}

fn text(slots: &Slots) -> String {
    let said = |slot| slots.get(&slot).map_or(String::new(), |said: &String| format!("{said}\n"));
    (0..SLOTS).map(|slot| said(slot) + &quiet(slot)).collect()
}

/// A lower and an upper run, and what their one file should hold.
struct Stack {
    project: Project,
    lower: RunTree,
    upper: RunTree,
    /// What the run below says now, wherever it is.
    below: Slots,
    /// What the upper run stands on.
    base: Slots,
    /// What the upper run changed.
    own: Slots,
    handed: Option<HandOver>,
    /// The commit that the run below is at.
    at: String,
    accepted: Option<crate::Accept>,
    published: Vec<Commit>,
    steps: usize,
}

impl Stack {
    fn new() -> Stack {
        let base: Slots = (0..SLOTS).map(|slot| (slot, format!("first {slot}"))).collect();
        let project = Project::new(&[("file", &text(&base))]);
        let lower = project.tree(&run_id(1));
        write(lower.root(), "lower", "1\n");
        let at = lower.checkpoint("lower", AT_MS).unwrap().commit;
        let user = project.open();
        user.lend(lower.dir(), &at).unwrap();
        let spec = TreeSpec { base: at.clone(), ..project.spec(&run_id(2)) };
        let upper = user.make_tree(&spec).unwrap();
        Stack {
            project,
            lower,
            upper,
            below: base.clone(),
            base,
            own: Slots::new(),
            handed: None,
            at,
            accepted: None,
            published: Vec::new(),
            steps: 0,
        }
    }

    fn below_says(&mut self, slot: usize) {
        self.steps += 1;
        self.below.insert(slot, format!("below {} {slot}", self.steps));
        write(self.lower.root(), "file", text(&self.below));
        self.at = self.lower.checkpoint("step", AT_MS).unwrap().commit;
    }

    fn upper_says(&mut self, slot: usize) {
        self.steps += 1;
        self.own.insert(slot, format!("upper {} {slot}", self.steps));
        write(self.upper.root(), "file", text(&self.wanted(&self.base.clone())));
        self.upper.checkpoint("step", AT_MS).unwrap();
    }

    fn wanted(&self, base: &Slots) -> Slots {
        base.iter().chain(&self.own).map(|(slot, said)| (*slot, said.clone())).collect()
    }

    /// Publishes the run below; accepts it by `way`, or only the first of its hunks.
    fn accept(&mut self, way: AcceptMode, first_hunk: bool) {
        let user = self.project.open();
        if self.handed.is_none() {
            self.handed = Some(hand_over(&self.project, &self.lower, "below"));
        }
        let tip = self.handed.as_ref().unwrap().tip().to_owned();
        let hunks = user.diff(&self.project.head(), &tip).unwrap();
        let of_file = hunks.files.iter().find(|file| file.change.path == "file").map_or(0, |file| file.hunks.len());
        let mut how = Acceptance { way: Some(way), ..Acceptance::default() };
        if first_hunk && of_file > 1 {
            how.only = Some(vec![Part { path: "file".to_owned(), hunk: Some(0) }]);
        }
        let plan = user.plan_accept(self.lower.run(), &tip, &how, AT_MS).unwrap();
        user.perform_accept(&plan).unwrap();
        self.at = plan.to.clone();
        self.below = read(&self.project.read("file"));
        self.accepted = Some(plan);
    }

    fn take_accept_back(&mut self) {
        let Some(done) = self.accepted.take() else { return };
        let user = self.project.open();
        let plan = user.plan_withdrawal(self.lower.run(), &done, AT_MS).unwrap();
        user.perform_accept(&plan.accept).unwrap();
        self.at = self.handed.as_ref().unwrap().tip().to_owned();
        self.below = read(&fs::read_to_string(self.lower.root().join("file")).unwrap());
    }

    /// Publishes the upper run where it stands.
    fn publish_upper(&mut self) {
        if !self.published.is_empty() {
            return;
        }
        write(self.upper.root(), "tests/upper.rs", "// one commit more\n");
        self.published = hand_over(&self.project, &self.upper, "upper").commits().to_vec();
    }

    /// The upper run follows; what should come of it is worked out without git.
    fn follow(&mut self, resolved: &[Resolution]) -> Result<(), Vec<String>> {
        let user = self.project.open();
        user.lend(self.lower.dir(), &self.at).unwrap();
        let before = fs::read(self.upper.root().join("file")).unwrap();
        match user.plan_rebase(&self.upper, &self.at, resolved, &self.published, AT_MS) {
            Ok(plan) => {
                let planned = plan.rebase.clone();
                user.perform_rebase(&planned).unwrap();
                user.perform_rebase(&planned).unwrap();
                assert_eq!(user.settle_rebase(&planned), Settled::Landed);
                self.upper = RunTree::open(self.upper.dir()).unwrap();
                assert_eq!(self.upper.base(), self.at);
                assert_eq!(
                    self.project.target(&format!("refs/atelier/base/{}", self.upper.run())),
                    Some(self.at.clone())
                );
                assert_eq!(self.upper.tree_id().unwrap(), plan.checkpoint.tree);
                if let Some(last) = plan.commits.last() {
                    let repo = self.project.git();
                    let tip = repo.find_commit(git2::Oid::from_str(&last.id).unwrap()).unwrap();
                    assert_eq!(tip.tree_id().to_string(), plan.checkpoint.tree, "the branch holds what the tree holds");
                    assert!(crate::accept::has(&repo, tip.id(), git2::Oid::from_str(&self.at).unwrap()));
                    assert_eq!(plan.rebase.branch.map(|(_, tip)| tip), Some(last.id.clone()));
                    self.published = plan.commits;
                }
                self.base = self.below.clone();
                self.no_commit_takes_back();
                // What the run below says as well is no change of the upper's any more.
                self.own.retain(|slot, said| self.base.get(slot) != Some(said));
                Ok(())
            }
            Err(RebaseError::Conflict { paths }) => {
                assert_eq!(fs::read(self.upper.root().join("file")).unwrap(), before, "nothing is touched");
                Err(paths)
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Each commit of the upper's branch says what the run below says, or what is the upper's own.
    fn no_commit_takes_back(&self) {
        let repo = self.project.git();
        for commit in &self.published {
            let found = repo.find_commit(git2::Oid::from_str(&commit.id).unwrap()).unwrap();
            let file = found.tree().unwrap().get_path(Path::new("file")).unwrap().to_object(&repo).unwrap();
            for (slot, said) in read(std::str::from_utf8(file.as_blob().unwrap().content()).unwrap()) {
                let known = [self.base.get(&slot), self.own.get(&slot)];
                assert!(known.contains(&Some(&said)), "`{}` says {said}", commit.subject);
            }
        }
    }

    /// Whether both changed the same place since the upper run's base.
    fn clash(&self) -> bool {
        self.own.iter().any(|(slot, own)| {
            let (base, below) = (self.base.get(slot), self.below.get(slot));
            base != below && below != Some(own)
        })
    }

    fn holds(&self) {
        let found = fs::read_to_string(self.upper.root().join("file")).unwrap();
        assert_eq!(found, text(&self.wanted(&self.base)));
    }
}

/// The places of a file that `text` made.
fn read(file: &str) -> Slots {
    let said = file.lines().filter(|line| !line.starts_with("- ")).enumerate();
    said.map(|(slot, said)| (slot, said.to_owned())).collect()
}

#[derive(Debug, Clone)]
enum Act {
    Below(usize),
    Upper(usize),
    Accept(AcceptMode, bool),
    TakeBack,
    Publish,
    Follow,
}

fn act() -> impl Strategy<Value = Act> {
    let way = prop_oneof![Just(AcceptMode::Merge), Just(AcceptMode::Squash), Just(AcceptMode::FastForward)];
    prop_oneof![
        3 => (0..SLOTS).prop_map(Act::Below),
        3 => (0..SLOTS).prop_map(Act::Upper),
        1 => (way, any::<bool>()).prop_map(|(way, part)| Act::Accept(way, part)),
        1 => Just(Act::TakeBack),
        1 => Just(Act::Publish),
        3 => Just(Act::Follow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_the_upper_is_the_lower_with_its_own_changes_or_the_conflict_is_named(
        acts in proptest::collection::vec(act(), 1..14)
    ) {
        let mut stack = Stack::new();
        for act in acts.into_iter().chain([Act::Follow]) {
            match act {
                // A published run is decided as it is.
                Act::Below(slot) if stack.handed.is_none() => stack.below_says(slot),
                Act::Upper(slot) if stack.published.is_empty() => stack.upper_says(slot),
                Act::Accept(way, part) if stack.accepted.is_none() => stack.accept(way, part),
                Act::TakeBack => stack.take_accept_back(),
                Act::Publish => stack.publish_upper(),
                Act::Follow => {
                    let clash = stack.clash();
                    match stack.follow(&[]) {
                        Ok(()) => prop_assert!(!clash, "a conflict was overlooked"),
                        Err(paths) => {
                            prop_assert!(clash, "a conflict was made up");
                            prop_assert_eq!(paths, vec!["file".to_owned()]);
                        }
                    }
                }
                Act::Below(_) | Act::Upper(_) | Act::Accept(..) => {}
            }
            stack.holds();
        }
    }
}

#[test]
fn a_squashed_lower_is_not_in_the_upper_twice() {
    let mut stack = Stack::new();
    stack.below_says(0);
    assert_eq!(stack.follow(&[]), Ok(()));
    stack.upper_says(3);
    stack.publish_upper();
    stack.accept(AcceptMode::Squash, false);
    assert_eq!(stack.follow(&[]), Ok(()));
    let user = stack.project.open();
    let tip = stack.published.last().unwrap().id.clone();
    let plan = user.plan_accept(stack.upper.run(), &tip, &Acceptance::default(), AT_MS).unwrap();
    assert_eq!(plan.mode, AcceptMode::FastForward, "only the upper's own commits are left");
    let changed: Vec<String> =
        user.diff(&stack.project.head(), &tip).unwrap().files.into_iter().map(|file| file.change.path).collect();
    assert_eq!(changed, ["file", "tests/upper.rs"]);
    user.perform_accept(&plan).unwrap();
    assert_eq!(stack.project.read("file"), text(&stack.wanted(&stack.base.clone())));
}

#[test]
fn what_both_changed_is_shown_from_both_sides_and_settled_as_the_user_says() {
    for (take, wanted) in [(Take::Yours, "below 2 1"), (Take::Run, "upper 1 1")] {
        let mut stack = Stack::new();
        stack.upper_says(1);
        stack.below_says(1);
        assert_eq!(stack.follow(&[]), Err(vec!["file".to_owned()]));
        let user = stack.project.open();
        let shown = user.rebase_conflicts(&stack.upper, &stack.at).unwrap();
        let (below, own) = (shown[0].yours.as_ref().unwrap(), shown[0].run.as_ref().unwrap());
        assert!(below.contains("below 2 1") && own.contains("upper 1 1"), "{shown:?}");
        assert!(shown[0].merged.as_ref().unwrap().contains("<<<<<<< the run below\n"));
        assert_eq!(stack.follow(&[Resolution { path: "file".to_owned(), take }]), Ok(()));
        let now = fs::read_to_string(stack.upper.root().join("file")).unwrap();
        assert_eq!(read(&now).get(&1).map(String::as_str), Some(wanted));
    }
}

/// The acts of a move, in their order. The first and the last are those of a published run.
const ACTS: [&str; 5] = ["pack", "keep", "files", "base", "branch"];

/// An upper run whose move to what the run below says now ended before an act.
fn stopped_before(stop: &'static str, published: bool) -> (Stack, Rebase) {
    let mut stack = Stack::new();
    stack.upper_says(3);
    if published {
        stack.publish_upper();
    }
    stack.below_says(0);
    let user = stack.project.open();
    user.lend(stack.lower.dir(), &stack.at).unwrap();
    let plan = user.plan_rebase(&stack.upper, &stack.at, &[], &stack.published, AT_MS).unwrap().rebase;
    let stopped = |act: &'static str| match act == stop {
        true => Err(Fault::Io { doing: act, path: stack.project.data(), source: std::io::Error::other("stopped") }),
        false => Ok(()),
    };
    assert!(user.rebase(&plan, &mut { stopped }).is_err(), "{stop}");
    (stack, plan)
}

/// A crash before each act: asked of the world the move is not done, and performing it again finishes it.
#[test]
fn a_killed_move_is_finished_by_performing_it_again() {
    for stop in ACTS {
        let (stack, plan) = stopped_before(stop, true);
        let user = stack.project.open();
        assert_eq!(user.settle_rebase(&plan), Settled::NotLanded, "{stop}");
        user.perform_rebase(&plan).unwrap();
        assert_eq!(user.settle_rebase(&plan), Settled::Landed, "{stop}");
        let found = fs::read_to_string(stack.upper.root().join("file")).unwrap();
        assert_eq!(found, text(&stack.wanted(&stack.below.clone())), "{stop}");
    }
}

/// A move that failed in the middle is told, the work goes on where it is, and the next move is planned from there.
#[test]
fn a_move_that_failed_is_overtaken_by_the_next_one() {
    for (stop, published) in ACTS.map(|stop| (stop, true)).into_iter().chain([("files", false), ("base", false)]) {
        let (mut stack, _) = stopped_before(stop, published);
        stack.upper = RunTree::open(stack.upper.dir()).unwrap();
        stack.below_says(1);
        assert_eq!(stack.follow(&[]), Ok(()), "{stop}");
        stack.holds();
        let lower = fs::read(stack.upper.root().join("lower")).unwrap();
        assert_eq!(lower, b"1\n", "{stop}");
    }
}

#[test]
fn a_branch_that_the_user_works_on_stays_where_it_is() {
    let mut stack = Stack::new();
    stack.upper_says(3);
    stack.publish_upper();
    stack.below_says(0);
    let branch = format!("refs/heads/{}", crate::branch_of(stack.upper.run()));
    stack.project.git().reference(&branch, git2::Oid::from_str(&stack.project.head()).unwrap(), true, "mine").unwrap();
    let user = stack.project.open();
    user.lend(stack.lower.dir(), &stack.at).unwrap();
    let before = stack.project.state();
    let refused = user.plan_rebase(&stack.upper, &stack.at, &[], &stack.published, AT_MS).unwrap_err();
    assert!(matches!(refused, RebaseError::Branch(_)), "{refused:?}");
    assert_eq!(stack.project.state(), before);
}
