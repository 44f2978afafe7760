//! Notices a run that is active but gets nowhere.
//!
//! Progress is an accepted result: a specification, a changed tree, a check of a new tree, a review, a step or child run
//! that is done. Turns and time without one are a stall, noticed once and named by the last result. It stops nothing.

use crate::run::{Done, Halt, Run};
use atelier_protocol::event::Event;
use atelier_protocol::view::RunState;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

impl Run {
    /// Waits for work that may take long, and notices a stall meanwhile.
    pub(crate) async fn attended<T>(&mut self, work: impl Future<Output = T> + Send) -> Result<T, Halt> {
        let mut work = pin!(work);
        loop {
            let left = self.until_stalled();
            let clock = self.desk.sources.clock.clone();
            let stalled = async move {
                match left {
                    Some(left) => clock.sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = stalled => self.notice_stall().await?,
            }
        }
    }

    /// Records a stall where there is one that was not noticed.
    pub(crate) async fn notice_stall(&mut self) -> Done {
        let progress = &self.machine.progress;
        let ms = self.desk.sources.clock.now_ms().saturating_sub(progress.since_ms);
        let stalled = progress.turns >= self.flow.stall_turns || ms >= self.flow.stall_ms;
        if !stalled || progress.noticed || !self.works() {
            return Ok(());
        }
        self.record(vec![Event::StallNoticed { turns: progress.turns, ms, last: progress.last.clone() }]).await
    }

    /// How long until time alone makes a stall; `None` where that was noticed, or does not count.
    fn until_stalled(&self) -> Option<Duration> {
        let progress = &self.machine.progress;
        let due = progress.since_ms.saturating_add(self.flow.stall_ms);
        let left = due.saturating_sub(self.desk.sources.clock.now_ms());
        (!progress.noticed && self.works()).then(|| Duration::from_millis(left))
    }

    fn works(&self) -> bool {
        matches!(self.machine.view.state, RunState::Planning | RunState::Running)
    }
}
