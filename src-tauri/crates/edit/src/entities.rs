//! `&lt;` where a model meant `<`: whether the texts of an edit were escaped as HTML on their way.
//!
//! Only a text without any bare `<`, `>` or `&` can have been. Then the file decides: the lines that an edit repeats
//! from it stand there as they are written, or unescaped. Where it repeats none, an operator of a program tells
//! (`operators`); without one nobody can.

use crate::operators;
use crate::text::{Level, key, lines, trim_start};
use memchr::memmem;
use std::borrow::Cow;

const NAMED: [(&[u8], &[u8]); 8] = [
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&amp;", b"&"),
    (b"&quot;", b"\""),
    (b"&apos;", b"'"),
    (b"&#39;", b"'"),
    (b"&#x27;", b"'"),
    (b"&#34;", b"\""),
];

/// Lines that are looked up in the file at most.
const LOOKED_UP: usize = 64;

/// What the entities of an edit's texts are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Meant as they are, or there are none.
    #[default]
    Literal,
    /// Stand for the characters.
    Escaped,
    /// It cannot be told.
    Unclear,
}

fn entity_at(text: &[u8]) -> Option<(&'static [u8], &'static [u8])> {
    NAMED.into_iter().find(|(entity, _)| text.starts_with(entity))
}

/// Whether there is an entity, and whether there is one of the characters that escaping replaces.
fn contents(text: &[u8]) -> (bool, bool) {
    let (mut entity, mut bare) = (false, memchr::memchr2(b'<', b'>', text).is_some());
    for at in memchr::memchr_iter(b'&', text) {
        match entity_at(&text[at..]) {
            Some(_) => entity = true,
            None => bare = true,
        }
    }
    (entity, bare)
}

/// How the entities of an edit are meant: `repeated` are its texts of the file at `path`, `new` those it writes.
pub(crate) fn reading<'a>(
    (path, now): (&str, &[u8]),
    repeated: impl Iterator<Item = &'a [u8]> + Clone,
    new: impl Iterator<Item = &'a [u8]> + Clone,
) -> Reading {
    let mut any = false;
    for text in repeated.clone().chain(new.clone()) {
        let (entity, bare) = contents(text);
        if bare {
            return Reading::Literal;
        }
        any |= entity;
    }
    if !any {
        return Reading::Literal;
    }
    match standing(now, repeated.clone()) {
        None => return by_operators(path, now, new.flat_map(lines)),
        Some((true, false)) => return Reading::Literal,
        Some((false, true)) => return Reading::Escaped,
        // Twice, or nowhere as a whole.
        Some(_) => {}
    }
    // Repeated lines that are not there are refused for that.
    match standing(now, repeated.flat_map(lines).map(|line| key(Level::Bare, line))) {
        Some((false, true)) => Reading::Escaped,
        _ => Reading::Literal,
    }
}

/// Whether all of the texts that have an entity stand in `now` as they are written, and whether unescaped. `None` where
/// none has one.
fn standing<'a>(now: &[u8], texts: impl Iterator<Item = &'a [u8]>) -> Option<(bool, bool)> {
    let texts = texts.filter(|text| contents(text).0).take(LOOKED_UP);
    let there = |text: &[u8]| memmem::find(now, text).is_some();
    texts.map(|text| (there(text), there(&unescaped(text)))).reduce(|all, one| (all.0 && one.0, all.1 && one.1))
}

/// How the entities in `new` lines of a file are meant, as far as operators tell.
fn by_operators<'a>(path: &str, now: &[u8], mut new: impl Iterator<Item = &'a [u8]>) -> Reading {
    let told = operators::is_program(path, now)
        && new.any(has_operator)
        // In a page within a program they tell nothing: its lines have some, or begin with the end of an element.
        && !lines(now).any(|line| has_operator(line) || trim_start(line).starts_with(b"</"));
    if told { Reading::Escaped } else { Reading::Unclear }
}

/// Whether an entity stands in a line where only the operator that it stands for can.
fn has_operator(line: &[u8]) -> bool {
    if memchr::memchr(b'&', line).is_none() {
        return false;
    }
    let (text, places) = decoded(line);
    places.into_iter().any(|at| b"<>&".contains(&text[at]) && operators::is_one(&text, at))
}

