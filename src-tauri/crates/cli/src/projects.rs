//! `atelier projects`: which projects are searched from others, and which are packed.

use crate::args::Args;
use crate::models::changed;
use crate::out::{End, Finished, Out};
use crate::session;
use atelier_engine::{Packed, Workshop};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::Op;
use atelier_protocol::settings::PackingSettings;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

#[derive(Subcommand, Debug)]
pub enum ProjectsVerb {
    /// The projects that were opened, latest first, with what is shared and what is packed.
    List,
    /// Let searches from your other projects find what is in this one. A project is private until you say this.
    Share {
        /// The project's folder; without it, the one of this command.
        dir: Option<PathBuf>,
    },
    /// Make a project private again.
    Unshare {
        /// The project's folder; without it, the one of this command.
        dir: Option<PathBuf>,
    },
    /// Pack what is kept of a project that nobody works on: the trees of its runs, and what was made for searching it.
    /// Its history stays as it is. Whoever opens or searches it next unpacks it.
    Pack {
        /// The project's folder; without it, the one of this command.
        dir: Option<PathBuf>,
        /// All projects that nobody has opened for so many days.
        #[arg(long, value_name = "DAYS", conflicts_with = "dir")]
        dormant: Option<u32>,
    },
    /// Say or set after how many days a window packs by itself what nobody has opened.
    Packing {
        /// Days, at least 1; `never`, or `default`.
        #[arg(value_name = "DAYS")]
        after: Option<String>,
    },
}

pub async fn projects(args: &Args, verb: &ProjectsVerb, out: &Out) -> End {
    if let ProjectsVerb::Packing { after } = verb {
        return packing(after.as_deref(), out).await;
    }
    let workshop = session::workshop(args).await?;
    let done = perform(&workshop, args, verb, out).await;
    workshop.close().await;
    done
}

async fn perform(workshop: &Workshop, args: &Args, verb: &ProjectsVerb, out: &Out) -> End {
    let chosen = |dir: &Option<PathBuf>| dir.clone().unwrap_or_else(|| args.project.clone());
    let packed = match verb {
        ProjectsVerb::List | ProjectsVerb::Packing { .. } => Vec::new(),
        ProjectsVerb::Share { dir } => {
            let project = workshop.open_project(&chosen(dir)).await?.id().clone();
            workshop.submit(Op::ShareProject { project, shared: true }).await?;
            Vec::new()
        }
        ProjectsVerb::Unshare { dir } => {
            let project = workshop.known(&chosen(dir)).await?.id;
            workshop.submit(Op::ShareProject { project, shared: false }).await?;
            Vec::new()
        }
        ProjectsVerb::Pack { dormant: Some(days), .. } => {
            workshop.pack_dormant(Duration::from_secs(u64::from(*days) * DAY)).await?
        }
        ProjectsVerb::Pack { dir, .. } => {
            let dir = chosen(dir);
            let (known, packed) = (workshop.known(&dir).await?, workshop.pack_project(&dir).await?);
            if packed.before == 0 && workshop.packed_size(&known.id) == 0 {
                return Err(Problem::new(
                    Code::WrongState,
                    format!("Nothing is kept of {} that could be packed.", known.name),
                    "Nothing needs to be done.",
                ));
            }
            vec![(known.name, packed)]
        }
    };
    for (name, packed) in &packed {
        out.say(told(name, packed));
    }
    if packed.is_empty() && matches!(verb, ProjectsVerb::Pack { .. }) {
        out.say("nothing was dormant for so long");
    }
    let projects = workshop.known_projects().await?;
    let mut listed = Vec::new();
    for project in &projects {
        let size = workshop.packed_size(&project.id);
        if !matches!(verb, ProjectsVerb::Pack { .. }) {
            let shared = if project.shared { "shared" } else { "private" };
            let kept = if size > 0 { format!(", packed in {} KiB", size.div_ceil(1024)) } else { String::new() };
            out.say(format!("{}  {}  {shared}{kept}", project.name, project.path));
        }
        listed.push(json!({"id": project.id, "name": project.name, "path": project.path, "shared": project.shared,
            "packed_bytes": size}));
    }
    let packed: Vec<Value> = packed
        .iter()
        .map(|(name, packed)| json!({"name": name, "before": packed.before, "after": packed.after}))
        .collect();
    Ok(Finished::done(json!({"projects": listed, "packed": packed})))
}

/// Says or sets when a window packs by itself.
async fn packing(after: Option<&str>, out: &Out) -> End {
    let wanted = match after {
        None => None,
        Some("never") => Some(PackingSettings { after_days: None }),
        Some("default") => Some(PackingSettings::default()),
        Some(days) => {
            let days = days.parse::<u32>().map_err(|_| {
                let message = format!("`{days}` is no number of days.");
                Problem::new(Code::BadArgument, message, "Give one, `never` or `default`.")
            })?;
            Some(PackingSettings { after_days: Some(days) })
        }
    };
    let settings = changed(|settings| {
        if let Some(wanted) = wanted {
            settings.packing = wanted;
        }
        Ok(())
    })
    .await?;
    out.say(match settings.packing.after_days {
        Some(days) => format!("a window packs what nobody has opened for {days} days"),
        None => "a window packs nothing by itself; `atelier projects pack` does".to_owned(),
    });
    Ok(Finished::done(json!({"packing": settings.packing})))
}

fn told(name: &str, packed: &Packed) -> String {
    match packed.before {
        0 => format!("{name} is packed already"),
        before => {
            let saved = before.saturating_sub(packed.after) >> 10;
            let (before, after) = (before.div_ceil(1024), packed.after.div_ceil(1024));
            format!("{name}: {before} KiB packed into {after}, {saved} saved")
        }
    }
}
