//! Measures a model on this machine: whether it calls tools well, which edit formats it gets right, how long a prompt it
//! really knows, how fast it is and what memory it takes.
//!
//! What is measured is a card, kept by the digest of the model's files, and drives the choice of models, how many tools
//! one is offered and how it edits. A question that the server cannot answer counts as wrong; only a server that is not
//! there ends the measuring.

mod tasks;

use atelier_edit::Format;
use atelier_models::{CallError, ChatRequest, Failed, Message, Provider, Turn, collect};
use atelier_protocol::error::Problem;
use atelier_protocol::event::{ModelCard, Score, Stop};
use tasks::{EDIT_TASKS, EditTask, FORMATS, TOOL_TASKS, ToolTask};

/// Parts of the context, in hundredths, that are tried as prompts.
const LENGTHS: [u32; 3] = [25, 50, 90];
/// Tokens of an answer at most.
const ANSWER: u32 = 1024;
/// Tokens for counting aloud.
const COUNTING: u32 = 200;
/// How long the model stays loaded between two questions.
const STAYS: &str = "5m";

/// How far a measuring is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Parts that are done.
    pub done: u32,
    /// All parts.
    pub of: u32,
    /// What is next.
    pub what: String,
}

/// What is measured.
pub(crate) struct Subject<'a> {
    /// The server.
    pub server: &'a dyn Provider,
    /// The model's name there.
    pub model: &'a str,
    /// The card's key.
    pub digest: String,
    /// The context to load it with, in tokens.
    pub context: u32,
    /// Whether the server says that the model can call tools; then tool tasks are asked.
    pub tools: bool,
    /// Now, milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Measures.
///
/// # Errors
/// The server is not there, refuses the key, does not have the model or has no memory for it.
pub(crate) async fn measure(
    subject: &Subject<'_>,
    told: &mut (dyn FnMut(Progress) + Send),
) -> Result<ModelCard, Problem> {
    let mut card = ModelCard {
        digest: subject.digest.clone(),
        provider: subject.server.settings().id.clone(),
        model: subject.model.to_owned(),
        at_ms: subject.at_ms,
        measured_context: Some(subject.context),
        ..ModelCard::default()
    };
    let of = TOOL_TASKS.len() + FORMATS.len() + LENGTHS.len() + 1;
    let mut done = 0;
    let mut next = |what: String| {
        told(Progress { done, of: of as u32, what });
        done += 1;
    };
    for (at, task) in TOOL_TASKS.iter().enumerate() {
        next(format!("tool task {} of {}", at + 1, TOOL_TASKS.len()));
        if subject.tools {
            subject.tool_task(at, task, &mut card).await?;
        }
    }
    for format in FORMATS {
        next(format!("edits as {format}"));
        let mut score = Score::default();
        for (at, task) in EDIT_TASKS.iter().enumerate() {
            count(&mut score, subject.edit_task(at, format, task).await?);
        }
        card.edits.push((format.name().to_owned(), score));
    }
    for part in LENGTHS {
        next(format!("a prompt of {part} % of the context"));
        subject.long_prompt(part, &mut card).await?;
    }
    next("speed".to_owned());
    subject.speed(&mut card).await?;
    card.memory = subject.server.loaded(subject.model).await.and_then(|loaded| loaded.bytes);
    told(Progress { done: of as u32, of: of as u32, what: "done".to_owned() });
    Ok(card)
}

fn count(score: &mut Score, right: bool) {
    score.of += 1;
    score.right += u32::from(right);
}

