//! Which turn answers a request. Pure: the same request finds the same turn.

use crate::request::{Asked, Said};
use crate::script::{Script, When, Words, full_name};

impl Script {
    /// The first turn that answers the request.
    pub(crate) fn turn_for(&self, asked: &Asked) -> Option<usize> {
        self.turns.iter().position(|turn| turn.when.fits(asked))
    }
}

impl When {
    /// Whether everything that is given fits.
    pub(crate) fn fits(&self, asked: &Asked) -> bool {
        let equal =
            |wanted: &Option<String>, there: Option<&str>| wanted.as_deref().is_none_or(|wanted| there == Some(wanted));
        let count = |wanted: Option<usize>, there: usize| wanted.is_none_or(|wanted| wanted == there);
        let users = || asked.of_role("user");
        self.model.as_deref().is_none_or(|wanted| full_name(wanted) == full_name(&asked.model))
            && equal(&self.role, asked.line("role").as_deref())
            && equal(&self.step, asked.line("step").as_deref())
            && count(self.turn, asked.of_role("assistant").count())
            && count(self.tool_results, asked.results().count())
            && equal(&self.last_tool, asked.last_results().last().and_then(|said| said.tool.as_deref()))
            && self.tool_result_contains.all_in(asked.last_results().iter())
            && self.system_contains.all_in(asked.of_role("system"))
            && self.user_contains.all_in(users())
            && self.last_user_contains.all_in(users().next_back().into_iter())
            && self.contains.all_in(asked.messages.iter())
            && self.not_contains.none_in(asked.messages.iter())
            && self.offers.0.iter().all(|tool| asked.tools.contains(tool))
    }
}

impl Words {
    fn all_in<'a>(&self, said: impl Iterator<Item = &'a Said>) -> bool {
        let texts: Vec<&str> = said.map(|said| said.text.as_str()).collect();
        self.0.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
    fn none_in<'a>(&self, mut said: impl Iterator<Item = &'a Said>) -> bool {
        !said.any(|said| self.0.iter().any(|word| said.text.contains(word)))
    }
}

/// What was in a request that no turn answers, in one line.
pub(crate) fn describe(asked: &Asked) -> String {
    let clip = |text: &str| {
        let line = text.trim().lines().next().unwrap_or_default();
        let mut short: String = line.chars().take(80).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short
    };
    let line = |key: &str| asked.line(key).unwrap_or_else(|| "none".to_owned());
    let last = asked.messages.last().map_or_else(
        || "no message".to_owned(),
        |said| match &said.tool {
            Some(tool) => format!("{} {tool}: {}", said.role, clip(&said.text)),
            None => format!("{}: {}", said.role, clip(&said.text)),
        },
    );
    format!(
        "model {}, role {}, step {}, turn {}, tool results {}, last message {last}",
        asked.model,
        line("role"),
        line("step"),
        asked.of_role("assistant").count(),
        asked.results().count(),
    )
}
