//! A chat of another program: chosen, set aside, asked, tried again or elsewhere while nothing was told, and counted.
//!
//! The first piece commits the stream: until then a failure is met as one in a run is, after it the error ends the
//! stream. However it ends, also where the program hangs up, what it used is recorded once.

use super::Want;
use super::kept::{Keeping, Looking};
use crate::answers::{Found, events};
use crate::loaded::{Permit, WaitingCall, has_room};
use crate::routing::ANSWER_TOKENS;
use crate::servers::Lately;
use crate::sources::free_memory;
use crate::tab::{Line, Tab};
use crate::workshop::Workshop;
use atelier_models::retry::{self, Next};
use atelier_models::{
    CallError, Caller, ChatRequest, Chosen, ModelEvent, ModelStream, Provider, UnderWay, context, price,
};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Amount, Price, Stop, Usage};
use atelier_protocol::ids::ProjectId;
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::ProviderKind;
use futures_util::{StreamExt, stream};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The longest wait for one more attempt while a program waits for its first piece.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An answer that has begun.
pub struct Answering {
    /// The model that answers.
    pub chosen: Chosen,
    /// Its events, the first of which is there. Dropping them stops the model.
    pub events: ModelStream,
    /// How the answer was found among those that are kept; `None` where the model was asked.
    pub kept: Option<Found>,
    /// What the call waited for; `None` where it was asked at once.
    pub waited: Option<Waited>,
}

/// A wait for the model's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// The model that was at work and could not be beside this one.
    pub behind: String,
    /// For how long, in milliseconds.
    pub ms: u64,
}

/// A call as it is counted.
struct Counted {
    line: Option<Line>,
    under_way: Option<UnderWay>,
    /// The model's turn, for as long as the call goes.
    turn: Option<Permit>,
    chosen: Chosen,
    /// What the model costs; `None` is unknown.
    price: Option<Price>,
    /// Bytes of the prompt, and of what came.
    sent: usize,
    came: usize,
    /// The least tokens of the prompt.
    least: u32,
    keeping: Option<Box<Keeping>>,
    /// The answer is being kept.
    kept: Option<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
}

impl Workshop {
    /// Asks the model that a name means. `files` are those of the project whose content the question holds: a kept
    /// answer counts only while they are as they are now. Ends when the first piece is there; dropping the future stops
    /// the model.
    ///
    /// # Errors
    /// What could not be done about a failure, in the words of the last one; `budget_reached`; what [`Workshop::route`]
    /// says.
    pub async fn chat(
        &self,
        project: Option<&ProjectId>,
        asked: &str,
        mut request: ChatRequest,
        files: &[String],
    ) -> Result<Answering, Problem> {
        request.phases = false;
        let files = self.held_files(project, files)?;
        let tab = project.and_then(|project| self.tab(project));
        let sources = &self.shared.options.sources;
        let sent = bytes_of(&request);
        let mut want = Want {
            tools: !request.tools.is_empty(),
            prompt: context::most_tokens(sent),
            output: request.max_output,
            failed: Vec::new(),
            seed: sources.random(),
        };
        let (mut views, mut now) = Lately::views(&self.shared).await;
        let (mut tries, mut last) = (0, None);
        loop {
            let chosen = match (self.route_among(&views, project, asked, &want), last.take()) {
                (Ok(chosen), _) => chosen,
                (Err(_), Some(failed)) => return Err(failed),
                (Err(problem), None) if now => return Err(problem),
                (Err(_), None) => {
                    (views, now) = (Lately::views_now(&self.shared).await, true);
                    continue;
                }
            };
            let keeping = match self.look(project, &views, &chosen, &request, &files).await {
                Looking::Kept(found, turn) => {
                    if let Some(tab) = &tab {
                        tab.kept(sources.call_id(), &chosen).await;
                    }
                    let events = stream::iter(events(turn).into_iter().map(Ok)).boxed();
                    return Ok(Answering { chosen, events, kept: Some(found), waited: None });
                }
                Looking::Keep(keeping) => Some(keeping),
                Looking::Ask => None,
            };
            let begun = self.begin(project, tab.as_ref(), &chosen, &request, &want, keeping).await?;
            let (error, under_way, line) = match begun {
                Begun::Answers(answering) => return Ok(*answering),
                Begun::Failed(error, counted) => (error, counted.under_way, counted.line),
            };
            let problem = error.problem(&chosen.provider, &chosen.model);
            if let Some(under_way) = under_way {
                under_way.failed(&error);
            }
            drop(line);
            tries += 1;
            match retry::next(&error, tries, false, sources.random()) {
                Next::Again { pause, .. } if pause <= LONGEST_PAUSE => sources.clock.sleep(pause).await,
                Next::Again { .. } | Next::Elsewhere => {
                    want.failed.push(format!("{}/{}", chosen.provider.id, chosen.model));
                    tries = 0;
                    (views, now) = (Lately::views_now(&self.shared).await, true);
                }
                Next::Person => return Err(problem),
            }
            last = Some(problem);
        }
    }

