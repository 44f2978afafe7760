//! What has to be proved before a hand-over.
//!
//! Guards: checks and review speak about the very files that are handed over, and nobody's opinion stands in for a check.
//! Turns red, for example, when `ReviewedPatch::new` takes a check of other files, or a role's yes where nothing was checked.

use crate::{Checks, ReviewProof, ReviewedPatch, Unreviewed};
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Check, Checkpoint, Mechanism, Output, Review, Reviewer};
use atelier_protocol::ids::ApprovalId;

fn check(name: &str, tree: &str, exit_code: Option<i32>) -> Check {
    Check {
        name: name.into(),
        argv: vec!["true".into()],
        tree: tree.into(),
        exit_code,
        timed_out: false,
        ms: 1,
        output: Output::default(),
        mechanism: Mechanism::None,
        tests: None,
        compared: None,
        reached: Vec::new(),
    }
}

fn review(answer: Answer, tree: &str) -> ReviewProof {
    let by = Reviewer::Role { role: "qa_tester".into() };
    ReviewProof::ByRole(Review { by, answer, notes: String::new(), tree: tree.into() })
}

fn prove(checks: Checks, proof: ReviewProof) -> Result<ReviewedPatch, Unreviewed> {
    let point = Checkpoint { commit: "c".into(), tree: "t".into(), files: Vec::new() };
    ReviewedPatch::new(&point, checks, proof, ApprovalId::new(1, [0; 10]))
}

fn passed() -> Checks {
    Checks::Passed(vec![check("test", "t", Some(0))])
}

#[test]
fn passed_checks_and_an_approving_review_of_the_same_tree_are_enough() {
    assert!(prove(passed(), review(Answer::Approve, "t")).is_ok());
    assert!(prove(passed(), ReviewProof::ByUser).is_ok());
    assert!(prove(passed(), ReviewProof::NotRequired { rule: "quick fix".into() }).is_ok());
    assert!(prove(Checks::NoneDeclared, ReviewProof::ByUser).is_ok());
    let again = vec![check("test", "t", Some(1)), check("lint", "t", Some(0)), check("test", "t", Some(0))];
    assert!(prove(Checks::Passed(again), ReviewProof::ByUser).is_ok(), "a check counts as it ended last");
}

#[test]
fn everything_else_is_refused_by_name() {
    let not_required = || ReviewProof::NotRequired { rule: "quick fix".into() };
    let mut timed_out = check("test", "t", Some(0));
    timed_out.timed_out = true;
    let by_user = Review { by: Reviewer::User, answer: Answer::Approve, notes: String::new(), tree: "t".into() };
    let cases = [
        (prove(Checks::Failed, ReviewProof::ByUser), Unreviewed::ChecksFailed, Code::ChecksFailed),
        (prove(Checks::Passed(vec![]), ReviewProof::ByUser), Unreviewed::NoCheck, Code::WrongState),
        (
            prove(Checks::Passed(vec![check("test", "t", Some(0)), check("lint", "t", Some(1))]), ReviewProof::ByUser),
            Unreviewed::CheckNotPassed { name: "lint".into() },
            Code::ChecksFailed,
        ),
        (
            prove(Checks::Passed(vec![check("test", "t", Some(0)), check("test", "t", Some(1))]), ReviewProof::ByUser),
            Unreviewed::CheckNotPassed { name: "test".into() },
            Code::ChecksFailed,
        ),
        (
            prove(Checks::Passed(vec![timed_out]), ReviewProof::ByUser),
            Unreviewed::CheckNotPassed { name: "test".into() },
            Code::ChecksFailed,
        ),
        (
            prove(Checks::Passed(vec![check("test", "old", Some(0))]), ReviewProof::ByUser),
            Unreviewed::CheckOfOtherTree { name: "test".into() },
            Code::WrongState,
        ),
        (prove(passed(), review(Answer::Approve, "old")), Unreviewed::ReviewOfOtherTree, Code::WrongState),
        (prove(passed(), review(Answer::Reject, "t")), Unreviewed::ReviewRejected, Code::ReviewRejected),
        (prove(passed(), ReviewProof::ByRole(by_user)), Unreviewed::ReviewNotByRole, Code::WrongState),
        (prove(Checks::NoneDeclared, review(Answer::Approve, "t")), Unreviewed::UserMustReview, Code::NeedsApproval),
        (prove(Checks::NoneDeclared, not_required()), Unreviewed::UserMustReview, Code::NeedsApproval),
    ];
    for (given, expected, code) in cases {
        let refused = given.unwrap_err();
        assert_eq!(refused, expected);
        assert_eq!(refused.problem().code, code, "{refused}");
    }
}
