//! `atelier state`: the project's store as a whole.

use crate::args::Args;
use crate::out::{End, Finished, Out, counted, unexpected};
use crate::session;
use atelier_protocol::error::ExitClass;
use atelier_protocol::op::{Op, Reply};
use clap::Subcommand;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Subcommand, Debug)]
pub enum StateVerb {
    /// The read models, each with a hash over its rows.
    Hash {
        /// Make them anew from the first event on first.
        #[arg(long)]
        rebuild: bool,
    },
    /// Walk the whole history, its contents and the read models, and say what is not as it was written.
    Check,
    /// Copy the store, as of now, into a folder that does not exist yet.
    Backup {
        /// The folder.
        to: PathBuf,
    },
    /// Put a copy in the store's place, while nobody works on the project. What was there is kept beside it.
    Restore {
        /// The copy.
        from: PathBuf,
        /// Also where the store holds a history already.
        #[arg(long)]
        replace: bool,
    },
    /// Save what can be read of a damaged store into a new folder; the store stays as it is.
    Salvage {
        /// The folder, which must not exist yet.
        to: PathBuf,
        /// Another store's folder, instead of the project's.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
    /// Remove contents that no event names any more.
    Prune,
}

pub async fn state(args: &Args, verb: &StateVerb, out: &Out) -> End {
    match verb {
        StateVerb::Hash { rebuild } => {
            let Reply::State(state) = session::ask(args, Op::HashState { rebuild: *rebuild }).await? else {
                return Err(unexpected());
            };
            for one in &state.projections {
                out.say(format!("{}  {} version {}, {} rows", one.hash, one.name, one.version, one.rows));
            }
            out.say(format!("{}  all, up to event {}", state.hash, state.seq));
            Ok(Finished::done(json!({"state": state})))
        }
        StateVerb::Check => looked(session::ask(args, Op::CheckStore).await?, true, out),
        StateVerb::Prune => looked(session::ask(args, Op::PruneStore).await?, false, out),
        StateVerb::Backup { to } => {
            let to = absolute(to);
            let Reply::Exported { path, bytes } = session::ask(args, Op::BackUpStore { to }).await? else {
                return Err(unexpected());
            };
            out.say(format!("copied: {path}, {bytes} bytes"));
            Ok(Finished::done(json!({"path": path, "bytes": bytes})))
        }
        StateVerb::Restore { from, replace } => {
            let workshop = session::workshop(args).await?;
            let done = async {
                let idle = workshop.idle_store(&args.project).await?;
                let kept = idle.restore(from, *replace).await?;
                out.say(format!("restored: the store at {} is the copy now", idle.dir().display()));
                if let Some(kept) = &kept {
                    out.say(format!("what was there before is kept at {}", kept.display()));
                }
                Ok(Finished::done(json!({"store": idle.dir(), "kept": kept})))
            };
            let end = done.await;
            workshop.close().await;
            end
        }
        StateVerb::Salvage { to, from } => {
            let workshop = session::workshop(args).await?;
            let done = async {
                let idle = workshop.idle_store(&args.project).await?;
                let saved = idle.salvage(from.as_deref(), to).await?;
                out.say(format!(
                    "saved {} and {}; {} lost",
                    counted(saved.saved, "event"),
                    counted(saved.blobs, "content"),
                    counted(saved.lost, "event")
                ));
                let next = format!("atelier state restore {} --replace", to.display());
                out.say(format!("nothing was changed; use it with `{next}`"));
                let class = if saved.lost == 0 { ExitClass::Done } else { ExitClass::WorkNotDone };
                Ok(Finished { value: json!({"salvaged": saved, "path": to}), class })
            };
            let end = done.await;
            workshop.close().await;
            end
        }
    }
}

fn looked(reply: Reply, findings_are_faults: bool, out: &Out) -> End {
    let Reply::StoreChecked(check) = reply else { return Err(unexpected()) };
    out.say(format!(
        "{} in {} bytes, {} in {} bytes",
        counted(check.events, "event"),
        check.bytes,
        counted(check.blobs, "content"),
        check.blob_bytes
    ));
    for finding in &check.findings {
        out.say(finding);
    }
    let faulty = findings_are_faults && !check.findings.is_empty();
    if findings_are_faults && !faulty {
        out.say("sound: chain, contents and read models are as they were written");
    }
    let class = if faulty { ExitClass::WorkNotDone } else { ExitClass::Done };
    Ok(Finished { value: json!({"store": check}), class })
}

/// The owner may be another process, in another folder.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
