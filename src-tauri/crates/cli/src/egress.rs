//! `atelier egress`: what left this machine, and what may.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_engine::{COMMANDS, Project, Workshop};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{CloudPermission, EgressRow};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::{Hash, RunId};
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand, Debug)]
pub enum EgressVerb {
    /// Requests to other machines, sent and refused, newest first, and totals by host.
    Log {
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only those of this run: its id, or `last`.
        #[arg(long)]
        run: Option<String>,
        /// Also calls that stayed on this machine.
        #[arg(long)]
        local: bool,
    },
    /// Forbid or allow requests to other machines, for every project; without an argument, say which it is.
    LocalOnly {
        /// `on` or `off`.
        state: Option<Switch>,
    },
    /// The model servers that this project's material may be sent to, and the hosts that its commands may reach.
    Permissions,
    /// Let this project's material be sent to a model server, or its commands reach their hosts, without being asked.
    Allow {
        /// The model server's id in the settings; `commands` for all hosts that `.atelier/project.yaml` names now.
        provider: String,
    },
    /// Take a permission back: for all its hosts, or for one.
    Revoke {
        /// The model server's id, or `commands`.
        provider: String,
        /// Only for this host, as `egress permissions` names it; its port may be left out.
        #[arg(long)]
        host: Option<String>,
    },
    /// What a question about sending would send, to the letter.
    Text {
        /// The hash that the question names.
        hash: String,
    },
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    On,
    Off,
}

pub async fn egress(args: &Args, verb: &EgressVerb, out: &Out) -> End {
    if let EgressVerb::Log { limit, run: None, local } = verb {
        let workshop = session::workshop(args).await?;
        let end = log(&workshop, *limit, None, *local, out).await;
        workshop.close().await;
        return end;
    }
    if let EgressVerb::LocalOnly { state } = verb {
        let workshop = session::workshop(args).await?;
        let end = local_only(&workshop, *state, out).await;
        workshop.close().await;
        return end;
    }
    let (workshop, project) = session::project(args).await?;
    let end = perform(args, &workshop, &project, verb, out).await;
    workshop.close().await;
    end
}

async fn perform(args: &Args, workshop: &Workshop, project: &Project, verb: &EgressVerb, out: &Out) -> End {
    match verb {
        EgressVerb::Log { limit, run, local } => {
            let run = match run {
                Some(run) => Some(session::run_id(project, run).await?),
                None => None,
            };
            log(workshop, *limit, run, *local, out).await
        }
        EgressVerb::LocalOnly { state } => local_only(workshop, *state, out).await,
        EgressVerb::Permissions => permissions(project, workshop.submit(Op::ListPermissions).await?, out),
        EgressVerb::Allow { provider } => {
            let mut reply = workshop.submit(Op::ListPermissions).await?;
            for host in hosts(args, workshop, project, provider)? {
                let (project, provider) = (project.id().clone(), provider.clone());
                let permission = CloudPermission { project, provider, host, approval: None };
                reply = workshop.submit(Op::PermitCloud { permission }).await?;
            }
            permissions(project, reply, out)
        }
        EgressVerb::Revoke { provider, host } => revoke(workshop, project, provider, host.as_deref(), out).await,
        EgressVerb::Text { hash } => {
            let Some(hash) = Hash::parse(hash) else {
                let message = format!("`{hash}` is not a hash.");
                return Err(Problem::new(Code::BadArgument, message, "Take it from `atelier approvals list`."));
            };
            let Reply::Blob(text) = project.submit(Op::ReadBlob { hash }).await? else { return Err(unexpected()) };
            out.say(&text);
            Ok(Finished::done(json!({"text": text})))
        }
    }
}

async fn local_only(workshop: &Workshop, state: Option<Switch>, out: &Out) -> End {
    let mut settings = workshop.saved_settings().await?;
    if let Some(state) = state {
        settings.local_only = state == Switch::On;
        workshop.submit(Op::ChangeSettings { settings: settings.clone() }).await?;
    }
    out.say(match settings.local_only {
        true => "local-only: no socket to another machine is ever opened",
        false => "not local-only: model servers on other machines may be asked, with your leave for each project",
    });
    Ok(Finished::done(json!({"local_only": settings.local_only})))
}

/// Takes permissions back. What is named must be held: whoever mistypes a name must not believe it is taken back.
async fn revoke(workshop: &Workshop, project: &Project, provider: &str, host: Option<&str>, out: &Out) -> End {
    let Reply::Permissions(all) = workshop.submit(Op::ListPermissions).await? else { return Err(unexpected()) };
    let here: Vec<&CloudPermission> = all.iter().filter(|p| p.project == *project.id()).collect();
    let meant = here.iter().filter(|p| p.provider == provider && host.is_none_or(|host| is_named(&p.host, host)));
    let hosts: Vec<String> = meant.map(|p| p.host.clone()).collect();
    if hosts.is_empty() {
        let at = host.map_or(String::new(), |host| format!(" at {host}"));
        return Err(Problem::new(
            Code::BadArgument,
            format!("This project has no permission for `{provider}`{at}, so nothing was taken back."),
            "`atelier egress permissions` lists those it has.",
        )
        .with_details(here.iter().map(|p| format!("{} at {}", p.provider, p.host))));
    }
    let mut reply = Reply::Permissions(all);
    let taken: Vec<Option<String>> = if host.is_some() { hosts.into_iter().map(Some).collect() } else { vec![None] };
    for host in taken {
        let op = Op::RevokeCloud { project: project.id().clone(), provider: provider.to_owned(), host };
        reply = workshop.submit(op).await?;
    }
    permissions(project, reply, out)
}

