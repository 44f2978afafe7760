//! Cuts text into the terms that are indexed and searched.
//!
//! A name is found by its parts and as a whole, however it is written: `parse_http_header`, `parseHttpHeader` and
//! `parse-http-header` all give `parse`, `http`, `header` and `parsehttpheader`. Everything is lower case. The
//! same cut is made when indexing, searching and choosing a passage, so that the three always agree.

use std::collections::VecDeque;

/// A longer word is data (a key, an embedded image), not a name.
const LONGEST_WORD: usize = 96;
/// A word of more parts is only a term as a whole.
const MOST_PARTS: usize = 12;

/// One term's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it starts in the text, in bytes.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// Its number among the parts of the text; a whole name has that of its first part.
    pub position: usize,
    /// Whether it is a name of several parts as a whole.
    pub whole: bool,
}

/// Gives the terms of a text in order.
pub(crate) struct Terms<'a> {
    text: &'a str,
    /// Everything before is cut.
    at: usize,
    waiting: VecDeque<Piece>,
    position: usize,
}

impl<'a> Terms<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0, waiting: VecDeque::new(), position: 0 }
    }

    /// The next term; `term` becomes its text.
    pub(crate) fn next_into(&mut self, term: &mut String) -> Option<Piece> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                write_term(self.text.get(piece.from..piece.to)?, term);
                return Some(piece);
            }
            let (from, to, plain) = self.word()?;
            if plain && to - from <= LONGEST_WORD {
                let piece = Piece { from, to, position: self.position, whole: false };
                self.position += 1;
                term.clear();
                term.push_str(self.text.get(from..to)?);
                return Some(piece);
            }
            self.cut(from, to);
        }
    }

    /// How many positions there were so far; also those of words that are no terms.
    pub(crate) fn positions(&self) -> usize {
        self.position
    }

    /// The next run of letters, digits and `_`, with a `-` where it stands between letters; and whether it is
    /// nothing but small ASCII letters, as most are.
    fn word(&mut self) -> Option<(usize, usize, bool)> {
        let mut from = self.at;
        let first = loop {
            let c = self.char_at(from)?;
            if in_word(c) {
                break c;
            }
            from += c.len_utf8();
        };
        let (mut to, mut last, mut plain) = (from + first.len_utf8(), first, first.is_ascii_lowercase());
        while let Some(c) = self.char_at(to) {
            let joins = c == '-' && last.is_alphabetic() && self.char_at(to + 1).is_some_and(char::is_alphabetic);
            if !in_word(c) && !joins {
                break;
            }
            plain &= c.is_ascii_lowercase();
            last = c;
            to += c.len_utf8();
        }
        self.at = to;
        Some((from, to, plain))
    }

    /// The character that starts at `at`, which is the start of one or the end of the text.
    fn char_at(&self, at: usize) -> Option<char> {
        match self.text.as_bytes().get(at) {
            Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
            Some(_) => self.text.get(at..)?.chars().next(),
            None => None,
        }
    }

    fn cut(&mut self, from: usize, to: usize) {
        let Some(word) = self.text.get(from..to).filter(|word| word.len() <= LONGEST_WORD) else {
            self.position += 1;
            return;
        };
        let first = self.position;
        let mut start = None;
        let mut before = ' ';
        let mut chars = word.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if matches!(c, '_' | '-') {
                self.part(from, start.take(), at);
            } else {
                let after = chars.peek().map_or(' ', |(_, next)| *next);
                if start.is_some() && parts_at(before, c, after) {
                    self.part(from, start.take(), at);
                }
                start.get_or_insert(at);
            }
            before = c;
        }
        self.part(from, start, word.len());
        match self.waiting.len() {
            0 | 1 => {}
            2..=MOST_PARTS => self.waiting.push_front(Piece { from, to, position: first, whole: true }),
            _ => {
                self.waiting.clear();
                self.waiting.push_back(Piece { from, to, position: first, whole: false });
                self.position = first + 1;
            }
        }
    }

    fn part(&mut self, word: usize, start: Option<usize>, end: usize) {
        if let Some(start) = start {
            self.waiting.push_back(Piece { from: word + start, to: word + end, position: self.position, whole: false });
            self.position += 1;
        }
    }
}

fn write_term(piece: &str, term: &mut String) {
    term.clear();
    if piece.is_ascii() {
        term.push_str(piece);
        term.make_ascii_lowercase();
        term.retain(|c| !matches!(c, '_' | '-'));
    } else {
        term.extend(piece.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase));
    }
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether a part begins with `c`, between `before` and `after`.
fn parts_at(before: char, c: char, after: char) -> bool {
    let digits = before.is_numeric() != c.is_numeric();
    let camel = c.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && after.is_lowercase()));
    digits || camel || is_ideograph(c) || is_ideograph(before)
}

/// Scripts written without spaces; each sign is a term.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> String {
        let (mut all, mut term) = (Terms::of(text), String::new());
        let mut said = Vec::new();
        while let Some(piece) = all.next_into(&mut term) {
            said.push(format!("{term}@{}", piece.position));
        }
        said.join(" ")
    }

    #[test]
    fn names_are_cut_into_parts_and_kept_whole() {
        let cut = "parsehttpheader@0 parse@0 http@1 header@2";
        for name in [
            "parse_http_header",
            "parseHttpHeader",
            "ParseHTTPHeader",
            "parse-http-header",
            "PARSE_HTTP_HEADER",
            "_parse__http_header_",
        ] {
            assert_eq!(terms(name), cut, "{name}");
        }
    }

    #[test]
    fn digits_are_parts_of_their_own() {
        assert_eq!(terms("sha256sum utf8"), "sha256sum@0 sha@0 256@1 sum@2 utf8@3 utf@3 8@4");
    }

    #[test]
    fn code_around_names_is_no_term() {
        assert_eq!(terms("a->b(&mut self.x_1)?; // ok"), "a@0 b@1 mut@2 self@3 x1@4 x@4 1@5 ok@6");
        assert_eq!(terms("x - y -z --flag __ -- \u{feff}"), "x@0 y@1 z@2 flag@3");
    }

    #[test]
    fn other_scripts_are_terms_too() {
        assert_eq!(terms("Größe ÉTÉ 検索"), "größe@0 été@1 検索@2 検@2 索@3");
    }

    #[test]
    fn data_is_not_cut_into_names() {
        assert_eq!(terms(&format!("a {} b", "x".repeat(97))), "a@0 b@2");
        assert_eq!(terms("a1b2c3d4e5f6a7b8 z"), "a1b2c3d4e5f6a7b8@0 z@1");
    }
}
