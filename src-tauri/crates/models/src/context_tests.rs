//! A server that drops what it was sent is caught, one that keeps its word never is, and nothing is left out unseen.
//!
//! Guards: a prompt is never cut silently. Turns red, for example, when `mismatch` compares with the whole prompt only
//! and forgets what the server had read before, or when `compact` touches the end of a conversation.

use super::*;
use atelier_protocol::event::ToolCall;
use proptest::prelude::*;

/// Splits as byte-pair tokenizers do: a word with the space before it, up to three digits, a run of signs; longer words
/// come in pieces.
fn tokens(text: &str) -> u32 {
    let mut count = 0;
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let run = |from: usize, is: &dyn Fn(char) -> bool| chars[from..].iter().take_while(|c| is(**c)).count();
    while at < chars.len() {
        let start = at + usize::from(chars[at] == ' ' && chars.get(at + 1).is_some_and(|c| c.is_alphabetic()));
        let word = run(start, &char::is_alphabetic);
        let digits = run(at, &|c| c.is_ascii_digit()).min(3);
        at = if word > 0 {
            count += word.div_ceil(7) - 1;
            start + word
        } else if digits > 0 {
            at + digits
        } else {
            at + run(at, &|c| !c.is_alphanumeric()).clamp(1, 4)
        };
        count += 1;
    }
    u32::try_from(count).unwrap()
}

/// The tokens of a prompt by its template: some for each message.
fn prompt(messages: &[Message]) -> u32 {
    messages.iter().map(|message| 4 + tokens(message.text())).sum()
}

/// What a server does that drops the oldest messages but keeps the rules and the last, and says nothing.
fn cut(messages: &[Message], context: u32) -> Vec<Message> {
    let mut kept = messages.to_vec();
    while prompt(&kept) > context && kept.len() > 2 {
        kept.remove(1);
    }
    kept
}

fn talk() -> impl Strategy<Value = Vec<Message>> {
    let text = "[a-z]{2,9}( [a-z_]{1,12}[ .;(){}=0-9]{1,4}){5,60}";
    prop::collection::vec(text, 3..24).prop_map(|texts| {
        let call = ToolCall { id: "t".into(), name: "read_file".into(), arguments: serde_json::json!({}) };
        let of = |(n, text): (usize, String)| match n {
            0 => Message::system(text),
            n if n % 2 == 1 => Message::user(text),
            _ => Message::tool(&call, text),
        };
        texts.into_iter().enumerate().map(of).collect()
    })
}

proptest! {
    #[test]
    fn no_tokenizer_falls_below_the_count(text in "\\PC{0,400}") {
        prop_assert!(least_tokens(&text) <= tokens(&text), "{} of {}", least_tokens(&text), tokens(&text));
    }

    #[test]
    fn a_server_that_drops_the_oldest_messages_is_caught_every_time(messages in talk(), context in 40u32..900) {
        // Turn by turn, as a conversation grows; the server says honestly what it has loaded and read.
        let asked = context * 4;
        let mut before = None;
        for end in 2..=messages.len() {
            let sent = &messages[..end];
            let read = cut(sent, context);
            let least = least_of(sent);
            let was: Option<(u32, u32)> = before;
            let added = least_of(&sent[end - 1..]);
            let compared = Sent { asked: Some(asked), least, before: was.map(|(read, _)| (read, added)) };
            let found = mismatch(compared, Some(prompt(&read)), Some(context));
            prop_assert!(found.is_some(), "it holds less than it was asked for, so it is told at once");
            // One that does not say what it has loaded is caught as soon as it drops more than the count leaves open.
            let blind = mismatch(compared, Some(prompt(&read)), None);
            if read.len() == sent.len() {
                prop_assert!(blind.is_none(), "nothing was dropped: {blind:?}");
            } else {
                let expected = compared.least.max(was.map_or(0, |(read, _)| read + added));
                prop_assert_eq!(blind.is_some(), prompt(&read) < expected);
                break;
            }
            before = Some((prompt(&read), 0));
        }
    }

    #[test]
    fn a_server_that_keeps_its_word_is_never_accused(messages in talk()) {
        let mut before = None;
        for end in 2..=messages.len() {
            let sent = &messages[..end];
            let compared = Sent {
                asked: Some(8192),
                least: least_of(sent),
                before: before.map(|read| (read, least_of(&sent[end - 1..]))),
            };
            let read = prompt(sent);
            prop_assert_eq!(mismatch(compared, Some(read), Some(8192)), None);
            before = Some(read);
        }
    }

    #[test]
    fn what_is_compacted_fits_keeps_its_end_and_names_every_gap(messages in talk(), share in 1usize..100) {
        let whole: usize = messages.iter().map(bytes_of).sum();
        let room = whole * share / 100;
        let Some(left_out) = compact(&messages, room) else { return Ok(()) };
        let mut after = messages.clone();
        for gap in &left_out {
            prop_assert!(gap.at + 3 < messages.len() + 1, "the end is told whole");
            prop_assert_eq!(&gap.whole, messages[gap.at].text());
            after[gap.at] = named(&messages[gap.at]);
            let told = format!("{} bytes", gap.whole.len());
            prop_assert!(after[gap.at].text().contains(&told), "the gap is named");
        }
        prop_assert!(after.iter().map(bytes_of).sum::<usize>() <= room.max(whole.min(room)));
        prop_assert_eq!(&after[after.len() - 1], &messages[messages.len() - 1]);
        if whole <= room {
            prop_assert!(left_out.is_empty(), "nothing is left out without need");
        }
    }

    #[test]
    fn a_rung_holds_the_prompt_and_stays_within_model_and_memory(
        need in 1u32..300_000,
        wanted in 0u32..300_000,
        most in prop::option::of(1u32..300_000),
        memory in prop::option::of(1u32..300_000),
    ) {
        let limit = most.unwrap_or(u32::MAX).min(memory.map_or(u32::MAX, |memory| memory.max(8192)));
        match rung(need, wanted, most, memory) {
            Some(rung) => prop_assert!(rung >= need && rung <= limit),
            None => prop_assert!(need > limit),
        }
    }
}

#[test]
fn a_context_is_the_smallest_rung_for_the_session() {
    assert_eq!(rung(3000, 0, Some(131_072), None), Some(8192));
    assert_eq!(rung(3000, 16_384, Some(131_072), None), Some(16_384));
    assert_eq!(rung(9000, 0, Some(10_000), None), Some(10_000));
    assert_eq!(rung(3000, 32_768, Some(131_072), Some(20_000)), Some(20_000), "memory bounds the wish");
    assert_eq!(rung(3000, 0, Some(2048), None), None);
}

#[test]
fn memory_is_weights_and_a_cache_for_each_token() {
    let footprint = Footprint { bytes: 5_000_000_000, per_token: 131_072 };
    assert_eq!(fits_memory(footprint, 7_000_000_000), 15_258);
    assert_eq!(fits_memory(footprint, 1), 0);
}
