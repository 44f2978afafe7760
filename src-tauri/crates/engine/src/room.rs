//! Keeps a conversation within its quota and its context: older answers named, or the older part told in short.
//!
//! What goes is recorded with hashes, and the whole of it stands in a blob; nothing is ever cut in silence. A model is
//! asked once for a summary: one that fails, is empty or no shorter, or was under way when its process ended, gives way
//! to a digest that needs no model.

use crate::agent::{bytes, too_long, used};
use crate::cloud::Leave;
use crate::prompt;
use crate::role::Role;
use crate::routing::ANSWER_TOKENS;
use crate::run::{Done, Halt, Run};
use crate::{summary, wish};
use atelier_models::context;
use atelier_models::{Chosen, Message, Turn};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Amount, Compaction, Event, LeftOut, PromptPart, PromptRecord, Summary, SummaryBy, Usage,
};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::CallId;
use serde_json::json;

/// What came of asking for a summary.
struct Asked {
    call: Option<CallId>,
    made: Result<String, Problem>,
    usage: Option<Usage>,
    used: Amount,
}

impl Run {
    /// The prompt does not fit the session's context: older answers of tools are only named from now on. Where that is
    /// not enough, a longer context is chosen; where there is none, the run says so.
    pub(crate) async fn make_room(&mut self, role: &Role, record: &PromptRecord, context: u32) -> Done {
        if let Some(compacted) = self.compacted(record, context).await? {
            return self.record(vec![compacted]).await;
        }
        let (chosen, decision) = self.choose(role, bytes(record)).await?;
        if chosen.route.context.is_some_and(|longer| longer <= context) {
            return Err(Halt::Park(too_long(&chosen, context)));
        }
        self.record(vec![Event::RouteDecided { decision: Box::new(decision) }]).await
    }

    /// What is left out of the conversation so that it fits; `None` where nothing helps.
    pub(crate) async fn compacted(&self, record: &PromptRecord, context: u32) -> Result<Option<Event>, Halt> {
        let (current, _) = self.current()?;
        let messages = &current.talk.messages;
        let fixed: usize = bytes(record).saturating_sub(messages.iter().map(context::bytes_of).sum());
        let room = (context.saturating_sub(ANSWER_TOKENS) as usize * 3).saturating_sub(fixed);
        let Some(left_out) = context::compact(messages, room).filter(|left_out| !left_out.is_empty()) else {
            return Ok(None);
        };
        let whole: Vec<_> = left_out.iter().map(|gap| json!({"at": gap.at, "text": gap.whole})).collect();
        let blob = self.desk.journal.put_blob(json!(whole).to_string().into_bytes()).await.map_err(Problem::from)?;
        let before = bytes(record);
        let mut after = before;
        let mut gaps = Vec::new();
        for gap in &left_out {
            let message = &messages[gap.at];
            after -= context::bytes_of(message).saturating_sub(context::bytes_of(&context::named(message)));
            gaps.push(LeftOut {
                at: u32::try_from(gap.at).unwrap_or(u32::MAX),
                part: PromptPart {
                    name: summary::name(message),
                    bytes: u32::try_from(gap.whole.len()).unwrap_or(u32::MAX),
                    hash: Hash::of(gap.whole.as_bytes()),
                },
            });
        }
        let compaction = Compaction {
            left_out: gaps,
            before: context::most_tokens(before),
            after: context::most_tokens(after),
            blob,
        };
        Ok(Some(Event::PromptCompacted { compaction }))
    }

    /// Tells the older part of the conversation in short where it has passed its quota. Whether something was done, so
    /// that the next question is looked at afresh.
    pub(crate) async fn keep_to_quota(&mut self, role: &Role, chosen: &Chosen) -> Result<bool, Halt> {
        let Some(quota) = summary::quota((self.desk.settings)().memory.tokens, chosen.route.context) else {
            return Ok(false);
        };
        let talk = &self.current()?.0.talk;
        let open = talk.summing.clone();
        let messages = talk.messages.clone();
        let Some(end) = summary::older(&messages, quota) else { return Ok(false) };
        let asked = match open {
            Some(_) => interrupted(open),
            None => match self.ask_for_summary(role, chosen, &messages[..end], quota).await? {
                Some(asked) => asked,
                None => return Ok(true), // the user or a rate is waited for
            },
        };
        self.summed(&messages, end, quota, asked).await.map(|()| true)
    }

