//! The bytes of an answer and when they go out.

use bytes::Bytes;
use std::time::Duration;

/// One thing that happens to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Bytes go out, as one chunk.
    Send(Bytes),
    /// Nothing goes out for so long.
    Wait(Duration),
    /// Nothing ever goes out again.
    Stall,
    /// The connection is cut.
    Cut,
    /// The body ends, and it was a fault that it ends here.
    End,
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
    /// The same bytes in chunks of `size`, wherever that cuts; 0 leaves them as they are.
    pub(crate) fn in_chunks_of(self, size: usize) -> Vec<Move> {
        if size == 0 {
            return self.list;
        }
        let mut moves = Vec::new();
        let mut run: Vec<u8> = Vec::new();
        let flush = |run: &mut Vec<u8>, moves: &mut Vec<Move>| {
            let whole = Bytes::from(std::mem::take(run));
            let chunks = (0..whole.len()).step_by(size);
            moves.extend(chunks.map(|from| Move::Send(whole.slice(from..(from + size).min(whole.len())))));
        };
        for step in self.list {
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
}