/// Whether a host of a permission is the one that was typed, with its port or without.
fn is_named(held: &str, typed: &str) -> bool {
    let typed = typed.trim().to_ascii_lowercase();
    held == typed || held.rsplit_once(':').is_some_and(|(name, _)| name == typed)
}

/// What a permission by that name would be for.
fn hosts(args: &Args, workshop: &Workshop, project: &Project, provider: &str) -> Result<Vec<String>, Problem> {
    if provider != COMMANDS {
        return Ok(vec![host(args, workshop, provider)?]);
    }
    let hosts = atelier_engine::declared_hosts(project.root())?;
    if hosts.is_empty() {
        return Err(Problem::new(
            Code::BadArgument,
            "No command of this project wants the network.",
            "Name hosts in `.atelier/project.yaml`: `network: [registry.npmjs.org]` beside a check or a `run` of the set-up.",
        ));
    }
    Ok(hosts)
}

/// The host of a model server of the settings.
fn host(args: &Args, workshop: &Workshop, provider: &str) -> Result<String, Problem> {
    let servers = args.providers().unwrap_or_else(|| workshop.settings().providers);
    let found = servers.iter().find(|server| server.id == provider);
    let host = found.and_then(|server| atelier_engine::host_of(&server.base_url));
    host.ok_or_else(|| {
        Problem::new(
            Code::BadArgument,
            format!("There is no model server called `{provider}` in the settings."),
            "See `atelier models` for their names.",
        )
        .with_details(servers.iter().map(|server| server.id.clone()))
    })
}

fn permissions(project: &Project, reply: Reply, out: &Out) -> End {
    let Reply::Permissions(all) = reply else { return Err(unexpected()) };
    let here: Vec<&CloudPermission> = all.iter().filter(|p| p.project == *project.id()).collect();
    for permission in &here {
        out.say(format!("{} at {}", permission.provider, permission.host));
    }
    if here.is_empty() {
        out.say("nothing of this project may leave this machine");
    }
    Ok(Finished::done(json!({"permissions": here})))
}

async fn log(workshop: &Workshop, limit: u32, run: Option<RunId>, local: bool, out: &Out) -> End {
    let Reply::Egress(view) = workshop.submit(Op::ShowEgress { limit, run, local }).await? else {
        return Err(unexpected());
    };
    if view.rows.is_empty() {
        out.say("no request to another machine was made or refused");
    }
    for row in &view.rows {
        out.say(line(row));
    }
    for total in view.totals.iter().filter(|total| local || !total.local) {
        out.say(format!(
            "total  {:<32} {} sent, {} refused, {} bytes out, {} bytes in{}",
            total.host,
            total.requests,
            total.refused,
            total.bytes_out,
            total.bytes_in,
            if total.local { " (this machine)" } else { "" }
        ));
    }
    Ok(Finished::done(json!({"egress": view})))
}

fn line(row: &EgressRow) -> String {
    let entry = &row.entry;
    let became = match (&entry.refused, &row.end) {
        (Some(why), _) => format!("refused: {why}"),
        (None, None) => format!("{} bytes out, no end recorded", entry.bytes_out),
        (None, Some(end)) => format!(
            "{}, {} bytes out, {} in, {} ms",
            end.status.map_or_else(|| "no status".to_owned(), |status| status.to_string()),
            entry.bytes_out + end.more_out,
            end.bytes_in,
            end.ms
        ),
    };
    let role = entry.role.as_ref().map_or("-", |role| role.as_str());
    let run = entry.run.as_ref().map_or("-", RunId::as_str);
    let place = if entry.local { "here" } else { "away" };
    format!("{}  {place}  {:<8} {role:<18} {run}  {:<32} {became}", time(row.at_ms), entry.purpose, entry.host)
}

/// A time as UTC, by the days-from-civil rule of the proleptic Gregorian calendar.
fn time(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::{is_named, time};

    #[test]
    fn a_host_is_known_with_its_port_or_without() {
        for typed in ["a.example", "A.example:443", " a.example "] {
            assert!(is_named("a.example:443", typed), "{typed}");
        }
        assert!(is_named("[::1]:5432", "[::1]") && is_named("*.a.example:443", "*.a.example"));
        for typed in ["a.example:80", "b.a.example", "example", ""] {
            assert!(!is_named("a.example:443", typed), "{typed}");
        }
    }

    #[test]
    fn a_time_is_printed_as_utc() {
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(time(1_795_823_924_000), "2026-11-27 23:58:44Z");
    }
}
