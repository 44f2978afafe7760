//! Commands in a run's tree: the leave to run them, the script step, and how any command is confined.
//!
//! A flow that does not ship with Atelier is somebody's text: its commands are shown and asked for, once a run, before
//! they run. So is every command where nothing confines it. What the project itself brings along is `consent`'s part.

use crate::desk::Desk;
use crate::flow::{self, Kind};
use crate::network::{self, Ended};
use crate::run::{Done, Halt, Run, defect};
use crate::{results, verify};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Ask, Check, Effect, EffectOutcome, Event, Mechanism, StepResult};
use atelier_protocol::hash::Hash;
use atelier_protocol::view::DeclaredCheck;
use atelier_repo::RunTree;
use atelier_sandbox::{Ran, Spec};
use std::path::Path;
use std::time::Duration;

/// Output of a command that is kept, in bytes.
const KEPT: usize = 256 * 1024;

/// A command, as a flow or the project says it.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub name: &'a str,
    pub argv: &'a [String],
    pub timeout_ms: u64,
    /// Hosts that it may reach, with permission.
    pub network: &'a [String],
}

impl<'a> Order<'a> {
    pub fn of_check(check: &'a DeclaredCheck) -> Self {
        Self { name: &check.name, argv: &check.argv, timeout_ms: check.timeout_ms, network: &check.network }
    }
}

/// Whether a command may run.
pub(crate) enum Leave {
    /// Yes.
    Given,
    /// The user was asked just now.
    Asked,
    /// The user said no.
    Refused,
}

impl Run {
    /// The leave to run a command of the flow.
    pub(crate) async fn leave_for_flow(&mut self, name: &str, argv: &[String]) -> Result<Leave, Halt> {
        let mut reasons = Vec::new();
        if !flow::ships(&self.flow.hash) {
            reasons.push(format!(
                "The flow `{}` is a file of the project and does not ship with Atelier. The command would run in the run's \
                 private copy of the project.",
                self.flow.id
            ));
        }
        if self.desk.sandbox.mechanism() == Mechanism::None {
            reasons.push(UNCONFINED.to_owned());
        }
        let key = format!("flow:{name}:{}", short(&Hash::of(argv.join("\0").as_bytes())));
        self.leave(key, name, argv, reasons).await
    }

    /// The leave to run a command that the project brings along: all of them are asked about once, and each where nothing
    /// confines it, or where it would reach hosts that the user has not permitted yet.
    pub(crate) async fn leave_for_check(&mut self, key: &str, order: Order<'_>) -> Result<Leave, Halt> {
        match self.leave_for_project().await? {
            Leave::Given => {}
            other => return Ok(other),
        }
        let hosts = self.hosts_to_ask_for(key, order).await?;
        if !hosts.is_empty() {
            if let Some((_, Answer::Reject)) = self.machine.commands.get(key) {
                return Ok(Leave::Refused);
            }
            // A yes that was given and no longer counts has been taken back: it is asked anew.
            let reason = network::reason(&hosts);
            return self.ask_for_leave(key.to_owned(), order, reason, hosts).await;
        }
        let unconfined = self.desk.sandbox.mechanism() == Mechanism::None;
        let reasons = if unconfined { vec![UNCONFINED.to_owned()] } else { Vec::new() };
        self.leave(key.to_owned(), order.name, order.argv, reasons).await
    }

    async fn leave(&mut self, key: String, name: &str, argv: &[String], reasons: Vec<String>) -> Result<Leave, Halt> {
        if reasons.is_empty() {
            return Ok(Leave::Given);
        }
        match self.machine.commands.get(&key) {
            Some((_, Answer::Approve)) => Ok(Leave::Given),
            Some((_, Answer::Reject)) => Ok(Leave::Refused),
            None => {
                let order = Order { name, argv, timeout_ms: 0, network: &[] };
                self.ask_for_leave(key, order, reasons.join(" "), Vec::new()).await
            }
        }
    }

    async fn ask_for_leave(
        &mut self,
        key: String,
        order: Order<'_>,
        reason: String,
        hosts: Vec<String>,
    ) -> Result<Leave, Halt> {
        let ask = Ask::Command { key, name: order.name.to_owned(), argv: order.argv.to_vec(), reason, hosts };
        self.ask(ask, Vec::new()).await?;
        Ok(Leave::Asked)
    }