impl Subject<'_> {
    /// One question. `Ok(Err)` where the model or its server made nothing usable of it.
    async fn ask(&self, request: ChatRequest) -> Result<Result<Turn, CallError>, Problem> {
        let request = ChatRequest {
            context: Some(self.context),
            temperature: Some(0.0),
            keep_alive: Some(STAYS.to_owned()),
            max_output: request.max_output.or(Some(ANSWER)),
            ..request
        };
        match collect(self.server.chat(request), |_| {}).await {
            Ok(turn) => Ok(Ok(turn)),
            Err(Failed { error, .. }) if ends(&error) => Err(error.problem(self.server.settings(), self.model)),
            Err(Failed { error, .. }) => Ok(Err(error)),
        }
    }

    fn request(&self, step: &str, rules: &str, messages: Vec<Message>) -> ChatRequest {
        let mut all = vec![Message::system(format!("role: probe\nstep: {step}\n\n{rules}"))];
        all.extend(messages);
        ChatRequest { id_prefix: "probe".to_owned(), ..ChatRequest::new(self.model, all) }
    }

    /// A question that a tool answers, and what the model makes of the answer.
    async fn tool_task(&self, at: usize, task: &ToolTask, card: &mut ModelCard) -> Result<(), Problem> {
        let (step, rules) = (format!("tools.{}", at + 1), "Use the tools to find out. Then answer in one sentence.");
        let question = Message::user(task.asks);
        let mut request = self.request(&step, rules, vec![question.clone()]);
        request.tools = tasks::tools();
        let first = self.ask(request).await?;
        let calls = first.as_ref().map(|turn| turn.tool_calls.clone()).unwrap_or_default();
        // A call that stands in the text is understood, and is no well-formed one.
        count(&mut card.well_formed, !calls.is_empty() && first.as_ref().is_ok_and(|turn| !turn.from_text));
        let (argument, holds) = task.argument;
        let right = calls.first().filter(|call| {
            call.name == task.tool && call.arguments[argument].as_str().is_some_and(|value| value.contains(holds))
        });
        count(&mut card.right_tool, right.is_some());
        let Some(call) = right else {
            count(&mut card.uses_result, false);
            count(&mut card.stops, false);
            return Ok(());
        };
        let messages = vec![
            question,
            Message::assistant(first.map(|turn| turn.text).unwrap_or_default(), vec![call.clone()]),
            Message::tool(call, task.answers),
        ];
        let mut request = self.request(&step, rules, messages);
        request.tools = tasks::tools();
        let second = self.ask(request).await?;
        count(&mut card.uses_result, second.as_ref().is_ok_and(|turn| turn.text.contains(task.proof)));
        count(&mut card.stops, second.is_ok_and(|turn| turn.tool_calls.is_empty() && turn.stop == Stop::End));
        Ok(())
    }

    async fn edit_task(&self, at: usize, format: Format, task: &EditTask) -> Result<bool, Problem> {
        let rules = "You edit files exactly. You write the edit and nothing else.";
        let step = format!("edit.{format}.{}", at + 1);
        let turn = self.ask(self.request(&step, rules, vec![Message::user(task.question(format))])).await?;
        Ok(turn.is_ok_and(|turn| task.is_right(format, &turn.text)))
    }

    /// A long prompt: whether its beginning and its end are known, and how fast it was read.
    async fn long_prompt(&self, part: u32, card: &mut ModelCard) -> Result<(), Problem> {
        let tokens = (u64::from(self.context.saturating_sub(ANSWER)) * u64::from(part) / 100) as u32;
        let (text, marks) = tasks::long_text(tokens);
        let rules = "Answer in one short sentence.";
        let request = self.request(&format!("length.{part}"), rules, vec![Message::user(text)]);
        let Ok(turn) = self.ask(request).await? else { return Ok(()) };
        let usage = &turn.usage;
        if marks.iter().all(|mark| turn.text.contains(mark.as_str())) {
            card.context = card.context.max(usage.prompt_tokens.or(Some(tokens)));
        }
        let reading = usage.first_ms.map(|first| first.saturating_sub(usage.load_ms.unwrap_or(0)));
        card.prompt_speed = a_second(usage.prompt_tokens, reading).or(card.prompt_speed);
        Ok(())
    }

    /// How fast it writes.
    async fn speed(&self, card: &mut ModelCard) -> Result<(), Problem> {
        let messages = vec![Message::user("Count from 1 to 60, one number a line, and say nothing else.")];
        let request =
            ChatRequest { max_output: Some(COUNTING), ..self.request("speed", "Do what is asked.", messages) };
        let Ok(turn) = self.ask(request).await? else { return Ok(()) };
        let writing = turn.usage.first_ms.map(|first| turn.usage.total_ms.saturating_sub(first));
        card.speed = a_second(turn.usage.output_tokens, writing);
        Ok(())
    }
}

/// Tokens a second; `None` where tokens or time are not known or none.
fn a_second(tokens: Option<u32>, ms: Option<u64>) -> Option<u32> {
    let per_second = u64::from(tokens?) * 1000 / ms.filter(|ms| *ms > 0)?;
    u32::try_from(per_second).ok().filter(|speed| *speed > 0)
}

/// Whether asking on makes no sense.
fn ends(error: &CallError) -> bool {
    matches!(
        error,
        CallError::ServerDown { .. }
            | CallError::BadAddress { .. }
            | CallError::ModelMissing { .. }
            | CallError::KeyRefused { .. }
            | CallError::Exhausted { .. }
            | CallError::OutOfMemory { .. }
            | CallError::LocalOnly { .. }
            | CallError::NotPermitted { .. }
            | CallError::NotRecorded { .. }
    )
}
