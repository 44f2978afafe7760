//! What the engine takes from outside itself: time, randomness, and the shipped role and flow files.

use atelier_protocol::ids::{ApprovalId, CallId, ProjectId, RunId};
use atelier_protocol::ports::{Clock, Entropy};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The role files that ship with Atelier: file name and text.
pub const ROLES: &[(&str, &str)] = &[
    ("roles/business_analyst.yaml", include_str!("../../../../roles/business_analyst.yaml")),
    ("roles/architect.yaml", include_str!("../../../../roles/architect.yaml")),
    ("roles/developer.yaml", include_str!("../../../../roles/developer.yaml")),
    ("roles/qa_tester.yaml", include_str!("../../../../roles/qa_tester.yaml")),
    ("roles/project_manager.yaml", include_str!("../../../../roles/project_manager.yaml")),
];

/// The flow files that ship with Atelier: file name and text. Runs follow the first where nothing else is said.
pub const FLOWS: &[(&str, &str)] = &[
    ("flows/feature.yaml", include_str!("../../../../assets/flows/feature.yaml")),
    ("flows/reviewed.yaml", include_str!("../../../../assets/flows/reviewed.yaml")),
    ("flows/review.yaml", include_str!("../../../../assets/flows/review.yaml")),
];

/// The price list that ships with Atelier: file name and text.
pub const PRICES: (&str, &str) = ("assets/prices.yaml", include_str!("../../../../assets/prices.yaml"));

/// Time and randomness.
#[derive(Clone)]
pub struct Sources {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness of ids.
    pub entropy: Arc<dyn Entropy>,
}

impl Sources {
    /// The machine's own.
    pub fn of_the_machine() -> Self {
        Self { clock: Arc::new(MachineClock), entropy: Arc::new(MachineEntropy) }
    }
    /// A random number.
    pub fn random(&self) -> u64 {
        let bytes = self.entropy.ten_bytes();
        bytes[2..].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
    /// A new run id.
    pub fn run_id(&self) -> RunId {
        RunId::new(self.clock.now_ms(), self.entropy.ten_bytes())
    }
    /// A new approval id.
    pub fn approval_id(&self) -> ApprovalId {
        ApprovalId::new(self.clock.now_ms(), self.entropy.ten_bytes())
    }
    /// A new call id.
    pub fn call_id(&self) -> CallId {
        CallId::new(self.clock.now_ms(), self.entropy.ten_bytes())
    }
    /// A new project id.
    pub fn project_id(&self) -> ProjectId {
        ProjectId::new(self.clock.now_ms(), self.entropy.ten_bytes())
    }
}

/// Memory that programs may still take, in bytes; `None` where the system does not say.
pub fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

struct MachineClock;

impl Clock for MachineClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct MachineEntropy;

impl Entropy for MachineEntropy {
    fn ten_bytes(&self) -> [u8; 10] {
        let mut bytes = [0u8; 10];
        if getrandom::fill(&mut bytes).is_err() {
            // A machine without randomness still gets distinct ids: address and time differ between calls.
            let fresh = format!("{:p}{:?}", &bytes, std::time::Instant::now());
            let hash = atelier_protocol::Hash::of(fresh.as_bytes());
            bytes.copy_from_slice(&hash.hex().as_bytes()[..10]);
        }
        bytes
    }
}
