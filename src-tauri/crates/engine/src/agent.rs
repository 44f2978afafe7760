//! A role's turn with a model: the question, the stream, and what becomes of an answer that cannot be used.
//!
//! A turn is used whole or not at all. What arrived of a broken one is kept for the reader and never acted on.

use crate::answer_edits;
use crate::cloud::Leave;
use crate::prompt;
use crate::role::{Deliverable, Role, Tool};
use crate::routing::ANSWER_TOKENS;
use crate::run::{Done, Halt, Run};
use crate::{tools, wish};
use atelier_models::context::{self, Sent};
use atelier_models::retry::{self, Next};
use atelier_models::{CallError, ChatRequest, Chosen, Message, ModelEvent, ToolSpec, Turn, price};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Amount, Event, FailureClass, MismatchKind, PromptRecord, Requirement, Review, Reviewer, Spec, StepResult, Stop,
    ToolCall, Usage,
};
use atelier_protocol::ids::CallId;
use atelier_protocol::op::{Draft, Phase};
use atelier_protocol::settings::ProviderKind;
use serde_json::Value;
use std::time::Duration;

/// Turns in a row that may be unusable.
const UNUSABLE: u32 = 2;
/// The same call with the same answer so often in a row is a loop.
const REPEATS: u32 = 4;
impl Run {
    pub(crate) async fn ask_model(&mut self) -> Done {
        if !self.within_budget().await? {
            return Ok(());
        }
        self.notice_stall().await?;
        let role = self.role()?.clone();
        let (current, step) = self.current()?;
        let (talk, brief, step_name) = (current.talk.clone(), current.brief.clone(), step.id.clone());
        if talk.turns >= role.turns {
            return Err(Halt::Fail(turn_limit(&role)));
        }
        if talk.repeats.1 >= REPEATS {
            return Err(Halt::Fail(looping(&role, &talk.repeats.0)));
        }
        self.held(talk.held_ms).await?;
        let rules = |edits: Option<&str>| prompt::system(&role, &step_name, answer_edits::agreed(&role, edits));
        let (chosen, decision) = match self.kept_route(&role) {
            Some(chosen) => (chosen, None),
            None => {
                let all = record_of(&rules(None), &brief, &talk.messages, &tools::offered(&role));
                let (chosen, decision) = self.choose(&role, bytes(&all)).await?;
                (chosen, Some(decision))
            }
        };
        // A model that was chosen just now is asked first; its choice is recorded with that.
        if decision.is_none() && self.keep_to_quota(&role, &chosen).await? {
            return Ok(());
        }
        let system = rules(chosen.route.edits.as_deref());
        let least = context::least_tokens(&system) + context::least_tokens(&brief);
        let offered = offered(&role, &chosen);
        let record = record_of(&system, &brief, &talk.messages, &offered);
        let need = context::most_tokens(bytes(&record)).saturating_add(ANSWER_TOKENS);
        if let Some(context) = chosen.route.context.filter(|context| *context < need) {
            return self.make_room(&role, &record, context).await;
        }
        let reserved = wish::reserved(&chosen, need);
        let caller = wish::caller(&chosen, &role.id, &self.id);
        let rates = (self.desk.settings)().routing.rates;
        if let Some((hold, until_ms)) = self.desk.traffic.hold(&rates, &caller, reserved.tokens) {
            return self.record(vec![Event::CallHeld { hold, until_ms }]).await;
        }
        let call = self.desk.sources.call_id();
        let mut request = wish::request(&chosen, &call, conversation(system, brief, talk.messages.clone()));
        request.tools = offered;
        request.constrained = chosen.route.constrained;
        match self.leave_to_send(&request, &chosen).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(()),
        }

