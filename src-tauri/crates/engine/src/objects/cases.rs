//! Plays the examples of a template: each in a world of its own that is nowhere recorded.

use crate::objects::template::{Case, Template, load};
use crate::objects::work::{Draft, Known, Shelf, Tell};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Lifecycle;
use atelier_protocol::hash::Hash;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Objects in memory only.
#[derive(Debug, Default)]
pub struct Scratch(pub BTreeMap<String, Known>);

impl Shelf for Scratch {
    fn get<'a>(&'a mut self, object: &'a str) -> BoxFuture<'a, Result<Option<Known>, Problem>> {
        Box::pin(async move { Ok(self.0.get(object).cloned()) })
    }
}

/// Plays the cases of `checked`, which is looked at beside the kinds that there are. Answers their names.
pub async fn play(project: Option<&Path>, checked: &Template) -> Result<Vec<String>, Problem> {
    let mut kinds = load(project)?;
    kinds.insert(checked.kind.clone(), checked.clone());
    let mut played = Vec::new();
    for case in &checked.cases {
        play_one(&kinds, checked, case).await.map_err(|why| {
            Problem::new(
                Code::ObjectInvalid,
                format!("{}: the case `{}` does not hold: {why}.", checked.file, case.name),
                "Mend the handlers or the case, and run `atelier objects check`.",
            )
        })?;
        played.push(case.name.clone());
    }
    Ok(played)
}

async fn play_one(kinds: &BTreeMap<String, Template>, checked: &Template, case: &Case) -> Result<(), String> {
    let object = format!("{}/case", checked.kind);
    let mut shelf = Scratch::default();
    if let Some(from) = &case.from {
        let known = Known {
            version: 1,
            schema: from.version,
            template: Hash::of(b""),
            life: Lifecycle::Active,
            awake: true,
            state: from.state.clone(),
            answer: Value::Null,
        };
        shelf.0.insert(object.clone(), known);
    }
    let mut answer = Value::Null;
    for (n, told) in case.tell.iter().enumerate() {
        let tell = Tell {
            object: object.clone(),
            handler: told.handler.clone(),
            arguments: Value::Object(told.with.clone()),
            by: told.by.clone(),
            version: None,
        };
        let mut draft = Draft::new(kinds, &mut shelf);
        let told = draft.tell(&tell).await;
        let after = std::mem::take(&mut draft.objects);
        match (told, &case.refused) {
            (Ok(view), refused) => {
                if let Some(refused) = refused.as_ref().filter(|_| n + 1 == case.tell.len()) {
                    return Err(format!("the last message is taken, and should be refused with `{refused}`"));
                }
                shelf.0.extend(after);
                answer = view.answer;
            }
            (Err(refusal), Some(words)) if n + 1 == case.tell.len() => {
                if !refusal.to_string().contains(words.as_str()) {
                    return Err(format!("the last message is refused with `{refusal}`, not with `{words}`"));
                }
            }
            (Err(refusal), _) => return Err(format!("message {} is refused: {refusal}", n + 1)),
        }
    }
    let state = shelf.0.get(&object).map_or(&checked.first, |known| &known.state);
    if let Some(wanted) = case.state.as_ref().filter(|wanted| *wanted != state) {
        return Err(format!("the state is {state}, not {wanted}"));
    }
    if let Some(wanted) = case.answer.as_ref().filter(|wanted| **wanted != answer) {
        return Err(format!("the last message answers {answer}, not {wanted}"));
    }
    Ok(())
}
