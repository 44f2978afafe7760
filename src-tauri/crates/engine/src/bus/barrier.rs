//! Asks everyone concerned before something dangerous is done.
//!
//! One alarm stops it at once, and so does the silence of anybody when the time is over. Question, votes and verdict
//! are recorded; the verdict is on the disk before the act may begin. A barrier that nobody closed, because its process
//! ended, is closed as stopped by the next owner.

use crate::bus::Core;
use atelier_journal::Append;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{BarrierVerdict, Event, NewEvent, Vote};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::time::Duration;

/// How long a voter may think.
pub const TIME: Duration = Duration::from_secs(2);

/// Somebody concerned.
pub struct Voter {
    /// Who, in a word.
    pub name: &'static str,
    /// What it says.
    pub vote: BoxFuture<'static, Vote>,
}

impl Voter {
    /// A voter that says what `vote` comes to.
    pub fn new(name: &'static str, vote: impl Future<Output = Vote> + Send + 'static) -> Self {
        Self { name, vote: Box::pin(vote) }
    }
}

/// Asks the voters; the act may be done only where the verdict is open.
pub async fn ask(core: &Core, act: &str, voters: Vec<Voter>, time: Duration) -> Result<BarrierVerdict, Problem> {
    let barrier = format!("{act}#{}", core.journal.last_seq().next());
    let names: Vec<String> = voters.iter().map(|voter| voter.name.to_owned()).collect();
    let until_ms = core.clock.now_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let opened =
        Event::BarrierOpened { barrier: barrier.clone(), act: act.to_owned(), voters: names.clone(), until_ms };
    core.record(vec![opened]).await?;

    let mut silent = names;
    let mut votes: FuturesUnordered<_> =
        voters.into_iter().map(|Voter { name, vote }| async move { (name, vote.await) }).collect();
    let over = core.clock.sleep(time);
    tokio::pin!(over);
    let mut verdict = BarrierVerdict::Open;
    loop {
        // A vote that is there when the time is over counts.
        let voted = tokio::select! {
            biased;
            voted = votes.next() => voted,
            () = &mut over => {
                let (by, seconds) = (silent.join(", "), time.as_secs());
                verdict = BarrierVerdict::Stopped { by, reason: format!("said nothing within {seconds} s") };
                break;
            }
        };
        let Some((name, vote)) = voted else { break };
        silent.retain(|other| other != name);
        core.record(vec![Event::VoteCast { barrier: barrier.clone(), voter: name.to_owned(), vote: vote.clone() }])
            .await?;
        if let Vote::Alarm { reason } = vote {
            verdict = BarrierVerdict::Stopped { by: name.to_owned(), reason };
            break;
        }
    }
    core.record(vec![Event::BarrierClosed { barrier, verdict: verdict.clone() }]).await?;
    Ok(verdict)
}

/// The problem that a stopped act is; nothing where it may be done.
pub fn open(verdict: BarrierVerdict, act: &str, hint: &str) -> Result<(), Problem> {
    match verdict {
        BarrierVerdict::Open => Ok(()),
        BarrierVerdict::Stopped { by, reason } => {
            Err(Problem::new(Code::Stopped, format!("{act} was stopped by `{by}`: {reason}."), hint))
        }
    }
}

/// Closes what a former owner left open.
pub async fn recover(core: &Core) -> Result<(), Problem> {
    let closed = core.open_barriers().await?.into_iter().map(|barrier| Event::BarrierClosed {
        barrier,
        verdict: BarrierVerdict::Stopped {
            by: "owner".to_owned(),
            reason: "the process ended before everyone had voted".to_owned(),
        },
    });
    let closed: Vec<Event> = closed.collect();
    if closed.is_empty() {
        return Ok(());
    }
    core.record(closed).await
}

impl Core {
    /// Records events of the store.
    pub(super) async fn record(&self, events: Vec<Event>) -> Result<(), Problem> {
        let events = events.into_iter().map(NewEvent::of_store).collect();
        self.pen.append(Append { events, ..Append::default() }).await?;
        Ok(())
    }
}
