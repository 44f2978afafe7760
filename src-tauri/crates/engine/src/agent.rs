//! A role's turn with a model: the question, the stream, and what becomes of an answer that cannot be used.
//!
//! A turn is used whole or not at all. What arrived of a broken one is kept for the reader and never acted on.

use crate::cloud::Leave;
use crate::flow::Kind;
use crate::prompt;
use crate::role::{Deliverable, Role, Tool};
use crate::run::{Done, Halt, Run};
use crate::{servers, tools};
use atelier_models::{CallError, ChatRequest, Chosen, Message, ModelEvent, Turn};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Amount, Event, FailureClass, Requirement, Review, Reviewer, Route, Spec, StepResult, Stop, ToolCall,
};
use atelier_protocol::ids::CallId;
use atelier_protocol::op::{Draft, Phase};
use serde_json::Value;
use std::time::Duration;

/// Attempts at one question while a server fails.
const ATTEMPTS: u32 = 3;
/// Turns in a row that may be unusable.
const UNUSABLE: u32 = 2;
/// The same call with the same answer so often in a row is a loop.
const REPEATS: u32 = 4;
/// Context lengths that are asked for, in tokens. One value a run, so that the server does not reload the model.
const LADDER: [u32; 4] = [8192, 16_384, 32_768, 65_536];
/// Tokens kept free for the answer.
const ANSWER_TOKENS: u32 = 4096;

impl Run {
    pub(crate) async fn ask_model(&mut self) -> Done {
        if !self.within_budget().await? {
            return Ok(());
        }
        self.notice_stall().await?;
        let role = self.role()?.clone();
        let (current, step) = self.current()?;
        let (talk, step_name) = (current.talk.clone(), step.id.clone());
        if talk.turns >= role.turns {
            return Err(Halt::Fail(turn_limit(&role)));
        }
        if talk.repeats.1 >= REPEATS {
            return Err(Halt::Fail(looping(&role, &talk.repeats.0)));
        }
        let system = prompt::system(&role, &step_name);
        let brief = current.brief.clone();
        let offered = tools::offered(&role);
        let offered_text = serde_json::to_string(&offered).unwrap_or_default();
        let record = prompt::record(&system, &brief, &talk.messages, &offered_text);
        let bytes: usize = record.parts.iter().map(|part| part.bytes as usize).sum();
        let chosen = self.route(bytes).await?;
        let call = self.desk.sources.call_id();
        let mut request = ChatRequest::new(&chosen.model, conversation(system, brief, talk.messages));
        request.tools = offered;
        request.context = chosen.route.context;
        request.keep_alive = Some("10m".to_owned());
        request.id_prefix = call.to_string();
        request.passed_on = !chosen.route.local;
        match self.leave_to_send(&request, &chosen).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(()),
        }

