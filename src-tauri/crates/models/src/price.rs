//! Price lists: dated files that people edit. A model that is in none has no known price, which is not a price of zero.

use atelier_protocol::day::day;
use atelier_protocol::event::{Price, PriceList, Usage};
use atelier_protocol::yaml::{self, YamlError};
use serde::Deserialize;

/// Price lists, the first that knows a model counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices(Vec<List>);

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(skip)]
    file: String,
    as_of: String,
    currency: String,
    prices: Vec<Entry>,
}

/// Money for a million tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: String,
    model: String,
    input: f64,
    output: f64,
    #[serde(default)]
    cached: Option<f64>,
}

impl Prices {
    /// A list.
    ///
    /// # Errors
    /// Where the file is wrong, with its line.
    pub fn read(file: &str, text: &str) -> Result<Self, YamlError> {
        let list: List = yaml::read(file, text)?;
        if day(&list.as_of).is_none() {
            let message = format!("`as_of` is a day such as 2026-11-28, not `{}`", list.as_of);
            return Err(YamlError { file: file.to_owned(), line: yaml::line_of(text, "as_of:"), column: 0, message });
        }
        Ok(Self(vec![List { file: file.to_owned(), ..list }]))
    }

    /// The lists.
    pub fn lists(&self) -> Vec<PriceList> {
        let told = |list: &List| PriceList {
            file: list.file.clone(),
            as_of: list.as_of.clone(),
            currency: list.currency.clone(),
        };
        self.0.iter().map(told).collect()
    }

    /// The same, and after it what others say.
    #[must_use]
    pub fn before(mut self, others: &Prices) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// What a provider's model costs; `None` is unknown.
    pub fn of(&self, provider: &str, model: &str) -> Option<Price> {
        self.0.iter().find_map(|list| {
            let fits = |entry: &&Entry| entry.provider == provider && entry.length_of_match(model).is_some();
            let entry = list.prices.iter().filter(fits).max_by_key(|entry| entry.length_of_match(model))?;
            Some(Price {
                input: micros(entry.input)?,
                output: micros(entry.output)?,
                cached: entry.cached.and_then(micros),
                currency: list.currency.clone(),
                as_of: list.as_of.clone(),
            })
        })
    }
}

impl Entry {
    /// How much of the name the pattern says; an exact name says more than any beginning.
    fn length_of_match(&self, model: &str) -> Option<usize> {
        match self.model.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning).then_some(beginning.len()),
            None => (self.model == model).then_some(usize::MAX),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a sum of money")]
fn micros(money: f64) -> Option<u64> {
    (money.is_finite() && (0.0..1e9).contains(&money)).then(|| (money * 1e6).round() as u64)
}

/// What tokens cost, in millionths of the currency, rounded up.
pub fn cost(price: &Price, prompt: u32, output: u32) -> u64 {
    let sum = u128::from(price.input) * u128::from(prompt) + u128::from(price.output) * u128::from(output);
    u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What a call cost; `None` where the price or a count is unknown.
pub fn paid(price: Option<&Price>, usage: &Usage) -> Option<u64> {
    Some(cost(price?, usage.prompt_tokens?, usage.output_tokens?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "schema: 1\nas_of: 2026-11-28\ncurrency: USD\nprices:\n  - {provider: a, model: 'm*', input: 1, output: 2}\n  - {provider: a, model: 'm-large*', input: 3, output: 15}\n  - {provider: a, model: m-large-x, input: 4, output: 16}\n";

    #[test]
    fn the_closest_name_of_the_first_list_counts_and_nothing_is_guessed() {
        let own = "schema: 1\nas_of: 2026-01-01\ncurrency: EUR\nprices: [{provider: a, model: m-small, input: 0.5, output: 0.5}]\n";
        let prices = Prices::read("own", own).unwrap().before(&Prices::read("list", LIST).unwrap());
        let input = |model: &str| prices.of("a", model).map(|price| (price.input, price.currency));
        assert_eq!(input("m-small"), Some((500_000, "EUR".to_owned())));
        assert_eq!(input("m-tiny"), Some((1_000_000, "USD".to_owned())));
        assert_eq!(input("m-large-2"), Some((3_000_000, "USD".to_owned())));
        assert_eq!(input("m-large-x"), Some((4_000_000, "USD".to_owned())));
        assert_eq!((input("n"), prices.of("b", "m-large")), (None, None));
    }

    #[test]
    fn money_is_counted_in_whole_millionths_rounded_up() {
        let price = Prices::read("list", LIST).unwrap().of("a", "m").unwrap();
        assert_eq!((cost(&price, 1_000_000, 500_000), cost(&price, 1, 0), cost(&price, 0, 0)), (2_000_000, 1, 0));
        assert_eq!(paid(Some(&price), &Usage::default()), None, "unknown tokens have no known price");
        assert_eq!(paid(None, &Usage { prompt_tokens: Some(1), output_tokens: Some(1), ..Usage::default() }), None);
    }

    #[test]
    fn a_list_says_how_old_it_is_and_its_day_must_be_one() {
        let list = |as_of: &str| Prices::read("own", &LIST.replace("2026-11-28", as_of));
        let age = |as_of: &str, now_ms: u64| list(as_of).unwrap().lists()[0].days_old(now_ms);
        let noon = 1_795_867_200_000; // 2026-11-28 12:00 UTC
        assert_eq!((age("2026-11-28", noon), age("2025-10-15", noon)), (Some(0), Some(409)));
        assert_eq!((age("2024-02-29", noon), age("2026-11-29", noon)), (Some(1003), None));
        for wrong in ["2026-02-29", "2026-13-01", "15.10.2025", "2025-1-1", "soon"] {
            let error = list(&format!("'{wrong}'")).unwrap_err();
            assert!(error.to_string().contains("own:2") && error.message.contains("is a day"), "{error}");
        }
    }
}
