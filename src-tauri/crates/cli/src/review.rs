//! What the user says about a run's result: remarks on lines, parts to take, conflicts to settle.
//!
//! Hunks are counted from 1 for people, as `runs show --diff` prints them.

use crate::choices::Way;
use crate::out::{End, Finished, Out, unexpected};
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{AcceptMode, Acceptance, Comment, Part, Resolution, Take};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{DiffView, Side};
use serde_json::json;
use std::path::Path;

#[derive(clap::Args, Debug)]
pub struct AcceptArgs {
    /// The run's id, or `last`.
    pub run: String,
    /// The way to your branch; without it forward where that is possible, else a merge.
    #[arg(long, value_name = "WAY", conflicts_with = "hunks")]
    pub how: Option<Way>,
    /// Only this file, or hunks of it (`src/a.rs:1,3-4`, counted as in `runs show --diff`); may be given more than once.
    #[arg(long, value_name = "PATH[:N]")]
    pub hunks: Vec<String>,
    /// How a conflict is settled: `PATH=yours`, `PATH=run`, or `PATH=@FILE` with the whole text; more than once.
    #[arg(long, value_name = "PATH=TAKE")]
    pub resolve: Vec<String>,
    /// The message of a commit that is made, as `type: subject`.
    #[arg(short = 'm', long)]
    pub message: Option<String>,
    /// Accept the run that it stands on first, the same way, where that is not accepted yet.
    #[arg(long)]
    pub with_base: bool,
    /// Do not ask the project's git hooks (`pre-commit`, `pre-merge-commit`, `prepare-commit-msg`, `commit-msg`).
    #[arg(long)]
    pub no_verify: bool,
    /// Do not sign the commits, also where the git configuration asks for it.
    #[arg(long)]
    pub no_gpg_sign: bool,
}

pub async fn accept(project: &Project, run: RunId, args: &AcceptArgs, out: &Out) -> End {
    let how = acceptance(args)?;
    let part = how.only.is_some();
    let reply = project.submit(Op::AcceptRun { run: run.clone(), how }).await?;
    let Reply::Accepted { branch, commit, mode } = reply else { return Err(unexpected()) };
    let how = match mode {
        AcceptMode::FastForward => "moved forward",
        AcceptMode::Merge => "merged",
        AcceptMode::Squash if part => "took these parts as one commit, which is unchecked, and is now at",
        AcceptMode::Squash => "took it as one commit and is now at",
        AcceptMode::Back | AcceptMode::Revert => "changed",
    };
    let to = if mode == AcceptMode::Squash { "" } else { " to" };
    out.say(format!("accepted: {branch} {how}{to} {}", story::short(&commit)));
    out.say(format!("take it back with `atelier runs undo {run}`"));
    Ok(Finished::done(json!({"run": {"id": run}, "branch": branch, "commit": commit, "mode": mode})))
}

/// Shows the files that both sides changed, and writes each with conflict markers into a folder where one is given.
pub async fn conflicts(project: &Project, run: RunId, to: Option<&Path>, out: &Out) -> End {
    let Reply::Conflicts(all) = project.submit(Op::ShowConflicts { run: run.clone() }).await? else {
        return Err(unexpected());
    };
    if all.is_empty() {
        out.say("there is no conflict");
    }
    for conflict in &all {
        out.say(format!("\n{}", conflict.path));
        match (&conflict.merged, &conflict.yours, &conflict.run) {
            (Some(text), ..) => out.say(text.trim_end()),
            (None, None, _) => out.say("  removed below the run, changed by it"),
            (None, _, None) => out.say("  changed below the run, removed by it"),
            (None, Some(_), Some(_)) => out.say("  made by both, or not text"),
        }
        if let (Some(folder), Some(text)) = (to, conflict.merged.as_ref().or(conflict.run.as_ref())) {
            write(folder, &conflict.path, text)?;
        }
    }
    let Reply::RunView(view) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await? else {
        return Err(unexpected());
    };
    let below = view.on.is_some_and(|on| on.held.is_some());
    if !all.is_empty() {
        out.say(match below {
            true => "\nsettle each with `atelier runs rebase --resolve PATH=base`, `PATH=run` or `PATH=@FILE`",
            false => "\nsettle each with `atelier runs accept --resolve PATH=yours`, `PATH=run` or `PATH=@FILE`",
        });
    }
    Ok(Finished::done(json!({"run": {"id": run}, "conflicts": all})))
}

/// Puts a run on what the run below is now.
pub async fn rebase(project: &Project, run: RunId, resolve: &[String], out: &Out) -> End {
    let resolved = resolve.iter().map(|text| resolution(text)).collect::<Result<Vec<_>, _>>()?;
    project.submit(Op::RebaseRun { run: run.clone(), resolved }).await?;
    let Reply::RunView(view) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await? else {
        return Err(unexpected());
    };
    out.say(format!("the run stands on {}", story::short(&view.base.commit)));
    Ok(Finished::done(json!({"run": {"id": run}, "base": view.base})))
}

