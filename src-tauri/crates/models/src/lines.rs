//! Cuts a body into lines, however it was cut on its way.
//!
//! Works on bytes, so a character or a line split between two chunks is whole again before it is read as text.

use crate::error::{CallError, clip};

/// The longest line that is read. A whole tool call is one line, and may hold a file.
pub(crate) const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// Bytes that have arrived and are not a whole line yet.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no line end.
    searched: usize,
    longest: usize,
    /// Whether nothing was read yet, so that a byte order mark may follow.
    at_start: bool,
}

impl Lines {
    pub(crate) fn new(longest: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, longest, at_start: true }
    }

    /// Adds a chunk and calls `each` for every line that is whole now, without its end.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(&str) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        self.buffer.extend_from_slice(chunk);
        let mut from = 0;
        while let Some(length) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + length;
            let first = std::mem::replace(&mut self.at_start, false);
            each(text(&self.buffer[from..end], first)?)?;
            from = end + 1;
            self.searched = from;
        }
        self.buffer.drain(..from);
        self.searched = self.buffer.len();
        if self.buffer.len() > self.longest {
            return Err(CallError::TooLong { limit: self.longest });
        }
        Ok(())
    }

    /// What stands after the last line end, when the body has ended.
    pub(crate) fn rest(&mut self) -> Result<String, CallError> {
        let rest = std::mem::take(&mut self.buffer);
        self.searched = 0;
        text(&rest, self.at_start).map(str::to_owned)
    }
}

fn text(line: &[u8], first: bool) -> Result<&str, CallError> {
    let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    std::str::from_utf8(line).map_err(|_| CallError::Unreadable { text: clip(&String::from_utf8_lossy(line)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]], longest: usize) -> Result<(Vec<String>, String), CallError> {
        let mut lines = Lines::new(longest);
        let mut read = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| {
                read.push(line.to_owned());
                Ok(())
            })?;
        }
        let rest = lines.rest()?;
        Ok((read, rest))
    }

    #[test]
    fn several_lines_in_a_chunk_and_a_line_in_several_chunks_are_the_same_lines() {
        let (lines, rest) = read(&[b"a\r\nb\nc", b"d", b"\n\ne"], 100).unwrap();
        assert_eq!((lines, rest.as_str()), (vec!["a".into(), "b".into(), "cd".into(), String::new()], "e"));
    }

    #[test]
    fn a_byte_order_mark_is_dropped_only_at_the_start() {
        let (lines, _) = read(&["\u{feff}a\n\u{feff}b\n".as_bytes()], 100).unwrap();
        assert_eq!(lines, ["a", "\u{feff}b"]);
    }

    #[test]
    fn a_line_without_end_is_not_read_forever() {
        assert_eq!(read(&[&[b'x'; 60], &[b'x'; 60]], 100), Err(CallError::TooLong { limit: 100 }));
        assert!(read(&[&[b'x'; 90], b"\n", &[b'x'; 90]], 100).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(matches!(read(&[b"\xff\xfe\n"], 100), Err(CallError::Unreadable { .. })));
    }

    proptest! {
        #[test]
        fn wherever_the_body_is_cut_the_lines_are_the_same(text in "(\\PC{0,12}\r?\n){0,6}\\PC{0,8}", cuts in prop::collection::vec(0usize..200, 0..12)) {
            let bytes = text.as_bytes();
            let whole = read(&[bytes], 10_000).unwrap();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&chunks, 10_000).unwrap(), whole);
        }
    }
}
