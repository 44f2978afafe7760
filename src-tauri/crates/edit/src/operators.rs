//! Whether a character stands in a program where an operator does.
//!
//! Nobody writes `a &lt; b` in a program: entities are at home in its texts and comments. So one that stands outside of
//! both, as an operator, a reference or the bracket of a type, says that the whole edit was escaped on its way. Only what
//! can hardly be anything else counts; where quotes are not closed on a line, nothing behind them does.

/// Ends of the names of files that are programs, and nothing like a page with entities of its own.
const PROGRAMS: [&str; 62] = [
    "ac", "am", "awk", "bash", "c", "cc", "cjs", "clj", "cmake", "cpp", "cs", "cts", "cu", "cxx", "dart", "erl", "ex",
    "exs", "fish", "fs", "glsl", "go", "gradle", "groovy", "h", "hh", "hpp", "hs", "hxx", "java", "jl", "jq", "js",
    "kt", "kts", "lua", "m", "metal", "mjs", "mk", "ml", "mli", "mm", "mts", "nim", "pl", "pm", "proto", "ps1", "py",
    "pyi", "r", "rb", "rs", "scala", "sh", "sql", "swift", "ts", "wgsl", "zig", "zsh",
];

/// Operators of more than one character, of which one is `<`, `>` or `&`.
const OPERATORS: [&[u8]; 16] =
    [b"->", b"=>", b"<-", b"<=", b">=", b"&&", b"<<", b">>", b"&=", b">&", b"&>", b"|>", b"<|", b"::<", b"<:", b">|"];

/// What operators are made of.
const SIGNS: &[u8] = b"<>&=-|!:*+";

/// Names behind an `&` that make an entity of it.
const NAMES: [&[u8]; 20] = [
    b"lt", b"gt", b"amp", b"quot", b"apos", b"nbsp", b"copy", b"reg", b"mdash", b"ndash", b"hellip", b"times", b"rarr",
    b"larr", b"laquo", b"raquo", b"bull", b"middot", b"deg", b"shy",
];

/// Whether the file at `path`, with the content `now`, is a program.
pub(crate) fn is_program(path: &str, now: &[u8]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((_, end)) => PROGRAMS.contains(&end.to_ascii_lowercase().as_str()),
        None => now.starts_with(b"#!") || name.to_ascii_lowercase().ends_with("makefile"),
    }
}

/// Whether the `<`, `>` or `&` at `at` in this line of a program is an operator, or a part of one.
pub(crate) fn is_one(line: &[u8], at: usize) -> bool {
    let (before, behind) = (&line[..at], &line[at + 1..]);
    if !is_code(before) {
        return false;
    }
    let from = before.iter().rposition(|byte| !SIGNS.contains(byte)).map_or(0, |last| last + 1);
    let to = at + 1 + behind.iter().take_while(|byte| SIGNS.contains(byte)).count();
    let run = &line[from..to];
    if run.len() > 1 {
        let covers = |operator: &[u8]| {
            run.windows(operator.len())
                .enumerate()
                .any(|(start, part)| part == operator && (start..start + operator.len()).contains(&(at - from)))
        };
        // Of a page's comments.
        let of_a_comment = run.windows(2).any(|part| part == b"--") || run.starts_with(b"<!");
        return !of_a_comment && OPERATORS.into_iter().any(covers);
    }
    match line[at] {
        b'&' => is_reference(before, behind),
        b'<' => is_comparison(before, behind) || is_bracket(before, behind) || before.trim_ascii() == b"#include",
        _ => is_comparison(before, behind) || is_redirection(before, behind),
    }
}