        let attempt = talk.failures + 1;
        if attempt > 1 {
            let pause = Duration::from_millis(500 << (attempt - 2).min(4));
            tokio::select! {
                () = self.desk.sources.clock.sleep(pause) => {}
                () = self.stop.cancelled() => return Err(Halt::Stopped),
            }
        }
        let route = chosen.route.clone();
        self.record(vec![Event::CallStarted {
            call: call.clone(),
            role: role.id.clone(),
            route,
            prompt: record,
            attempt,
            reserved: Amount::default(),
        }])
        .await?;
        match self.stream(&call, request, &chosen).await? {
            Ok(turn) => self.take(&role, call, turn).await,
            Err(failed) => self.failed(call, *failed, attempt, &chosen).await,
        }
    }

    /// Asks and shows the pieces as they come.
    async fn stream(
        &mut self,
        call: &CallId,
        request: ChatRequest,
        chosen: &Chosen,
    ) -> Result<Result<Turn, Box<atelier_models::Failed>>, Halt> {
        let http = self.desk.egress.on(self.errand(Some(&self.role()?.id), chosen).await?);
        let provider = atelier_models::provider(&chosen.provider, http, self.desk.sources.clock.clone());
        let (desk, run, step) = (self.desk.clone(), self.id.clone(), self.current()?.0.step.clone());
        let call = call.clone();
        let draft = move |phase: Phase, text: &str| {
            desk.journal.publish_draft(Draft {
                run: run.clone(),
                step: step.clone(),
                call: call.clone(),
                phase,
                text: text.to_owned(),
            });
        };
        let collected = atelier_models::collect(provider.chat(request), move |event| match event {
            ModelEvent::Phase(phase) => draft(*phase, ""),
            ModelEvent::Text(text) => draft(Phase::Answering, text),
            ModelEvent::Thinking(text) => draft(Phase::Thinking, text),
            ModelEvent::ToolCall(_) | ModelEvent::Done { .. } => {}
        });
        let stop = self.stop.clone();
        let until_stopped = async move {
            tokio::select! {
                turn = collected => Ok(turn),
                () = stop.cancelled() => Err(Halt::Stopped),
            }
        };
        let turn = self.attended(until_stopped).await;
        // The ledger knows of a call before the run's history says how it ended.
        self.desk.egress.settled().await;
        Ok(turn??.map_err(Box::new))
    }

    /// Records a complete turn, or says why it cannot be used.
    async fn take(&mut self, role: &Role, call: CallId, turn: Turn) -> Done {
        if turn.is_empty() {
            let problem = Problem::new(
                Code::AnswerEmpty,
                format!("The model ended its turn as {} without saying or doing anything.", role.title),
                "Resume to ask once more, or choose another model; small models do this when a task is too large.",
            );
            let told = "Your last turn was empty. Go on with the work: call a tool, or answer in words.";
            let partial = turn.thinking;
            return self.unusable(call, problem, partial, told.to_owned()).await;
        }
        if turn.stop == Stop::Length && turn.tool_calls.is_empty() {
            let problem = Problem::new(
                Code::AnswerIncomplete,
                "The model's answer was cut off at its length limit.",
                "Resume to ask once more, or choose a model with a longer context.",
            );
            let told =
                "Your last turn was cut off at the length limit. Answer again, shorter, or do it in smaller parts.";
            return self.unusable(call, problem, turn.text, told.to_owned()).await;
        }
        let first = self.machine.tool_calls;
        // Servers number calls as they like; ours are unique in the run and the same on a repeat.
        let tool_calls: Vec<ToolCall> =
            (first + 1..).zip(turn.tool_calls).map(|(n, c)| ToolCall { id: format!("t{n}"), ..c }).collect();
        let finished = Event::CallFinished {
            call,
            text: turn.text,
            thinking: turn.thinking,
            tool_calls,
            usage: turn.usage,
            stop: turn.stop,
            cost: None,
        };
        self.record(vec![finished]).await
    }

    async fn failed(&mut self, call: CallId, failed: atelier_models::Failed, attempt: u32, chosen: &Chosen) -> Done {
        let problem = failed.error.problem(&chosen.provider, &chosen.model);
        if let CallError::MalformedCall { name, .. } = &failed.error {
            let told = format!(
                "Your call of `{name}` had arguments that are not a JSON object. Nothing was done. Call it again."
            );
            return self.unusable(call, problem, failed.partial_text, told).await;
        }
        let nothing_shown = failed.partial_text.is_empty();
        let again = failed.error.class() == FailureClass::RetrySame && nothing_shown && attempt < ATTEMPTS;
        self.record(vec![failure(call, &problem, failed.partial_text, failed.error.class())]).await?;
        if again { Ok(()) } else { Err(Halt::Park(problem)) }
    }

    /// A turn that cannot be used: the model is told once or twice, then the run is parked.
    async fn unusable(&mut self, call: CallId, problem: Problem, partial: String, told: String) -> Done {
        let so_far = self.machine.current.as_ref().map_or(0, |c| c.talk.unusable);
        let failed = failure(call, &problem, partial, FailureClass::RetrySame);
        if so_far + 1 >= UNUSABLE {
            self.record(vec![failed]).await?;
            return Err(Halt::Park(problem));
        }
        self.record(vec![failed, Event::TurnCorrected { message: told }]).await
    }

    /// The model ended without the tool that delivers: for a change that is the normal end, for the others the
    /// text may hold what was asked for.
    pub(crate) async fn conclude(&mut self, text: &str) -> Done {
        let role = self.role()?.clone();
        match role.delivers {
            Deliverable::Change => self.end_agent_step().await,
            Deliverable::Spec => match spec_in(text) {
                Some(spec) => self.record(vec![Event::SpecWritten { spec }]).await,
                None => self.remind(&role, Tool::SubmitSpec).await,
            },
            Deliverable::Review => self.remind(&role, Tool::SubmitReview).await,
        }
    }

    async fn remind(&mut self, role: &Role, tool: Tool) -> Done {
        let so_far = self.machine.current.as_ref().map_or(0, |c| c.talk.unusable);
        if so_far + 1 >= UNUSABLE {
            return Err(Halt::Park(Problem::new(
                Code::AnswerInvalid,
                format!("The {} did not deliver: the model never called `{}`.", role.title, tool.name()),
                "Resume to ask once more, or choose a model that can call tools.",
            )));
        }
        let message = format!("Your work is not delivered yet. Call `{}` now.", tool.name());
        self.record(vec![Event::TurnCorrected { message }]).await
    }

    /// Ends an agent step; a step that writes leaves a checkpoint.
    pub(crate) async fn end_agent_step(&mut self) -> Done {
        let role = self.role()?.clone();
        if role.delivers == Deliverable::Change {
            let point = self.checkpoint().await?;
            if point.files.is_empty() {
                return self.nothing_changed(&role).await;
            }
            return self.end_step(vec![Event::CheckpointMade { checkpoint: point }], StepResult::Done).await;
        }
        let result = match self.machine.view.reviews.last() {
            Some(review) if role.delivers == Deliverable::Review && self.delivered() => judged(review),
            _ => StepResult::Done,
        };
        self.end_step(Vec::new(), result).await
    }

    fn delivered(&self) -> bool {
        self.machine.current.as_ref().is_some_and(|c| c.talk.delivered)
    }

    async fn nothing_changed(&mut self, role: &Role) -> Done {
        let so_far = self.machine.current.as_ref().map_or(0, |c| c.talk.unusable);
        if so_far + 1 >= UNUSABLE {
            return Err(Halt::Fail(Problem::new(
                Code::NothingChanged,
                format!("The {} said the work is complete but changed nothing.", role.title),
                "Say more exactly what should change, or choose another model.",
            )));
        }
        let message =
            "No file differs from the base, so the work is not done. Make the change with `edit_file` or `write_file`.";
        self.record(vec![Event::TurnCorrected { message: message.to_owned() }]).await
    }

    /// The model for this call: the one the run already uses, else chosen anew.
    async fn route(&self, prompt_bytes: usize) -> Result<Chosen, Halt> {
        let settings = (self.desk.settings)();
        let need = prompt::estimated_tokens(prompt_bytes).saturating_add(ANSWER_TOKENS);
        if let Some(route) = &self.machine.route
            && let Some(provider) = settings.providers.iter().find(|p| p.id == route.provider)
            && route.context.is_none_or(|context| context >= need)
        {
            return Ok(Chosen { provider: provider.clone(), model: route.model.clone(), route: route.clone() });
        }
        let views = servers::describe(&settings, &self.desk.egress, &self.desk.keys, &self.desk.sources.clock).await;
        let mut chosen = atelier_models::choose(&views, self.machine.model.as_ref(), &settings)?;
        let most = views
            .iter()
            .filter(|view| view.id == chosen.provider.id)
            .flat_map(|view| &view.models)
            .find(|model| model.name == chosen.model)
            .and_then(|model| model.context);
        if chosen.route.context.is_some() {
            let fits = context_for(need, most, &chosen.route)?;
            // What any role of the flow wants, so that the length stays the same for the whole run.
            let wanted = self.wanted_context().min(most.unwrap_or(u32::MAX));
            chosen.route.context = Some(fits.max(wanted));
        }
        Ok(chosen)
    }

    /// The longest of the contexts that the flow's roles say they need.
    fn wanted_context(&self) -> u32 {
        let in_flow = |role: &&Role| {
            self.flow.steps.iter().any(|step| matches!(&step.kind, Kind::Agent { role: id, .. } if *id == role.id))
        };
        self.roles.iter().filter(in_flow).map(|role| role.min_context).max().unwrap_or(0)
    }
}