/// How the entities of a whole new content are meant: lines that it shares with the file tell, or its operators.
pub(crate) fn reading_of_content((path, now): (&str, &[u8]), content: &[u8]) -> Reading {
    let (entity, bare) = contents(content);
    if !entity || bare {
        return Reading::Literal;
    }
    let shared = |line: &[u8]| key(Level::Bare, line).len() > 3 && memmem::find(now, key(Level::Bare, line)).is_some();
    let with_entity = || lines(content).filter(|line| contents(line).0).take(LOOKED_UP);
    let as_written = with_entity().filter(|line| shared(line)).count();
    let escaped = with_entity().filter(|line| shared(&unescaped(line))).count();
    match (as_written, escaped) {
        (0, 0) => by_operators(path, now, lines(content)),
        // A line may stand there in both forms.
        _ if as_written >= escaped => Reading::Literal,
        _ if escaped >= 2 * as_written => Reading::Escaped,
        _ => Reading::Unclear,
    }
}

/// The characters that the entities stand for, once.
pub(crate) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'&', text).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(decoded(text).0)
}

/// The same, and where the characters stand that entities stood for.
fn decoded(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut places) = (Vec::with_capacity(text.len()), Vec::new());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match entity_at(rest) {
            Some((entity, character)) => {
                places.push(bytes.len());
                bytes.extend_from_slice(character);
                at += entity.len();
            }
            None => {
                bytes.push(rest[0]);
                at += 1;
            }
        }
    }
    (bytes, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(now: &str, repeated: &str, new: &str) -> Reading {
        of_file("notes.txt", now, repeated, new)
    }

    fn of_file(path: &str, now: &str, repeated: &str, new: &str) -> Reading {
        reading((path, now.as_bytes()), [repeated.as_bytes()].into_iter(), [new.as_bytes()].into_iter())
    }

    #[test]
    fn the_file_says_whether_entities_are_meant() {
        assert_eq!(of("if a < b:\n", "if a &lt; b:\n", "if a &gt; b:\n"), Reading::Escaped);
        assert_eq!(of("a &lt; b\n", "a &lt; b\n", "a &gt; b\n"), Reading::Literal);
        assert_eq!(of("x\n", "x\n", "a &lt; b\n"), Reading::Unclear);
        assert_eq!(of("x\n<p>\n", "x\n<p>\n", "a &lt; b\n<p>\n"), Reading::Literal);
        assert_eq!(of("x\n", "x\n", "a && b &amp; c\n"), Reading::Literal, "a bare one was not escaped");
        assert_eq!(of("x\n", "x\n", "y\n"), Reading::Literal);
        assert_eq!(
            of("<a>\n<b>\n&lt;b&gt;\n", "&lt;a&gt;\n&lt;b&gt;\n", "y\n"),
            Reading::Escaped,
            "a line is there in both forms"
        );
        assert_eq!(of("<b>\n&lt;b&gt;\n", "&lt;b&gt;\n", "y\n"), Reading::Literal, "all of it is");
    }

    #[test]
    fn an_operator_of_a_program_says_that_the_edit_was_escaped() {
        let new = "    if a &lt; b { say(&quot;x&quot;) }\n";
        let quoted = "say(\"a &lt; b\")\n";
        assert_eq!(of_file("a.rs", "fn f() {\n", "fn f() {\n", new), Reading::Escaped);
        assert_eq!(of_file("run", "#!/bin/sh\nx\n", "x\n", "x &gt; \"$y\"\n"), Reading::Escaped, "by its first line");
        assert_eq!(of_file("a.html", "x\n", "x\n", new), Reading::Unclear, "a page may show a program");
        assert_eq!(of_file("a.rs", "x\n", "x\n", quoted), Reading::Unclear, "a program may write a page");
        assert_eq!(
            of_file("a.py", "P = '''\na &lt; b\n", "P = '''\n", new),
            Reading::Unclear,
            "it has such a page in it"
        );
        let page = "f = () => (\n  <p>\n    Back\n  </p>\n)\n";
        assert_eq!(of_file("a.js", page, "    Back\n", "    Next -&gt;\n"), Reading::Unclear, "so has this");
        assert_eq!(
            of_file("a.c", "x(\"&lt;\");\ny\n", "y\n", new),
            Reading::Escaped,
            "in quotes it may well have some"
        );
    }

    #[test]
    fn entities_are_taken_off_once() {
        assert_eq!(&*unescaped(b"&amp;lt; &lt;a&gt; &#39;&nbsp; &"), b"&lt; <a> '&nbsp; &");
    }
}
