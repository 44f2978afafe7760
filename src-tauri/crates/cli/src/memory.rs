//! `atelier runs memory` and `atelier models memory`: what roles remember of their conversations, and how much they may.

use crate::models::changed;
use crate::out::{End, Finished, Out, unexpected};
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Summary, SummaryBy};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::Item;
use serde_json::{Value, json};

/// The summaries of a run, in order.
pub async fn show(project: &Project, run: &RunId, whole: bool, out: &Out) -> End {
    let op = Op::ShowRun { run: run.clone(), at: None };
    let Reply::RunView(view) = project.submit(op).await? else { return Err(unexpected()) };
    let mut told = Vec::new();
    for step in &view.steps {
        for item in &step.items {
            let Item::Summarised { summary } = item else { continue };
            out.say(format!("step {}: {}", step.id, headline(summary)));
            for line in summary.text.lines() {
                out.say(format!("    {line}"));
            }
            let mut value = json!({"step": step.id, "summary": summary});
            if whole {
                let op = Op::ReadBlob { hash: summary.blob.clone() };
                let Reply::Blob(text) = project.submit(op).await? else { return Err(unexpected()) };
                let messages: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                for message in messages.as_array().into_iter().flatten() {
                    say_message(message, out);
                }
                value["messages"] = messages;
            }
            told.push(value);
        }
    }
    if told.is_empty() {
        out.say("no conversation of this run passed its quota, so all of it is still told to the letter");
    }
    Ok(Finished::done(json!({"run": {"id": run}, "summaries": told})))
}

fn headline(summary: &Summary) -> String {
    let by = match &summary.by {
        SummaryBy::Model { provider, model } => format!("by {provider}/{model}"),
        SummaryBy::Digest { problem } => format!("by rule ({})", problem.message),
    };
    let count = summary.parts.len();
    format!("{count} messages in short, {by}; {} tokens before, {} after", summary.before, summary.after)
}

fn say_message(message: &Value, out: &Out) {
    out.say(format!("  === {}", message["role"].as_str().unwrap_or("?")));
    for line in message["text"].as_str().unwrap_or_default().lines() {
        out.say(format!("    {line}"));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        out.say(format!("    called {} {}", call["name"].as_str().unwrap_or("?"), call["arguments"]));
    }
}

/// Says or sets how many tokens a conversation may have.
pub async fn quota(tokens: Option<&str>, out: &Out) -> End {
    let tokens = match tokens {
        None => None,
        Some("default") => Some(None),
        Some(number) => Some(Some(number.parse().map_err(|_| {
            Problem::new(Code::BadArgument, format!("`{number}` is no number of tokens."), "Give one, or `default`.")
        })?)),
    };
    let settings = changed(|settings| {
        if let Some(tokens) = tokens {
            settings.memory.tokens = tokens;
        }
        Ok(())
    })
    .await?;
    out.say(match settings.memory.tokens {
        Some(tokens) => format!("{tokens} tokens of a conversation are remembered to the letter"),
        None => "three quarters of the model's context are remembered to the letter".to_owned(),
    });
    Ok(Finished::done(json!({"memory": settings.memory})))
}
