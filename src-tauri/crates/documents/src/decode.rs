//! Bytes as text: which characters they stand for, and how sure that is.

use crate::draft::Draft;
use atelier_protocol::document::NoticeKind;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How much is looked at to find out.
const LOOKED_AT: usize = 8 << 10;

/// The text of `bytes`; `None` where they are none. What had to be guessed is told.
pub(crate) fn text(bytes: &[u8], draft: &mut Draft) -> Option<String> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, broken) = encoding.decode_without_bom_handling(&bytes[mark..]);
        if broken {
            draft.notice(
                NoticeKind::Encoding,
                format!("Some bytes are no {} and are shown as \u{fffd}.", encoding.name()),
            );
        }
        return Some(text.into_owned());
    }
    if let Some(encoding) = wide(bytes) {
        let (text, broken) = encoding.decode_without_bom_handling(bytes);
        if broken {
            return None;
        }
        draft.notice(
            NoticeKind::Encoding,
            format!("It was read as {}, which it does not say of itself.", encoding.name()),
        );
        return Some(text.into_owned());
    }
    if is_binary(bytes) {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.to_owned()),
        // A text that was cut in the middle of a character is UTF-8 all the same.
        Err(error) if error.error_len().is_none() => {
            Some(UTF_8.decode_without_bom_handling(&bytes[..error.valid_up_to()]).0.into_owned())
        }
        Err(_) => {
            draft.notice(
                NoticeKind::Encoding,
                "It is not UTF-8 and was read as windows-1252; letters with accents may be wrong.",
            );
            Some(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned())
        }
    }
}

/// Whether the beginning holds what no text holds.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    if wide(bytes).is_some() || Encoding::for_bom(bytes).is_some() {
        return false;
    }
    let odd = head.iter().filter(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)).count();
    head.contains(&0) || odd * 20 > head.len()
}

/// UTF-16 without a mark: every other byte is mostly zero, and what it makes has no zero character.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    if head.len() < 4 {
        return None;
    }
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    let (encoding, other) = if odd * 10 > half * 7 && even * 50 < half {
        (UTF_16LE, 0)
    } else if even * 10 > half * 7 && odd * 50 < half {
        (UTF_16BE, 1)
    } else {
        return None;
    };
    let controls = head.iter().skip(other).step_by(2).filter(|byte| matches!(byte, 0..=8 | 14..=31)).count();
    (controls * 50 < half).then_some(encoding)
}
