//! Brings the text of a goal to the imperative, as far as words alone allow: `Please, added a flag.` is `add a flag`.
//!
//! For English. Any other text is left as it is but for its first letter and its full stop.

/// Verbs whose other forms are brought to the imperative.
#[rustfmt::skip] // one word a line would be a page
const VERBS: &[&str] = &[
    "accept", "add", "adapt", "allow", "apply", "avoid", "build", "bump", "cache", "call", "change", "check",
    "clean", "clear", "close", "configure", "convert", "correct", "cover", "create", "define", "delete", "describe",
    "disable", "document", "drop", "enable", "ensure", "export", "expose", "extend", "extract", "fix", "format",
    "generate", "give", "handle", "hide", "implement", "import", "improve", "include", "initialise", "initialize",
    "inline", "introduce", "keep", "limit", "load", "log", "make", "mend", "merge", "migrate", "move", "open",
    "parse", "pin", "prevent", "print", "provide", "put", "raise", "read", "refactor", "reject", "remove", "rename",
    "reorganise", "reorganize", "repair", "replace", "report", "resolve", "restore", "restructure", "return",
    "revert", "rework", "run", "save", "send", "set", "show", "simplify", "skip", "sort", "split", "start", "stop",
    "store", "support", "switch", "test", "tidy", "translate", "trim", "turn", "unify", "update", "upgrade", "use",
    "validate", "verify", "wrap", "write",
];

/// Words at the start of a text that say nothing.
const FILLERS: &[&str] =
    &["please", "kindly", "can you", "could you", "would you", "i want you to", "you should", "let's"];

/// First words that no imperative has, so that a verb is put in front.
const NOT_VERBS: &[&str] =
    &["the", "a", "an", "this", "that", "these", "those", "it", "there", "we", "my", "our", "all"];

/// The text of one line in form: no fillers, known verbs in the imperative, lower-case at the start, no stop at the end.
/// `verb` is put before a text that starts with a noun.
pub(crate) fn imperative(line: &str, verb: &str) -> String {
    let mut text = line;
    while let Some(rest) = FILLERS.iter().find_map(|filler| strip_words(text, filler)) {
        text = rest;
    }
    let text = text.trim_end_matches(['.', '!', ';', ',', ':', '…', '。', ' ']);
    if text.is_empty() {
        return format!("{verb} the work of a run");
    }
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let first = if has_own_case(first) { first.to_owned() } else { base_form(&first.to_lowercase()) };
    let starts_with_noun = NOT_VERBS.contains(&first.as_str());
    let text = if rest.is_empty() { first } else { format!("{first} {rest}") };
    if starts_with_noun { format!("{verb} {text}") } else { text }
}

/// `add a flag` as `adding a flag`, to be spoken about in the subject of another commit.
pub(crate) fn gerund(subject: &str) -> Option<String> {
    let (verb, rest) = subject.split_once(' ')?;
    if !VERBS.contains(&verb) {
        return None;
    }
    Some(format!("{} {rest}", ing(verb)))
}

fn ing(verb: &str) -> String {
    const DOUBLED: &[&str] = &["drop", "log", "pin", "put", "run", "set", "skip", "split", "stop", "trim", "wrap"];
    match verb.strip_suffix('e') {
        _ if DOUBLED.contains(&verb) => format!("{verb}{}ing", verb.chars().last().unwrap_or_default()),
        Some(stem) => format!("{stem}ing"),
        None => format!("{verb}ing"),
    }
}

/// `adds`, `added`, `adding` as `add`, where the verb is known.
fn imperative_form(word: &str) -> Option<String> {
    VERBS
        .iter()
        .find(|verb| {
            let stem = verb.strip_suffix('e').unwrap_or(verb);
            let y = verb.strip_suffix('y');
            word == **verb
                || word == format!("{verb}s")
                || word == format!("{verb}es")
                || word == format!("{stem}ed")
                || word == ing(verb)
                || y.is_some_and(|y| word == format!("{y}ies") || word == format!("{y}ied"))
        })
        .map(|verb| (*verb).to_owned())
}

/// The imperative of a known verb in any form; any other word as it is.
pub(crate) fn base_form(word: &str) -> String {
    imperative_form(word).unwrap_or_else(|| word.to_owned())
}

/// A word that would lose by lower-casing: `README`, `OAuth`, `FooBar`, `I`, `foo_bar`, `src/Main.java`.
fn has_own_case(word: &str) -> bool {
    let mut letters = word.chars();
    let first_is_alone = word.chars().count() == 1;
    letters.next().is_none_or(|first| first.is_uppercase() && first_is_alone && first != 'A')
        || word.chars().skip(1).any(|c| c.is_uppercase() || c.is_numeric() || matches!(c, '_' | '/' | '.' | ':' | '('))
        || word.starts_with('`')
}

fn strip_words<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let head = text.get(..words.len())?;
    let rest = text.get(words.len()..)?;
    let rest_starts_word = rest.starts_with([' ', ',', ':']);
    (head.eq_ignore_ascii_case(words) && rest_starts_word).then(|| rest.trim_start_matches([' ', ',', ':']))
}
