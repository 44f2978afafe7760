//! The context: how long it is, what a prompt needs of it, whether the server kept to it, and what is left out.
//!
//! Pure. A prompt is never cut in silence: it fits, its older parts are named instead of told and that is recorded, or
//! it is refused. What a server says it has read is held against a count that no tokenizer can fall below.

use crate::chat::Message;
use atelier_protocol::event::{ContextMismatch, MismatchKind};

/// Lengths that are asked for, in tokens. One value a model and session, because another makes the server load it anew.
pub const LADDER: [u32; 6] = [8192, 16_384, 32_768, 65_536, 131_072, 262_144];

/// Messages at the end of a conversation that are always told whole.
const KEPT: usize = 3;

/// What a loaded model takes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Its weights, in bytes.
    pub bytes: u64,
    /// Each token of its context, in bytes.
    pub per_token: u64,
}

/// What a server has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// The context it was loaded with, in tokens.
    pub context: Option<u32>,
    /// Memory it takes, in bytes.
    pub bytes: Option<u64>,
}

/// The longest context that fits into so many free bytes.
pub fn fits_memory(footprint: Footprint, free: u64) -> u32 {
    let left = free.saturating_sub(footprint.bytes);
    u32::try_from(left / footprint.per_token.max(1)).unwrap_or(u32::MAX)
}

/// The rung of the ladder for a session: the smallest that holds what is needed now and what the roles want, within the
/// model's own limit and the memory. `None` where what is needed now does not fit.
pub fn rung(need: u32, wanted: u32, most: Option<u32>, memory: Option<u32>) -> Option<u32> {
    let limit = most.unwrap_or(u32::MAX).min(memory.unwrap_or(u32::MAX).max(LADDER[0]));
    let wish = need.max(wanted.min(limit));
    let rung = LADDER.iter().copied().find(|rung| *rung >= wish).unwrap_or(wish);
    if rung <= limit {
        return Some(rung);
    }
    (need <= limit).then_some(limit)
}

/// A cautious estimate of the tokens in so many bytes of prompt: three bytes a token, so that code is not underrated.
pub fn most_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(3)).unwrap_or(u32::MAX)
}

/// The least tokens that a text can be. Tokenizers do not join words across what stands between them, and write at most
/// three digits as one; so each word and each group of digits is at least one. Other signs are not counted.
pub fn least_tokens(text: &str) -> u32 {
    /// Letters of one word that one token holds at most, generously.
    const WORD: usize = 16;
    let (mut tokens, mut letters, mut digits) = (0usize, 0usize, 0usize);
    for c in text.chars().chain([' ']) {
        if !c.is_ascii_digit() {
            tokens += digits.div_ceil(3);
            digits = 0;
        }
        if !c.is_alphabetic() {
            tokens += letters.div_ceil(WORD);
            letters = 0;
        }
        if c.is_ascii_digit() {
            digits += 1;
        } else if c.is_alphabetic() {
            letters += 1;
        }
    }
    // A quarter is left to tokenizers that join more than others do.
    u32::try_from(tokens * 3 / 4).unwrap_or(u32::MAX)
}

/// The least tokens of messages.
pub fn least_of(messages: &[Message]) -> u32 {
    messages.iter().map(|message| least_tokens(message.text())).fold(0, u32::saturating_add)
}

/// What was sent, for comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The context that was asked for.
    pub asked: Option<u32>,
    /// The least tokens of the whole prompt.
    pub least: u32,
    /// What the server read at the call before, and the least tokens of what was added since; `None` where this prompt
    /// does not go on from that one.
    pub before: Option<(u32, u32)>,
}

/// What does not agree between what was sent and what the server says it has read and loaded.
pub fn mismatch(sent: Sent, evaluated: Option<u32>, loaded: Option<u32>) -> Option<ContextMismatch> {
    let grown = sent.before.map_or(0, |(read, added)| read.saturating_add(added));
    let counted = sent.least.max(grown);
    let found = |kind| Some(ContextMismatch { kind, asked: sent.asked, loaded, counted, evaluated });
    if evaluated.is_some_and(|read| read < counted) {
        return found(MismatchKind::PromptCut);
    }
    match (sent.asked, loaded) {
        (Some(asked), Some(loaded)) if loaded < asked => found(MismatchKind::ShorterContext),
        _ => None,
    }
}

/// A message that a prompt only names from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortened {
    /// Its place in the conversation.
    pub at: usize,
    /// What it was.
    pub whole: String,
}

/// Names older answers of tools, the oldest first, until the conversation takes at most `room` bytes. What stands at its
/// end stays whole. `None` where that is not enough: then nothing is left out and the prompt is refused.
pub fn compact(messages: &[Message], room: usize) -> Option<Vec<Shortened>> {
    let mut size: usize = messages.iter().map(bytes_of).sum();
    let mut left_out = Vec::new();
    for (at, message) in messages.iter().enumerate().take(messages.len().saturating_sub(KEPT)) {
        if size <= room {
            break;
        }
        let Message::Tool { text, .. } = message else { continue };
        let short = named(message);
        if short.text().len() < text.len() {
            size -= text.len() - short.text().len();
            left_out.push(Shortened { at, whole: text.clone() });
        }
    }
    (size <= room).then_some(left_out)
}

/// The message as it is named where it was left out.
pub fn named(message: &Message) -> Message {
    match message {
        Message::Tool { id, name, text } => Message::Tool {
            id: id.clone(),
            name: name.clone(),
            text: format!("(left out here to save room: {} bytes. Call `{name}` again where you need it.)", text.len()),
        },
        other => other.clone(),
    }
}

/// The bytes that a message takes of a prompt, as they are recorded.
pub fn bytes_of(message: &Message) -> usize {
    serde_json::to_string(message).map_or(0, |text| text.len())
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
