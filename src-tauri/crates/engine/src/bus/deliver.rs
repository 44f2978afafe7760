//! Brings messages to consumers: one task a project, each consumer at its own place in the history.
//!
//! What a topic promises decides the order of two records. At most once: the consumer's new place is recorded, then
//! what it does. At least once: what it does together with its new place, after it was tried until it worked. Exactly
//! once: the same, with the message's key, so that neither a crash nor a replay does it again. A message that fails is
//! tried again after a pause, and laid aside with the reason when it failed too often; the consumer goes on.

use crate::bus::Core;
use crate::bus::reaction::{Consumer, Delivery, Reaction};
use crate::bus::topics::{admit, message_of};
use atelier_journal::{Append, AppendError, Mark};
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Event, Guarantee, Message, NewEvent};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::view::{ReplayView, RunView};
use atelier_protocol::{Code, Envelope};
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Events read at once.
const PAGE: usize = 256;
/// Events that a consumer may pass without its place being recorded.
const PASSED: u64 = 1000;
/// The pause after a first failure; doubled with each.
const PAUSE_MS: u64 = 200;
/// The longest pause.
const LONGEST_PAUSE_MS: u64 = 30_000;
/// The pause after the store could not be written.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Brings messages to consumers.
pub struct Dispatcher {
    core: Core,
    seats: Vec<Seat>,
}

/// A consumer and where it is.
struct Seat {
    consumer: Consumer,
    /// Its place as recorded.
    stored: Option<Seq>,
    /// Its place; ahead of `stored` where it passed events that are nothing to it.
    at: Seq,
    failing: Option<Failing>,
}

struct Failing {
    attempts: u32,
    due_ms: u64,
}

impl Dispatcher {
    /// Takes the consumers to their places. One that never listened before begins with what happens from now on.
    pub async fn begin(core: Core, consumers: Vec<Consumer>) -> Result<Self, Problem> {
        let offsets = core.journal.offsets().await?;
        let head = core.journal.last_seq();
        let seats = consumers.into_iter().map(|consumer| {
            let stored = offsets.get(&consumer.id).copied();
            Seat { at: stored.unwrap_or(head), stored, consumer, failing: None }
        });
        let mut seats: Vec<Seat> = seats.collect();
        for seat in seats.iter_mut().filter(|seat| seat.stored.is_none()) {
            let mark = seat.offset(head);
            core.pen.append(Append { marks: vec![mark], ..Append::default() }).await?;
            seat.stored = Some(head);
        }
        Ok(Self { core, seats })
    }

