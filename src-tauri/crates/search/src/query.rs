//! What is looked for: plain words, and phrases in quotes. There is no other syntax, so there is no syntax error.

use crate::error::IndexError;
use crate::terms::Terms;
use std::collections::BTreeSet;
use tantivy::Term;
use tantivy::query::{BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};

/// Words beyond are left out: a pasted page is not a query.
const MOST_TERMS: usize = 128;
/// Names of several parts that are looked for as a whole besides: each costs a query.
const MOST_NAMES: usize = 8;
/// What a word of the first line counts more than one of the lines below it: a long question begins with what it is about.
const FIRST_LINE: f32 = 3.0;

/// A query by its terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// Each term once, in the order of the query.
    pub terms: Vec<String>,
    /// Parts that must follow each other, by their place in `terms`.
    pub phrases: Vec<Vec<usize>>,
    /// How many of the terms are in the first line.
    pub leading: usize,
    /// Names of several parts, by the place of the whole in `terms`.
    names: BTreeSet<usize>,
    /// Terms that stand in the query by more than being a part of a name.
    own: BTreeSet<usize>,
}

impl Words {
    pub(crate) fn of(query: &str) -> Result<Self, IndexError> {
        let mut words = Self::default();
        let first_line = query.trim_start().lines().next().unwrap_or_default();
        words.add(&first_line.replace('"', " "));
        words.leading = words.terms.len();
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
        let (mut parts, mut name_to) = (Vec::new(), 0);
        while let Some(piece) = all.next_into(&mut term) {
            let at = match self.terms.iter().position(|known| *known == term) {
                Some(at) => at,
                None if self.terms.len() < MOST_TERMS => {
                    self.terms.push(term.clone());
                    self.terms.len() - 1
                }
                None => break,
            };
            if piece.whole {
                self.names.insert(at);
                name_to = piece.to;
            } else {
                parts.push(at);
            }
            if piece.whole || piece.from >= name_to {
                self.own.insert(at);
            }
        }
        parts
    }

    /// How many words the query has, each once; a name of several parts is one.
    pub(crate) fn count(&self) -> usize {
        self.own.len()
    }

    /// Each term with its weight.
    pub(crate) fn weighted(&self) -> impl Iterator<Item = (&str, f32)> {
        let weight = |at: usize| if at < self.leading { 1.0 + FIRST_LINE } else { 1.0 };
        self.terms.iter().enumerate().map(move |(at, term)| (term.as_str(), weight(at)))
    }

    /// A query for each of the first names of several parts as it is in the query, in any of the fields.
    pub(crate) fn each_name_in(&self, fields: [Field; 2], kind: Option<&Term>) -> Vec<Box<dyn Query>> {
        let in_any = |term: &String| {
            let in_field = |field| -> (Occur, Box<dyn Query>) {
                let term = TermQuery::new(Term::from_field_text(field, term), IndexRecordOption::WithFreqs);
                (Occur::Should, Box::new(term))
            };
            with_kind(fields.map(in_field).into(), kind.cloned())
        };
        self.names().map(in_any).collect()
    }

    /// How many of the first names of several parts stand in one of the texts as a whole.
    pub(crate) fn names_held(&self, texts: [&str; 2]) -> usize {
        let holds = |name: &&String| {
            texts.iter().any(|text| {
                let (mut all, mut term) = (Terms::of(text), String::new());
                std::iter::from_fn(|| all.next_into(&mut term).map(|_| term == **name)).any(|same| same)
            })
        };
        self.names().filter(holds).count()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter_map(|at| self.terms.get(*at)).take(MOST_NAMES)
    }

    /// The query for any of the words in a field, of documents of a kind where one is given.
    pub(crate) fn any_in(&self, field: Field, kind: Option<Term>) -> Box<dyn Query> {
        let of_term = |(term, weight): (&str, f32)| -> Box<dyn Query> {
            let term = TermQuery::new(Term::from_field_text(field, term), IndexRecordOption::WithFreqs);
            Box::new(BoostQuery::new(Box::new(term), weight))
        };
        let any = self.weighted().map(|word| (Occur::Should, of_term(word))).collect();
        with_kind(any, kind)
    }

    /// The same of documents that have all words of the phrases. Whether these follow each other there is seen when the
    /// file is read: their places are not in the index, which is half as large without them.
    pub(crate) fn in_text(&self, field: Field, kind: Option<Term>) -> Box<dyn Query> {
        let any = self.any_in(field, kind);
        if self.phrases.is_empty() {
            return any;
        }
        let quoted: BTreeSet<usize> = self.phrases.iter().flatten().copied().collect();
        let all = quoted.iter().filter_map(|at| Some(Term::from_field_text(field, self.terms.get(*at)?)));
        let all = all.map(|term| -> (Occur, Box<dyn Query>) {
            (Occur::Must, Box::new(ConstScoreQuery::new(Box::new(TermQuery::new(term, IndexRecordOption::Basic)), 0.0)))
        });
        Box::new(BooleanQuery::new(all.chain([(Occur::Should, any)]).collect()))
    }
}

fn with_kind(any: Vec<(Occur, Box<dyn Query>)>, kind: Option<Term>) -> Box<dyn Query> {
    let any: Box<dyn Query> = Box::new(BooleanQuery::new(any));
    match kind {
        None => any,
        Some(kind) => {
            let of_kind = ConstScoreQuery::new(Box::new(TermQuery::new(kind, IndexRecordOption::Basic)), 0.0);
            Box::new(BooleanQuery::new(vec![(Occur::Must, any), (Occur::Must, Box::new(of_kind))]))
        }
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
    fn a_name_is_one_word_whatever_its_parts() {
        let names = |query: &str| {
            let words = Words::of(query).unwrap();
            (words.count(), words.names().cloned().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("savedword11x"), (1, "savedword11x".to_owned()));
        assert_eq!(names("parse_header parseHeader"), (1, "parseheader".to_owned()));
        assert_eq!(names("http::parse_header parse"), (3, "parseheader".to_owned()));
        assert_eq!(names("find the header"), (3, String::new()));
    }

    #[test]
    fn quoted_words_are_phrases() {
        assert_eq!(words("a \"fn parse_header\" b"), "a fn parseheader parse header b [[1, 3, 4]]");
        assert_eq!(words("say \"hello"), "say hello []");
        assert_eq!(words("\"\" x"), "x []");
        assert_eq!(words("\"the the\""), "the [[0, 0]]");
    }
}
