//! The words for what happens between this side and a model's server, and for what it uses.

use atelier_protocol::event::{BudgetUnit, ContextMismatch, Hold, MismatchKind, PriceList, Reached};
use std::time::{SystemTime, UNIX_EPOCH};

/// An amount of what a budget counts.
pub fn amount(n: u64, unit: BudgetUnit) -> String {
    match unit {
        BudgetUnit::Tokens => format!("{n} tokens"),
        BudgetUnit::Micros => money(n),
        BudgetUnit::LocalSeconds => format!("{n} s on this machine"),
    }
}

/// Money in millionths of the currency.
pub fn money(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// How old a price list is.
pub fn age(list: &PriceList) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = match list.days_old(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)) {
        None => "a day to come".to_owned(),
        Some(0) => "today's".to_owned(),
        Some(1) => "1 day old".to_owned(),
        Some(days) => format!("{days} days old"),
    };
    format!("prices of {}, {age} ({})", list.as_of, list.currency)
}

/// What a call waits for.
pub fn hold(hold: &Hold) -> String {
    match hold {
        Hold::Backoff { attempt } => format!("the same question is asked again, attempt {attempt}"),
        Hold::RetryAfter { attempt } => format!("the server said how long to wait before attempt {attempt}"),
        Hold::Rate { of } => format!("the limit of {of} is reached"),
        Hold::Batch { model } => format!("`{model}` is at work and does not fit into memory beside this model"),
    }
}

/// What a command did with one host.
pub fn reached(reached: &Reached) -> String {
    let times = if reached.times == 1 { String::new() } else { format!(" {} times", reached.times) };
    match &reached.refused {
        Some(why) => format!("refused{times}: {} ({why})", reached.host),
        None => {
            format!("reached {}{times}: {} bytes out, {} bytes in", reached.host, reached.bytes_out, reached.bytes_in)
        }
    }
}

/// What does not agree about a context.
pub fn mismatch(mismatch: &ContextMismatch) -> String {
    let told = |n: Option<u32>| n.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
    match mismatch.kind {
        MismatchKind::PromptCut => format!(
            "the server read {} tokens of a prompt that has at least {}; it dropped a part of it, so the turn is not used",
            told(mismatch.evaluated),
            mismatch.counted
        ),
        MismatchKind::ShorterContext => format!(
            "the server holds a context of {} tokens, not the {} that were asked for",
            told(mismatch.loaded),
            told(mismatch.asked)
        ),
    }
}
