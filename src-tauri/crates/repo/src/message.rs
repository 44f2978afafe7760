//! What a commit says, in the form of Conventional Commits 1.0.0 (<https://www.conventionalcommits.org>).
//!
//! `type: subject` in at most 72 characters, the subject in the imperative where the given text allows it, lower-case at
//! its start and without a full stop. Pure: the same text gives the same message.

use crate::imperative::{base_form, imperative};

/// The type of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something new.
    Feat,
    /// A defect mended.
    Fix,
    /// The same behaviour in another form.
    Refactor,
    /// Documents only.
    Docs,
    /// Tests only.
    Test,
    /// Upkeep: dependencies, tools, settings.
    Chore,
}

/// The longest first line, in characters.
const LONGEST: usize = 72;

/// Words that give a text its type. The first word of the text that is in a list decides; see [`Kind::of_goal`].
const SIGNS: &[(Kind, &[&str])] = &[
    (Kind::Feat, &["add", "build", "create", "implement", "introduce", "make", "support", "write", "feature", "allow"]),
    (
        Kind::Fix,
        &[
            "fix",
            "bug",
            "bugfix",
            "crash",
            "crashes",
            "error",
            "broken",
            "wrong",
            "fail",
            "fails",
            "failing",
            "failure",
            "regression",
            "repair",
            "correct",
            "incorrect",
            "panic",
            "panics",
            "resolve",
            "mend",
            "hang",
            "hangs",
        ],
    ),
    (
        Kind::Refactor,
        &[
            "refactor",
            "rename",
            "extract",
            "simplify",
            "restructure",
            "reorganise",
            "reorganize",
            "move",
            "split",
            "inline",
            "rework",
            "clean",
            "cleanup",
            "deduplicate",
            "tidy",
        ],
    ),
    (
        Kind::Docs,
        &["document", "docs", "readme", "comment", "comments", "docstring", "docstrings", "typo", "changelog"],
    ),
    (Kind::Test, &["test", "tests", "cover", "coverage"]),
    (
        Kind::Chore,
        &[
            "bump",
            "upgrade",
            "update",
            "configure",
            "ci",
            "lint",
            "format",
            "dependency",
            "dependencies",
            "pin",
            "release",
        ],
    ),
];

impl Kind {
    /// The type as it stands in a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Feat => "feat",
            Kind::Fix => "fix",
            Kind::Refactor => "refactor",
            Kind::Docs => "docs",
            Kind::Test => "test",
            Kind::Chore => "chore",
        }
    }

    /// The type that a goal's text speaks of: the first of its words that is a sign of one decides
    /// (`add error handling` is a feature, `the parser crashes` a fix); a feature where none is.
    pub fn of_goal(text: &str) -> Kind {
        text.split(|c: char| !c.is_alphanumeric() && c != '\'')
            .map(|word| base_form(&word.to_lowercase()))
            .find_map(|word| SIGNS.iter().find(|(_, signs)| signs.contains(&word.as_str())).map(|(kind, _)| *kind))
            .unwrap_or(Kind::Feat)
    }

    /// The verb to put before a subject that has none.
    fn verb(self) -> &'static str {
        match self {
            Kind::Feat => "add",
            Kind::Fix => "fix",
            Kind::Refactor => "rework",
            Kind::Docs => "describe",
            Kind::Test => "cover",
            Kind::Chore => "update",
        }
    }
}

/// What the commits of a hand-over say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The type of the commit with the sources; `None` derives it from the subject.
    pub kind: Option<Kind>,
    /// What was done, in one line; shortened and put into form as needed.
    pub subject: String,
    /// Paragraphs after the subject; may be empty. They go to the first commit.
    pub body: String,
    /// Lines `key: value` at the end of every commit.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// A message with this subject and nothing else.
    pub fn of(subject: impl Into<String>) -> Message {
        Message { subject: subject.into(), ..Message::default() }
    }

    /// The type of the commit with the sources.
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or_else(|| Kind::of_goal(&self.subject))
    }

    /// The subject in form, of any length.
    pub(crate) fn imperative(&self) -> String {
        let line = one_line(&self.subject);
        imperative(without_type(&line), self.kind().verb())
    }

    /// The whole message of a commit of type `kind` with this (formed) subject.
    pub(crate) fn text(&self, kind: Kind, subject: &str, with_body: bool) -> String {
        let whole = format!("{}: {subject}", kind.as_str());
        let line = shorten(&whole);
        let mut paragraphs = Vec::new();
        if line != whole {
            paragraphs.push(subject.to_owned());
        }
        let body = self.body.trim();
        if with_body && !body.is_empty() {
            paragraphs.push(body.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
        }
        let trailers: Vec<String> =
            self.trailers.iter().map(|(key, value)| format!("{}: {}", token(key), single_spaced(value))).collect();
        if !trailers.is_empty() {
            paragraphs.push(trailers.join("\n"));
        }
        let mut text = line;
        for paragraph in paragraphs {
            text.push_str("\n\n");
            text.push_str(&paragraph);
        }
        text.push('\n');
        text
    }
}

/// The types that a message may have.
const TYPES: &[&str] = &["feat", "fix", "refactor", "docs", "test", "chore", "perf", "style", "build", "ci", "revert"];

