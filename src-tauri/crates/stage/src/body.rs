//! The bytes of an answer and when they go out.

use crate::answer::Ending;
use crate::script::Newline;
use bytes::Bytes;
use std::time::Duration;

/// One thing that happens to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// The head goes out, where it would otherwise wait for the first bytes.
    Head,
    /// Bytes go out, as one chunk.
    Send(Bytes),
    /// Nothing goes out for so long.
    Wait(Duration),
    /// It is over, by a fault.
    Over(Ending),
}

impl Move {
    pub(crate) fn send(text: impl Into<String>) -> Move {
        Move::Send(Bytes::from(text.into()))
    }
}

/// Gathers moves, with the script's pace before each.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    pub(crate) list: Vec<Move>,
    pace: Duration,
}

/// How the bytes are wrapped, whatever they say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wrapping {
    /// Chunks of so many bytes, wherever that cuts; 0 is a line or event a chunk.
    pub(crate) chunk_bytes: usize,
    /// Chunks of 1 to `chunk_bytes` bytes instead, drawn from this seed.
    pub(crate) chunk_seed: Option<u64>,
    pub(crate) newline: Newline,
    pub(crate) byte_order_mark: bool,
    /// A fault after so many bytes.
    pub(crate) over: Option<(usize, Ending)>,
}

impl Moves {
    pub(crate) fn paced(pace_ms: u64) -> Self {
        Self { list: Vec::new(), pace: Duration::from_millis(pace_ms) }
    }
    pub(crate) fn send(&mut self, text: impl Into<String>) {
        if !self.pace.is_zero() {
            self.list.push(Move::Wait(self.pace));
        }
        self.list.push(Move::send(text));
    }
    pub(crate) fn push(&mut self, other: Move) {
        self.list.push(other);
    }

    /// The moves as they go out.
    pub(crate) fn wrapped(mut self, wrapping: Wrapping) -> Vec<Move> {
        if wrapping.newline == Newline::Crlf {
            // A line feed within a text is escaped, so that every one that is found ends a line.
            for step in &mut self.list {
                if let Move::Send(bytes) = step {
                    *bytes = String::from_utf8_lossy(bytes).replace('\n', "\r\n").into();
                }
            }
        }
        if wrapping.byte_order_mark {
            let first = self.list.iter().position(|step| matches!(step, Move::Send(_))).unwrap_or(0);
            self.list.insert(first, Move::send("\u{feff}"));
        }
        let mut seed = wrapping.chunk_seed;
        let size = || match &mut seed {
            None => wrapping.chunk_bytes,
            Some(state) => 1 + drawn(state, wrapping.chunk_bytes),
        };
        let list = if wrapping.chunk_bytes == 0 { self.list } else { in_chunks_of(size, self.list) };
        match wrapping.over {
            Some((at, ending)) => cut(at, ending, list),
            None => list,
        }
    }
}

/// A number below `bound`, by SplitMix64 (Steele, Lea, Flood, 2014).
fn drawn(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) % (bound.max(1) as u64)).unwrap_or(0)
}

/// The same bytes in chunks that are each as long as `size` says, which is never 0.
fn in_chunks_of(mut size: impl FnMut() -> usize, list: Vec<Move>) -> Vec<Move> {
    let mut moves = Vec::new();
    let mut run: Vec<u8> = Vec::new();
    let mut flush = |run: &mut Vec<u8>, moves: &mut Vec<Move>| {
        let mut rest = Bytes::from(std::mem::take(run));
        while !rest.is_empty() {
            let chunk = rest.split_to(size().clamp(1, rest.len()));
            moves.push(Move::Send(chunk));
        }
    };
    for step in list {
        if let Move::Send(bytes) = step {
            run.extend_from_slice(&bytes);
        } else {
            flush(&mut run, &mut moves);
            moves.push(step);
        }
    }
    flush(&mut run, &mut moves);
    moves
}

/// The first `at` bytes and the fault; all of them where they are fewer.
fn cut(at: usize, ending: Ending, list: Vec<Move>) -> Vec<Move> {
    let mut left = at;
    let mut moves = Vec::new();
    for step in list {
        match step {
            Move::Send(bytes) if bytes.len() > left => {
                if left > 0 {
                    moves.push(Move::Send(bytes.slice(..left)));
                }
                moves.push(Move::Over(ending));
                return moves;
            }
            Move::Send(bytes) => {
                left -= bytes.len();
                moves.push(Move::Send(bytes));
            }
            other => moves.push(other),
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(moves: &[Move]) -> String {
        let sent =
            moves.iter().filter_map(|step| if let Move::Send(bytes) = step { Some(bytes.to_vec()) } else { None });
        String::from_utf8(sent.collect::<Vec<_>>().concat()).unwrap()
    }

    #[test]
    fn a_fault_strikes_at_its_byte_or_not_at_all() {
        let moves = |over| {
            let mut moves = Moves::paced(0);
            moves.send("hello\n");
            moves.send("world\n");
            moves.wrapped(Wrapping { chunk_bytes: 4, over, ..Wrapping::default() })
        };
        for at in 0..12 {
            let cut = moves(Some((at, Ending::Reset)));
            assert_eq!(text(&cut), "hello\nworld\n"[..at]);
            assert_eq!(cut.last(), Some(&Move::Over(Ending::Reset)));
        }
        assert_eq!(moves(Some((12, Ending::Reset))), moves(None));
    }

    #[test]
    fn chunks_of_drawn_sizes_hold_the_same_bytes_and_are_the_same_for_the_same_seed() {
        let moves = |seed| {
            let mut moves = Moves::paced(0);
            moves.send("Grüße an alle, die früh aufstehen\n".repeat(20));
            moves.wrapped(Wrapping { chunk_bytes: 40, chunk_seed: Some(seed), ..Wrapping::default() })
        };
        let sizes = |moves: &[Move]| -> Vec<usize> {
            moves.iter().map(|step| if let Move::Send(bytes) = step { bytes.len() } else { 0 }).collect()
        };
        let cut = moves(7);
        assert_eq!(text(&cut), "Grüße an alle, die früh aufstehen\n".repeat(20));
        assert!(sizes(&cut).iter().all(|size| (1..=40).contains(size)));
        assert_eq!((cut.clone(), sizes(&cut) == sizes(&moves(8))), (moves(7), false));
    }

    #[test]
    fn lines_may_end_as_on_windows_and_begin_with_a_mark() {
        let mut moves = Moves::paced(1);
        moves.send("{\"a\":\"\\n\"}\n");
        let wrapping = Wrapping { newline: Newline::Crlf, byte_order_mark: true, ..Wrapping::default() };
        assert_eq!(text(&moves.wrapped(wrapping)), "\u{feff}{\"a\":\"\\n\"}\r\n");
    }
}
