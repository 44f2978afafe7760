//! `atelier runs record`: what a run was and did, as one file for people or for programs.
//!
//! Keys and personal data are masked, the same value always by the same placeholder, unless the user says otherwise; the
//! preview says what would be masked and where, and writes nothing. The history itself stays as it is.

use crate::out::{End, Finished, Out, unexpected};
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Check, Masked, StepResult};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Item, RunView, StepView};
use atelier_sensitive::Mask;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What is asked for.
#[derive(clap::Args, Debug)]
pub struct RecordArgs {
    /// The run, or `last`.
    pub run: String,
    /// For people or for programs.
    #[arg(long, value_name = "KIND", default_value = "md")]
    pub format: Kind,
    /// The file to write; must not exist yet.
    #[arg(long, value_name = "FILE", required_unless_present = "preview")]
    pub out: Option<PathBuf>,
    /// Say what would be masked and where, and write nothing.
    #[arg(long)]
    pub preview: bool,
    /// Leave keys and personal data as they are.
    #[arg(long, conflicts_with = "preview")]
    pub unmasked: bool,
}

/// The kind of file.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Markdown.
    Md,
    /// JSON.
    Json,
}

pub async fn record(project: &Project, run: RunId, wanted: &RecordArgs, out: &Out) -> End {
    let Reply::RunView(view) = project.submit(Op::ShowRun { run, at: None }).await? else { return Err(unexpected()) };
    let plain = serde_json::to_value(&view).map_err(|error| broken(&error))?;
    let mut mask = Mask::of(texts(&plain).into_iter().map(|(_, text)| text));
    let masked = mask.apply_to(&plain);
    let counts = mask.counts();
    let places = changed(&plain, &masked);
    if wanted.preview {
        out.say(match places.len() {
            0 => "nothing that looks like a key or personal data was found; nothing would be masked".to_owned(),
            n => format!("{} in {n} texts would be masked:", summed(&counts)),
        });
        places.iter().for_each(|(place, text)| out.say(format!("  {place}: {text}")));
        let places: Vec<Value> = places.iter().map(|(place, text)| json!({"at": place, "text": text})).collect();
        return Ok(Finished::done(json!({"masked": counts, "places": places})));
    }
    let (value, counts) = if wanted.unmasked { (plain, Vec::new()) } else { (masked, counts) };
    let text = match wanted.format {
        Kind::Json => {
            let record = json!({"schema": 1, "what": "the record of a run", "masked": counts, "run": value});
            serde_json::to_string_pretty(&record).map_err(|error| broken(&error))? + "\n"
        }
        Kind::Md => {
            let view: RunView = serde_json::from_value(value).map_err(|error| broken(&error))?;
            markdown(&view, &counts)
        }
    };
    let to = wanted.out.as_deref().unwrap_or(Path::new(""));
    write(to, &text)?;
    out.say(format!("wrote {} ({} bytes; masked: {})", to.display(), text.len(), summed(&counts)));
    Ok(Finished::done(json!({"path": to, "bytes": text.len(), "masked": counts})))
}

fn write(to: &Path, text: &str) -> Result<(), Problem> {
    let written = std::fs::File::create_new(to).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Problem::new(
            Code::Io,
            format!("{} could not be written: {error}", to.display()),
            "Name a new file with `--out`.",
        )
    })
}

fn broken(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Internal, format!("The record could not be made: {error}."), "Please report this.")
}

fn summed(counts: &[Masked]) -> String {
    let each: Vec<String> = counts.iter().map(|one| format!("{} {}", one.count, story::sensitive(one.kind))).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join(", ") }
}

