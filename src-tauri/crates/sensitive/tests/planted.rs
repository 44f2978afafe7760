//! Whatever is planted in whatever text: nothing of it is left after masking, and everything is back after restoring,
//! wherever the answer is cut.
//!
//! Guards: personal data and secrets never leave. Turned red by a `places` that trusts the scan of one text alone, by a
//! restorer that looks at each piece for itself, and by any form that is dropped.

use atelier_sensitive::{Mask, scan};
use proptest::prelude::*;

/// One thing of each kind, and a text that says what it is.
fn planted() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        "[a-z]{3,8}\\.[a-z]{3,8}@[a-z]{3,10}\\.(org|com|io)".prop_map(|v| (v.clone(), format!("author: {v}"))),
        "\\+[1-9][0-9]{9,12}".prop_map(|v| (v.clone(), format!("phone {v}"))),
        "AKIA[A-Z2-7]{15}[2-7]".prop_map(|v| (v.clone(), format!("id {v}"))),
        "ghp_[A-Za-z0-9]{35}[0-9]".prop_map(|v| (v.clone(), format!("token {v}"))),
        "[a-z0-9]{9,20}".prop_map(|v| (format!("q{v}7"), format!("DB_PASSWORD=q{v}7\n"))),
        "[a-zA-Z0-9]{9,20}".prop_map(|v| (format!("Z{v}"), format!("postgres://u:Z{v}@db/x"))),
        "[3-6][0-9]{14}".prop_map(|v| (luhn(&v), format!("card {}", luhn(&v)))),
        "[0-9]{18}".prop_map(|v| (iban(&v), format!("to {}", iban(&v)))),
        "[A-Za-z0-9+/]{64}".prop_map(|v| {
            let head = ["-----BEGIN PRIVATE ", "KEY-----"].concat();
            (v.clone(), format!("{head}\n{v}\n-----END PRIVATE KEY-----"))
        }),
    ]
}

/// A card number from its first 15 digits.
fn luhn(start: &str) -> String {
    let sum: u32 = start
        .chars()
        .rev()
        .enumerate()
        .map(|(at, c)| {
            let digit = c.to_digit(10).unwrap_or_default();
            let double = digit * 2;
            if at % 2 == 1 {
                digit
            } else if double > 9 {
                double - 9
            } else {
                double
            }
        })
        .sum();
    format!("{start}{}", (10 - sum % 10) % 10)
}

/// A German IBAN from its account part.
fn iban(account: &str) -> String {
    let number = format!("{account}131400"); // DE00
    let rest = number.chars().fold(0u32, |rest, c| (rest * 10 + c.to_digit(10).unwrap_or_default()) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

fn filler() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\n]{0,60}",
        "\\PC{0,20}",
        Just("let x = [1, 2]; // [MASKED_\n".to_owned()),
        Just("[MASKED_EMAIL_1]".to_owned()),
    ]
}

fn texts() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    proptest::collection::vec((filler(), planted(), filler()), 1..6).prop_map(|parts| {
        let values: Vec<String> = parts.iter().map(|(_, (value, _), _)| value.clone()).collect();
        let mut texts: Vec<String> =
            parts.into_iter().map(|(before, (_, said), after)| format!("{before}\n{said}\n{after}")).collect();
        // Once more each, with nothing around it that says what it is.
        texts.push(values.iter().map(|value| format!("{value}\n")).collect());
        (texts, values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_planted_is_left_and_everything_comes_back((texts, values) in texts(), cuts in proptest::collection::vec(1usize..9, 1..50)) {
        let mut mask = Mask::of(texts.iter().map(String::as_str));
        let masked: Vec<String> = texts.iter().map(|text| mask.apply(text)).collect();
        for value in &values {
            prop_assert!(!masked.iter().any(|text| text.contains(value.as_str())), "{value} is in {masked:?}");
        }
        let whole = masked.join("\u{1}");
        let mut restorer = mask.restorer();
        let (mut restored, mut rest) = (String::new(), whole.as_str());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let mut at = (*cut).min(rest.len());
            while !rest.is_char_boundary(at) {
                at += 1;
            }
            restored.push_str(&restorer.push(&rest[..at]));
            rest = &rest[at..];
        }
        restored.push_str(&restorer.finish());
        prop_assert_eq!(restored, texts.join("\u{1}"));
    }

    #[test]
    fn no_text_breaks_the_scan(text in "\\PC{0,300}") {
        let mut last = 0;
        for finding in scan(&text) {
            prop_assert!(finding.range.start >= last && finding.range.end <= text.len());
            last = finding.range.end;
            let _ = &text[finding.range];
        }
    }
}
