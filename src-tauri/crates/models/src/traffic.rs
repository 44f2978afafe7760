//! Calls under way and how they ended, for the whole process: load, circuit breakers, used-up accounts, rate limits.
//!
//! Nothing here is recorded; a new process begins with everything closed. What it decides is seen in the recorded choice
//! (`Candidate::health`, `Candidate::load`) and in recorded holds.

use crate::error::CallError;
use atelier_protocol::event::{Health, Hold};
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::{RateLimit, RateScope};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures in a row that open a breaker.
const THRESHOLD: u32 = 5;
/// How long a breaker stays open the first time; twice as long with each failed trial.
const REST_MS: u64 = 30_000;
/// The longest time a breaker stays open.
const LONGEST_REST_MS: u64 = 600_000;
/// How long a used-up account rests where the server does not say.
const COOL_DOWN_MS: u64 = 900_000;
/// The longest time an account rests.
const LONGEST_COOL_DOWN_MS: u64 = 86_400_000;
/// The window of a rate limit.
const MINUTE_MS: u64 = 60_000;

/// Who calls whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The provider, which is one account.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The role.
    pub role: String,
    /// The run.
    pub run: String,
}

/// Calls under way and how they ended.
pub struct Traffic {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    load: BTreeMap<String, u32>,
    breakers: BTreeMap<(String, String), Breaker>,
    /// Until when an account rests.
    accounts: BTreeMap<String, u64>,
    /// What was asked in the last minute, by scope and id: when and how many tokens.
    asked: BTreeMap<(RateScope, String), VecDeque<(u64, u64)>>,
}

/// Closed while `open_until` is `None`.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    opened: u32,
    open_until: Option<u64>,
    trial: bool,
}

/// A call that is under way. Dropped without a word it counts neither as done nor as failed.
pub struct UnderWay {
    traffic: Arc<Traffic>,
    provider: String,
    model: String,
    told: bool,
}

