//! Sends a project's frames to the page: batched by time, acknowledged, never more than eight batches ahead.
//!
//! A page that does not acknowledge for two seconds is away; its subscription ends and it asks again from its last
//! number when it is back. Drafts of one call are joined; events are never dropped.

use atelier_engine::FrameStream;
use atelier_protocol::op::{Draft, Frame};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tauri::ipc::Channel;
use tokio::sync::Notify;

/// Batches that may be under way without an acknowledgement.
const AHEAD: u64 = 8;
/// Frames in one batch.
const BATCH: usize = 256;
/// How long frames are gathered.
const GATHER: Duration = Duration::from_millis(16);
/// How long a page may be silent.
const SILENCE: Duration = Duration::from_secs(2);

/// Frames that are sent together.
#[derive(Debug, Clone, Serialize)]
pub struct Batch {
    /// Its number, from 1, to be acknowledged.
    pub n: u64,
    /// The frames.
    pub frames: Vec<Frame>,
}

/// One page's subscription to one project.
#[derive(Default)]
pub struct Subscription {
    acknowledged: AtomicU64,
    ended: AtomicBool,
    changed: Notify,
}

impl Subscription {
    /// The page has taken the batches up to `n`.
    pub fn acknowledge(&self, n: u64) {
        self.acknowledged.fetch_max(n, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Nothing more is to be sent.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Sends until the frames end, the page is away, or the subscription is ended.
    pub async fn send(&self, mut frames: FrameStream, channel: Channel<Batch>) {
        let mut n = 0;
        while let Some(first) = self.next(&mut frames).await {
            let mut batch = vec![first];
            let gathered = tokio::time::sleep(GATHER);
            tokio::pin!(gathered);
            while batch.len() < BATCH {
                tokio::select! {
                    frame = frames.recv() => match frame {
                        Some(frame) => join(&mut batch, frame),
                        None => break,
                    },
                    () = &mut gathered => break,
                }
            }
            if !self.may_send(n).await {
                return;
            }
            n += 1;
            if channel.send(Batch { n, frames: batch }).is_err() {
                return;
            }
        }
    }

    async fn next(&self, frames: &mut FrameStream) -> Option<Frame> {
        loop {
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            tokio::select! {
                frame = frames.recv() => return frame,
                () = self.changed.notified() => {}
            }
        }
    }

    /// Waits until the page is near enough; false where it is away.
    async fn may_send(&self, sent: u64) -> bool {
        loop {
            if self.ended.load(Ordering::Relaxed) {
                return false;
            }
            let before = self.acknowledged.load(Ordering::Relaxed);
            if sent.saturating_sub(before) < AHEAD {
                return true;
            }
            let waited = tokio::time::timeout(SILENCE, self.changed.notified()).await;
            if waited.is_err() && self.acknowledged.load(Ordering::Relaxed) == before {
                tracing::info!("a page was silent for two seconds; it will ask again");
                return false;
            }
        }
    }
}

/// Adds a frame; a draft that goes on where the last one ended is joined with it.
fn join(batch: &mut Vec<Frame>, frame: Frame) {
    if let (Some(Frame::Draft(last)), Frame::Draft(next)) = (batch.last_mut(), &frame)
        && same_speech(last, next)
    {
        last.text.push_str(&next.text);
        return;
    }
    batch.push(frame);
}

fn same_speech(a: &Draft, b: &Draft) -> bool {
    a.call == b.call && a.phase == b.phase
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::ids::{CallId, RunId, Seq, StepId};
    use atelier_protocol::op::Phase;

    fn draft(phase: Phase, text: &str) -> Frame {
        Frame::Draft(Draft {
            run: RunId::new(1, [0; 10]),
            step: StepId::of("build", 1),
            call: CallId::new(1, [1; 10]),
            phase,
            text: text.to_owned(),
        })
    }

    #[test]
    fn drafts_of_one_call_are_joined_and_events_keep_their_place() {
        let mut batch = vec![draft(Phase::Thinking, "a")];
        for frame in [
            draft(Phase::Thinking, "b"),
            draft(Phase::Answering, "c"),
            Frame::CaughtUp(Seq(3)),
            draft(Phase::Answering, "d"),
        ] {
            join(&mut batch, frame);
        }
        let expected = vec![
            draft(Phase::Thinking, "ab"),
            draft(Phase::Answering, "c"),
            Frame::CaughtUp(Seq(3)),
            draft(Phase::Answering, "d"),
        ];
        assert_eq!(batch, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_page_ends_its_subscription_and_a_quick_one_does_not() {
        let subscription = Subscription::default();
        assert!(subscription.may_send(AHEAD - 1).await);
        assert!(!subscription.may_send(AHEAD).await, "nothing was acknowledged for two seconds");
        subscription.acknowledge(AHEAD);
        assert!(subscription.may_send(2 * AHEAD - 1).await);
    }
}
