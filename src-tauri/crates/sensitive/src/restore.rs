//! Puts values back in the place of placeholders, in a text that arrives in pieces.
//!
//! What may be the beginning of a placeholder is held back until it is clear, and never longer than a placeholder is.

use std::collections::HashMap;

/// Restores one text that arrives in pieces.
pub struct Restorer {
    by_placeholder: HashMap<String, String>,
    longest: usize,
    stem: String,
    held: String,
}

impl Restorer {
    pub(crate) fn new(by_placeholder: HashMap<String, String>, stem: &str) -> Self {
        let longest = by_placeholder.keys().map(String::len).max().unwrap_or(0);
        Self { by_placeholder, longest, stem: stem.to_owned(), held: String::new() }
    }

    /// Takes a piece and gives what is clear by now.
    pub fn push(&mut self, piece: &str) -> String {
        if self.by_placeholder.is_empty() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        let mut clear = String::new();
        loop {
            let Some(at) = self.held.find('[') else {
                clear.push_str(&std::mem::take(&mut self.held));
                return clear;
            };
            clear.push_str(&self.held[..at]);
            self.held.drain(..at);
            match self.first() {
                First::Placeholder(length) => {
                    let placeholder: String = self.held.drain(..length).collect();
                    clear.push_str(&self.by_placeholder[&placeholder]);
                }
                First::Unclear => return clear,
                First::Other => clear.push_str(&self.held.drain(..1).collect::<String>()),
            }
        }
    }

    /// The text has ended: what was held back is no placeholder.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// What stands at the front of what is held, which begins with a bracket.
    fn first(&self) -> First {
        let stem = self.stem.as_bytes();
        let held = self.held.as_bytes();
        let common = stem.len().min(held.len());
        if stem[..common] != held[..common] {
            return First::Other;
        }
        match self.held.find(']') {
            Some(end) if self.by_placeholder.contains_key(&self.held[..=end]) => First::Placeholder(end + 1),
            Some(_) => First::Other,
            None if held.len() < self.longest => First::Unclear,
            None => First::Other,
        }
    }
}

enum First {
    /// A placeholder of so many bytes.
    Placeholder(usize),
    /// It may become one.
    Unclear,
    /// Something else.
    Other,
}

#[cfg(test)]
mod tests {
    use crate::Mask;

    #[test]
    fn only_what_may_become_a_placeholder_is_held_back() {
        let mut mask = Mask::of(["ada@example.org"]);
        mask.apply("ada@example.org");
        let mut restorer = mask.restorer();
        let pieces = ["a[0] = [MAS", "KED_EMAIL_", "1] and [MASKED_EMAIL_2] [MASKED_", "x"];
        let mut told: Vec<String> = pieces.iter().map(|piece| restorer.push(piece)).collect();
        told.push(restorer.finish());
        assert_eq!(told, ["a[0] = ", "", "ada@example.org and [MASKED_EMAIL_2] ", "", "[MASKED_x"]);
    }
}
