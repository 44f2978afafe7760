//! Checksums and other marks by which a number or a random text is told from any other.

/// Whether digits are a payment card number: ISO/IEC 7812 length and first digit, and the Luhn check digit.
pub(crate) fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    if !(13..=19).contains(&digits.len()) || !(3..=6).contains(&digits[0]) || digits.iter().all(|d| *d == digits[0]) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether it is an IBAN: ISO 13616 length, and 1 by the mod-97 check of ISO 7064.
pub(crate) fn is_iban(text: &str) -> bool {
    let text: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    if !(15..=34).contains(&text.len()) {
        return false;
    }
    let moved = text[4..].iter().chain(&text[..4]);
    let rest = moved.fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97,
    });
    rest == 1
}

/// Bits per character, after Shannon.
pub(crate) fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let all = text.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all).map(|p| -p * p.log2()).sum()
}

/// Whether it looks drawn at random: all of lower case, upper case and digits, mixed as words and paths never are.
pub(crate) fn is_random(text: &str) -> bool {
    let class = |byte: u8| match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        _ => 0,
    };
    let classes: Vec<u8> = text.bytes().map(class).collect();
    let all_three = [1, 2, 3].iter().all(|wanted| classes.contains(wanted));
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let digits = classes.iter().filter(|class| **class == 3).count();
    // Random letters and digits change class at six of ten places and one in six is a digit; camel case changes at four
    // of ten at most and has few digits.
    let mixed = changes * 20 >= classes.len() * 7 && (digits >= 3 || changes * 20 >= classes.len() * 11);
    all_three && mixed && entropy(text) >= 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_tell_numbers_apart() {
        assert!(is_card("4111 1111 1111 1111") && is_card("5500-0000-0000-0004") && is_card("378282246310005"));
        assert!(!is_card("4111 1111 1111 1112") && !is_card("0000000000000") && !is_card("1234567812345670"));
        assert!(is_iban("DE89 3704 0044 0532 0130 00") && is_iban("GB82WEST12345698765432"));
        assert!(!is_iban("DE88370400440532013000") && !is_iban("DE89"));
    }

    #[test]
    fn random_text_is_told_from_words_and_paths() {
        assert!(is_random("aG9k3XbQ7wLmZ2rT8uVpYc1eNfJs5DhK"));
        for words in [
            "src/components/ButtonGroup2/IndexViewController",
            "THE_LONGEST_CONSTANT_NAME_OF_ALL_TIMES_42",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "aVeryLongCamelCaseIdentifierForSomething1",
        ] {
            assert!(!is_random(words), "{words}");
        }
    }
}