        if !chosen.route.local {
            self.watch_spending().await?;
        }
        let turn = self.turn_for(&role, &chosen).await?;
        let Some(admitted) = self.may_use(&reserved).await? else { return Ok(()) };
        let decided = decision.map(|decision| Event::RouteDecided { decision: Box::new(decision) });
        let started = Event::CallStarted {
            call: call.clone(),
            role: role.id.clone(),
            route: chosen.route.clone(),
            prompt: record,
            attempt: talk.failures + 1,
            reserved: reserved.clone(),
        };
        self.record(decided.into_iter().chain([started]).collect()).await?;
        drop(admitted);
        let under_way = self.desk.traffic.begin(&rates, &caller, reserved.tokens);
        let sent = Sent {
            asked: chosen.route.context.filter(|_| chosen.provider.kind == ProviderKind::Ollama),
            least: least.saturating_add(context::least_of(&talk.messages)),
            before: talk.read.map(|(read, count)| (read, context::least_of(talk.messages.get(count..).unwrap_or(&[])))),
        };
        let heard = self.stream(&call, request, &chosen).await?;
        self.call_ended(turn, &chosen, heard.as_ref().is_ok_and(|turn| !turn.tool_calls.is_empty()));
        match heard {
            Ok(turn) => {
                under_way.done();
                self.take(&role, call, turn, &chosen, sent).await
            }
            Err(failed) => {
                under_way.failed(&failed.error);
                self.failed(&role, call, *failed, &chosen).await
            }
        }
    }

    /// Waits until the next call may begin.
    async fn held(&mut self, until_ms: Option<u64>) -> Done {
        let Some(until_ms) = until_ms else { return Ok(()) };
        let wait = until_ms.saturating_sub(self.desk.sources.clock.now_ms());
        if wait == 0 {
            return Ok(());
        }
        tokio::select! {
            () = self.desk.sources.clock.sleep(Duration::from_millis(wait)) => Ok(()),
            () = self.stop.cancelled() => Err(Halt::Stopped),
        }
    }

    /// Asks and shows the pieces as they come.
    async fn stream(
        &mut self,
        call: &CallId,
        request: ChatRequest,
        chosen: &Chosen,
    ) -> Result<Result<Turn, Box<atelier_models::Failed>>, Halt> {
        let provider = self.server(self.role()?, chosen).await?;
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
        if !matches!(turn, Ok(Ok(Ok(_)))) {
            self.desk.egress.settled().await;
        }
        Ok(turn??.map_err(Box::new))
    }

    /// Records a complete turn, or says why it cannot be used.
    async fn take(&mut self, role: &Role, call: CallId, turn: Turn, chosen: &Chosen, sent: Sent) -> Done {
        let cost = self.paid(chosen, &turn.usage)?;
        let loaded = self.server(role, chosen).await?.loaded(&chosen.model).await.and_then(|loaded| loaded.context);
        // The ledger knows of a call before the run's history says how it ended.
        self.desk.egress.settled().await;
        let mismatch = context::mismatch(sent, turn.usage.prompt_tokens, loaded);
        if let Some(mismatch) = mismatch.clone().filter(|mismatch| mismatch.kind == MismatchKind::PromptCut) {
            let (read, sent) = (mismatch.evaluated.unwrap_or(0), mismatch.counted);
            let problem = CallError::PromptCut { read, sent }.problem(&chosen.provider, &chosen.model);
            let used = used(chosen, &turn.usage, cost);
            let failed = Event::CallFailed {
                call: call.clone(),
                problem,
                partial: turn.text,
                class: Some(FailureClass::FailOver),
                used,
            };
            return self.record(vec![Event::ContextMismatched { call, mismatch }, failed]).await;
        }
        if turn.is_empty() {
            let problem = Problem::new(
                Code::AnswerEmpty,
                format!("The model ended its turn as {} without saying or doing anything.", role.title),
                "Resume to ask once more, or choose another model; small models do this when a task is too large.",
            );
            let told = "Your last turn was empty. Go on with the work: call a tool, or answer in words.";
            let partial = turn.thinking;
            return self.unusable(call, problem, partial, told.to_owned(), used(chosen, &turn.usage, cost)).await;
        }
        if turn.stop == Stop::Length && turn.tool_calls.is_empty() {
            let problem = Problem::new(
                Code::AnswerIncomplete,
                "The model's answer was cut off at its length limit.",
                "Resume to ask once more, or choose a model with a longer context.",
            );
            let told =
                "Your last turn was cut off at the length limit. Answer again, shorter, or do it in smaller parts.";
            return self.unusable(call, problem, turn.text, told.to_owned(), used(chosen, &turn.usage, cost)).await;
        }
        let first = self.machine.tool_calls;
        // Servers number calls as they like; ours are unique in the run and the same on a repeat.
        let mut asked = turn.tool_calls;
        if asked.is_empty() {
            asked.extend(self.edits_in(role, &turn.text, chosen.route.edits.as_deref()));
        }
        let tool_calls: Vec<ToolCall> =
            (first + 1..).zip(asked).map(|(n, c)| ToolCall { id: format!("t{n}"), ..c }).collect();
        let told = mismatch.map(|mismatch| Event::ContextMismatched { call: call.clone(), mismatch });
        let finished = Event::CallFinished {
            call,
            text: turn.text,
            thinking: turn.thinking,
            tool_calls,
            usage: turn.usage,
            stop: turn.stop,
            cost,
        };
        self.record([finished].into_iter().chain(told).collect()).await
    }

    /// What the call cost; `None` where that is not known.
    pub(crate) fn paid(&self, chosen: &Chosen, usage: &Usage) -> Result<Option<u64>, Halt> {
        if chosen.route.local {
            return Ok(Some(0));
        }
        Ok(price::paid(self.desk.prices()?.of(&chosen.provider.id, &chosen.model).as_ref(), usage))
    }

    async fn failed(&mut self, role: &Role, call: CallId, failed: atelier_models::Failed, chosen: &Chosen) -> Done {
        let problem = failed.error.problem(&chosen.provider, &chosen.model);
        let shown = !failed.partial_text.is_empty() || !failed.partial_thinking.is_empty();
        let used = match &failed.error {
            CallError::MalformedCall { usage: Some(usage), .. } => used(chosen, usage, self.paid(chosen, usage)?),
            _ => wasted(chosen, &failed),
        };
        if let CallError::MalformedCall { name, .. } = &failed.error {
            let told = format!(
                "Your call of `{name}` had arguments that are not a JSON object. Nothing was done. Call it again."
            );
            return self.unusable(call, problem, failed.partial_text, told, used).await;
        }
        let (tries, compactable) = self.current().map(|(c, _)| (c.talk.tries + 1, c.talk.tries == 0))?;
        let event = |class| Event::CallFailed {
            call: call.clone(),
            problem: problem.clone(),
            partial: failed.partial_text.clone(),
            class: Some(class),
            used: used.clone(),
        };
        if let (CallError::Overflow { .. }, true, Some(context)) = (&failed.error, compactable, chosen.route.context) {
            // The server counts otherwise than we do: a fifth less may fit.
            let record = self.present_prompt(role, chosen)?;
            let room = u32::try_from(bytes(&record) / 3).unwrap_or(u32::MAX).saturating_add(ANSWER_TOKENS).min(context);
            if let Some(compacted) = self.compacted(&record, room / 5 * 4).await? {
                return self.record(vec![event(FailureClass::RetrySame), compacted]).await;
            }
        }
        match retry::next(&failed.error, tries, shown, self.desk.sources.random()) {
            Next::Again { hold, pause } => {
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let until_ms = self.desk.sources.clock.now_ms().saturating_add(pause);
                self.record(vec![event(FailureClass::RetrySame), Event::CallHeld { hold, until_ms }]).await
            }
            Next::Elsewhere => self.record(vec![event(FailureClass::FailOver)]).await,
            Next::Person => {
                let class = failed.error.class();
                self.record(vec![event(class)]).await?;
                Err(Halt::Park(problem))
            }
        }
    }

    /// What would be sent now.
    fn present_prompt(&self, role: &Role, chosen: &Chosen) -> Result<PromptRecord, Halt> {
        let (current, step) = self.current()?;
        let system = prompt::system(role, &step.id, answer_edits::agreed(role, chosen.route.edits.as_deref()));
        Ok(record_of(&system, &current.brief, &current.talk.messages, &offered(role, chosen)))
    }

    /// A turn that cannot be used: the model is told once, then another one is taken, or the run is parked.
    async fn unusable(&mut self, call: CallId, problem: Problem, partial: String, told: String, used: Amount) -> Done {
        let so_far = self.machine.current.as_ref().map_or(0, |c| c.talk.unusable);
        let last = so_far + 1 >= UNUSABLE;
        let class = Some(if last { FailureClass::FailOver } else { FailureClass::RetrySame });
        let failed = Event::CallFailed { call, problem, partial, class, used };
        let corrected = (!last).then_some(Event::TurnCorrected { message: told });
        self.record([failed].into_iter().chain(corrected).collect()).await
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
        let route = self.machine.route.as_ref().and_then(|route| route.edits.as_deref());
        let how = match answer_edits::agreed(role, route) {
            Some(format) => format!("Write the edits in your answer. {}", format.shape()),
            None => "Make the change with `edit_file` or `write_file`.".to_owned(),
        };
        let message = format!("No file differs from the base, so the work is not done. {how}");
        self.record(vec![Event::TurnCorrected { message }]).await
    }
}

