//! Keeps the head and the tail of a command's output.
//!
//! Pure. What is left out is said in the place where it was; nothing is dropped silently.

use std::collections::VecDeque;

/// Room for the line that says how much was left out.
const NOTE: usize = 64;

/// Output on its way to being kept.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    max: usize,
    seen: u64,
}

impl Capture {
    /// Keeps at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), max, seen: 0 }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.seen += chunk.len() as u64;
        // The head takes half; the tail holds the rest of the room, so that output which just fits is kept whole.
        let room = (self.max / 2).saturating_sub(self.head.len()).min(chunk.len());
        let (head, rest) = chunk.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let spare = self.tail.len().saturating_sub(self.max - self.max / 2);
        self.tail.drain(..spare);
    }

    /// How many bytes came.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// What is kept, at most `max` bytes.
    pub fn finish(self) -> Vec<u8> {
        let Self { mut head, mut tail, max, seen } = self;
        if seen > max as u64 {
            let tail_room = (max - max / 2).saturating_sub(NOTE);
            tail.drain(..tail.len() - tail_room.min(tail.len()));
            start_at_character(&mut tail);
            end_at_character(&mut head);
            let left_out = seen - head.len() as u64 - tail.len() as u64;
            let note = format!("\n[... {left_out} bytes left out ...]\n");
            if note.len() <= max - head.len().min(max) {
                head.extend_from_slice(note.as_bytes());
            }
        }
        head.extend(tail);
        head
    }
}

/// Drops the rest of a UTF-8 character that was cut at the front.
fn start_at_character(tail: &mut VecDeque<u8>) {
    let rest = tail.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
    tail.drain(..rest);
}

/// Drops the start of a UTF-8 character that was cut at the end.
fn end_at_character(head: &mut Vec<u8>) {
    let from = head.len().saturating_sub(3);
    let Some(start) = head[from..].iter().rposition(|byte| byte & 0xC0 == 0xC0).map(|at| from + at) else { return };
    let length = match head[start] {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    };
    if head.len() - start < length {
        head.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(max: usize, chunks: &[&[u8]]) -> (String, u64) {
        let mut capture = Capture::new(max);
        for chunk in chunks {
            capture.push(chunk);
        }
        let seen = capture.seen();
        (String::from_utf8(capture.finish()).unwrap(), seen)
    }

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(kept(10, &[b"12345", b"67890"]), ("1234567890".to_owned(), 10));
        assert_eq!(kept(0, &[]), (String::new(), 0));
    }

    #[test]
    fn of_too_much_the_head_and_the_tail_are_kept_and_the_gap_is_named() {
        let long: Vec<u8> = (0..1000).flat_map(|n| format!("{n:03} ").into_bytes()).collect();
        let (text, seen) = kept(200, &[&long]);
        assert_eq!(seen, 4000);
        assert!(text.starts_with("000 001 "), "{text}");
        assert!(text.ends_with("998 999 "), "{text}");
        assert!(text.contains("\n[... 3864 bytes left out ...]\n"), "{text}");
        assert!(text.len() <= 200);
    }

    #[test]
    fn it_does_not_matter_how_the_output_is_cut_into_chunks() {
        let long: Vec<u8> = (0..500).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let whole = kept(300, &[&long]);
        let single: Vec<&[u8]> = long.chunks(1).collect();
        let sevens: Vec<&[u8]> = long.chunks(7).collect();
        assert_eq!(kept(300, &single), whole);
        assert_eq!(kept(300, &sevens), whole);
    }

    #[test]
    fn a_character_is_never_cut_in_half() {
        for max in 130..150 {
            let long = "ä€𝄞".repeat(100);
            let (text, _) = kept(max, &[long.as_bytes()]);
            assert!(text.len() <= max);
        }
    }

    #[test]
    fn a_tiny_limit_keeps_to_it() {
        for max in 0..20 {
            assert!(kept(max, &[&[b'x'; 100]]).0.len() <= max, "{max}");
        }
    }
}
