//! `atelier index`, `search` and `export`: looks at the project and writes it out.

use crate::args::{Args, Format};
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::{Op, Reply};
use serde_json::json;
use std::path::Path;

pub async fn index(args: &Args, out: &Out) -> End {
    let Reply::Index(index) = session::ask(args, Op::RefreshIndex).await? else { return Err(unexpected()) };
    out.say(format!(
        "{} files in the index, {} new or changed, {} removed, {} left out, {} ms",
        index.files,
        index.updated,
        index.removed,
        index.skipped.len(),
        index.ms
    ));
    for (path, why) in &index.skipped {
        out.say(format!("  left out {path}: {why}"));
    }
    Ok(Finished::done(json!({"index": index})))
}

pub async fn search(args: &Args, query: &str, limit: u32, out: &Out) -> End {
    let Reply::Hits(hits) = session::ask(args, Op::Search { query: query.to_owned(), limit }).await? else {
        return Err(unexpected());
    };
    if hits.is_empty() {
        out.say("nothing found; try other words");
    }
    for hit in &hits {
        out.say(format!("{}:{}-{}  {:.2}", hit.path, hit.lines[0], hit.lines[1], hit.score));
        for line in hit.snippet.lines().filter(|line| !line.trim().is_empty()).take(3) {
            out.say(format!("    {line}"));
        }
    }
    Ok(Finished::done(json!({"hits": hits})))
}

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
