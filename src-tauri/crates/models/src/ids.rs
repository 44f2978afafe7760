//! Ids of tool calls: the server's where it gives one, else made here, and never two alike in a turn.

use std::collections::BTreeSet;

/// The ids of one turn.
#[derive(Debug)]
pub(crate) struct Ids {
    prefix: String,
    made: usize,
    taken: BTreeSet<String>,
}

impl Ids {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), made: 0, taken: BTreeSet::new() }
    }
    /// The id for a call that came with `given`.
    pub(crate) fn take(&mut self, given: Option<&str>) -> String {
        if let Some(given) = given.filter(|given| !given.is_empty())
            && self.taken.insert(given.to_owned())
        {
            return given.to_owned();
        }
        loop {
            self.made += 1;
            let id = format!("{}call_{}", self.prefix, self.made);
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_empty_and_repeated_ids_are_made_in_order() {
        let mut ids = Ids::new("k7.");
        let given = [Some("a"), None, Some(""), Some("a"), Some("k7.call_4"), None];
        let taken: Vec<String> = given.into_iter().map(|id| ids.take(id)).collect();
        assert_eq!(taken, ["a", "k7.call_1", "k7.call_2", "k7.call_3", "k7.call_4", "k7.call_5"]);
    }
}
