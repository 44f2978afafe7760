//! The end of a run: the question before hand-over, and the hand-over itself.
//!
//! What is published is a reviewed patch: checks, review and approval of one and the same tree.

use crate::run::{Done, Halt, Run, defect};
use crate::{flow, remarks};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Ask, Check, ChecksVerdict, Effect, Event, Outcome, Reviewer, StepResult};
use atelier_repo::{Checks, HandOver, Kind, Message, ReviewProof, ReviewedPatch};

impl Run {
    pub(crate) async fn ask_hand_over(&mut self) -> Done {
        // The user may have taken a step back since the checks ran; then they run on what is there now.
        let tree = self.machine.view.checkpoint.as_ref().map(|point| point.tree.clone()).unwrap_or_default();
        let proved = self.machine.rounds.keys().any(|name| self.is_check(name));
        if proved && self.machine.view.checks_of(&tree) == ChecksVerdict::NoneDeclared && !self.prove().await? {
            return Ok(());
        }
        let Some(point) = self.machine.view.checkpoint.clone() else {
            return Err(Halt::Fail(defect("a hand-over was asked for without a checkpoint")));
        };
        let checks = self.machine.view.checks_of(&point.tree);
        if checks == ChecksVerdict::Failed {
            return Err(Halt::Fail(Problem::new(
                Code::ChecksFailed,
                "The checks of the last tree failed, so it cannot be handed over.",
                "Look at the checks; start again with a narrower goal, or discard the run.",
            )));
        }
        let ask = Ask::HandOver {
            keys: self.keys_added(&point).await?,
            reviewed: self.machine.view.approved_by_role(&point.tree),
            files: point.files,
            checks,
            cost: self.machine.view.cost.clone(),
            tree: point.tree,
        };
        self.ask(ask, Vec::new()).await
    }

    pub(crate) async fn hand_over_answered(&mut self, answer: Answer) -> Done {
        match answer {
            Answer::Approve if !self.asked_about_this() => self.ask_hand_over().await,
            Answer::Approve => self.end_step(Vec::new(), StepResult::Done).await,
            Answer::Reject if !self.machine.remarks.is_empty() => {
                let note = self.machine.view.approvals.last().map(|a| a.note.clone()).unwrap_or_default();
                let reason = remarks::told(&self.machine.remarks, &note, &self.files());
                self.end_step(Vec::new(), StepResult::SentBack { reason }).await
            }
            Answer::Reject => {
                let note = self.machine.view.approvals.last().map(|a| a.note.clone()).unwrap_or_default();
                let problem = Problem::new(
                    Code::Rejected,
                    if note.is_empty() {
                        "The hand-over was rejected.".to_owned()
                    } else {
                        format!("The hand-over was rejected: {note}")
                    },
                    "Nothing was published and your files are untouched. Discard the run, or start another.",
                );
                self.finish(Outcome::Cancelled { problem }).await
            }
        }
    }

    /// Whether what was approved is what the tree holds now.
    fn asked_about_this(&self) -> bool {
        let asked = self.machine.view.approvals.iter().rev().find_map(|a| match &a.ask {
            Ask::HandOver { tree, .. } => Some(tree),
            _ => None,
        });
        asked == self.machine.view.checkpoint.as_ref().map(|point| &point.tree)
    }

    fn is_check(&self, name: &str) -> bool {
        self.flow.steps.iter().any(|step| step.id == name && step.kind == flow::Kind::Check)
    }

    pub(crate) async fn hand_over(&mut self) -> Done {
        let plan = self.plan_hand_over().await?;
        let told = vec![
            Event::HandedOver { branch: plan.branch().to_owned(), commits: plan.commits().to_vec() },
            Event::StepFinished { result: StepResult::Done },
        ];
        if self.machine.landed("hand_over") {
            // Published before an interruption; the same plan tells which commits they are.
            return self.record(told).await;
        }
        let effect = Effect::HandOver { branch: plan.branch().to_owned(), tip: plan.tip().to_owned() };
        self.record(vec![Event::EffectIntended { key: "hand_over".to_owned(), effect }]).await?;
        let done = self.desk.with_repo(move |repo| repo.perform_hand_over(&plan).map_err(|e| e.problem())).await;
        self.settled("hand_over", done, told).await
    }

    /// The commits to publish. The same events give the same commits, so that a repeat makes nothing new.
    async fn plan_hand_over(&self) -> Result<HandOver, Halt> {
        let view = &self.machine.view;
        let (Some(point), Some(asked)) =
            (&view.checkpoint, view.approvals.iter().rev().find(|a| matches!(a.ask, Ask::HandOver { .. })))
        else {
            return Err(Halt::Fail(defect("a hand-over was begun without a checkpoint and a question")));
        };
        let of_tree: Vec<Check> = view.latest_checks(&point.tree).into_iter().cloned().collect();
        let checks = match view.checks_of(&point.tree) {
            ChecksVerdict::Passed => Checks::Passed(of_tree),
            ChecksVerdict::Failed => Checks::Failed,
            ChecksVerdict::NoneDeclared => Checks::NoneDeclared,
        };
        let by_role = view
            .reviews
            .iter()
            .rev()
            .find(|r| r.tree == point.tree && matches!(r.by, Reviewer::Role { .. }))
            .filter(|_| checks != Checks::NoneDeclared);
        let review = by_role.map_or(ReviewProof::ByUser, |review| ReviewProof::ByRole(review.clone()));
        let patch = ReviewedPatch::new(point, checks, review, asked.id.clone()).map_err(|e| Halt::Fail(e.problem()))?;
        let message = self.message();
        let at_ms = self.machine.approved_at_ms.unwrap_or(view.updated_at_ms);
        let dir = self.tree_dir();
        let plan = self
            .desk
            .with_repo(move |repo| {
                let tree = atelier_repo::RunTree::open(&dir).map_err(|e| e.problem())?;
                repo.plan_hand_over(&tree, &patch, &message, at_ms).map_err(|e| e.problem())
            })
            .await?;
        Ok(plan)
    }

    /// What the commits say; the run, its checks and its review are added by whoever makes them.
    fn message(&self) -> Message {
        let view = &self.machine.view;
        let subject = view.spec.as_ref().map_or(view.goal.as_str(), |spec| spec.title.as_str());
        let mut body = String::new();
        if let Some(spec) = &view.spec {
            body.push_str(&spec.summary);
            for requirement in &spec.requirements {
                body.push_str(&format!("\n- {} {}", requirement.id, requirement.text));
            }
        }
        Message { body: body.trim().to_owned(), kind: Some(Kind::of_goal(&view.goal)), ..Message::of(subject) }
    }
}