/// What is wrong with a message by the rules of Conventional Commits and the usual ones of git; empty where nothing is.
pub fn lint(message: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    match first.split_once(": ") {
        Some((head, subject)) => {
            let word = head.strip_suffix('!').unwrap_or(head);
            let (word, scope) = word.split_once('(').map_or((word, None), |(word, scope)| (word, Some(scope)));
            if !TYPES.contains(&word) {
                wrong.push(format!("`{word}` is none of {}", TYPES.join(", ")));
            }
            if scope.is_some_and(|scope| scope.strip_suffix(')').is_none_or(str::is_empty)) {
                wrong.push("the scope is not a word in brackets".to_owned());
            }
            if subject.trim().is_empty() {
                wrong.push("it says nothing after its type".to_owned());
            }
            if subject.ends_with('.') {
                wrong.push("its first line ends with a full stop".to_owned());
            }
        }
        None => wrong.push("its first line is not `type: subject`".to_owned()),
    }
    if first.chars().count() > LONGEST {
        wrong.push(format!("its first line has {} characters, more than {LONGEST}", first.chars().count()));
    }
    if lines.next().is_some_and(|second| !second.trim().is_empty()) {
        wrong.push("its second line is not empty".to_owned());
    }
    wrong
}

/// A subject that has a type already, such as `fix(parser)!: x`, without it.
fn without_type(text: &str) -> &str {
    let Some((head, rest)) = text.split_once(": ") else { return text };
    let word = head.trim_end_matches('!');
    let word = word.split_once('(').filter(|(_, scope)| scope.ends_with(')')).map_or(word, |(word, _)| word);
    if TYPES.contains(&word.to_lowercase().as_str()) { rest.trim_start() } else { text }
}

/// The first line that has text, single-spaced.
fn one_line(text: &str) -> String {
    single_spaced(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default())
}

/// Every run of white space as one space; control characters removed.
fn single_spaced(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// At most [`LONGEST`] characters, cut between words and marked.
fn shorten(line: &str) -> String {
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(LONGEST - 1).collect();
    // A cut within the last word loses it, unless that is most of the line.
    if let Some(at) = cut.rfind(' ').filter(|at| *at > LONGEST / 2) {
        cut.truncate(at);
    }
    format!("{}…", cut.trim_end_matches([' ', ',', ';', ':', '.']))
}

/// A trailer's key: letters, digits and hyphens.
fn token(key: &str) -> String {
    let token: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if token.is_empty() { "Note".to_owned() } else { token }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(subject: &str) -> String {
        let message = Message::of(subject);
        let text = message.text(message.kind(), &message.imperative(), true);
        text.lines().next().unwrap().to_owned()
    }

    #[test]
    fn goals_become_subjects() {
        let lines: Vec<String> = [
            "Add a divide function.",
            "Please rename Foo to Bar!",
            "Fixes the crash on empty input",
            "The parser crashes on empty input",
            "README is out of date: document the flags",
            "Updated dependencies",
            "fix(parser)!: handle tabs",
            "OAuth login",
            "  can you, please: simplify the loop\n\nand tell me why",
            "cover the edge cases of split",
            "A login page",
            "",
        ]
        .map(line)
        .into();
        insta::assert_snapshot!(lines.join("\n"), @r"
        feat: add a divide function
        refactor: rename Foo to Bar
        fix: fix the crash on empty input
        fix: fix the parser crashes on empty input
        docs: README is out of date: document the flags
        chore: update dependencies
        fix: handle tabs
        feat: OAuth login
        refactor: simplify the loop
        test: cover the edge cases of split
        feat: add a login page
        feat: add the work of a run
        ");
    }

    #[test]
    fn a_long_subject_is_cut_between_words_and_kept_in_the_body() {
        let long =
            "add a command that lists every run of the project with its state, its branch and what it cost so far";
        let message = Message { body: "Why: it was asked for.".into(), ..Message::of(long) };
        insta::assert_snapshot!(message.text(Kind::Feat, &message.imperative(), true), @r"
        feat: add a command that lists every run of the project with its…

        add a command that lists every run of the project with its state, its branch and what it cost so far

        Why: it was asked for.
        ");
    }

    #[test]
    fn trailers_come_last_and_stay_on_one_line() {
        let message = Message {
            trailers: vec![("Atelier-Run".into(), "1".into()), ("Odd key".into(), "two\nlines".into())],
            ..Message::of("add x")
        };
        insta::assert_snapshot!(message.text(Kind::Feat, "add x", true), @r"
        feat: add x

        Atelier-Run: 1
        Odd-key: two lines
        ");
    }

    proptest! {
        #[test]
        fn every_text_gives_a_first_line_in_form(subject in ".{0,200}") {
            let line = line(&subject);
            prop_assert!(line.chars().count() <= LONGEST);
            let (kind, rest) = line.split_once(": ").unwrap();
            prop_assert!(["feat", "fix", "refactor", "docs", "test", "chore"].contains(&kind));
            prop_assert!(!rest.is_empty() && !rest.ends_with('.') && !rest.chars().any(char::is_control), "{:?}", rest);
        }
    }
}
