//! A prompt and the context it must fit in: refused, or cut without a word, as real servers do both.

use crate::ollama::overflow;
use crate::request::{Asked, Refusal, Said, of_runner, tokens};
use crate::script::Overflow;

/// What the model is shown of the prompt. `may_cut` is whether the request allows it on a route where that counts.
pub(crate) fn fit(mut asked: Asked, context: u32, overflow_mode: Overflow, may_cut: bool) -> Result<Asked, Refusal> {
    if asked.prompt_tokens <= context {
        return Ok(asked);
    }
    let refused = of_runner(400, overflow(asked.prompt_tokens, context));
    match overflow_mode {
        Overflow::AsAsked if !may_cut => return Err(refused),
        Overflow::AsAsked => drop_oldest(&mut asked, context),
        Overflow::DropOldest => {
            drop_oldest(&mut asked, context);
            cut_middle(&mut asked, context);
        }
        Overflow::CutMiddle => cut_middle(&mut asked, context),
    }
    if asked.prompt_tokens > context && overflow_mode == Overflow::AsAsked { Err(refused) } else { Ok(asked) }
}

/// Leaves out the oldest messages until the rest fits. The system text and the last message stay, so a result of a tool
/// can lose its call.
fn drop_oldest(asked: &mut Asked, context: u32) {
    loop {
        asked.count();
        let oldest = asked.messages.iter().position(|said| said.role != "system");
        match oldest {
            Some(at) if asked.prompt_tokens > context && at + 1 < asked.messages.len() => {
                asked.messages.remove(at);
            }
            _ => return,
        }
    }
}

/// Cuts the middle out of the last message until the whole fits.
fn cut_middle(asked: &mut Asked, context: u32) {
    asked.count();
    let Some(over) = asked.prompt_tokens.checked_sub(context).filter(|over| *over > 0) else { return };
    if let Some(Said { text, .. }) = asked.messages.last_mut() {
        let letters: Vec<char> = text.chars().collect();
        let size = text.len().max(1);
        // By letters, so that none is split; a text of long letters loses a few more.
        let lost = (over as usize * 4 * letters.len()).div_ceil(size).min(letters.len());
        let from = (letters.len() - lost) / 2;
        *text = letters[..from].iter().chain(&letters[from + lost..]).collect();
    }
    asked.count();
    asked.prompt_tokens = asked.prompt_tokens.min(context.max(tokens(0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(sizes: &[(&str, usize)]) -> Asked {
        let said = |(role, size): &(&str, usize)| Said {
            role: (*role).to_owned(),
            text: "ä".repeat(size / 2),
            ..Said::default()
        };
        let mut asked = Asked { messages: sizes.iter().map(said).collect(), ..Asked::default() };
        asked.count();
        asked
    }

    fn sizes(asked: &Asked) -> Vec<usize> {
        asked.messages.iter().map(|said| said.text.len()).collect()
    }

    #[test]
    fn told_not_to_cut_a_server_refuses_and_a_cutting_one_does_not_listen() {
        let long = || asked(&[("system", 40), ("user", 400), ("assistant", 400), ("user", 100)]);
        let refused = fit(long(), 100, Overflow::AsAsked, false).unwrap_err();
        assert!(refused.error.contains("\"n_prompt_tokens\":235,\"n_ctx\":100"), "{}", refused.error);
        assert_eq!(sizes(&fit(long(), 100, Overflow::AsAsked, true).unwrap()), [40, 100]);
        assert_eq!(sizes(&fit(long(), 200, Overflow::DropOldest, false).unwrap()), [40, 400, 100]);
        let middle = fit(long(), 230, Overflow::CutMiddle, false).unwrap();
        assert_eq!((sizes(&middle), middle.prompt_tokens), (vec![40, 400, 400, 80], 230));
    }

    #[test]
    fn the_last_message_alone_may_be_too_long() {
        let long = || asked(&[("user", 400)]);
        assert!(fit(long(), 50, Overflow::AsAsked, true).is_err());
        assert_eq!(sizes(&fit(long(), 50, Overflow::DropOldest, true).unwrap()), [200]);
    }
}
