//! What a role is shown of the project: a first look packed for its goal, and the answers to its searches.
//!
//! Packed by the same function that `atelier context` shows. Lines that the conversation holds already are not told
//! again; held are lines that stand in it as they are now, so nothing stale counts.

use crate::run::Run;
use crate::tools::{self, Answer};
use atelier_protocol::context::ContextView;
use atelier_protocol::event::Effect;
use atelier_protocol::view::Hit;
use serde_json::Value;
use std::collections::BTreeSet;

/// Tokens that the parts of the project in a brief may cost.
const FIRST_LOOK: u32 = 2_000;
/// Search hits that a role is shown.
const SEARCH_HITS: u32 = 8;
/// Fewer lines than this are told again: they say little alone, and may stand in the conversation for another place.
const HELD_LINES: usize = 3;

impl Run {
    /// The parts of the project that fit the goal, for a brief that says `said` already. A project that cannot be
    /// indexed has none.
    pub(crate) async fn shown_at_first(&self, said: &str) -> String {
        let context = async {
            self.desk.index_for_asking().await?;
            let goal = self.machine.view.goal.clone();
            self.desk.context(self.files(), goal, FIRST_LOOK, said.to_owned(), self.overlay()).await
        };
        match context.await {
            Ok(context) => ContextView::text(&context),
            Err(problem) => {
                tracing::warn!(%problem, "the first look at the project is left out");
                String::new()
            }
        }
    }

    /// Answers `search`.
    pub(crate) async fn search(&self, arguments: &Value) -> Answer {
        let query = match tools::text_argument(arguments, "query") {
            Ok(query) => query,
            Err(why) => return Answer::refused("search", why),
        };
        let found = async {
            self.desk.index_for_asking().await?;
            self.desk.search_in(self.files(), query, SEARCH_HITS, self.overlay()).await
        };
        match found.await {
            Ok(hits) => tools::search(query, &hits, |hit| self.holds(hit)),
            Err(problem) => Answer::refused(format!("search \"{query}\""), problem.message),
        }
    }

    /// Whether the conversation says the lines of a hit, under its path.
    fn holds(&self, hit: &Hit) -> bool {
        let Some(current) = &self.machine.current else { return false };
        let lines = hit.snippet.trim_end();
        let says = |text: &str| text.contains(&hit.path) && text.contains(lines);
        lines.lines().count() >= HELD_LINES
            && (says(&current.brief) || current.talk.messages.iter().any(|message| says(message.text())))
    }

    /// Paths that are others in the run's tree than in the user's folder, which the index follows: they are read for the
    /// answer.
    fn overlay(&self) -> Vec<String> {
        if !self.machine.tree_made {
            return Vec::new();
        }
        let mut paths: BTreeSet<String> = self.machine.view.on.iter().flat_map(|on| on.paths.clone()).collect();
        for file in self.machine.view.checkpoint.iter().flat_map(|point| &point.files) {
            paths.extend(file.old_path.clone());
            paths.insert(file.path.clone());
        }
        for tried in self.machine.effects.values() {
            if let Effect::WriteFile { path, .. } = &tried.effect {
                paths.insert(path.clone());
            }
        }
        paths.into_iter().collect()
    }
}
