//! Where keys and personal data are in a text.
//!
//! By the prefixes that services give their keys, by the names that values are assigned to, by checksums, and last by
//! randomness. What only stands for a value (`$TOKEN`, `<your key>`) is none.

use crate::checksum::{is_card, is_iban, is_random};
use atelier_protocol::event::Sensitive;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// A place in a text that should not leave the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Sensitive,
    /// Where, in bytes.
    pub range: Range<usize>,
}

/// Whether a match is one after all: told the text before it and the value.
type Test = fn(&str, &str) -> bool;

/// A form that something has. The first group is the value, where there is one.
struct Form {
    kind: Sensitive,
    regex: Regex,
    is_one: Test,
}

impl Form {
    /// How much of a match is one; `None` where it is none. A number in groups may be followed by what looks like one
    /// more group.
    fn length(&self, before: &str, value: &str) -> Option<usize> {
        let mut value = value;
        loop {
            if (self.is_one)(before, value) {
                return Some(value.len());
            }
            if !matches!(self.kind, Sensitive::Iban | Sensitive::Card) {
                return None;
            }
            value = &value[..value.rfind([' ', '-'])?];
        }
    }
}

/// The forms, the surer ones first: where two overlap, the first wins.
static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    use Sensitive::{ApiKey, Card, Email, Iban, Password, Phone, PrivateKey, Token};
    let any: Test = |_, _| true;
    let with_digit: Test = |_, value| value.bytes().any(|b| b.is_ascii_digit());
    let forms: [(Sensitive, &str, Test); 12] = [
        (
            PrivateKey,
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?s:.*?)-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]{40,})",
            any,
        ),
        (ApiKey, KEYS_OF_SERVICES, with_digit),
        // scheme://user:password@host
        (Password, r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@\x22'<>]{0,100}:([^\s/@\x22'<>]{1,200})@", |_, value| {
            is_value(value)
        }),
        (Password, r"(?i)\b(?:bearer|basic)[ \t]+([a-z0-9._~+/=-]{16,500})", with_digit),
        // NAME_PASSWORD=value, as environments and settings are written.
        (
            Password,
            r"(?m)^[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+)?[A-Z0-9_.]*(?:PASSWORD|PASSWD|PASSPHRASE|PWD)[A-Z0-9_]*[ \t]*[=:][ \t]*[\x22']?([^\s\x22'#;]{4,200})",
            |_, value| is_value(value),
        ),
        (
            Password,
            r"(?m)^[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+)?[A-Z0-9_.]*(?:KEY|TOKEN|SECRET|CREDENTIALS?)[A-Z0-9_]*[ \t]*[=:][ \t]*[\x22']?([^\s\x22'#;]{8,500})",
            |_, value| is_value(value) && value.bytes().any(|b| b.is_ascii_digit()),
        ),
        // "password": "value", as code and data are written.
        (
            Password,
            r"(?i)(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token)[\x22']?\s{0,4}(?::=|=>|[:=])\s{0,4}[\x22'`]([^\x22'`\s]{6,200})[\x22'`]",
            |_, value| is_value(value),
        ),
        (Email, r"(?i)\b[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\b", |_, value| {
            !value.starts_with("git@")
        }),
        (Iban, r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", |_, value| is_iban(value)),
        (Card, r"\b\d(?:[ -]?\d){12,18}\b", |_, value| is_card(value)),
        (Phone, PHONES, is_phone),
        (Token, r"[A-Za-z0-9+/_-]{32,}={0,2}", |before, value| {
            // Digests of packages (Subresource Integrity) are public.
            !["sha256-", "sha384-", "sha512-"]
                .iter()
                .any(|digest| before.ends_with(digest) || value.starts_with(digest))
                && is_random(value.trim_end_matches('='))
        }),
    ];
    let compiled = forms.into_iter().map(|(kind, pattern, is_one)| {
        #[expect(clippy::expect_used, reason = "constant patterns; a test compiles them all")]
        let regex = Regex::new(pattern).expect("a valid pattern");
        Form { kind, regex, is_one }
    });
    compiled.collect()
});

/// Keys by the prefixes that their services publish for scanners like this one.
const KEYS_OF_SERVICES: &str = r"(?x)\b(?:
    (?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}
  | gh[pousr]_[A-Za-z0-9]{36,255} | github_pat_[A-Za-z0-9_]{22,255}
  | glpat-[A-Za-z0-9_-]{20,255} | glsa_[A-Za-z0-9_]{32,64}
  | xox[abeoprs]-[A-Za-z0-9-]{10,255} | xapp-\d-[A-Za-z0-9-]{10,255}
  | sk-(?:ant-|proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{16,255}
  | AIza[A-Za-z0-9_-]{35} | ya29\.[A-Za-z0-9_-]{20,255}
  | [sr]k_(?:live|test)_[A-Za-z0-9]{16,255} | whsec_[A-Za-z0-9+/]{24,255}
  | npm_[A-Za-z0-9]{36} | pypi-[A-Za-z0-9_-]{50,255} | cio[A-Za-z0-9]{32} | hf_[A-Za-z0-9]{30,64}
  | SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}
  | do[opr]_v1_[a-f0-9]{64} | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32} | dapi[a-f0-9]{32}
  | ATATT3[A-Za-z0-9_=-]{40,255} | AGE-SECRET-KEY-1[0-9A-Z]{58}
  | eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
  | \d{8,10}:AA[A-Za-z0-9_-]{33}
)";