/// Remarks on lines of the result, which go to the author when the hand-over is rejected.
pub async fn comment(
    project: &Project,
    run: RunId,
    path: &str,
    lines: Option<(u32, u32)>,
    text: &str,
    out: &Out,
) -> End {
    let Reply::Diff(diff) = project.submit(Op::ShowDiff { run: run.clone() }).await? else { return Err(unexpected()) };
    let quote = match lines {
        Some(lines) => quoted(&diff, path, lines)?,
        None => Vec::new(),
    };
    let line = lines.map_or(1, |(from, _)| from);
    let comment = Comment { path: path.to_owned(), quote, line, text: text.to_owned() };
    project.submit(Op::CommentRun { run: run.clone(), comment: comment.clone() }).await?;
    out.say("noted; it goes to the author with `atelier approvals reject`");
    Ok(Finished::done(json!({"run": {"id": run}, "comment": comment})))
}

fn acceptance(args: &AcceptArgs) -> Result<Acceptance, Problem> {
    let mut only: Vec<Part> = Vec::new();
    for text in &args.hunks {
        only.extend(parts(text)?);
    }
    let resolved = args.resolve.iter().map(|text| resolution(text)).collect::<Result<Vec<_>, _>>()?;
    Ok(Acceptance {
        way: args.how.map(Into::into),
        only: (!only.is_empty()).then_some(only),
        resolved,
        message: args.message.clone(),
        with_base: args.with_base,
        skip_hooks: args.no_verify,
        skip_signing: args.no_gpg_sign,
    })
}

/// `PATH` for a whole file, `PATH:1,3-4` for hunks of it.
fn parts(text: &str) -> Result<Vec<Part>, Problem> {
    let whole = || vec![Part { path: text.to_owned(), hunk: None }];
    let Some((path, numbers)) = text.rsplit_once(':') else { return Ok(whole()) };
    if numbers.is_empty() || !numbers.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '-') {
        return Ok(whole()); // the colon is part of the name
    }
    let wrong =
        || bad(format!("`{numbers}` are no hunks of `{path}`."), "Count them from 1, such as `src/a.rs:1,3-4`.");
    let mut all = Vec::new();
    for range in numbers.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u32, u32) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
        if from == 0 || to < from || to - from > 10_000 {
            return Err(wrong());
        }
        all.extend((from..=to).map(|number| Part { path: path.to_owned(), hunk: Some(number - 1) }));
    }
    Ok(all)
}

fn resolution(text: &str) -> Result<Resolution, Problem> {
    let wrong = || bad(format!("`{text}` does not settle a conflict."), "Write PATH=yours, PATH=run or PATH=@FILE.");
    let (path, take) = text.rsplit_once('=').ok_or_else(wrong)?;
    let take = match (take, take.strip_prefix('@')) {
        ("yours" | "base", _) => Take::Yours,
        ("run", _) => Take::Run,
        (_, Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|e| {
                bad(format!("`{file}` cannot be read as text: {e}."), "Name a file with the whole text.")
            })?;
            Take::Text { text }
        }
        _ => return Err(wrong()),
    };
    Ok(Resolution { path: path.to_owned(), take })
}

/// The lines of the new side of the diff.
fn quoted(diff: &DiffView, path: &str, (from, to): (u32, u32)) -> Result<Vec<String>, Problem> {
    let file = diff.files.iter().find(|file| file.change.path == path);
    let lines = file.iter().flat_map(|file| &file.hunks).flat_map(|hunk| &hunk.lines);
    let new = lines.filter(|line| line.side != Side::Removed && line.new.is_some_and(|n| (from..=to).contains(&n)));
    let quote: Vec<String> = new.map(|line| line.text.clone()).collect();
    match quote.is_empty() {
        true => Err(bad(
            format!("The diff of `{path}` shows no lines {from}-{to}."),
            "Take line numbers of the new side from `atelier runs show --diff`, or leave them out.",
        )),
        false => Ok(quote),
    }
}

fn write(folder: &Path, path: &str, text: &str) -> Result<(), Problem> {
    let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let file = folder.join(path);
    let made = match file.parent().filter(|_| inside) {
        Some(parent) => std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&file, text)),
        None => return Err(bad(format!("`{path}` leads out of the folder."), "Look at it without `--out`.")),
    };
    made.map_err(|e| bad(format!("{} cannot be written: {e}.", file.display()), "Choose another folder."))
}

fn bad(message: String, hint: &str) -> Problem {
    Problem::new(Code::BadArgument, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_named_by_path_and_number() {
        let told = |text: &str| parts(text).map(|all| all.iter().map(|p| (p.path.clone(), p.hunk)).collect::<Vec<_>>());
        assert_eq!(told("src/a.rs").unwrap(), [("src/a.rs".to_owned(), None)]);
        let a = |hunk| ("a".to_owned(), Some(hunk));
        assert_eq!(told("a:1,3-4").unwrap(), [a(0), a(2), a(3)]);
        assert_eq!(told("odd:name").unwrap(), [("odd:name".to_owned(), None)]);
        for text in ["a:0", "a:2-1", "a:1-", "a:,", "a:99999999999"] {
            assert_eq!(told(text).unwrap_err().code, Code::BadArgument, "{text}");
        }
    }

    #[test]
    fn a_conflict_is_settled_by_side_or_file() {
        assert_eq!(resolution("a=b=yours").unwrap(), Resolution { path: "a=b".to_owned(), take: Take::Yours });
        assert!(resolution("a").is_err() && resolution("a=mine").is_err() && resolution("a=@/no/such").is_err());
    }
}