/// The smallest rung that holds `need` tokens within the model's own limit. Never less than is needed: a prompt is
/// not cut, the call fails with a name.
fn context_for(need: u32, most: Option<u32>, route: &Route) -> Result<u32, Halt> {
    let limit = most.unwrap_or(LADDER[LADDER.len() - 1]);
    let rung = LADDER.iter().copied().filter(|rung| *rung >= need).min().unwrap_or(need);
    if rung <= limit {
        return Ok(rung);
    }
    if need <= limit {
        return Ok(limit);
    }
    Err(Halt::Park(Problem::new(
        Code::ContextOverflow,
        format!("The prompt needs about {need} tokens, and `{}` holds {limit}.", route.model),
        "Choose a model with a longer context in the settings, then resume; or start again with a narrower goal.",
    )))
}

fn conversation(system: String, brief: String, talk: Vec<Message>) -> Vec<Message> {
    let mut messages = vec![Message::system(system), Message::user(brief)];
    messages.extend(talk);
    messages
}

fn failure(call: CallId, problem: &Problem, partial: String, class: FailureClass) -> Event {
    Event::CallFailed { call, problem: problem.clone(), partial, class: Some(class), used: Amount::default() }
}

fn judged(review: &Review) -> StepResult {
    match review.answer {
        atelier_protocol::event::Answer::Approve => StepResult::Done,
        atelier_protocol::event::Answer::Reject => StepResult::SentBack { reason: review.notes.clone() },
    }
}

