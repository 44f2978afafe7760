//! What a step wants of people: an answer in words, a task on the board, more tokens.
//!
//! A question never blocks for good: silence or a no takes its default. A task and the end of
//! its step are recorded together.

use crate::flow::Kind;
use crate::machine::Done as DoneStep;
use crate::objects::Tell;
use crate::run::{Done, Halt, Run, defect, machine_of};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Ask, BudgetUnit, Event, NewEvent, StepResult};
use atelier_protocol::ids::StepId;
use serde_json::{Value, json};

/// The team's board.
const BOARD: &str = "board/team";

impl Run {
    pub(crate) async fn ask_question(&mut self) -> Done {
        let (_, step) = self.current()?;
        let Kind::Ask { question, default } = step.kind.clone() else {
            return Err(Halt::Fail(defect("a question was asked outside an ask step")));
        };
        self.ask(Ask::Question { question, default }, Vec::new()).await
    }

    /// The answer stands in the history; later roles are told it in their brief.
    pub(crate) async fn question_answered(&mut self, _said: &str) -> Done {
        self.end_step(Vec::new(), StepResult::Done).await
    }

    /// Asks for more tokens where the limit is reached; the answer is false where the run must wait for that.
    pub(crate) async fn within_budget(&mut self) -> Result<bool, Halt> {
        let Some((limit, more)) = self.machine.budget.limit.zip(self.machine.budget.given) else { return Ok(true) };
        let mut spent = self.machine.budget.spent;
        for child in &self.machine.children {
            spent = spent.saturating_add(machine_of(&self.desk, child).await?.budget.spent);
        }
        if spent < limit {
            return Ok(true);
        }
        if self.machine.budget.refused {
            return Err(Halt::Fail(Problem::new(
                Code::BudgetReached,
                format!("The run has used {spent} of the {limit} tokens it was given."),
                "Start again with a larger `--budget-tokens`, or with a narrower goal.",
            )));
        }
        self.ask(Ask::Budget { spent, limit, more: more.max(1), node: None, unit: BudgetUnit::Tokens }, Vec::new())
            .await?;
        Ok(false)
    }

    /// The task and the end of its step are one append, so that it is put on the board once.
    pub(crate) async fn put_task(&mut self) -> Done {
        let (current, step) = self.current()?;
        let here = current.step.clone();
        let Kind::Task { task } = step.kind.clone() else {
            return Err(Halt::Fail(defect("a task was made outside a task step")));
        };
        let title = task.replace("{goal}", &self.machine.view.goal);
        let end = Event::StepFinished { result: StepResult::Done };
        self.tell_board("add", json!({"title": title}), &here, end).await
    }

    /// Takes the task of a step from the board. One that somebody took off already is gone.
    pub(crate) async fn retract_task(&mut self, done: &DoneStep, undone: Event) -> Done {
        let by = self.teller(&done.step);
        let board = self.desk.objects.show(BOARD, None).await?;
        let tasks = board.state["tasks"].as_object().into_iter().flatten();
        let Some(task) = tasks.into_iter().find(|(_, task)| task["by"] == by).map(|(id, _)| id.clone()) else {
            return self.record_in(Some(&done.step), vec![undone]).await;
        };
        self.tell_board("remove", json!({"task": task}), &done.step, undone).await
    }

    /// Who put a task there: each step for itself, so that its task is found again.
    fn teller(&self, step: &StepId) -> String {
        format!("{step} of run {}", self.id)
    }

    /// Tells the board something and records with it what that means for the run.
    async fn tell_board(&mut self, handler: &str, arguments: Value, step: &StepId, meaning: Event) -> Done {
        let tell = Tell {
            object: BOARD.to_owned(),
            handler: handler.to_owned(),
            arguments,
            by: self.teller(step),
            version: None,
        };
        // Held until it is recorded: nobody else tells the board anything meanwhile.
        let told = self.desk.objects.prepare(vec![tell]).await?;
        let mut events: Vec<NewEvent> = told.events.clone();
        events.push(NewEvent::of_run(&self.id, Some(step), meaning));
        self.record_with_others(events).await
    }
}
