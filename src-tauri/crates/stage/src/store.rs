//! The models a stage has as it runs: those of the script that are here, and what pulls, copies and deletions made of them.

use crate::body::Move;
use crate::inventory::{Loaded, digest};
use crate::script::{Script, ScriptModel, full_name};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lines of progress for each layer.
const LINES: u64 = 32;

/// The models and what is loaded.
#[derive(Debug, Default)]
pub(crate) struct Store {
    here: Vec<ScriptModel>,
    elsewhere: Vec<ScriptModel>,
    /// By full name.
    loaded: BTreeMap<String, Loaded>,
    /// Their names, the one that was used last at the end.
    used: Vec<String>,
    /// How many are loaded at a time; 0 is all.
    holds: usize,
    /// Bytes of each layer that came before a pull was given up, by digest.
    pulled: BTreeMap<String, u64>,
}

impl Store {
    pub(crate) fn of(script: &Script) -> Self {
        let (here, elsewhere) = script.models.iter().cloned().partition(|model| model.here);
        let mut store = Self { here, elsewhere, holds: script.holds, ..Self::default() };
        for model in &script.models {
            if let Some(context) = model.loaded {
                store.load(&model.name, Loaded { context, forever: false });
            }
        }
        store
    }
    pub(crate) fn models(&self) -> &[ScriptModel] {
        &self.here
    }
    /// The model of this name, with or without its tag.
    pub(crate) fn model(&self, name: &str) -> Option<&ScriptModel> {
        self.here.iter().find(|model| full_name(&model.name) == full_name(name))
    }
    /// One more under another name; whether there is something to copy.
    pub(crate) fn copy(&mut self, from: &str, to: &str) -> bool {
        let Some(copy) = self.model(from).map(|model| ScriptModel { name: to.to_owned(), ..model.clone() }) else {
            return false;
        };
        self.here.retain(|model| full_name(&model.name) != full_name(to));
        self.here.push(copy);
        true
    }
    /// Removes a model; whether it was there.
    pub(crate) fn delete(&mut self, name: &str) -> bool {
        let before = self.here.len();
        self.here.retain(|model| full_name(&model.name) != full_name(name));
        self.unload(name);
        self.here.len() < before
    }
    pub(crate) fn loaded(&self, name: &str) -> Option<Loaded> {
        self.loaded.get(&full_name(name)).copied()
    }
    pub(crate) fn load(&mut self, name: &str, loaded: Loaded) {
        let name = full_name(name);
        self.used.retain(|used| *used != name);
        self.used.push(name.clone());
        self.loaded.insert(name, loaded);
        while self.holds > 0 && self.used.len() > self.holds {
            let gone = self.used.remove(0);
            self.loaded.remove(&gone);
        }
    }
    pub(crate) fn unload(&mut self, name: &str) {
        self.used.retain(|used| *used != full_name(name));
        self.loaded.remove(&full_name(name));
    }
    pub(crate) fn all_loaded(&self) -> Vec<(ScriptModel, Loaded)> {
        let loaded = |model: &ScriptModel| Some((model.clone(), self.loaded(&model.name)?));
        self.here.iter().filter_map(loaded).collect()
    }
    /// What is pulled under this name: from elsewhere, or once more what is here.
    pub(crate) fn pullable(&self, name: &str) -> Option<ScriptModel> {
        let named = |model: &&ScriptModel| full_name(&model.name) == full_name(name);
        self.elsewhere.iter().find(named).or_else(|| self.here.iter().find(named)).cloned()
    }

    /// The lines of a pull as they come, each with what it changes here.
    pub(crate) fn pull(&self, model: &ScriptModel) -> Vec<(String, Change)> {
        let mut lines = vec![(json!({"status": "pulling manifest"}).to_string(), Change::Nothing)];
        for (at, total) in model.layers.iter().enumerate() {
            let digest = digest(&format!("{} {at}", model.name));
            let status = format!("pulling {}", &digest[..12]);
            let line = |completed: Option<u64>| match completed {
                None => format!("{{\"status\":\"{status}\",\"digest\":\"sha256:{digest}\",\"total\":{total}}}"),
                Some(done) => {
                    format!(
                        "{{\"status\":\"{status}\",\"digest\":\"sha256:{digest}\",\"total\":{total},\"completed\":{done}}}"
                    )
                }
            };
            let step = (total / LINES).max(65_536);
            let came = self.pulled.get(&digest).copied().unwrap_or(0);
            let mut done = if model.here { *total } else { came };
            if done == 0 && *total > step {
                lines.push((line(None), Change::Nothing));
            }
            loop {
                done = (done + step).min(*total);
                lines.push((line(Some(done)), Change::Came { digest: digest.clone(), bytes: done }));
                if done == *total {
                    break;
                }
            }
        }
        for status in ["verifying sha256 digest", "writing manifest"] {
            lines.push((json!({"status": status}).to_string(), Change::Nothing));
        }
        lines.push((json!({"status": "success"}).to_string(), Change::Here(model.name.clone())));
        lines
    }

    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Came { digest, bytes } => {
                self.pulled.insert(digest, bytes);
            }
            Change::Here(name) => {
                if let Some(at) = self.elsewhere.iter().position(|model| model.name == name) {
                    let mut model = self.elsewhere.remove(at);
                    model.here = true;
                    self.here.push(model);
                }
            }
        }
    }
}

/// What a line of a pull changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// So many bytes of a layer are here, also after the pull is given up.
    Came {
        digest: String,
        bytes: u64,
    },
    /// The model can be used.
    Here(String),
}

/// A line with the time before it.
pub(crate) fn paced(line: &str, pace: Duration) -> [Move; 2] {
    [Move::Wait(pace), Move::send(format!("{line}\n"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_that_was_given_up_goes_on_where_it_was() {
        let text = "schema: 1\nmodels: [{name: a}, {name: b, here: false, layers: [6400000, 100]}]\nturns: []";
        let mut store = Store::of(&Script::read("s.yaml", text).unwrap());
        let model = store.pullable("b:latest").unwrap();
        let lines = store.pull(&model);
        assert_eq!(lines.len(), 1 + 1 + 32 + 1 + 3, "{lines:?}");
        for (_, change) in lines.into_iter().take(12) {
            store.change(change);
        }
        let rest = store.pull(&model);
        assert!(rest[1].0.contains("\"completed\":2200000"), "{}", rest[1].0);
        rest.into_iter().for_each(|(_, change)| store.change(change));
        assert_eq!(store.models().len(), 2);
        // Once more: every layer is here at once.
        assert_eq!(store.pull(&model).len(), 1 + 2 + 3);
        assert!(store.copy("b", "c") && store.delete("b") && !store.delete("b") && store.model("c:latest").is_some());
    }
}
