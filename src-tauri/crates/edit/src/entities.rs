//! `&lt;` where a model meant `<`: whether the texts of an edit were escaped as HTML on their way.
//!
//! Only a text without any bare `<`, `>` or `&` can have been. Then the file decides: the lines that an edit repeats
//! from it stand there as they are written, or unescaped. Where it repeats none, nobody can tell.

use crate::text::{Level, key, lines};
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

/// How the entities of an edit are meant: `repeated` are its texts of the file `now`, `new` those it writes.
pub(crate) fn reading<'a>(
    now: &[u8],
    repeated: impl Iterator<Item = &'a [u8]> + Clone,
    new: impl Iterator<Item = &'a [u8]>,
) -> Reading {
    let mut any = false;
    for text in repeated.clone().chain(new) {
        let (entity, bare) = contents(text);
        if bare {
            return Reading::Literal;
        }
        any |= entity;
    }
    if !any {
        return Reading::Literal;
    }
    let (mut as_written, mut escaped, mut seen) = (0, 0, 0);
    for line in repeated.flat_map(lines).map(|line| key(Level::Bare, line)).filter(|line| contents(line).0) {
        seen += 1;
        if seen > LOOKED_UP {
            break;
        }
        as_written += usize::from(memmem::find(now, line).is_some());
        escaped += usize::from(memmem::find(now, &unescaped(line)).is_some());
    }
    match (as_written, escaped) {
        (0, 1..) => Reading::Escaped,
        (1.., _) => Reading::Literal,
        // Repeated lines that are not there are refused for that.
        (0, 0) if seen > 0 => Reading::Literal,
        (0, 0) => Reading::Unclear,
    }
}

/// How the entities of a whole new content are meant: lines that it shares with the file `now` tell.
pub(crate) fn reading_of_content(now: &[u8], content: &[u8]) -> Reading {
    let (entity, bare) = contents(content);
    if !entity || bare {
        return Reading::Literal;
    }
    let shared = |line: &[u8]| key(Level::Bare, line).len() > 3 && memmem::find(now, key(Level::Bare, line)).is_some();
    let with_entity: Vec<&[u8]> = lines(content).filter(|line| contents(line).0).take(LOOKED_UP).collect();
    if with_entity.iter().any(|line| shared(line)) {
        return Reading::Literal;
    }
    if with_entity.iter().any(|line| shared(&unescaped(line))) { Reading::Escaped } else { Reading::Unclear }
}

/// The characters that the entities stand for, once.
pub(crate) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'&', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match entity_at(rest) {
            Some((entity, character)) => {
                bytes.extend_from_slice(character);
                at += entity.len();
            }
            None => {
                bytes.push(rest[0]);
                at += 1;
            }
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(now: &str, repeated: &str, new: &str) -> Reading {
        reading(now.as_bytes(), [repeated.as_bytes()].into_iter(), [new.as_bytes()].into_iter())
    }

    #[test]
    fn the_file_says_whether_entities_are_meant() {
        assert_eq!(of("if a < b:\n", "if a &lt; b:\n", "if a &gt; b:\n"), Reading::Escaped);
        assert_eq!(of("a &lt; b\n", "a &lt; b\n", "a &gt; b\n"), Reading::Literal);
        assert_eq!(of("x\n", "x\n", "a &lt; b\n"), Reading::Unclear);
        assert_eq!(of("x\n<p>\n", "x\n<p>\n", "a &lt; b\n<p>\n"), Reading::Literal);
        assert_eq!(of("x\n", "x\n", "a && b &amp; c\n"), Reading::Literal, "a bare one was not escaped");
        assert_eq!(of("x\n", "x\n", "y\n"), Reading::Literal);
    }

    #[test]
    fn entities_are_taken_off_once() {
        assert_eq!(&*unescaped(b"&amp;lt; &lt;a&gt; &#39;&nbsp; &"), b"&lt; <a> '&nbsp; &");
    }
}