/// Whether what follows `before` on its line is neither in quotes nor in a comment.
fn is_code(before: &[u8]) -> bool {
    let mut counts = [0_usize; 3];
    let mut escaped = false;
    for byte in before {
        let quote = [b'"', b'\'', b'`'].into_iter().position(|quote| quote == *byte);
        if let Some(quote) = quote.filter(|_| !escaped) {
            counts[quote] += 1;
        }
        escaped = *byte == b'\\' && !escaped;
    }
    let has = |sign: &[u8]| before.windows(sign.len()).any(|part| part == sign);
    let start = before.trim_ascii_start();
    let begins = |words: &[&[u8]]| words.iter().any(|word| start.starts_with(word));
    let directive = begins(&[b"#[", b"#!", b"#include", b"#if", b"#elif", b"#define"]);
    let comment = begins(&[b"*", b"--", b";", b"%"])
        || begins(&[b"#"]) && !directive
        || [&b"//"[..], b"/*", b" #", b" -- "].into_iter().any(has);
    counts.iter().all(|count| count.is_multiple_of(2)) && !comment
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Between two operands, with a space on both sides.
fn is_comparison(before: &[u8], behind: &[u8]) -> bool {
    let (Some(left), Some(right)) = (before.strip_suffix(b" "), behind.strip_prefix(b" ")) else { return false };
    let ends = left.trim_ascii_end().last().is_some_and(|byte| is_word(*byte) || b")]}\"'".contains(byte));
    ends && right.trim_ascii_start().first().is_some_and(|byte| is_word(*byte) || b"(\"'-$/&.".contains(byte))
}

/// Behind a type's name, and closed on the line.
fn is_bracket(before: &[u8], behind: &[u8]) -> bool {
    let name = before.iter().rev().take_while(|byte| is_word(**byte)).last();
    let opens = behind.first().is_some_and(|byte| is_word(*byte) || b"&[('?".contains(byte));
    let tag = behind.windows(2).any(|part| part == b"</");
    name.is_some_and(u8::is_ascii_uppercase) && opens && !tag && behind.contains(&b'>')
}

/// Before a name, behind what an operand stands behind.
fn is_reference(before: &[u8], behind: &[u8]) -> bool {
    let begins = before.last().is_none_or(|byte| b" \t(,=[{:!|".contains(byte));
    let name = behind.iter().take_while(|byte| is_word(**byte)).count();
    let entity = behind.get(name) == Some(&b';') && NAMES.contains(&&behind[..name]);
    let operand = behind.first().is_some_and(|byte| byte.is_ascii_alphabetic() || b"_'[*(".contains(byte));
    begins && operand && !entity
}

/// Of what a command prints: `2>/dev/null`, `>"$file"`.
fn is_redirection(before: &[u8], behind: &[u8]) -> bool {
    before.last().is_some_and(|byte| *byte == b' ' || byte.is_ascii_digit())
        && behind.first().is_some_and(|byte| b"/\"$".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the first of the three characters that is marked by `^` in front is an operator.
    fn of(line: &str) -> bool {
        let at = line.find('^').unwrap();
        is_one(line.replacen('^', "", 1).as_bytes(), at)
    }

    #[test]
    fn operators_references_and_brackets_of_types_are_told() {
        for line in [
            "if a ^< b {",
            "fn f() -^> u8 {",
            "items.map((x) =^> x)",
            "a ^&& b",
            "for i := 0; i ^<= n; i++ {",
            "clone(^&world)",
            "    ^&mut self,",
            "x = ^&y;",
            "host: Option^<String>,",
            "#include ^<stdio.h>",
            "run 2^>/dev/null",
            "echo 'a' ^> \"$file\"",
            "assert!(x, \"text\"); a ^> b",
        ] {
            assert!(of(line), "{line}");
        }
    }

    #[test]
    fn texts_comments_and_tags_are_not() {
        for line in [
            "say(\"a ^< b\")",
            "// a -^> b",
            " * List^<String>",
            "# a ^> b",
            "x = 1 # a ^> b",
            "^<p>text</p>",
            "Hello^<b>you</b>",
            "text^<br>",
            "<!-- a --^>",
            "Tom ^& Jerry",
            "a ^&nbsp; b",
            "`a ^< b`",
            "it's a ^< b",
        ] {
            assert!(!of(line), "{line}");
        }
    }
}
