//! `atelier export state` and `atelier import state`: the whole state of a project as one file, and back.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::error::{Code, ExitClass, Problem};
use atelier_protocol::op::{Op, Reply};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub enum WholeVerb {
    /// The project's whole state as one file: history, contents, what git holds of its runs, settings without secrets.
    ///
    /// It holds everything that was recorded (goals, prompts, answers, outputs of commands), unmasked.
    State {
        /// The file to write; must not exist yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Refused: a masked history is another one and has another hash. `runs record` writes a masked record of a run.
        #[arg(long)]
        redacted: bool,
    },
}

#[derive(Subcommand, Debug)]
pub enum ImportVerb {
    /// Into the project's folder, a clone of the same repository at any path. A damaged or cut file changes nothing.
    State {
        /// A file that `export state` wrote.
        file: PathBuf,
        /// Put it in the place of a history that is there; that one is kept beside.
        #[arg(long)]
        replace: bool,
        /// Put the settings in the file in force too.
        #[arg(long)]
        settings: bool,
    },
}

pub async fn export(args: &Args, verb: &WholeVerb, out: &Out) -> End {
    let WholeVerb::State { to, redacted } = verb;
    if *redacted {
        return Err(Problem::new(
            Code::BadArgument,
            "A state that is masked cannot be imported to the same hash: its history would be another one.",
            "Export it whole and keep it to yourself, or write a masked record of a run with `atelier runs record`.",
        ));
    }
    // The owner may be a process with another working directory.
    let to = std::path::absolute(to).map_err(|e| {
        Problem::new(Code::BadArgument, format!("`{}` is not a path: {e}", to.display()), "Name a file.")
    })?;
    let reply = session::ask(args, Op::ExportState { to: to.to_string_lossy().into_owned() }).await?;
    let Reply::StateFile(file) = reply else { return Err(unexpected()) };
    out.say(format!(
        "wrote {} ({} bytes): the history up to event {}, {} run trees, settings without keys",
        file.path, file.bytes, file.events, file.runs
    ));
    out.say(format!("{}  all", file.hash));
    out.say("nothing in it is masked: goals, prompts, answers and outputs stand there as they were recorded");
    out.say(format!("read it elsewhere with `atelier import state {}`", file.path));
    Ok(Finished::done(json!({"file": file})))
}

pub async fn import(args: &Args, verb: &ImportVerb, out: &Out) -> End {
    let ImportVerb::State { file, replace, settings } = verb;
    let workshop = session::workshop(args).await?;
    let work = async {
        let imported = workshop.import_state(file, &args.project, *replace).await?;
        if *settings {
            workshop.submit(Op::ChangeSettings { settings: imported.settings.clone() }).await?;
        }
        let project = workshop.open_project(&args.project).await?;
        let Reply::State(state) = project.submit(Op::HashState { rebuild: true }).await? else {
            return Err(unexpected());
        };
        Ok((imported, state))
    };
    let end = work.await;
    workshop.close().await;
    let (imported, state) = end?;
    let same = state.hash == imported.hash;
    out.say(format!("imported the history up to event {}, and {} run trees", imported.events, imported.runs));
    if let Some(kept) = &imported.kept {
        out.say(format!("what was there before is kept at {}", kept.display()));
    }
    if !*settings {
        out.say("the settings of this machine are as they were (`--settings` takes those of the file)");
    }
    match same {
        true => out.say(format!("{}  all, as it was exported", state.hash)),
        false => out.say(format!("the state is {} now, and was {}", state.hash, imported.hash)),
    }
    let class = if same { ExitClass::Done } else { ExitClass::WorkNotDone };
    let value = json!({"imported": {"hash": imported.hash, "events": imported.events, "runs": imported.runs,
        "kept": imported.kept, "settings": settings}, "hash": state.hash, "same": same});
    Ok(Finished { value, class })
}
