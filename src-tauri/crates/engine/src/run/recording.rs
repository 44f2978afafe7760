//! How a run records what happened: its events in one append, folded as they come back.
//!
//! Nothing is taken as true before the journal has it. What others recorded meanwhile is folded first, and what the table
//! of states does not allow is not recorded.

use super::{Done, Halt, Run, defect, read_all};
use crate::record::Unrecorded;
use crate::{consent, kept};
use atelier_journal::AppendError;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Actor, Amount, Answer, Ask, EffectOutcome, Event, FailureClass, NewEvent, StepResult};
use atelier_protocol::ids::StepId;
use atelier_protocol::view::{Item, RunState, TurnState};

impl Run {
    /// Records that its turn has come, where it waited for one.
    pub(crate) async fn takes_turn(&mut self) -> Done {
        match self.machine.view.state {
            RunState::WaitsForSlot => self.record_in(None, vec![Event::SlotGiven {}]).await,
            _ => Ok(()),
        }
    }

    /// Records events of this run in its current step, all or none, and folds them.
    pub(crate) async fn record(&mut self, events: Vec<Event>) -> Done {
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        self.record_in(step.as_ref(), events).await
    }

    /// The same in a given step.
    pub(crate) async fn record_in(&mut self, step: Option<&StepId>, events: Vec<Event>) -> Done {
        let new: Vec<NewEvent> = events.into_iter().map(|event| NewEvent::of_run(&self.id, step, event)).collect();
        // The user answered or stopped it meanwhile. What is recorded here happened all the same.
        while !self.record_unless_changed(new.clone()).await? {}
        Ok(())
    }

    /// Records events of this and of other runs, all or none; those of this run are folded.
    pub(crate) async fn record_with_others(&mut self, new: Vec<NewEvent>) -> Done {
        while !self.record_unless_changed(new.clone()).await? {}
        Ok(())
    }

    /// Records events of this run, unless others were recorded since the last look; then those are folded instead, and
    /// the answer is false. What the table of transitions does not allow is a defect and is not recorded.
    pub(super) async fn record_unless_changed(&mut self, new: Vec<NewEvent>) -> Result<bool, Halt> {
        match self.desk.append_to(&[&self.machine.row], new).await {
            Ok(events) => {
                let before = self.machine.version;
                self.heard_ms = events.last().map(|event| event.at_ms);
                for event in events.iter().filter(|event| event.run.as_ref() == Some(&self.id)) {
                    self.machine.apply(event);
                    self.moved |= matches!(
                        event.event,
                        Event::CheckpointMade { .. }
                            | Event::HandedOver { .. }
                            | Event::RunRebased { .. }
                            | Event::RunFinished { .. }
                    );
                }
                if kept::is_due(before, self.machine.version) {
                    kept::keep(&self.desk.projections, &self.machine).await;
                }
                Ok(true)
            }
            Err(Unrecorded::Refused(refused)) => Err(Halt::Park(defect(&refused.to_string()))),
            Err(Unrecorded::Unread(problem)) => Err(problem.into()),
            Err(Unrecorded::Append(error)) => self.not_appended(error).await,
        }
    }

    async fn not_appended(&mut self, error: AppendError) -> Result<bool, Halt> {
        match error {
            AppendError::Conflict { .. } => {
                self.catch_up().await?;
                if self.machine.view.state.is_final() { Err(Halt::Gone) } else { Ok(false) }
            }
            AppendError::Fenced { .. } | AppendError::Closed => Err(Halt::Gone),
            AppendError::DiskFull => Err(Halt::NoRoom),
            error @ AppendError::TooLarge { .. } => Err(Halt::Park(error.into())),
            error => {
                tracing::error!(run = %self.id, %error, "the history cannot be written");
                // No event can tell of it.
                self.desk.journal.tell_failed(&error.into());
                Err(Halt::Gone)
            }
        }
    }

    pub(crate) async fn catch_up(&mut self) -> Done {
        let events = read_all(&self.desk, &self.id, self.machine.last_seq()).await?;
        events.iter().for_each(|event| self.machine.apply(event));
        Ok(())
    }

    /// Records the outcome of an effect; where it landed, with the events that tell of it. Parks on failure.
    pub(crate) async fn settled(&mut self, key: &str, result: Result<(), Problem>, told: Vec<Event>) -> Done {
        let key = key.to_owned();
        match result {
            Ok(()) => {
                let mut events = vec![Event::EffectSettled { key, outcome: EffectOutcome::Landed }];
                events.extend(told);
                self.record(events).await
            }
            Err(problem) => {
                let outcome = EffectOutcome::NotLanded { problem: Some(problem.clone()) };
                self.record(vec![Event::EffectSettled { key, outcome }]).await?;
                // There was room for that record, so there is for a reason to rest; the user makes room for the effect.
                Err(if problem.code == Code::DiskFull { Halt::Park(problem) } else { Halt::from(problem) })
            }
        }
    }

    /// A model's turn that was under way when its process ended is over, and says so.
    pub(super) async fn close_open_calls(&mut self) -> Done {
        let mut open = Vec::new();
        for step in &self.machine.view.steps {
            for item in &step.items {
                if let Item::Turn { call, state: TurnState::Open, .. } = item {
                    open.push((step.id.clone(), call.clone()));
                }
            }
        }
        for (step, call) in open {
            let problem = Problem::new(
                Code::Interrupted,
                "The process ended before the model's turn was complete.",
                "The same question is asked again.",
            );
            self.record_in(
                Some(&step),
                vec![Event::CallFailed {
                    call,
                    problem,
                    partial: String::new(),
                    class: Some(FailureClass::RetrySame),
                    used: Amount::default(),
                }],
            )
            .await?;
        }
        Ok(())
    }

    /// Records a question. Where a grant given with the start answers it, the answer too.
    pub(crate) async fn ask(&mut self, ask: Ask, mut before: Vec<Event>) -> Done {
        let approval = self.desk.sources.approval_id();
        let granted = self.machine.grants.approve.contains(&ask.kind()) && !ask.needs_a_person();
        let answer = match (granted, self.machine.grants.deny_asks) {
            (true, _) => Some((Answer::Approve, "granted with the start of the run")),
            (false, true) => Some((Answer::Reject, "questions are denied for this run")),
            (false, false) => None,
        };
        let expires_at_ms = self.desk.sources.clock.now_ms().saturating_add((self.desk.settings)().approval_timeout_ms);
        let follows = answer.and_then(|(answer, _)| consent::follows(&ask, answer));
        before.push(Event::ApprovalRequested { approval: approval.clone(), ask, expires_at_ms });
        if let Some((answer, note)) = answer {
            before.push(Event::ApprovalSettled { approval, answer, by: Actor::Grant, note: note.to_owned() });
        }
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        let own = before.into_iter().map(|event| NewEvent::of_run(&self.id, step.as_ref(), event));
        self.record_with_others(own.chain(follows).collect()).await
    }

    pub(crate) async fn end_step(&mut self, mut before: Vec<Event>, result: StepResult) -> Done {
        before.push(Event::StepFinished { result });
        self.record(before).await
    }
}
