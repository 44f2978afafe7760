//! Reads a command's arguments: words, `--flags` that the command knows, and `--options` with a value.

use crate::run::Failure;
use std::collections::BTreeSet;

/// What stood after the command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// Plain words, in order.
    pub words: Vec<String>,
    flags: BTreeSet<String>,
    /// Option and value, in order.
    options: Vec<(String, String)>,
}

impl Args {
    /// Whether `--flag` was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// The values of `--option`, in order.
    pub fn values<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |(name, _)| name == option).map(|(_, value)| value.as_str())
    }
}

/// Reads the arguments; `None` where help is asked for. `known` are the flags, with their dashes; one that ends with `=`
/// takes the next word as its value.
pub fn read(words: Vec<String>, known: &[&str]) -> Result<Option<Args>, Failure> {
    let mut args = Args::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            option if known.contains(&format!("{option}=").as_str()) => match words.next() {
                Some(value) => args.options.push((word, value)),
                None => return Err(Failure::Usage(format!("`{option}` takes a value"))),
            },
            flag if flag.starts_with('-') => {
                if !known.contains(&flag) {
                    return Err(Failure::Usage(format!("`{flag}` is not known here; `--help` lists what is")));
                }
                args.flags.insert(word);
            }
            _ => args.words.push(word),
        }
    }
    Ok(Some(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn known_flags_and_words_are_kept_apart() {
        let args = read(words("window --yes 5"), &["--yes", "--offline"]).unwrap().unwrap();
        assert_eq!(args.words, ["window", "5"]);
        assert!(args.has("--yes") && !args.has("--offline"));
    }

    #[test]
    fn options_take_the_next_word() {
        let args = read(words("localise --repo a --repo b x"), &["--repo="]).unwrap().unwrap();
        assert_eq!(args.values("--repo").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(args.words, ["localise", "x"]);
        let error = read(words("--repo"), &["--repo="]).unwrap_err();
        assert_eq!(error.to_string(), "`--repo` takes a value");
    }

    #[test]
    fn an_unknown_flag_is_named_and_help_wins() {
        let error = read(words("--yess"), &["--yes"]).unwrap_err();
        assert_eq!(error.to_string(), "`--yess` is not known here; `--help` lists what is");
        assert_eq!(error.exit_code(), 2);
        assert_eq!(read(words("--help --nonsense"), &[]).unwrap(), None);
    }
}
