//! What is looked for: plain words, and phrases in quotes. There is no other syntax, so there is no syntax error.

use crate::error::IndexError;
use crate::store::Fields;
use crate::terms::Terms;
use tantivy::Term;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::IndexRecordOption;

/// Words beyond are left out: a pasted page is not a query.
const MOST_TERMS: usize = 128;
/// How much more a word of the path counts than one of the content.
const NAME_WEIGHT: f32 = 3.0;

/// A query by its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// Each term once, in the order of the query.
    pub terms: Vec<String>,
    /// Parts that must follow each other, by their place in `terms`.
    pub phrases: Vec<Vec<usize>>,
}

impl Words {
    pub(crate) fn of(query: &str) -> Result<Self, IndexError> {
        let mut words = Self { terms: Vec::new(), phrases: Vec::new() };
        // An odd quote at the end quotes nothing.
        let quotes = query.matches('"').count();
        for (at, text) in query.split('"').enumerate() {
            let quoted = at % 2 == 1 && at < quotes;
            let parts = words.add(text);
            if quoted && !parts.is_empty() {
                words.phrases.push(parts);
            }
        }
        if words.terms.is_empty() { Err(IndexError::NoWords { query: query.to_owned() }) } else { Ok(words) }
    }

    /// Adds the terms of `text`; gives the places of its parts.
    fn add(&mut self, text: &str) -> Vec<usize> {
        let (mut all, mut term) = (Terms::of(text), String::new());
        let mut parts = Vec::new();
        while let Some(piece) = all.next_into(&mut term) {
            let at = match self.terms.iter().position(|known| *known == term) {
                Some(at) => at,
                None if self.terms.len() < MOST_TERMS => {
                    self.terms.push(term.clone());
                    self.terms.len() - 1
                }
                None => break,
            };
            if !piece.whole {
                parts.push(at);
            }
        }
        parts
    }

    /// The query over files: any word in content or path, and every phrase in the content.
    pub(crate) fn over_files(&self, fields: Fields) -> Box<dyn Query> {
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for term in &self.terms {
            let text = Term::from_field_text(fields.text, term);
            let name = Term::from_field_text(fields.name, term);
            clauses.push((Occur::Should, Box::new(TermQuery::new(text, IndexRecordOption::WithFreqs))));
            let name = Box::new(TermQuery::new(name, IndexRecordOption::WithFreqs));
            clauses.push((Occur::Should, Box::new(BoostQuery::new(name, NAME_WEIGHT))));
        }
        for phrase in &self.phrases {
            let terms: Vec<Term> =
                phrase.iter().filter_map(|at| Some(Term::from_field_text(fields.text, self.terms.get(*at)?))).collect();
            let must: Box<dyn Query> = match <[Term; 1]>::try_from(terms) {
                Ok([one]) => Box::new(TermQuery::new(one, IndexRecordOption::WithFreqs)),
                Err(terms) => Box::new(PhraseQuery::new(terms)),
            };
            clauses.push((Occur::Must, must));
        }
        Box::new(BooleanQuery::new(clauses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> String {
        match Words::of(query) {
            Ok(words) => format!("{} {:?}", words.terms.join(" "), words.phrases),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn any_text_is_a_query_as_long_as_it_has_a_word() {
        assert_eq!(words("AND (foo:bar^2 OR -baz~ [x TO *]"), "and foo bar 2 or baz x to []");
        assert_eq!(words("parseHeader parse"), "parseheader parse header []");
        assert_eq!(words("  "), "the query is empty");
        assert_eq!(words("->"), "`->` has no word to look for");
    }

    #[test]
    fn quoted_words_are_phrases() {
        assert_eq!(words("a \"fn parse_header\" b"), "a fn parseheader parse header b [[1, 3, 4]]");
        assert_eq!(words("say \"hello"), "say hello []");
        assert_eq!(words("\"\" x"), "x []");
        assert_eq!(words("\"the the\""), "the [[0, 0]]");
    }
}
