//! Which of the project's own commands may reach the network, where to, and what they did there.
//!
//! Only `.atelier/project.yaml` of the user's folder can name hosts, never a flow, a role or a run's tree; and since a
//! command may send what it likes there, each host needs the user's permission, kept until it is taken back. The command
//! gets one way out (`egress::WayOut`) and nothing beside it. Everything else has no network at all.

use crate::command::Order;
use crate::declared;
use crate::run::{Halt, Run};
use atelier_egress::{COMMANDS, Pass, WayOut, is_here};
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Answer, CloudPermission, Reached};
use atelier_protocol::ids::ApprovalId;
use atelier_protocol::op::Op;
use atelier_sandbox::{Ran, SpawnError, Spec};
use std::path::Path;

/// A command that ran, and what it did on the network.
pub(crate) struct Ended {
    pub ran: Ran,
    pub reached: Vec<Reached>,
}

/// All hosts that the commands of the project at `root` want to reach, sorted.
pub fn declared_hosts(root: &Path) -> Result<Vec<String>, Problem> {
    let declared = declared::read(root)?;
    let checks = declared.checks.into_iter().flatten().flat_map(|check| check.network);
    let mut hosts: Vec<String> = checks.chain(declared.commands.into_iter().flat_map(|one| one.network)).collect();
    hosts.sort();
    hosts.dedup();
    Ok(hosts)
}

/// Why the user is asked.
pub(crate) fn reason(hosts: &[String]) -> String {
    format!(
        "It would reach {}, as `{}` says. What it sends there is not looked into: it may be anything of this project. Your \
         yes holds for these hosts and all commands of the project, until you take it back.",
        hosts.join(", "),
        declared::FILE
    )
}

impl Run {
    /// Hosts that the user must be asked for before a command may go on the network.
    ///
    /// # Errors
    /// Where this machine cannot keep the command to its hosts.
    pub(crate) async fn hosts_to_ask_for(&self, key: &str, order: Order<'_>) -> Result<Vec<String>, Halt> {
        if order.network.is_empty() {
            return Ok(Vec::new());
        }
        self.desk.sandbox.has_way_out().map_err(|error| Halt::Park(error.into()))?;
        let missing = self.not_permitted(order.network);
        if let Some((approval, Answer::Approve)) = self.machine.commands.get(key).filter(|_| !missing.is_empty()) {
            self.permit(&missing, approval).await?;
            return Ok(self.not_permitted(order.network));
        }
        Ok(missing)
    }

    /// Hosts without permission. In local-only mode other machines are refused at the door, whatever is permitted.
    fn not_permitted(&self, hosts: &[String]) -> Vec<String> {
        let policy = self.desk.egress.policy();
        let here = |host: &str| is_here(host.rsplit_once(':').map_or(host, |(name, _)| name));
        let wanted = hosts.iter().filter(|host| here(host) || !policy.local_only());
        wanted.filter(|host| !policy.permits(&self.desk.project, COMMANDS, host)).cloned().collect()
    }

    /// Keeps the yes to a question, once: after it was taken back it does not count again.
    async fn permit(&self, hosts: &[String], approval: &ApprovalId) -> Result<(), Halt> {
        for host in hosts {
            let permission = CloudPermission {
                project: self.desk.project.clone(),
                provider: COMMANDS.to_owned(),
                host: host.clone(),
                approval: Some(approval.clone()),
            };
            (self.desk.home)(Op::PermitCloud { permission }).await?;
        }
        Ok(())
    }

    /// Runs a command, on the network where it may be.
    pub(crate) async fn run_confined(
        &mut self,
        mut spec: Spec,
        order: Order<'_>,
    ) -> Result<Result<Ended, SpawnError>, Halt> {
        let (sandbox, stop) = (self.desk.sandbox.clone(), self.stop.clone().cancelled_owned());
        if order.network.is_empty() {
            let running = async move { sandbox.run(spec, stop, |_| {}).await };
            return Ok(self.attended(running).await?.map(|ran| Ended { ran, reached: Vec::new() }));
        }
        let pass = Pass {
            purpose: format!("command {}", order.name),
            hosts: order.network.to_vec(),
            holder: Some(COMMANDS.to_owned()),
            project: Some(self.desk.project.clone()),
            run: Some(self.id.clone()),
            role: None,
        };
        let way_out = std::sync::Arc::new(WayOut::new(&self.desk.egress, pass));
        spec.env.extend(way_out.environment());
        spec.env.push(("CARGO_HOME".to_owned(), self.cargo_home()));
        let serving = way_out.clone();
        let opened = atelier_sandbox::WayOut {
            ports: way_out.ports(),
            serve: Box::new(move |listeners| serving.serve(listeners)),
        };
        let running = async move { sandbox.run_with_way_out(spec, opened, stop, |_| {}).await };
        let ran = self.attended(running).await?;
        way_out.finished().await;
        Ok(ran.map(|ran| Ended { ran, reached: way_out.reached() }))
    }
    /// Where a command on the network may put what Cargo fetches, with the user's own settings: theirs is read-only.
    fn cargo_home(&self) -> String {
        let home = self.desk.places.cargo_home(&self.desk.project);
        let own = self.desk.toolchain.env.iter().find(|(name, _)| name == "CARGO_HOME");
        if let Some((_, own)) = own
            && std::fs::create_dir_all(&home).is_ok()
        {
            // Most have none.
            let _ = std::fs::copy(Path::new(own).join("config.toml"), home.join("config.toml"));
        }
        home.to_string_lossy().into_owned()
    }
}