/// The tools that a role's model is offered: a weak one is offered few, and only the ways to edit that it gets right.
/// What delivers the role's work is always among them.
fn offered(role: &Role, chosen: &Chosen) -> Vec<ToolSpec> {
    let mut all = tools::offered(role);
    if answer_edits::agreed(role, chosen.route.edits.as_deref()).is_some() {
        // One way to edit: the agreed one.
        all.retain(|tool| ![Tool::EditFile, Tool::WriteFile].iter().any(|other| tool.name == other.name()));
    }
    let other = match chosen.route.edits.as_deref() {
        Some("whole-file") => Some(Tool::EditFile),
        _ => None,
    };
    if role.tools.contains(&Tool::WriteFile) {
        all.retain(|tool| other.is_none_or(|other| tool.name != other.name()));
    }
    let most = chosen.route.most_tools.map_or(usize::MAX, |most| most as usize);
    let delivers = |tool: &ToolSpec| {
        Tool::named(&tool.name)
            .is_some_and(|tool| tool.writes() || matches!(tool, Tool::SubmitSpec | Tool::SubmitReview))
    };
    while all.len() > most {
        match all.iter().rposition(|tool| !delivers(tool)) {
            Some(at) => drop(all.remove(at)),
            None => break,
        }
    }
    all
}