impl Traffic {
    /// No calls yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default() })
    }

    /// Calls under way on a provider, and whether calls to a model of it go through.
    pub fn of(&self, provider: &str, model: &str) -> (u32, Health) {
        let state = self.state();
        let load = state.load.get(provider).copied().unwrap_or(0);
        if state.accounts.is_empty() && state.breakers.is_empty() {
            return (load, Health::Closed);
        }
        let now = self.clock.now_ms();
        if let Some(until_ms) = state.accounts.get(provider).copied().filter(|until| *until > now) {
            return (load, Health::Open { until_ms });
        }
        let health = match state.breakers.get(&(provider.to_owned(), model.to_owned())) {
            Some(Breaker { open_until: Some(until_ms), trial, .. }) if *trial || *until_ms > now => {
                Health::Open { until_ms: (*until_ms).max(now + 1) }
            }
            Some(Breaker { open_until: Some(_), .. }) => Health::HalfOpen,
            _ => Health::Closed,
        };
        (load, health)
    }

    /// Notes that a call begins, with the tokens it may use at most; for the limits that are in force.
    pub fn begin(self: &Arc<Self>, limits: &[RateLimit], caller: &Caller, tokens: u64) -> UnderWay {
        let mut state = self.state();
        *state.load.entry(caller.provider.clone()).or_default() += 1;
        if let Some(breaker) = state.breakers.get_mut(&(caller.provider.clone(), caller.model.clone())) {
            breaker.trial |= breaker.open_until.is_some();
        }
        let scopes: BTreeSet<RateScope> = limits.iter().map(|limit| limit.of).collect();
        for scope in scopes {
            let now = self.clock.now_ms();
            state.asked.entry((scope, caller.id(scope).to_owned())).or_default().push_back((now, tokens));
        }
        drop(state);
        UnderWay { traffic: self.clone(), provider: caller.provider.clone(), model: caller.model.clone(), told: false }
    }

    /// What holds a call of so many tokens back, and until when.
    pub fn hold(&self, limits: &[RateLimit], caller: &Caller, tokens: u64) -> Option<(Hold, u64)> {
        if limits.is_empty() {
            return None;
        }
        let now = self.clock.now_ms();
        let mut state = self.state();
        for asked in state.asked.values_mut() {
            while asked.front().is_some_and(|(at, _)| at + MINUTE_MS <= now) {
                asked.pop_front();
            }
        }
        state.asked.retain(|_, asked| !asked.is_empty());
        let waits = limits.iter().filter_map(|limit| {
            let id = caller.id(limit.of);
            if limit.id.as_ref().is_some_and(|wanted| wanted != id) {
                return None;
            }
            let asked = state.asked.get(&(limit.of, id.to_owned()))?;
            let until = free_at(asked, limit, tokens)?;
            let word = match limit.of {
                RateScope::Provider => "provider",
                RateScope::Role => "role",
                RateScope::Run => "run",
            };
            Some((Hold::Rate { of: format!("{word} {id}") }, until))
        });
        waits.max_by_key(|(_, until)| *until)
    }

    /// Lets everything that rests be tried once: a person says that it is mended.
    pub fn forgive(&self) {
        let now = self.clock.now_ms();
        let mut state = self.state();
        state.accounts.clear();
        for breaker in state.breakers.values_mut().filter(|breaker| breaker.open_until.is_some()) {
            breaker.open_until = Some(now);
            breaker.trial = false;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a call of so many tokens may begin; `None` is now. One that is larger than the limit waits for an empty window.
fn free_at(asked: &VecDeque<(u64, u64)>, limit: &RateLimit, tokens: u64) -> Option<u64> {
    let calls = limit.calls.and_then(|most| asked.len().checked_sub(most.max(1) as usize)).map(|over| asked[over].0);
    let by_tokens = limit.tokens.and_then(|most| {
        let mut sum: u64 = asked.iter().map(|(_, used)| used).sum();
        let mut last = None;
        for (at, used) in asked {
            if sum + tokens <= u64::from(most) {
                break;
            }
            sum -= used;
            last = Some(*at);
        }
        last
    });
    calls.max(by_tokens).map(|at| at + MINUTE_MS)
}

impl Caller {
    fn id(&self, scope: RateScope) -> &str {
        match scope {
            RateScope::Provider => &self.provider,
            RateScope::Role => &self.role,
            RateScope::Run => &self.run,
        }
    }
}

impl UnderWay {
    /// The call brought a turn.
    pub fn done(mut self) {
        self.told = true;
        self.traffic.state().breakers.remove(&(self.provider.clone(), self.model.clone()));
    }

    /// The call failed.
    pub fn failed(mut self, error: &CallError) {
        self.told = true;
        let now = self.traffic.clock.now_ms();
        let mut state = self.traffic.state();
        if let CallError::Exhausted { retry_after, .. } = error {
            let rest = retry_after.map_or(COOL_DOWN_MS, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            state.accounts.insert(self.provider.clone(), now.saturating_add(rest.min(LONGEST_COOL_DOWN_MS)));
        }
        let key = (self.provider.clone(), self.model.clone());
        if !error.is_of_the_server() {
            // The server answered: what is wrong is the request.
            if let Some(breaker) = state.breakers.get_mut(&key) {
                breaker.trial = false;
            }
            return;
        }
        let breaker = state.breakers.entry(key).or_default();
        breaker.failures += 1;
        if breaker.trial || breaker.failures >= THRESHOLD {
            let rest = REST_MS.saturating_mul(1 << breaker.opened.min(10)).min(LONGEST_REST_MS);
            let told = error.retry_after().unwrap_or(Duration::ZERO).as_millis();
            let told = u64::try_from(told).unwrap_or(u64::MAX).min(LONGEST_COOL_DOWN_MS);
            breaker.open_until = Some(now.saturating_add(rest.max(told)));
            breaker.opened += 1;
            breaker.trial = false;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.traffic.state();
        if let Some(load) = state.load.get_mut(&self.provider) {
            *load = load.saturating_sub(1);
        }
        if !self.told
            && let Some(breaker) = state.breakers.get_mut(&(self.provider.clone(), self.model.clone()))
        {
            breaker.trial = false;
        }
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
