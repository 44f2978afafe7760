//! `atelier library`: notes and snippets that are kept for all projects.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::{Op, Reply};
use clap::Subcommand;
use serde_json::json;
use std::io::Read;

#[derive(Subcommand, Debug)]
pub enum LibraryVerb {
    /// Keep a note or snippet. It is found by `atelier search --kind note` from every project.
    Add {
        /// What it is called.
        title: String,
        /// Its text; without it, standard input.
        text: Option<String>,
    },
    /// The notes, newest first.
    List,
    /// Remove a note.
    Remove {
        /// Its id.
        id: String,
    },
}

pub async fn library(args: &Args, verb: &LibraryVerb, out: &Out) -> End {
    let op = match verb {
        LibraryVerb::List => Op::ListLibrary,
        LibraryVerb::Remove { id } => Op::DropNote { id: id.clone() },
        LibraryVerb::Add { title, text } => {
            let text = match text {
                Some(text) => text.clone(),
                None => standard_input()?,
            };
            Op::KeepNote { title: title.clone(), text }
        }
    };
    let workshop = session::workshop(args).await?;
    let reply = workshop.submit(op).await;
    workshop.close().await;
    let Reply::Library(notes) = reply? else { return Err(unexpected()) };
    for note in &notes {
        let first = note.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        out.say(format!("{}  {}: {}", note.id, note.title, first.chars().take(60).collect::<String>()));
    }
    if notes.is_empty() {
        out.say("the library is empty; `atelier library add TITLE TEXT` keeps a note");
    }
    Ok(Finished::done(json!({"notes": notes})))
}

fn standard_input() -> Result<String, Problem> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| {
        Problem::new(Code::BadArgument, format!("The note could not be read: {error}."), "Give its text as UTF-8.")
    })?;
    Ok(text)
}
