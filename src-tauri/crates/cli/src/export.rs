//! `atelier export`: writes the project, or a run's result, to a file.

use crate::args::Args;
use crate::choices::Format;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::{Op, Reply};
use serde_json::json;
use std::path::Path;

pub async fn export(args: &Args, run: Option<&str>, format: Format, to: &Path, out: &Out) -> End {
    // The owner may be a process with another working directory.
    let to = std::path::absolute(to).map_err(|e| {
        Problem::new(Code::BadArgument, format!("`{}` is not a path: {e}", to.display()), "Name a file.")
    })?;
    let (workshop, project) = session::project(args).await?;
    let work = async {
        let run = match run {
            Some(text) => Some(session::run_id(&project, text).await?),
            None => None,
        };
        project.submit(Op::Export { run, format: format.into(), to: to.to_string_lossy().into_owned() }).await
    };
    let reply = work.await;
    workshop.close().await;
    let Reply::Exported { path, bytes } = reply? else { return Err(unexpected()) };
    out.say(format!("wrote {path} ({bytes} bytes)"));
    Ok(Finished::done(json!({"path": path, "bytes": bytes})))
}