    /// One attempt, up to its first piece.
    async fn begin(
        &self,
        project: Option<&ProjectId>,
        tab: Option<&Arc<Tab>>,
        chosen: &Chosen,
        request: &ChatRequest,
        want: &Want,
        keeping: Option<Box<Keeping>>,
    ) -> Result<Begun, Problem> {
        let sources = &self.shared.options.sources;
        let caller = Caller {
            provider: chosen.provider.id.clone(),
            model: chosen.model.clone(),
            role: "door".to_owned(),
            run: "door".to_owned(),
        };
        let tokens = u64::from(want.prompt) + u64::from(want.output.unwrap_or(ANSWER_TOKENS));
        let rates = self.settings().routing.rates;
        while let Some((_, until_ms)) = self.shared.traffic.hold(&rates, &caller, tokens) {
            sources.clock.sleep(Duration::from_millis(until_ms.saturating_sub(sources.clock.now_ms()))).await;
        }
        let http = self.shared.egress.on(self.errand(project, &chosen.provider, chosen.route.local).await?);
        let server = atelier_models::provider(&chosen.provider, http, sources.clock.clone());
        let (turn, waited) = self.turn_for(&*server, chosen).await;
        // What runs on this machine costs no money, and no look at the lists.
        let (micros, price) = match chosen.route.local {
            true => (Some(0), None),
            false => (chosen.route.cost, self.prices(project)?.of(&chosen.provider.id, &chosen.model)),
        };
        let line = match tab {
            Some(tab) => {
                let need = Amount { micros, tokens, local_ms: 0 };
                Some(tab.admit(sources.call_id(), chosen, need).await?)
            }
            None => None,
        };
        let mut counted = Counted {
            line,
            under_way: Some(self.shared.traffic.begin(&rates, &caller, tokens)),
            turn,
            chosen: chosen.clone(),
            price,
            sent: bytes_of(request),
            came: 0,
            least: context::least_of(&request.messages),
            keeping,
            kept: None,
            clock: sources.clock.clone(),
        };
        let mut request = request.clone();
        request.model.clone_from(&chosen.model);
        request.context = request.context.or(chosen.route.context);
        request.passed_on = !chosen.route.local;
        let mut events = server.chat(request);
        let first = loop {
            match events.next().await {
                Some(Ok(ModelEvent::Phase(_))) => {}
                Some(item) => break counted.heard(item),
                None => break Err(broken_off()),
            }
        };
        match first {
            Ok(ModelEvent::Done { stop, .. }) if counted.came == 0 && stop != Stop::Length => {
                counted.ended(Some(Code::AnswerEmpty));
                Ok(Begun::Failed(CallError::Empty, Box::new(counted)))
            }
            Ok(event) => {
                let chosen = counted.chosen.clone();
                let state = (Some(Ok(event)), events, counted);
                let events = stream::unfold(state, |(ready, mut events, mut counted)| async move {
                    if let Some(ready) = ready {
                        counted.told(&ready);
                        return Some((ready, (None, events, counted)));
                    }
                    counted.under_way.as_ref()?; // its end was told
                    let item = match events.next().await {
                        Some(item) => counted.heard(item),
                        None => Err(broken_off()),
                    };
                    if let Some(kept) = counted.kept.take() {
                        let _ = kept.await; // it says itself what went wrong
                    }
                    counted.told(&item);
                    Some((item, (None, events, counted)))
                });
                Ok(Begun::Answers(Box::new(Answering { chosen, events: events.boxed(), kept: None, waited })))
            }
            Err(error) => {
                let code = error.problem(&counted.chosen.provider, &counted.chosen.model).code;
                counted.ended(Some(code));
                Ok(Begun::Failed(error, Box::new(counted)))
            }
        }
    }

    /// The turn for a call to a model of this machine, as for a role's.
    pub(super) async fn turn_for(&self, server: &dyn Provider, chosen: &Chosen) -> (Option<Permit>, Option<Waited>) {
        if chosen.provider.kind != ProviderKind::Ollama || !chosen.route.local {
            return (None, None); // other servers serve the models they were started with
        }
        let (loaded, clock) = (&self.shared.loaded, &self.shared.options.sources.clock);
        let model = (chosen.provider.id.clone(), chosen.model.clone());
        let behind = match loaded.now(None, &model) {
            Ok(permit) => return (Some(permit), None),
            Err(other) => other,
        };
        if has_room(server, chosen, free_memory()).await {
            return (None, None);
        }
        tracing::info!(model = chosen.model, behind, "a call of another program waits for its model's turn");
        let since = clock.now_ms();
        let permit = loaded.turn(None, &model).await;
        (Some(permit), Some(Waited { behind, ms: clock.now_ms().saturating_sub(since) }))
    }

