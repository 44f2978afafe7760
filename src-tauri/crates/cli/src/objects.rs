//! `atelier objects`: durable objects and the templates of their kinds.

use crate::args::Args;
use crate::out::{End, Finished, Out, environment, unexpected};
use crate::session;
use atelier_engine::objects::{play, template};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::ObjectView;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub enum ObjectsVerb {
    /// The objects, with their versions.
    List,
    /// An object's state.
    Show {
        /// The object, as `kind/name`.
        object: String,
        /// As it was after this event.
        #[arg(long)]
        at: Option<u64>,
    },
    /// Let an object handle a message; it is made where it does not exist.
    Tell {
        /// The object, as `kind/name`, such as `board/team`.
        object: String,
        /// What it is to do.
        handler: String,
        /// What it is told, as JSON, such as '{"title": "Rename Foo"}'.
        #[arg(default_value = "{}")]
        arguments: String,
        /// Only where the object has this version; 0 is only where it does not exist.
        #[arg(long)]
        version: Option<u64>,
    },
    /// Write a template for a kind of your own to .atelier/objects.
    New {
        /// The kind: lower-case letters, digits and `_`.
        kind: String,
    },
    /// Read templates and play their cases.
    Check {
        /// Template files; without any, the shipped ones and the project's.
        files: Vec<PathBuf>,
    },
}

pub async fn objects(args: &Args, verb: &ObjectsVerb, out: &Out) -> End {
    match verb {
        ObjectsVerb::List => {
            let Reply::Objects(objects) = session::ask(args, Op::ListObjects).await? else { return Err(unexpected()) };
            if objects.is_empty() {
                out.say("no objects yet; a message makes one: `atelier objects tell counter/mine add`");
            }
            objects.iter().for_each(|object| out.say(line(object)));
            Ok(Finished::done(json!({"objects": objects})))
        }
        ObjectsVerb::Show { object, at } => {
            let op = Op::ShowObject { object: object.clone(), at: at.map(Seq) };
            let Reply::Object(view) = session::ask(args, op).await? else { return Err(unexpected()) };
            out.say(line(&view));
            out.say(serde_json::to_string_pretty(&view.state).unwrap_or_default());
            Ok(Finished::done(json!({"object": view})))
        }
        ObjectsVerb::Tell { object, handler, arguments, version } => {
            let arguments: Value = serde_json::from_str(arguments).map_err(|e| {
                Problem::new(
                    Code::BadArgument,
                    format!("What the object is told is no JSON: {e}."),
                    "Write named values, such as '{\"title\": \"Rename Foo\"}'.",
                )
            })?;
            let op = Op::TellObject { object: object.clone(), handler: handler.clone(), arguments, version: *version };
            let Reply::Object(view) = session::ask(args, op).await? else { return Err(unexpected()) };
            out.say(line(&view));
            if !view.answer.is_null() {
                out.say(format!("answer: {}", view.answer));
            }
            Ok(Finished::done(json!({"object": view})))
        }
        ObjectsVerb::New { kind } => new(args, kind, out).await,
        ObjectsVerb::Check { files } => check(args, files, out).await,
    }
}

/// A template that counts under another name: small, whole, and right as it stands.
async fn new(args: &Args, kind: &str, out: &Out) -> End {
    let bad = |text: String, hint: &str| Problem::new(Code::ObjectInvalid, text, hint);
    if !template::is_kind(kind) {
        return Err(bad(format!("`{kind}` cannot be a kind."), "Use lower-case letters, digits and `_`."));
    }
    if template::load(Some(&args.project))?.contains_key(kind) {
        return Err(bad(format!("There is a kind `{kind}` already."), "Take another name."));
    }
    let folder = args.project.join(".atelier/objects");
    let path = folder.join(format!("{kind}.yaml"));
    let example =
        template::SHIPPED.iter().find(|(file, _)| file.ends_with("counter.yaml")).map_or("", |(_, text)| text);
    let text = example.replace("kind: counter", &format!("kind: {kind}"));
    let text = text.split_once('\n').map_or(text.as_str(), |(_, rest)| rest);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::File::create_new(&path))
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|e| environment(&format!("{} cannot be written: {e}", path.display())))?;
    out.say(format!("wrote {}; change it, then run `atelier objects check`", path.display()));
    Ok(Finished::done(json!({"file": path})))
}

async fn check(args: &Args, files: &[PathBuf], out: &Out) -> End {
    let templates = match files {
        [] => template::load(Some(&args.project))?.into_values().collect(),
        files => {
            let read = |file: &PathBuf| template::read_file(&file.to_string_lossy(), file);
            files.iter().map(read).collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut cases = 0;
    for template in &templates {
        let played = play(Some(&args.project), template).await?;
        out.say(format!("{} is right: {} cases hold", template.kind, played.len()));
        cases += played.len();
    }
    Ok(Finished::done(json!({"checked": templates.len(), "cases": cases})))
}

fn line(view: &ObjectView) -> String {
    let life =
        serde_json::to_value(view.life).ok().and_then(|life| life.as_str().map(str::to_owned)).unwrap_or_default();
    format!("{:<28} version {}, {life}", view.object, view.version)
}
