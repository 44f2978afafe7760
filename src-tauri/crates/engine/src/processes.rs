//! Processes that stay while a run works: started by a step, ended with the run or by its undo.
//!
//! They live in the owner's process and die with it; what the history says about them is that they are wanted. A run that
//! is taken up again starts those that are not there. Nothing here outlives the owner.

use crate::command::{Leave, refused};
use crate::flow::Kind;
use crate::run::{Done, Halt, Run, defect};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event, StepResult};
use atelier_protocol::ids::RunId;
use atelier_protocol::ports::Clock;
use atelier_sandbox::{Sandbox, Spec};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A process may take so long until it says that it is ready.
const READY: Duration = Duration::from_secs(60);
/// One that says nothing is taken as started when it still runs after so long.
const STARTED: Duration = Duration::from_millis(100);
/// A process stays as long as its run; the sandbox wants a limit.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Output that is searched for the word that it is ready, in bytes.
const HEARD: usize = 16 * 1024;

/// The processes of all runs of a project.
#[derive(Default)]
pub(crate) struct Processes {
    up: Mutex<BTreeMap<(RunId, String), Up>>,
}

struct Up {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.task.abort(); // dropping what it awaits kills the whole tree
    }
}

#[derive(Clone)]
enum Sign {
    Starting,
    Ready,
    Gone(String),
}

impl Processes {
    /// Whether it runs.
    pub fn runs(&self, run: &RunId, name: &str) -> bool {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.get(&(run.clone(), name.to_owned())).is_some_and(|up| !up.task.is_finished())
    }

    /// Starts one and waits until it is ready.
    async fn start(
        &self,
        (run, name): (&RunId, &str),
        (sandbox, mut spec): (Sandbox, Spec),
        ready: Option<String>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), Problem> {
        spec.timeout = LIFE;
        let stop = CancellationToken::new();
        let (signs, mut seen) = watch::channel(Sign::Starting);
        let (cancel, word) = (stop.clone(), ready.clone());
        let task = tokio::spawn(async move {
            let mut heard = Vec::new();
            let listen = |chunk: &[u8]| {
                let room = HEARD.saturating_sub(heard.len());
                heard.extend(chunk.iter().take(room));
                let said = word.as_ref().is_some_and(|word| String::from_utf8_lossy(&heard).contains(word.as_str()));
                if said && matches!(*signs.borrow(), Sign::Starting) {
                    signs.send_replace(Sign::Ready);
                }
            };
            let end = match sandbox.run(spec, cancel.cancelled_owned(), listen).await {
                Ok(ran) => format!(
                    "{}\n{}",
                    ran.exit_code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}")),
                    String::from_utf8_lossy(&ran.output)
                ),
                Err(error) => error.to_string(),
            };
            signs.send_replace(Sign::Gone(end));
        });
        self.up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((run.clone(), name.to_owned()), Up { stop, task });
        let limit = if ready.is_some() { READY } else { STARTED };
        let sign = tokio::select! {
            sign = seen.wait_for(|sign| !matches!(sign, Sign::Starting)) => sign.map_or(Sign::Gone(String::new()), |s| s.clone()),
            () = clock.sleep(limit) => Sign::Starting,
        };
        let why = match (sign, ready) {
            (Sign::Ready, _) | (Sign::Starting, None) => return Ok(()),
            (Sign::Starting, Some(word)) => format!("it did not print `{word}` within {} s", READY.as_secs()),
            (Sign::Gone(end), _) => format!("it ended at once: {}", end.trim()),
        };
        self.end(run, name).await;
        Err(Problem::new(
            Code::ProgramMissing,
            format!("The process `{name}` could not be started: {why}"),
            "Mend the command of the flow's step, then resume; or start again.",
        ))
    }

    /// Ends one and waits until its whole tree is gone. One that is not there is ended already.
    async fn end(&self, run: &RunId, name: &str) {
        let taken = self.up.lock().unwrap_or_else(PoisonError::into_inner).remove(&(run.clone(), name.to_owned()));
        if let Some(mut up) = taken {
            up.stop.cancel();
            let _ = (&mut up.task).await;
        }
    }
}

impl Run {
    /// The service step: starts its process.
    pub(crate) async fn start_service(&mut self) -> Done {
        let (current, step) = self.current()?;
        let name = current.step.name().to_owned();
        let Kind::Service { argv, ready } = step.kind.clone() else {
            return Err(Halt::Fail(defect("a process was started outside a service step")));
        };
        match self.leave_for_flow(&name, &argv).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(()),
            Leave::Refused => return Err(Halt::Fail(refused(&name, &argv))),
        }
        if self.desk.processes.runs(&self.id, &name) && self.machine.processes.contains_key(&name) {
            return self.end_step(Vec::new(), StepResult::Done).await;
        }
        match self.start_process(&name, &argv, ready).await? {
            Ok(()) => self.end_step(Vec::new(), StepResult::Done).await,
            Err(problem) => Err(Halt::Fail(problem)),
        }
    }

    /// Starts the processes that are wanted and not there: their owner ended, and they with it.
    pub(crate) async fn start_again(&mut self) -> Done {
        for (name, argv) in self.machine.processes.clone() {
            if self.desk.processes.runs(&self.id, &name) {
                continue;
            }
            let ready = self.flow.steps.iter().find(|step| step.id == name).and_then(|step| match &step.kind {
                Kind::Service { ready, .. } => ready.clone(),
                _ => None,
            });
            if let Err(problem) = self.start_process(&name, &argv, ready).await? {
                return self.record(vec![Event::RunParked { problem }]).await;
            }
        }
        Ok(())
    }

    async fn start_process(
        &mut self,
        name: &str,
        argv: &[String],
        ready: Option<String>,
    ) -> Result<Result<(), Problem>, Halt> {
        let key = format!("start:{name}");
        let effect = Effect::StartProcess { name: name.to_owned(), argv: argv.to_vec() };
        self.record(vec![Event::EffectIntended { key: key.clone(), effect }]).await?;
        let started = match self.confined(argv, 0).await {
            Ok(spec) => {
                let (desk, id) = (self.desk.clone(), self.id.clone());
                let sandbox = desk.sandbox.clone();
                desk.processes.start((&id, name), (sandbox, spec), ready, &desk.sources.clock).await
            }
            Err(problem) => Err(problem),
        };
        let outcome = match &started {
            Ok(()) => EffectOutcome::Landed,
            Err(problem) => EffectOutcome::NotLanded { problem: Some(problem.clone()) },
        };
        self.record(vec![Event::EffectSettled { key, outcome }]).await?;
        Ok(started)
    }

    /// Ends one process, recorded.
    pub(crate) async fn end_process(&mut self, name: &str) -> Done {
        let key = format!("end:{name}");
        let effect = Effect::EndProcess { name: name.to_owned() };
        self.record(vec![Event::EffectIntended { key: key.clone(), effect }]).await?;
        self.desk.clone().processes.end(&self.id, name).await;
        self.settled(&key, Ok(()), Vec::new()).await
    }

    /// Ends every process of the run, recorded.
    pub(crate) async fn end_processes(&mut self) -> Done {
        for name in self.machine.processes.keys().cloned().collect::<Vec<_>>() {
            self.end_process(&name).await?;
        }
        Ok(())
    }
}