/// Every text in a value with its place, as a JSON Pointer (RFC 6901).
fn texts(value: &Value) -> Vec<(String, &str)> {
    fn collect<'a>(value: &'a Value, at: &str, found: &mut Vec<(String, &'a str)>) {
        match value {
            Value::String(text) => found.push((at.to_owned(), text)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| collect(item, &format!("{at}/{n}"), found))
            }
            Value::Object(fields) => fields.iter().for_each(|(name, item)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(item, &format!("{at}/{name}"), found);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

/// The texts that are otherwise when masked: where, and the first line that shows it.
fn changed(plain: &Value, masked: &Value) -> Vec<(String, String)> {
    let differs = |place: String, before: &str| {
        let after = masked.pointer(&place)?.as_str()?;
        let line = before.lines().zip(after.lines()).find(|(before, after)| before != after)?.1;
        Some((place, line.trim().chars().take(160).collect()))
    };
    texts(plain).into_iter().filter_map(|(place, before)| differs(place, before)).collect()
}

fn markdown(view: &RunView, counts: &[Masked]) -> String {
    let mut text = format!("# Run {}\n\n> {}\n\n", view.id, view.goal.trim().replace('\n', "\n> "));
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "- {name}: {value}");
    };
    fact("State", story::state(view.state, &view.disposition).to_owned());
    fact("Flow", view.flow.id.clone());
    fact("Begun", format!("{} ms since 1970 UTC", view.started_at_ms));
    fact(
        "Base",
        format!(
            "`{}`{}",
            view.base.commit,
            view.base.branch.as_ref().map(|b| format!(" of `{b}`")).unwrap_or_default()
        ),
    );
    fact("Branch", view.branch.as_ref().map_or("none".to_owned(), |branch| format!("`{branch}`")));
    fact("Cost", story::cost(&view.cost));
    fact("Masked in this record", summed(counts));
    if let Some(problem) = &view.problem {
        fact("Problem", format!("{} {}", problem.message, problem.hint));
    }
    if let Some(spec) = &view.spec {
        let _ = write!(text, "\n## Requirements: {}\n\n{}\n\n", spec.title, spec.summary);
        for requirement in &spec.requirements {
            let _ = writeln!(text, "- {} {}", requirement.id, requirement.text);
        }
    }
    text.push_str("\n## Steps\n");
    view.steps.iter().for_each(|step| self::step(&mut text, step, view));
    if !view.checks.is_empty() {
        text.push_str("\n## Checks\n");
        view.checks.iter().for_each(|check| self::check(&mut text, check));
    }
    if !view.reviews.is_empty() {
        text.push_str("\n## Reviews\n\n");
        for review in &view.reviews {
            let _ =
                writeln!(text, "- {:?} by {:?} on tree `{}`: {}", review.answer, review.by, review.tree, review.notes);
        }
    }
    if !view.approvals.is_empty() {
        text.push_str("\n## Questions\n\n");
        for asked in &view.approvals {
            let answer = asked.answer.map_or("no answer".to_owned(), |answer| format!("{answer:?}"));
            let _ = writeln!(text, "- {} → {answer} {}", story::question(&asked.ask).replace('\n', "\n  "), asked.note);
        }
    }
    if !view.commits.is_empty() {
        text.push_str("\n## Commits\n\n");
        for commit in &view.commits {
            let _ = writeln!(text, "- `{}` {}", commit.id, commit.subject);
        }
    }
    text
}

fn step(text: &mut String, step: &StepView, view: &RunView) {
    let by = step.role.as_ref().map(|role| format!(" by {role}")).unwrap_or_default();
    let _ = write!(text, "\n### {}{by}\n\n{}\n\n", step.id, step.title);
    for item in &step.items {
        match item {
            Item::Turn { role, route, text: said, .. } => {
                let _ = writeln!(text, "**{role}** ({}/{}):\n\n{}", route.provider, route.model, fenced(said));
            }
            Item::Tool { call, line, ok, .. } => {
                let mark = if *ok == Some(true) { "done" } else { "not done" };
                let _ = writeln!(text, "- {}: {mark}", line.as_deref().unwrap_or(&call.name));
            }
            Item::Corrected { message } => {
                let _ = writeln!(text, "- told: {message}");
            }
            Item::Checked { index } => {
                let check = usize::try_from(*index).ok().and_then(|index| view.checks.get(index));
                let name = check.map_or("", |check| check.name.as_str());
                let _ = writeln!(text, "- check {name}, see below");
            }
            _ => {}
        }
    }
    let end = match &step.result {
        None => "It is under way.".to_owned(),
        Some(StepResult::Done) => "It is done.".to_owned(),
        Some(StepResult::SentBack { reason }) => format!("It sent the work back:\n\n{}", fenced(reason)),
        Some(StepResult::Failed { problem }) => format!("It failed: {}", problem.message),
    };
    let _ = writeln!(text, "\n{end}");
}

fn check(text: &mut String, check: &Check) {
    let exit = check.exit_code.map_or("no exit code".to_owned(), |code| format!("exit code {code}"));
    let _ = write!(
        text,
        "\n### {} on tree `{}`\n\n`{}`: {exit}, {} ms",
        check.name,
        check.tree,
        check.argv.join(" "),
        check.ms
    );
    if let Some(tests) = &check.tests {
        let _ = write!(text, "; {} tests passed, {} failed", tests.passed, tests.failed);
    }
    for reached in &check.reached {
        let _ = write!(text, "\n- {}", crate::words::reached(reached));
    }
    let _ = write!(text, "\n\n{}\n", fenced(&check.output.text));
}

/// A text that stays as it is, whatever is in it.
fn fenced(text: &str) -> String {
    let longest = text.lines().map(|line| line.chars().take_while(|letter| *letter == '`').count()).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_looked_at_and_named_by_its_pointer() {
        let plain = json!({"goal": "mail ada@lovelace.example.org", "steps": [{"a/b": "x"}, "mail ada@lovelace.example.org"], "n": 1});
        let mut mask = Mask::of(texts(&plain).into_iter().map(|(_, text)| text));
        let masked = mask.apply_to(&plain);
        let places: Vec<String> =
            changed(&plain, &masked).into_iter().map(|(at, text)| format!("{at} {text}")).collect();
        assert_eq!(places, ["/goal mail [MASKED_EMAIL_1]", "/steps/1 mail [MASKED_EMAIL_1]"]);
        assert_eq!(texts(&plain)[1].0, "/steps/0/a~1b");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_the_text() {
        assert_eq!(fenced("a\n````\n"), "`````\na\n````\n`````");
    }
}
