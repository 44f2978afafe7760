//! Reads edits in JSON, one object at a time.
//!
//! The edits are the objects of the outermost list, or the one object there is. Prose and fences around it are passed
//! over. Slips that do not change the meaning are mended: line ends and tabs inside strings, commas before a bracket.

use super::record::{self, edits_of};
use super::{Lines, Step, Stop};
use crate::refusal::shortened;

/// Objects and lists inside each other.
const DEEPEST: usize = 32;

/// Where reading stands.
pub(super) struct State {
    by_line: bool,
    /// The next byte of the text.
    pub at: usize,
    /// Open brackets: the byte, and where it stands.
    open: Vec<(u8, usize)>,
    in_string: bool,
    escaped: bool,
    /// The objects of the list were edits, so that what is around them is none.
    listed: bool,
    /// Only space was read since the line began, outside of any JSON.
    line_begins: bool,
}

impl State {
    pub(super) fn new(by_line: bool) -> Self {
        Self { by_line, at: 0, open: Vec::new(), in_string: false, escaped: false, listed: false, line_begins: true }
    }

    pub(super) fn shape(&self) -> &'static str {
        record::shape(self.by_line)
    }

    pub(super) fn step(&mut self, text: &Lines) -> Step {
        // The last line is complete only at the end; characters are, as they are bytes here.
        while let Some(byte) = text.text.get(self.at).copied() {
            let at = self.at;
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            if self.open.is_empty() {
                match byte {
                    b'\n' => self.line_begins = true,
                    b'{' | b'[' if self.line_begins => {
                        self.open.push((byte, at));
                        self.listed = false;
                    }
                    b' ' | b'\t' | b'\r' => {}
                    _ => self.line_begins = false,
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    if self.open.len() == DEEPEST {
                        return Err(self.refuse(text, at, "brackets are nested too deep"));
                    }
                    self.open.push((byte, at));
                }
                b'}' | b']' => {
                    let Some((opened, from)) = self.open.pop() else { continue };
                    if (opened == b'{') != (byte == b'}') {
                        return Err(self.refuse(text, at, "this bracket closes another kind of bracket"));
                    }
                    if let Some(edits) = self.closed(text, byte, from)? {
                        return Ok(edits);
                    }
                }
                _ => {}
            }
        }
        if !text.complete {
            return Err(Stop::More);
        }
        if let Some((_, from)) = self.open.first() {
            let reason = "the text ends inside the JSON that begins here";
            return Err(text.refusal(line_of(text, *from), reason, "Write all edits again, the JSON complete.").into());
        }
        Ok(Vec::new())
    }

    /// The edits of the bracket that was opened at `from` and is closed now.
    fn closed(&mut self, text: &Lines, byte: u8, from: usize) -> Result<Option<Vec<crate::change::Edit>>, Stop> {
        // An element of the outermost list: the text itself, or the only list of the object that the text is.
        let element = byte == b'}' && matches!(self.open.as_slice(), [(b'[', _)] | [(b'{', _), (b'[', _)]);
        let alone = byte == b'}' && self.open.is_empty() && !self.listed;
        if !element && !alone {
            return Ok(None);
        }
        let json = text.text.get(from..self.at).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_slice(json)
            .or_else(|_| serde_json::from_slice(&mended(json)))
            .map_err(|e| self.refuse(text, from, &format!("the JSON that begins here cannot be read: {e}")))?;
        if element && !record::names_a_file(&value) {
            // A piece of an edit whose file is named around it.
            return Ok(None);
        }
        let edits = edits_of(&value, self.by_line).map_err(|reason| self.refuse(text, from, &reason))?;
        self.listed |= element;
        Ok(Some(edits).filter(|edits| !edits.is_empty()))
    }

    fn refuse(&self, text: &Lines, at: usize, reason: &str) -> Stop {
        // The line may not be complete yet; what was read of it is the same however the text arrives.
        let mut refusal = text.refusal(line_of(text, at), reason, self.shape());
        let read = text.text.get(at..self.at).unwrap_or_default();
        refusal.excerpt = shortened(String::from_utf8_lossy(read).lines().next().unwrap_or_default());
        refusal.into()
    }
}

fn line_of(text: &Lines, at: usize) -> usize {
    text.ends.partition_point(|end| *end <= at)
}

/// The JSON with line ends and tabs inside strings escaped, and without commas before a closing bracket.
fn mended(json: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len() + 16);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => {
                escaped = false;
                if *byte == b'\'' {
                    bytes.pop();
                }
                bytes.push(*byte);
            }
            b'\n' if in_string => bytes.extend_from_slice(b"\\n"),
            b'\r' if in_string => bytes.extend_from_slice(b"\\r"),
            b'\t' if in_string => bytes.extend_from_slice(b"\\t"),
            b'}' | b']' if !in_string => {
                let kept = bytes.iter().rposition(|b| !b.is_ascii_whitespace()).map_or(0, |last| last + 1);
                if bytes[..kept].ends_with(b",") {
                    bytes.truncate(kept - 1);
                }
                bytes.push(*byte);
            }
            _ => {
                escaped = in_string && *byte == b'\\';
                in_string ^= *byte == b'"';
                bytes.push(*byte);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_that_do_not_change_the_meaning_are_mended() {
        let mended = |json: &str| String::from_utf8(mended(json.as_bytes())).unwrap();
        assert_eq!(mended("{\"a\": \"x\n\ty\", }"), r#"{"a": "x\n\ty"}"#);
        assert_eq!(mended(r#"["it\'s \"so\",]", 1 , ]"#), r#"["it's \"so\",]", 1 ]"#);
    }
}