    /// The script step: its command, the tree it leaves and its end are one append.
    pub(crate) async fn run_script(&mut self) -> Done {
        let (current, step) = self.current()?;
        let (id, back) = (current.step.clone(), step.back_to.is_some());
        let Kind::Script { argv, timeout_ms } = step.kind.clone() else {
            return Err(Halt::Fail(defect("a command was run outside a script step")));
        };
        match self.leave_for_flow(id.name(), &argv).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(()),
            Leave::Refused => return Err(Halt::Fail(refused(id.name(), &argv))),
        }
        let point = self.checkpoint_recorded().await?;
        let key =
            format!("script:{id}:{}", short(&Hash::of(format!("{}\0{}", point.tree, argv.join("\0")).as_bytes())));
        let order = Order { name: id.name(), argv: &argv, timeout_ms, network: &[] };
        let Some(ended) = self.run_command(&key, order, &point.tree).await? else { return Ok(()) };
        let check = self.command_record(order, "", ended).await?;
        let after = self.checkpoint().await?;
        let mut events = vec![Event::EffectSettled { key, outcome: EffectOutcome::Landed }];
        events.push(Event::CheckRecorded { check: check.clone() });
        if after != point {
            events.push(Event::CheckpointMade { checkpoint: after });
        }
        let result = match (check.passed(), back) {
            (true, _) => StepResult::Done,
            (false, true) => StepResult::SentBack { reason: verify::told(&check) },
            (false, false) => StepResult::Failed { problem: failed(&check) },
        };
        self.end_step(events, result).await
    }

    /// Intends a command and runs it; its outcome is still to be recorded. `None` where it could not be started, which is
    /// recorded.
    pub(crate) async fn run_command(&mut self, key: &str, order: Order<'_>, tree: &str) -> Result<Option<Ended>, Halt> {
        self.intend_command(key, order, tree).await?;
        self.run_intended(key, order).await
    }

    pub(crate) async fn intend_command(&mut self, key: &str, order: Order<'_>, tree: &str) -> Done {
        let (name, argv) = (order.name.to_owned(), order.argv.to_vec());
        let effect = Effect::RunCommand { name, argv, tree: tree.to_owned() };
        self.record(vec![Event::EffectIntended { key: key.to_owned(), effect }]).await
    }

    /// Runs a command that is intended. `None` where it could not be started, which is recorded.
    pub(crate) async fn run_intended(&mut self, key: &str, order: Order<'_>) -> Result<Option<Ended>, Halt> {
        let spec = match self.confined(order.argv, order.timeout_ms).await {
            Ok(spec) => spec,
            Err(problem) => {
                self.settled(key, Err(problem), Vec::new()).await?;
                return Ok(None);
            }
        };
        let begun_ms = self.desk.sources.clock.now_ms();
        match self.run_confined(spec, order).await? {
            Ok(Ended { ran, .. }) if ran.cancelled => Err(Halt::Stopped),
            // By the one clock, so that a seed reproduces a run.
            Ok(Ended { ran, reached }) => {
                let ms = self.desk.sources.clock.now_ms().saturating_sub(begun_ms);
                Ok(Some(Ended { ran: Ran { ms, ..ran }, reached }))
            }
            Err(error) => {
                self.settled(key, Err(Problem::from(error)), Vec::new()).await?;
                Ok(None)
            }
        }
    }

    /// A command as it is recorded; `tree` is empty where it is no evidence about one.
    pub(crate) async fn command_record(&self, order: Order<'_>, tree: &str, ended: Ended) -> Result<Check, Halt> {
        let Ended { ran, reached } = ended;
        let tests = results::read(&String::from_utf8_lossy(&ran.output));
        let output = self.desk.output(ran.output, ran.output_bytes).await?;
        Ok(Check {
            name: order.name.to_owned(),
            argv: order.argv.to_vec(),
            tree: tree.to_owned(),
            exit_code: ran.exit_code,
            timed_out: ran.timed_out,
            ms: ran.ms,
            output,
            mechanism: ran.mechanism,
            tests,
            compared: None,
            reached,
        })
    }

    /// What a command of this run may touch: never the user's folder, whatever the run reads from. What the project lends
    /// lies in the tree by then, also in one that was brought here or made before the user's yes.
    pub(crate) async fn confined(&self, argv: &[String], timeout_ms: u64) -> Result<Spec, Problem> {
        let provided = self.desk.provided().await?;
        if !provided.is_empty() {
            let root = self.desk.root.clone();
            let lend = move |tree: &RunTree| tree.lend(&root, &provided).map_err(|e| e.problem());
            self.desk.with_tree(self.tree_run(), lend).await?;
        }
        self.desk.confined(argv, &self.tree_dir().join("tree"), timeout_ms).await
    }
}

impl Desk {
    /// A command that works in the folder `tree`: it may write there and in the project's build cache, and nowhere else.
    pub(crate) async fn confined(&self, argv: &[String], tree: &Path, timeout_ms: u64) -> Result<Spec, Problem> {
        let cache = self.places.build_cache(&self.project);
        let home = self.places.command_home(&self.project);
        for folder in [&cache, &home] {
            std::fs::create_dir_all(folder).map_err(|e| {
                Problem::new(
                    Code::Io,
                    format!("The folder {} cannot be made: {e}", folder.display()),
                    "Check free space and permissions, then resume.",
                )
            })?;
        }
        let mut spec = Spec::new(argv.to_vec(), tree, home);
        spec.writable = vec![tree.to_owned(), cache.clone()];
        spec.read_only = self.lent().await?;
        spec.timeout = Duration::from_millis(timeout_ms);
        spec.max_output = KEPT;
        // One build cache a project, so that a cold build happens once and not once a run.
        spec.env.push(("CARGO_TARGET_DIR".to_owned(), cache.join("cargo-target").to_string_lossy().into_owned()));
        spec.env.push(("XDG_CACHE_HOME".to_owned(), cache.to_string_lossy().into_owned()));
        // What a command with network fetched is there for those without it.
        let fetched = self.places.cargo_home(&self.project);
        if fetched.join("registry").is_dir() {
            spec.env.push(("CARGO_HOME".to_owned(), fetched.to_string_lossy().into_owned()));
        }
        self.toolchain.open_to(&mut spec);
        Ok(spec)
    }
}

const UNCONFINED: &str =
    "Nothing on this machine can confine the command: it could change any of your files and use the network.";

/// The part of a hash that tells effects of one step apart.
pub(crate) fn short(hash: &Hash) -> &str {
    hash.hex().get(..16).unwrap_or_default()
}

/// The user did not let a command of the flow run.
pub(crate) fn refused(name: &str, argv: &[String]) -> Problem {
    Problem::new(
        Code::Rejected,
        format!("The command of `{name}` was not allowed to run: `{}`.", argv.join(" ")),
        "Allow it when asked, or start again with another flow.",
    )
}

fn failed(check: &Check) -> Problem {
    Problem::new(
        Code::ChecksFailed,
        format!("The command of `{}` {}: `{}`.", check.name, verify::ended(check), check.argv.join(" ")),
        "Look at its output, mend what it names, and start again.",
    )
    .with_details([verify::tail(&check.output.text)])
}
