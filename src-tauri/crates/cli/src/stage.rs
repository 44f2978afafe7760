//! `atelier stage SCRIPT`: serves a scripted model until it is stopped.

use crate::out::{End, Finished, Out, environment};
use atelier_protocol::error::{Code, Problem};
use atelier_stage::{Options, Script, Stage};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct StageArgs {
    /// The script (YAML).
    pub script: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Write every request and answer to this file as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub transcript: Option<PathBuf>,
    /// Only read the script and say whether it is right.
    #[arg(long)]
    pub check: bool,
}

pub async fn stage(args: &StageArgs, out: &Out) -> End {
    let file = args.script.to_string_lossy();
    let invalid = |message: String| Problem::new(Code::ScriptInvalid, message, "Mend the script and start again.");
    let text = std::fs::read_to_string(&args.script).map_err(|e| invalid(format!("{file} cannot be read: {e}")))?;
    let script = Script::read(&file, &text).map_err(|e| invalid(format!("The script is wrong: {e}")))?;
    if args.check {
        out.say(format!("{file} is right: {} turns", script.turns.len()));
        return Ok(Finished::done(json!({"script": file, "turns": script.turns.len()})));
    }
    let models: Vec<String> = script.models.iter().map(|model| model.name.clone()).collect();
    let options = Options { port: args.port, transcript: args.transcript.clone() };
    let stage =
        Stage::start(script, options).await.map_err(|e| environment(&format!("The stage could not start: {e}")))?;
    out.say(format!("playing {file} at {} with {}; stop with Ctrl-C", stage.url(), models.join(", ")));
    out.say(format!("use it with `atelier --server {} run \"GOAL\"`", stage.url()));
    out.line("progress", &json!({"url": stage.url(), "models": models}));
    tokio::signal::ctrl_c().await.map_err(|e| environment(&format!("Ctrl-C cannot be waited for: {e}")))?;
    let (played, unmatched) = (stage.chats().len(), stage.unmatched().len());
    stage.stop().await;
    out.say(format!("{played} chats played, {unmatched} without a turn that fits"));
    Ok(Finished::done(json!({"played": played, "unmatched": unmatched})))
}