    /// Delivers what happens until it is stopped.
    pub async fn run(dispatcher: Arc<Mutex<Self>>, stop: CancellationToken) {
        let (mut frames, clock) = {
            let this = dispatcher.lock().await;
            (this.core.journal.subscribe(this.core.journal.last_seq()), this.core.clock.clone())
        };
        loop {
            let pause = {
                let mut this = dispatcher.lock().await;
                match this.drain().await {
                    Ok(()) => this.pause(),
                    Err(AppendError::Closed | AppendError::Fenced { .. }) => return,
                    Err(error) => {
                        tracing::warn!(%error, "messages are not delivered");
                        Some(STORE_PAUSE)
                    }
                }
            };
            let due = async {
                match pause {
                    Some(pause) => clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = frames.next() => {
                    if frame.is_none() {
                        return;
                    }
                    // What came meanwhile is read in one go.
                    while let Some(Some(_)) = frames.next().now_or_never() {}
                }
                () = due => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Delivers everything that is recorded now, except to consumers that pause after a failure.
    pub async fn drain(&mut self) -> Result<(), AppendError> {
        let now = match self.seats.iter().any(|seat| seat.failing.is_some()) {
            true => self.core.clock.now_ms(),
            false => 0,
        };
        for seat in &mut self.seats {
            seat.failing.as_mut().filter(|failing| failing.due_ms <= now).into_iter().for_each(|f| f.due_ms = 0);
        }
        loop {
            let head = self.core.journal.last_seq();
            let ready = self.seats.iter().filter(|seat| seat.is_ready() && seat.at < head);
            let Some(from) = ready.map(|seat| seat.at).min() else { break };
            let page = self.core.journal.read(None, from, PAGE).await.map_err(unreadable)?;
            if page.is_empty() {
                break;
            }
            for event in &page {
                for seat in self.seats.iter_mut().filter(|seat| seat.is_ready() && seat.at < event.seq) {
                    seat.take(&self.core, event).await?;
                }
            }
        }
        for seat in self.seats.iter_mut().filter(|seat| seat.failing.is_none()) {
            if seat.at.0 >= seat.stored.unwrap_or_default().0 + PASSED {
                let mark = seat.offset(seat.at);
                self.core.pen.append(Append { marks: vec![mark], ..Append::default() }).await?;
                seat.stored = Some(seat.at);
            }
        }
        Ok(())
    }

    /// How long until a failed delivery is tried again; `None` where none is.
    pub fn pause(&self) -> Option<Duration> {
        let due = self.seats.iter().filter_map(|seat| seat.failing.as_ref()).map(|failing| failing.due_ms).min()?;
        Some(Duration::from_millis(due.saturating_sub(self.core.clock.now_ms()).max(1)))
    }

    /// The consumers with the patterns they listen to and their places.
    pub fn places(&self) -> Vec<(String, Vec<String>, Seq)> {
        self.seats.iter().map(|s| (s.consumer.id.clone(), s.consumer.listens.clone(), s.at)).collect()
    }

    /// A consumer by its name.
    pub fn consumer(&self, id: &str) -> Result<Consumer, Problem> {
        self.seats.iter().find(|seat| seat.consumer.id == id).map(|seat| seat.consumer.clone()).ok_or_else(|| {
            let known: Vec<&str> = self.seats.iter().map(|seat| seat.consumer.id.as_str()).collect();
            Problem::new(
                Code::UnknownMessage,
                format!("There is no consumer `{id}`; there are {}.", known.join(", ")),
                "List them with `atelier bus topics`.",
            )
        })
    }
}

impl Seat {
    fn is_ready(&self) -> bool {
        self.failing.as_ref().is_none_or(|failing| failing.due_ms == 0)
    }

    fn offset(&self, to: Seq) -> Mark {
        Mark::Offset { consumer: self.consumer.id.clone(), from: self.stored, to }
    }

    /// Handles one event of the history, or passes it.
    async fn take(&mut self, core: &Core, event: &Envelope) -> Result<(), AppendError> {
        let attempt = self.failing.as_ref().map_or(1, |failing| failing.attempts + 1);
        let Some(delivery) = delivery(core, &self.consumer, event, attempt).await? else {
            self.at = event.seq;
            return Ok(());
        };
        let guarantee = delivery.message.guarantee;
        if guarantee == Guarantee::AtMostOnce {
            self.record(core, event.seq, Vec::new(), Vec::new()).await?;
        }
        let written = match self.consumer.react(&delivery) {
            Ok(reaction) => compose(core, reaction, &delivery).await,
            Err(reason) => Err(reason),
        };
        match (written, guarantee) {
            (Ok(written), Guarantee::AtMostOnce) => {
                let Written { events, marks, _alone } = written;
                if !events.is_empty() {
                    match core.pen.append(Append { events, marks, ..Append::default() }).await {
                        Ok(_) | Err(AppendError::Repeated { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            (Err(reason), Guarantee::AtMostOnce) => {
                tracing::warn!(consumer = self.consumer.id, message = %delivery.seq, reason, "not handled");
            }
            (Ok(written), guarantee) => {
                let Written { events, mut marks, _alone } = written;
                if guarantee == Guarantee::ExactlyOnce {
                    marks.push(key(&self.consumer, delivery.seq));
                }
                self.record(core, event.seq, events, marks).await?;
            }
            (Err(reason), _) if attempt >= self.consumer.attempts => {
                let dead = Event::MessageDead {
                    consumer: self.consumer.id.clone(),
                    message: delivery.seq,
                    reason,
                    attempts: attempt,
                };
                self.record(core, event.seq, vec![NewEvent::of_store(dead)], Vec::new()).await?;
            }
            (Err(reason), _) => {
                tracing::info!(consumer = self.consumer.id, message = %delivery.seq, reason, "tried again later");
                let pause = PAUSE_MS.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_PAUSE_MS);
                self.failing = Some(Failing { attempts: attempt, due_ms: core.clock.now_ms().saturating_add(pause) });
            }
        }
        Ok(())
    }

    /// Records what was done about the event and the new place, together.
    async fn record(
        &mut self,
        core: &Core,
        to: Seq,
        events: Vec<NewEvent>,
        mut marks: Vec<Mark>,
    ) -> Result<(), AppendError> {
        marks.push(self.offset(to));
        match core.pen.append(Append { events, marks, ..Append::default() }).await {
            Ok(_) => self.stored = Some(to),
            // It was done before; only the place is new.
            Err(AppendError::Repeated { .. }) => {
                core.pen.append(Append { marks: vec![self.offset(to)], ..Append::default() }).await?;
                self.stored = Some(to);
            }
            // Somebody else moved the consumer: go on from there.
            Err(AppendError::Moved { actual, .. }) => {
                self.stored = actual;
                self.at = actual.unwrap_or_default();
                self.failing = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.at = to;
        self.failing = None;
        Ok(())
    }
}

/// What an event is to a consumer: a message it listens to, or one that was laid aside and is delivered again.
async fn delivery(
    core: &Core,
    consumer: &Consumer,
    event: &Envelope,
    attempt: u32,
) -> Result<Option<Delivery>, AppendError> {
    let again;
    let event = match &event.event {
        Event::DeadReplayed { consumer: id, message } if *id == consumer.id => {
            let before = Seq(message.0.saturating_sub(1));
            again = core.journal.read(None, before, 1).await.map_err(unreadable)?.pop();
            match &again {
                Some(event) => event,
                None => return Ok(None),
            }
        }
        _ => event,
    };
    let Some(message) = message_of(event).filter(|message| consumer.hears(&message.topic)) else { return Ok(None) };
    let tokens = match &event.run {
        Some(run) if consumer.wants_tokens() => tokens_of(core, run, event.seq).await?,
        _ => None,
    };
    Ok(Some(Delivery { seq: event.seq, at_ms: event.at_ms, message, attempt, tokens }))
}

/// What a run had used when the event was recorded.
async fn tokens_of(core: &Core, run: &RunId, upto: Seq) -> Result<Option<u64>, AppendError> {
    let mut events = core.journal.read(Some(run), Seq::ZERO, usize::MAX).await.map_err(unreadable)?;
    events.retain(|event| event.seq <= upto);
    let cost = RunView::of(&events).map(|view| view.cost);
    let tokens = |known: Option<u32>| u64::from(known.unwrap_or(0));
    Ok(cost.map(|cost| tokens(cost.prompt_tokens).saturating_add(tokens(cost.output_tokens))))
}

/// A reaction as it is appended; objects that take part hear nothing else until it is dropped.
struct Written {
    events: Vec<NewEvent>,
    marks: Vec<Mark>,
    _alone: Option<crate::objects::Told>,
}

async fn compose(core: &Core, reaction: Reaction, delivery: &Delivery) -> Result<Written, String> {
    let Reaction { mut events, tells, posts, jobs } = reaction;
    let mut marks = Vec::new();
    for post in posts {
        let message = admit(post).map_err(|problem| problem.message)?;
        marks.extend(posted_once(&message));
        events.push(NewEvent::of_store(Event::MessagePosted { message }));
    }
    for job in jobs {
        marks.push(Mark::Key { scope: "job".to_owned(), key: job.id.clone() });
        events.push(NewEvent::of_store(Event::JobQueued { job }));
    }
    let mut told = None;
    if !tells.is_empty() {
        let mut prepared = core.objects.prepare(tells).await.map_err(|problem| problem.message)?;
        events.append(&mut prepared.events);
        told = Some(prepared);
    }
    events.iter_mut().for_each(|event| event.cause = Some(delivery.seq));
    Ok(Written { events, marks, _alone: told })
}

/// The mark by which a message with a key is posted once.
pub fn posted_once(message: &Message) -> Option<Mark> {
    let key = message.key.clone()?;
    Some(Mark::Key { scope: format!("post/{}", message.topic), key })
}

/// The mark by which a consumer handles a message once.
fn key(consumer: &Consumer, message: Seq) -> Mark {
    Mark::Key { scope: format!("consumer/{}", consumer.id), key: message.to_string() }
}

/// Lets a consumer handle the messages after `after` up to `upto` once more. What it does is recorded only where `apply`
/// says so, and not where it was recorded for good before.
pub async fn replay(
    core: &Core,
    consumer: &Consumer,
    after: Seq,
    upto: Seq,
    apply: bool,
) -> Result<Vec<ReplayView>, Problem> {
    let (mut at, mut told) = (after, Vec::new());
    loop {
        let page = core.journal.read(None, at, PAGE).await?;
        for event in page.iter().filter(|event| event.seq <= upto) {
            let Some(delivery) = delivery(core, consumer, event, 1).await? else { continue };
            let reaction = consumer.react(&delivery).map_err(|reason| {
                let text = format!("`{}` cannot handle message {}: {reason}.", consumer.id, delivery.seq);
                Problem::new(
                    Code::UnknownMessage,
                    text,
                    "Nothing was recorded for it; mend the cause and replay again.",
                )
            })?;
            let does = reaction.lines();
            let mut applied = false;
            if apply && !does.is_empty() {
                let wrong = |why: String| Problem::new(Code::UnknownMessage, why, "Nothing was recorded for it.");
                let Written { events, mut marks, _alone } = compose(core, reaction, &delivery).await.map_err(wrong)?;
                if delivery.message.guarantee == Guarantee::ExactlyOnce {
                    marks.push(key(consumer, delivery.seq));
                }
                applied = match core.pen.append(Append { events, marks, ..Append::default() }).await {
                    Ok(_) => true,
                    Err(AppendError::Repeated { .. }) => false,
                    Err(error) => return Err(error.into()),
                };
            }
            told.push(ReplayView { message: delivery.seq, topic: delivery.message.topic, does, applied });
        }
        match page.last() {
            Some(last) if last.seq < upto => at = last.seq,
            _ => return Ok(told),
        }
    }
}

fn unreadable(error: atelier_journal::ReadError) -> AppendError {
    AppendError::Failed { reason: error.to_string() }
}
