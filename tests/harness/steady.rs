//! Time and randomness that are the same in every run.

use atelier_engine::Sources;
use atelier_protocol::ports::{Clock, Entropy};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When steady time begins: 2026-01-01 00:00 UTC, in milliseconds since 1970.
pub const BEGIN_MS: u64 = 1_767_225_600_000;

/// A clock that goes on by one second each time it is read, and by what is slept.
#[derive(Default)]
pub struct SteadyClock {
    read: AtomicU64,
    /// Whether sleeping returns at once.
    pub skips: bool,
}

impl SteadyClock {
    /// A clock that is on in time when it is asked to sleep.
    pub fn skipping() -> Self {
        Self { skips: true, ..Self::default() }
    }
}

impl Clock for SteadyClock {
    fn now_ms(&self) -> u64 {
        BEGIN_MS + 1000 * self.read.fetch_add(1, Ordering::Relaxed)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if self.skips {
            let seconds = u64::try_from(duration.as_millis() / 1000).unwrap_or(u64::MAX);
            self.read.fetch_add(seconds, Ordering::Relaxed);
            return Box::pin(async {});
        }
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Randomness that counts from a seed.
pub struct SteadyEntropy(AtomicU64);

impl SteadyEntropy {
    /// Begins at a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SteadyEntropy {
    fn ten_bytes(&self) -> [u8; 10] {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0u8; 10];
        bytes[2..].copy_from_slice(&n.to_be_bytes());
        bytes
    }
}

/// Steady time and ids.
pub fn sources(seed: u64) -> Sources {
    Sources { clock: Arc::new(SteadyClock::default()), entropy: Arc::new(SteadyEntropy::from_seed(seed)) }
}