/// International numbers (ITU-T E.164); those of North America with their separators; others where a word says so.
const PHONES: &str = r"(?x)
    (?: \+\d[\d\ ()./-]{6,20}\d
      | \(\d{3}\)\ ?\d{3}[-.\ ]\d{4}
      | \b\d{3}[-.]\d{3}[-.]\d{4}
      | (?i:\b(?:phone|tel|telephone|mobile|cell|fax|handy|telefon|mobil)\.?(?:\ (?:number|no\.?))?\x22?\s{0,3}[:=]\s{0,3}\x22?) (\d[\d\ ()./-]{5,20}\d)
    ) \b";

/// Whether digits are a number that can be called: not part of a longer one, of a version or of a calculation.
fn is_phone(before: &str, value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let joined =
        before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ')'));
    (7..=15).contains(&digits) && !joined
}

/// Whether it is a value and not the name of one, or a word that stands for one.
fn is_value(text: &str) -> bool {
    let stands_for = text.starts_with(['$', '{', '<', '%', '*', '[', '(', '&', '@'])
        || text.contains('(')
        || ["process.env", "os.environ", "env.", "std::", "self.", "this."].iter().any(|start| text.starts_with(start));
    let lower = text.to_ascii_lowercase();
    let word = ["password", "passwd", "secret", "changeme", "string", "none", "null", "true", "false", "required"];
    let example = lower.starts_with("your") || lower.starts_with("xxx") || lower.starts_with("example");
    !stands_for && !example && !word.contains(&lower.as_str())
}

/// The keys and personal data in `text`, in order, none overlapping another.
pub fn scan(text: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for form in FORMS.iter() {
        for captures in form.regex.captures_iter(text) {
            let Some(value) = captures.get(1).or_else(|| captures.get(0)) else { continue };
            let Some(length) = form.length(&text[..value.start()], value.as_str()) else { continue };
            let range = value.start()..value.start() + length;
            if !found.iter().any(|other| other.range.start < range.end && range.start < other.range.end) {
                found.push(Finding { kind: form.kind, range });
            }
        }
    }
    found.sort_by_key(|finding| finding.range.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Sensitive, &str)> {
        scan(text).into_iter().map(|finding| (finding.kind, &text[finding.range])).collect()
    }

    #[test]
    fn keys_and_personal_data_are_found_where_they_stand() {
        use Sensitive::*;
        let key = |prefix: &str, body: &str| format!("{prefix}{body}");
        let aws = key("AKIA", "IOSFODNN7EXAMPLE");
        let github = key("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a");
        let anthropic = key("sk-ant-", "api03-abcDEF123456789_xyz");
        let pem = key("-----BEGIN RSA PRIVATE ", "KEY-----\nMIIEowIBAAKCAQEA1234\n-----END RSA PRIVATE KEY-----");
        for (text, kind, value) in [
            (format!("id = \"{aws}\""), ApiKey, aws.as_str()),
            (format!("token: {github}\n"), ApiKey, &github),
            (format!("use {anthropic}, please"), ApiKey, &anthropic),
            (format!("{pem}\nafter"), PrivateKey, &pem),
            ("postgres://app:s3cr3t!@db:5432/x".to_owned(), Password, "s3cr3t!"),
            ("export DB_PASSWORD=hunter22".to_owned(), Password, "hunter22"),
            ("STRIPE_TOKEN='abcd1234efgh'".to_owned(), Password, "abcd1234efgh"),
            ("{\"password\": \"correct-horse\"}".to_owned(), Password, "correct-horse"),
            ("let api_key = \"k-998877\";".to_owned(), Password, "k-998877"),
            ("mail ada.lovelace+x@mail.example.org now".to_owned(), Email, "ada.lovelace+x@mail.example.org"),
            ("call +49 (0)30 1234-5678 today".to_owned(), Phone, "+49 (0)30 1234-5678"),
            ("(555) 123-4567".to_owned(), Phone, "(555) 123-4567"),
            ("pay DE89 3704 0044 0532 0130 00.".to_owned(), Iban, "DE89 3704 0044 0532 0130 00"),
            ("card 4111-1111-1111-1111 ok".to_owned(), Card, "4111-1111-1111-1111"),
            ("x = aG9k3XbQ7wLmZ2rT8uVpYc1eNfJs5DhK".to_owned(), Token, "aG9k3XbQ7wLmZ2rT8uVpYc1eNfJs5DhK"),
        ] {
            assert_eq!(found(&text), [(kind, value)], "{text}");
        }
        assert_eq!(found("Tel.: 030 / 123 45 67"), [(Phone, "030 / 123 45 67")]);
        assert_eq!(found("DE89 3704 0044 0532 0130 00 NOW"), [(Iban, "DE89 3704 0044 0532 0130 00")]);
    }

    #[test]
    fn ordinary_code_is_left_alone() {
        for text in [
            "let password = request.password();",
            "API_KEY=${API_KEY}",
            "PASSWORD=<your password>",
            "git clone git@github.com:a/b.git",
            "version 1.2.3, 2026-11-28, 127.0.0.1:11434, 0x1234_5678",
            "commit c505e33b419f50b677c6ae7ebde84ab1629fee8f",
            "blake3:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "\"integrity\": \"sha512-aG9k3XbQ7wLmZ2rT8uVpYc1eNfJs5DhKaG9k3XbQ7wLmZ2rT8uVpYc1eNfJs5DhK==\"",
            "sort_key = \"created_at\"",
            "pub fn token(&self) -> Token { self.token }",
            "1234567890123456 rows",
            "https://docs.example.org/a/b?c=d#e",
            "class=\"sk-fading-circle-loading-spinner\"",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