    /// Records the summary of the first messages, a model's or a digest.
    async fn summed(&mut self, messages: &[Message], end: usize, quota: u32, asked: Asked) -> Done {
        let (older, rest) = messages.split_at(end);
        let before = summary::tokens(messages);
        let of = |by: SummaryBy, text: String| {
            let after = summary::tokens(&[summary::told(&by, older.len(), &text)]) + summary::tokens(rest);
            (by, text, after)
        };
        let route = self.machine.route.as_ref();
        let (provider, model) =
            route.map_or_else(Default::default, |route| (route.provider.clone(), route.model.clone()));
        let made = match asked.made {
            Ok(text) if text.trim().is_empty() => Err(Problem::new(
                Code::AnswerEmpty,
                format!("`{model}` said nothing in its summary."),
                "Nothing needs to be done; a rule took lines of each message.",
            )),
            Ok(text) => {
                let told = of(SummaryBy::Model { provider, model: model.clone() }, text.trim().to_owned());
                let takes = summary::tokens(&[summary::told(&told.0, end, &told.1)]);
                match told.2 < before && takes <= summary::worth(quota) {
                    true => Ok(told),
                    false => Err(Problem::new(
                        Code::AnswerInvalid,
                        format!("The summary by `{model}` is too long."),
                        "Nothing needs to be done; a rule took lines of each message.",
                    )),
                }
            }
            Err(problem) => Err(problem),
        };
        let (by, text, after) = made.unwrap_or_else(|problem| {
            of(SummaryBy::Digest { problem }, summary::digest(older, summary::most(quota) as usize * 3))
        });
        let whole = serde_json::to_vec(older).unwrap_or_default();
        let blob = self.desk.journal.put_blob(whole).await.map_err(Problem::from)?;
        let (call, usage, used, parts) = (asked.call, asked.usage, asked.used, summary::parts(older));
        let summary = Summary { call, by, text, parts, quota, before, after, blob, usage, used };
        self.record(vec![Event::MemorySummarised { summary: Box::new(summary) }]).await
    }

    /// Asks the role's model to sum up; `None` where something else comes first.
    async fn ask_for_summary(
        &mut self,
        role: &Role,
        chosen: &Chosen,
        older: &[Message],
        quota: u32,
    ) -> Result<Option<Asked>, Halt> {
        let step = self.current()?.1.id.clone();
        let rules = prompt::summing(role, &step, summary::most(quota));
        let room = chosen.route.context.map_or(usize::MAX, |context| {
            (context.saturating_sub(ANSWER_TOKENS) as usize * 3).saturating_sub(rules.len())
        });
        let Some(transcript) = summary::transcript(older, room) else {
            let made = Err(Problem::new(
                Code::ContextOverflow,
                "What is to be summed up is longer than the model's context.",
                "Nothing needs to be done; a rule took lines of each message.",
            ));
            return Ok(Some(Asked {
                call: None,
                made,
                usage: None,
                used: Amount { micros: Some(0), ..Amount::default() },
            }));
        };
        let record = prompt::record(&rules, &transcript, &[], "");
        let need = context::most_tokens(bytes(&record)).saturating_add(summary::most(quota));
        let reserved = wish::reserved(chosen, need);
        let caller = wish::caller(chosen, &role.id, &self.id);
        let rates = (self.desk.settings)().routing.rates;
        if let Some((hold, until_ms)) = self.desk.traffic.hold(&rates, &caller, reserved.tokens) {
            self.record(vec![Event::CallHeld { hold, until_ms }]).await?;
            return Ok(None);
        }
        let call = self.desk.sources.call_id();
        let mut request = wish::request(chosen, &call, vec![Message::system(rules), Message::user(transcript)]);
        request.max_output = Some(summary::most(quota));
        match self.leave_to_send(&request, chosen).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(None),
        }
        if !chosen.route.local {
            self.watch_spending().await?;
        }
        let turn = self.turn_for(role, chosen).await?;
        let Some(admitted) = self.may_use(&reserved).await? else { return Ok(None) };
        let (role_id, route) = (role.id.clone(), chosen.route.clone());
        let asked = Event::SummaryAsked {
            call: call.clone(),
            role: role_id,
            route,
            prompt: record,
            reserved: reserved.clone(),
        };
        self.record(vec![asked]).await?;
        drop(admitted);
        let under_way = self.desk.traffic.begin(&rates, &caller, reserved.tokens);
        let server = self.server(role, chosen).await?;
        let stop = self.stop.clone();
        let heard = self
            .attended(async move {
                tokio::select! {
                    turn = atelier_models::collect(server.chat(request), |_| ()) => Ok(turn),
                    () = stop.cancelled() => Err(Halt::Stopped),
                }
            })
            .await??;
        self.desk.egress.settled().await;
        // The model is wanted for the turn itself at once.
        self.call_ended(turn, chosen, true);
        let call = Some(call);
        Ok(Some(match heard {
            Ok(Turn { text, usage, .. }) => {
                under_way.done();
                let cost = self.paid(chosen, &usage)?;
                Asked { call, made: Ok(text), used: used(chosen, &usage, cost), usage: Some(usage) }
            }
            Err(failed) => {
                under_way.failed(&failed.error);
                let problem = failed.error.problem(&chosen.provider, &chosen.model);
                // What a call cost that broke off elsewhere is not known.
                let micros = chosen.route.local.then_some(0);
                let tokens = u64::from(context::most_tokens(failed.partial_text.len()));
                Asked { call, made: Err(problem), usage: None, used: Amount { micros, tokens, local_ms: 0 } }
            }
        }))
    }
}

/// A summary that was under way when its process ended.
fn interrupted(call: Option<CallId>) -> Asked {
    let made = Err(Problem::new(
        Code::Interrupted,
        "The process ended before the summary was complete.",
        "Nothing needs to be done; a rule took lines of each message.",
    ));
    Asked { call, made, usage: None, used: Amount::default() }
}