/// A spec that a model wrote as text: a JSON object with the tool's arguments, or a list under a heading.
fn spec_in(text: &str) -> Option<Spec> {
    let inner = text.trim().trim_start_matches("```json").trim_start_matches("```").trim_end_matches("```").trim();
    if let Ok(arguments) = serde_json::from_str::<Value>(inner) {
        return spec_of(&arguments).ok();
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let title = lines.next()?.trim_start_matches(['#', '*', ' ']).trim_end_matches(['*', ':']).to_owned();
    let items = text.lines().map(str::trim).filter_map(|line| {
        let rest = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
        rest.or_else(|| line.split_once(". ").filter(|(n, _)| n.parse::<u32>().is_ok()).map(|(_, rest)| rest))
    });
    let requirements = numbered(items.map(str::to_owned));
    (!requirements.is_empty()).then(|| Spec { title, summary: String::new(), requirements })
}

/// The spec that the arguments of `submit_spec` hold, or what to tell the model.
pub(crate) fn spec_of(arguments: &Value) -> Result<Spec, String> {
    let title = tools::text_argument(arguments, "title")?.trim().to_owned();
    let summary = arguments.get("summary").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let listed: Vec<String> = match arguments.get("requirements") {
        Some(Value::Array(items)) => items.iter().filter_map(requirement).collect(),
        Some(Value::String(text)) => {
            text.lines().map(|line| line.trim_start_matches(['-', '*', ' ']).to_owned()).collect()
        }
        _ => return Err("`requirements` must be an array of strings".to_owned()),
    };
    let requirements = numbered(listed.into_iter().filter(|text| !text.trim().is_empty()));
    match (title.is_empty(), requirements.is_empty()) {
        (true, _) => Err("`title` is empty".to_owned()),
        (_, true) => Err("`requirements` is empty; state at least one thing that must hold".to_owned()),
        _ => Ok(Spec { title, summary, requirements }),
    }
}

/// Models send requirements as texts or as objects with a text in them.
fn requirement(item: &Value) -> Option<String> {
    match item {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Object(fields) => {
            ["text", "description", "requirement"].iter().find_map(|k| fields.get(*k)?.as_str()).map(str::to_owned)
        }
        _ => None,
    }
}

fn numbered(texts: impl Iterator<Item = String>) -> Vec<Requirement> {
    texts.enumerate().map(|(n, text)| Requirement { id: format!("R{}", n + 1), text }).collect()
}

/// The review that the arguments of `submit_review` hold, or what to tell the model.
pub(crate) fn review_of(arguments: &Value, role: &Role, tree: String) -> Result<Review, String> {
    use atelier_protocol::event::Answer;
    let answer = match tools::text_argument(arguments, "verdict")?.trim() {
        "approve" => Answer::Approve,
        "reject" => Answer::Reject,
        other => return Err(format!("`verdict` must be `approve` or `reject`, not `{other}`")),
    };
    let notes = arguments.get("notes").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    if answer == Answer::Reject && notes.is_empty() {
        return Err("a rejection needs `notes` that say what to mend".to_owned());
    }
    Ok(Review { by: Reviewer::Role { role: role.id.clone() }, answer, notes, tree })
}

fn turn_limit(role: &Role) -> Problem {
    Problem::new(
        Code::TurnLimit,
        format!("The {} took {} turns, which is all its file allows.", role.title, role.turns),
        "Start again with a narrower goal, or raise `limits.turns` in the role's file.",
    )
}

fn looping(role: &Role, pair: &str) -> Problem {
    Problem::new(
        Code::Looping,
        format!("The {} repeated the same call {REPEATS} times with the same answer.", role.title),
        "Start again with a narrower goal, or choose another model.",
    )
    .with_details([pair.chars().take(400).collect()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_context_is_the_smallest_rung_that_holds_the_prompt() {
        let route = Route { provider: "p".into(), model: "m".into(), local: true, ..Route::default() };
        assert_eq!(context_for(9000, Some(32_768), &route).unwrap(), 16_384);
        assert_eq!(context_for(9000, Some(10_000), &route).unwrap(), 10_000);
        assert_eq!(context_for(90_000, Some(131_072), &route).unwrap(), 90_000);
        let Err(Halt::Park(problem)) = context_for(9000, Some(4096), &route) else { panic!("it fits nowhere") };
        assert_eq!(problem.code, Code::ContextOverflow);
    }

    #[test]
    fn a_spec_is_read_from_arguments_objects_and_plain_text() {
        let spec = spec_of(&json!({"title": "T", "requirements": ["a", {"text": "b"}, ""]})).unwrap();
        assert_eq!(
            spec.requirements.iter().map(|r| format!("{} {}", r.id, r.text)).collect::<Vec<_>>(),
            ["R1 a", "R2 b"]
        );
        assert!(spec_of(&json!({"title": "T", "requirements": []})).is_err());
        assert_eq!(spec_in("# Add x\n\n1. one\n2. two\n").unwrap().requirements.len(), 2);
        assert_eq!(spec_in("```json\n{\"title\":\"T\",\"requirements\":[\"a\"]}\n```").unwrap().title, "T");
        assert_eq!(spec_in("I think this is hard."), None);
    }
}