fn record_of(system: &str, brief: &str, messages: &[Message], offered: &[ToolSpec]) -> PromptRecord {
    prompt::record(system, brief, messages, &serde_json::to_string(offered).unwrap_or_default())
}

pub(crate) fn bytes(record: &PromptRecord) -> usize {
    record.parts.iter().map(|part| part.bytes as usize).sum()
}

/// What a turn used.
pub(crate) fn used(chosen: &Chosen, usage: &Usage, cost: Option<u64>) -> Amount {
    let tokens = u64::from(usage.prompt_tokens.unwrap_or(0)) + u64::from(usage.output_tokens.unwrap_or(0));
    Amount { micros: cost, tokens, local_ms: if chosen.route.local { usage.total_ms } else { 0 } }
}

/// What a failed call used: nothing where nothing came; what that cost elsewhere is not known otherwise.
fn wasted(chosen: &Chosen, failed: &atelier_models::Failed) -> Amount {
    let came = failed.partial_text.len() + failed.partial_thinking.len();
    let micros = (chosen.route.local || came == 0).then_some(0);
    Amount { micros, tokens: u64::from(context::most_tokens(came)), local_ms: 0 }
}

pub(crate) fn too_long(chosen: &Chosen, context: u32) -> Problem {
    Problem::new(
        Code::ContextOverflow,
        format!("The prompt does not fit the context of `{}`, which is {context} tokens.", chosen.model),
        "Choose a model with a longer context in the settings, then resume; or start again with a narrower goal.",
    )
}

fn conversation(system: String, brief: String, talk: Vec<Message>) -> Vec<Message> {
    let mut messages = vec![Message::system(system), Message::user(brief)];
    messages.extend(talk);
    messages
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
