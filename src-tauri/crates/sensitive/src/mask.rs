//! Placeholders in the place of what must not leave.
//!
//! The same value has the same placeholder in all texts of a mask, numbered in the order of their first places: a
//! conversation that only grows keeps its placeholders from one request to the next. What was found once is masked
//! wherever it stands, also where nothing around it says what it is.

use crate::restore::Restorer;
use crate::scan::scan;
use aho_corasick::{AhoCorasick, MatchKind};
use atelier_protocol::event::{Masked, Sensitive};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// A value as short as this may be a common word, and is only masked where it was found.
const EVERYWHERE: usize = 8;

/// Values and their placeholders.
#[derive(Default)]
pub struct Mask {
    /// What placeholders begin with; stands in none of the texts.
    stem: String,
    by_value: HashMap<String, String>,
    by_placeholder: HashMap<String, String>,
    counts: BTreeMap<Sensitive, u32>,
    /// Finds what was found once, with its kind.
    known: Option<(AhoCorasick, Vec<Sensitive>)>,
}

// A mask holds what must not be seen.
impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Mask {
    /// A mask for these texts.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<&str> = texts.into_iter().collect();
        let stem = (1u32..)
            .map(|n| if n == 1 { "[MASKED_".to_owned() } else { format!("[MASKED{n}_") })
            .find(|stem| !texts.iter().any(|text| text.contains(stem.as_str())))
            .unwrap_or_default();
        let mut values: BTreeMap<&str, Sensitive> = BTreeMap::new();
        for text in &texts {
            for finding in scan(text) {
                let value = &text[finding.range];
                // A key of many lines is no less secret line by line.
                let lines =
                    value.lines().map(str::trim).filter(|line| value.contains('\n') && !line.starts_with("---"));
                for value in std::iter::once(value).chain(lines).filter(|value| value.len() >= EVERYWHERE) {
                    values.entry(value).or_insert(finding.kind);
                }
            }
        }
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values.keys());
        let known =
            finder.ok().filter(|_| !values.is_empty()).map(|finder| (finder, values.values().copied().collect()));
        Self { stem, known, ..Self::default() }
    }

    /// Whether nothing was masked so far.
    pub fn is_empty(&self) -> bool {
        self.by_value.is_empty()
    }

    /// How many different values were masked so far, by kind.
    pub fn counts(&self) -> Vec<Masked> {
        self.counts.iter().map(|(kind, count)| Masked { kind: *kind, count: *count }).collect()
    }

    /// The text with placeholders.
    pub fn apply(&mut self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut kept = 0;
        for (range, kind) in self.places(text) {
            masked.push_str(&text[kept..range.start]);
            masked.push_str(&self.placeholder(&text[range.clone()], kind));
            kept = range.end;
        }
        masked.push_str(&text[kept..]);
        masked
    }

    /// The same for every text in a value, names of fields included.
    pub fn apply_to(&mut self, value: &Value) -> Value {
        mapped(value, &mut |text| self.apply(text))
    }

    /// The text with the values back in their places.
    pub fn restore(&self, text: &str) -> String {
        let mut restorer = self.restorer();
        let mut whole = restorer.push(text);
        whole.push_str(&restorer.finish());
        whole
    }

    /// The same for every text in a value, names of fields included.
    pub fn restore_in(&self, value: &Value) -> Value {
        if self.is_empty() { value.clone() } else { mapped(value, &mut |text| self.restore(text)) }
    }

    /// Restores a text that arrives in pieces.
    pub fn restorer(&self) -> Restorer {
        Restorer::new(self.by_placeholder.clone(), &self.stem)
    }

    /// What must be masked in a text, in order. Places that overlap are one.
    fn places(&self, text: &str) -> Vec<(Range<usize>, Sensitive)> {
        let mut places: Vec<(Range<usize>, Sensitive)> =
            scan(text).into_iter().map(|finding| (finding.range, finding.kind)).collect();
        if let Some((finder, kinds)) = &self.known {
            places.extend(finder.find_iter(text).map(|m| (m.range(), kinds[m.pattern().as_usize()])));
        }
        places.sort_by_key(|(range, _)| (range.start, range.end));
        let mut merged: Vec<(Range<usize>, Sensitive)> = Vec::new();
        for (range, kind) in places {
            match merged.last_mut() {
                Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push((range, kind)),
            }
        }
        merged
    }

    fn placeholder(&mut self, value: &str, kind: Sensitive) -> String {
        if let Some(placeholder) = self.by_value.get(value) {
            return placeholder.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let placeholder = format!("{}{}_{count}]", self.stem, word(kind));
        self.by_value.insert(value.to_owned(), placeholder.clone());
        self.by_placeholder.insert(placeholder.clone(), value.to_owned());
        placeholder
    }
}

fn word(kind: Sensitive) -> &'static str {
    match kind {
        Sensitive::PrivateKey => "PRIVATE_KEY",
        Sensitive::ApiKey => "API_KEY",
        Sensitive::Password => "PASSWORD",
        Sensitive::Token => "TOKEN",
        Sensitive::Email => "EMAIL",
        Sensitive::Phone => "PHONE",
        Sensitive::Iban => "IBAN",
        Sensitive::Card => "CARD",
    }
}

fn mapped(value: &Value, change: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => Value::Array(items.iter().map(|item| mapped(item, change)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, item)| (change(name), mapped(item, change))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_value_has_one_placeholder_wherever_it_stands() {
        let texts =
            ["DB_PASSWORD=correct-horse", "mail ada@example.org; the correct-horse again", "to ada@example.org"];
        let mut mask = Mask::of(texts);
        let masked: Vec<String> = texts.iter().map(|text| mask.apply(text)).collect();
        assert_eq!(
            masked,
            [
                "DB_PASSWORD=[MASKED_PASSWORD_1]",
                "mail [MASKED_EMAIL_1]; the [MASKED_PASSWORD_1] again",
                "to [MASKED_EMAIL_1]",
            ]
        );
        assert_eq!(texts.map(str::to_owned).to_vec(), masked.iter().map(|text| mask.restore(text)).collect::<Vec<_>>());
        assert_eq!(
            mask.counts(),
            [Masked { kind: Sensitive::Password, count: 1 }, Masked { kind: Sensitive::Email, count: 1 },]
        );
        assert!(!format!("{mask:?}").contains("ada"));
    }

    #[test]
    fn a_text_that_already_holds_a_placeholder_is_not_changed_by_restoring() {
        let text = "docs say [MASKED_EMAIL_1] stands for ada@example.org";
        let mut mask = Mask::of([text]);
        let masked = mask.apply(text);
        assert_eq!(masked, "docs say [MASKED_EMAIL_1] stands for [MASKED2_EMAIL_1]");
        assert_eq!(mask.restore(&masked), text);
    }

    #[test]
    fn arguments_of_a_tool_are_masked_and_restored_in_depth() {
        let arguments = json!({"path": "a", "edits": [{"text": "x = 'ada@example.org'"}], "n": 1});
        let mut mask = Mask::of(["ada@example.org"]);
        let masked = mask.apply_to(&arguments);
        assert_eq!(masked["edits"][0]["text"], "x = '[MASKED_EMAIL_1]'");
        assert_eq!(mask.restore_in(&masked), arguments);
    }

    #[test]
    fn a_mask_that_grows_keeps_its_placeholders() {
        let mut first = Mask::of(["ada@example.org"]);
        let mut second = Mask::of(["ada@example.org", "bob@example.org"]);
        assert_eq!(first.apply("ada@example.org"), second.apply("ada@example.org"));
    }
}