    /// Calls that wait for their model's turn: those of this process's runs, and of other programs that it serves.
    pub fn waiting_calls(&self) -> Vec<WaitingCall> {
        self.shared.loaded.waiting()
    }

    /// What the calls for a project use.
    pub(super) fn tab(&self, project: &ProjectId) -> Option<Arc<Tab>> {
        let mut tabs = self.tabs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tab) = tabs.get(project) {
            return Some(tab.clone());
        }
        let open = self.opened(project)?;
        let sources = &self.shared.options.sources;
        let tab = Tab::open(sources.call_id().to_string(), open, sources.clock.clone());
        tabs.insert(project.clone(), tab.clone());
        Some(tab)
    }
}

enum Begun {
    Answers(Box<Answering>),
    Failed(CallError, Box<Counted>),
}

impl Counted {
    /// Counts a piece, and takes a turn of which the server read too little for none.
    fn heard(&mut self, item: Result<ModelEvent, CallError>) -> Result<ModelEvent, CallError> {
        // A call that cannot be read was written and is paid for, as the server says.
        if let Err(CallError::MalformedCall { usage: Some(usage), .. }) = &item {
            let used = self.amount(Some(usage));
            if let Some(line) = &mut self.line {
                line.used(used);
            }
        }
        let event = item?;
        match &event {
            ModelEvent::Text(piece) | ModelEvent::Thinking(piece) => self.came += piece.len(),
            ModelEvent::ToolCall(call) => self.came += call.name.len() + call.arguments.to_string().len(),
            ModelEvent::Phase(_) => return Ok(event),
            ModelEvent::Done { usage, .. } => {
                let used = self.amount(Some(usage));
                if let Some(line) = &mut self.line {
                    line.used(used);
                }
                if let Some(read) = usage.prompt_tokens.filter(|read| *read < self.least) {
                    return Err(CallError::PromptCut { read, sent: self.least });
                }
                self.gather(&event);
                return Ok(event);
            }
        }
        self.gather(&event);
        let used = self.amount(None);
        if let Some(line) = &mut self.line {
            line.used(used);
        }
        Ok(event)
    }

    fn gather(&mut self, event: &ModelEvent) {
        if let Some(keeping) = &mut self.keeping {
            self.kept = keeping.heard(event, self.clock.now_ms());
        }
    }

    /// Ends the call where this is the last that is told of it.
    fn told(&mut self, item: &Result<ModelEvent, CallError>) {
        match item {
            Ok(ModelEvent::Done { .. }) => {
                if let Some(under_way) = self.under_way.take() {
                    under_way.done();
                }
                self.ended(None);
            }
            Ok(_) => {}
            Err(error) => {
                if let Some(under_way) = self.under_way.take() {
                    under_way.failed(error);
                }
                self.ended(Some(error.problem(&self.chosen.provider, &self.chosen.model).code));
            }
        }
    }

    fn ended(&mut self, failed: Option<Code>) {
        self.turn = None;
        if let Some(line) = self.line.take() {
            line.ended(failed);
        }
    }

    /// What is known or guessed to be used: three bytes a token where the server does not say.
    fn amount(&self, usage: Option<&Usage>) -> Amount {
        let guess = |bytes: usize| u64::from(context::most_tokens(bytes));
        let of = |told: fn(&Usage) -> Option<u32>, bytes| usage.and_then(told).map_or(guess(bytes), u64::from);
        let tokens = of(|usage| usage.prompt_tokens, self.sent) + of(|usage| usage.output_tokens, self.came);
        let local = self.chosen.route.local;
        let micros = match (local, usage) {
            (true, _) => Some(0),
            (false, Some(usage)) => price::paid(self.price.as_ref(), usage),
            // What came was paid for, but not how much.
            (false, None) => None,
        };
        let local_ms = usage.filter(|_| local).map_or(0, |usage| usage.total_ms);
        Amount { micros, tokens, local_ms }
    }
}

fn broken_off() -> CallError {
    CallError::Incomplete { reason: "the stream ended without its end".to_owned() }
}

fn bytes_of(request: &ChatRequest) -> usize {
    let messages: usize = request.messages.iter().map(context::bytes_of).sum();
    let tools = request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + text(&tool.parameters));
    messages + tools.sum::<usize>()
}

fn text(value: &serde_json::Value) -> usize {
    value.to_string().len()
}
