//! `atelier edit apply --batch`: cases in, outcomes out, a line each, without touching a file.
//!
//! A line that cannot be read, or a case that cannot be applied, is answered as refused; nothing ends the batch but
//! the end of its input or a reader that went away.
#![allow(clippy::print_stdout, reason = "outcomes are this program's output")]

use crate::out::{End, Finished, Out};
use atelier_edit::{Edit, Format, apply, parse};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::hash::Hash;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 512 << 20;

pub fn run(out: &Out) -> End {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let (mut applied, mut refused) = (0u64, 0u64);
    for number in 1u64.. {
        let mut line = Vec::new();
        let unreadable = |e: std::io::Error| {
            Problem::new(Code::Io, format!("Standard input: {e}."), "See what the other end of the pipe does.")
        };
        input.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.is_empty() {
            break;
        }
        let answer = if line.ends_with(b"\n") || (line.len() as u64) < LONGEST {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            answer(&line, number)
        } else {
            skip_line(&mut input).map_err(unreadable)?;
            refusal(&Value::Null, number, &bad("the line is longer than 512 MiB"))
        };
        *(if answer.get("refused").is_some() { &mut refused } else { &mut applied }) += 1;
        if writeln!(output, "{answer}").and_then(|()| output.flush()).is_err() {
            break; // the reader went away
        }
    }
    drop(output);
    let end = json!({"applied": applied, "refused": refused});
    if out.json() {
        return Ok(Finished::done(end));
    }
    Ok(Finished::done(Value::Null))
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let chunk = input.fill_buf()?;
        let (used, ended) = match chunk.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (chunk.len(), chunk.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

fn bad(what: &str) -> Problem {
    Problem::new(Code::BadArgument, format!("This case cannot be read: {what}."), "See `atelier edit apply --help`.")
}

/// The outcome of one line, as it is written.
fn answer(line: &[u8], number: u64) -> Value {
    let case: Value = match serde_json::from_slice(line) {
        Ok(case) => case,
        Err(e) => return refusal(&Value::Null, number, &bad(&format!("it is not JSON: {e}"))),
    };
    let id = case.get("id").cloned().unwrap_or_default();
    // A defect in one case must not end the others.
    let outcome = std::panic::catch_unwind(|| outcome(&case)).unwrap_or_else(|_| {
        Err(Refused::of(Problem::new(Code::Internal, "The edit could not be worked on.", "Please report this case.")))
    });
    match outcome {
        Ok((files, base64)) => {
            let mut answer = json!({"id": id, "files": files});
            if !base64.is_empty() {
                answer["files_base64"] = Value::Object(base64);
            }
            answer
        }
        Err(Refused { problem, candidates }) => {
            let mut answer = refusal(&id, number, &problem);
            answer["refused"]["candidates"] = Value::Array(candidates);
            answer
        }
    }
}

fn refusal(id: &Value, number: u64, problem: &Problem) -> Value {
    let mut answer = json!({"refused": {
        "reason": problem.message, "code": problem.code, "hint": problem.hint, "candidates": [],
    }});
    if id.is_null() {
        answer["line"] = json!(number);
    } else {
        answer["id"] = id.clone();
    }
    answer
}

struct Refused {
    problem: Problem,
    candidates: Vec<Value>,
}

impl Refused {
    fn of(problem: Problem) -> Self {
        Self { problem, candidates: Vec::new() }
    }
}

type Files = Map<String, Value>;

/// The changed files of a case, as text and in Base64.
fn outcome(case: &Value) -> Result<(Files, Files), Refused> {
    let wrong = |what: &str| Refused::of(bad(what));
    if !case.is_object() {
        return Err(wrong("it is not an object"));
    }
    let format = case["format"].as_str().ok_or_else(|| wrong("`format` is not a text"))?;
    let format: Format = format.parse().map_err(|e| wrong(&format!("{e}")))?;
    let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (path, content) in entries(case, "files")? {
        let content = content.as_str().ok_or_else(|| wrong("a content in `files` is not a text"))?;
        files.insert(path, content.as_bytes().to_vec());
    }
    let encoded = entries(case, "files_base64")?;
    for (path, content) in &encoded {
        files.insert(path, base64(content, "files_base64")?);
    }
    let edit = match (&case["edit"], &case["edit_base64"]) {
        (Value::String(text), Value::Null) => text.as_bytes().to_vec(),
        (Value::Null, text @ Value::String(_)) => base64(text, "edit_base64")?,
        _ => return Err(wrong("it needs one of `edit` and `edit_base64`, a text")),
    };
    let mut edits = Vec::new();
    for (path, hash) in entries(case, "seen")? {
        let hash = hash.as_str().and_then(Hash::parse);
        let hash = hash.ok_or_else(|| wrong("a hash in `seen` is not `blake3:` and 64 hex digits"))?;
        edits.push(Edit::Expect { path: path.to_owned(), hash });
    }
    edits.extend(parse(format, &edit).map_err(|refusal| Refused::of(refusal.problem()))?);
    let set = apply(|path| Ok(files.get(path).cloned()), &edits).map_err(|refusal| {
        let candidates = refusal.candidates().into_iter();
        Refused {
            candidates: candidates
                .map(|(path, place)| json!({"path": path, "lines": place.lines, "text": place.text}))
                .collect(),
            problem: refusal.problem(),
        }
    })?;
    let (mut texts, mut others) = (Files::new(), Files::new());
    for file in set.files {
        let came_encoded = encoded.iter().any(|(path, _)| **path == file.path);
        match file.after.map(String::from_utf8) {
            None => _ = texts.insert(file.path, Value::Null),
            Some(Ok(text)) if !came_encoded => _ = texts.insert(file.path, Value::String(text)),
            Some(Ok(text)) => _ = others.insert(file.path, Value::String(BASE64.encode(text.as_bytes()))),
            Some(Err(bytes)) => _ = others.insert(file.path, Value::String(BASE64.encode(bytes.as_bytes()))),
        }
    }
    Ok((texts, others))
}

/// The entries of an object that may be missing.
fn entries<'a>(case: &'a Value, name: &str) -> Result<Vec<(&'a str, &'a Value)>, Refused> {
    match &case[name] {
        Value::Null => Ok(Vec::new()),
        Value::Object(object) => Ok(object.iter().map(|(path, value)| (path.as_str(), value)).collect()),
        _ => Err(Refused::of(bad(&format!("`{name}` is not an object")))),
    }
}

fn base64(value: &Value, name: &str) -> Result<Vec<u8>, Refused> {
    let text = value.as_str().map(str::as_bytes).unwrap_or(b"!");
    BASE64.decode(text).map_err(|_| Refused::of(bad(&format!("a text in `{name}` is not Base64"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(case: &Value) -> Value {
        answer(case.to_string().as_bytes(), 7)
    }

    #[test]
    fn only_what_changed_is_answered_and_a_move_is_both_paths() {
        let patch =
            "*** Begin Patch\n*** Update File: a\n*** Move to: c\n-one\n+two\n*** Delete File: d\n*** End Patch\n";
        let case =
            json!({"id": 1, "format": "apply-patch", "edit": patch, "files": {"a": "one\n", "b": "x\n", "d": "y\n"}});
        assert_eq!(told(&case), json!({"id": 1, "files": {"a": null, "c": "two\n", "d": null}}));
    }

    #[test]
    fn bytes_that_are_not_utf8_go_in_and_out_as_base64() {
        let edit = BASE64.encode(b"a\n<<<<<<< SEARCH\n\xe9\n=======\n\xe8\n>>>>>>> REPLACE\n");
        let files = json!({"a": BASE64.encode(b"x\n\xe9\n")});
        let case = json!({"id": "l", "format": "search-replace", "files_base64": files, "edit_base64": edit});
        let changed = json!({"a": BASE64.encode(b"x\n\xe8\n")});
        assert_eq!(told(&case), json!({"id": "l", "files": {}, "files_base64": changed}));
    }

    #[test]
    fn a_case_that_cannot_be_applied_names_its_places() {
        let edit = r#"{"edits":[{"path":"a","search":"x\n","replace":"y\n"}]}"#;
        let case = json!({"id": "two", "format": "hunk-list", "files": {"a": "x\nz\nx\n"}, "edit": edit});
        let answer = told(&case);
        assert_eq!(answer["id"], "two");
        assert_eq!(answer["refused"]["code"], "edit_ambiguous");
        let lines: Vec<&Value> =
            answer["refused"]["candidates"].as_array().unwrap().iter().map(|place| &place["lines"]).collect();
        assert_eq!(lines, [&json!([1, 1]), &json!([3, 3])]);
    }

    #[test]
    fn a_file_that_is_not_what_was_read_is_refused() {
        let edit = r#"{"path":"a","search":"x","replace":"y"}"#;
        let case = |hash: Hash| json!({"id": 1, "format": "hunk-list", "files": {"a": "x\n"}, "edit": edit, "seen": {"a": hash.as_str()}});
        assert_eq!(told(&case(Hash::of(b"x\n"))), json!({"id": 1, "files": {"a": "y\n"}}));
        let reason = told(&case(Hash::of(b"z\n")))["refused"]["reason"].clone();
        assert_eq!(reason, "`a` has changed since it was read. Nothing was changed.");
    }

    #[test]
    fn a_bad_line_is_answered_with_its_id_or_number() {
        assert_eq!(answer(b"{nonsense\n", 7)["line"], 7);
        assert_eq!(answer(b"[1]\n", 7)["line"], 7);
        for case in [
            json!({"id": "x"}),
            json!({"id": "x", "format": "poem", "files": {}, "edit": ""}),
            json!({"id": "x", "format": "hunk-list", "files": [], "edit": ""}),
            json!({"id": "x", "format": "hunk-list", "files": {"a": 1}, "edit": ""}),
            json!({"id": "x", "format": "hunk-list", "files": {}}),
            json!({"id": "x", "format": "hunk-list", "files_base64": {"a": "?"}, "edit": ""}),
        ] {
            let answer = told(&case);
            assert_eq!((answer["id"].as_str(), answer["refused"]["code"].as_str()), (Some("x"), Some("bad_argument")));
        }
    }
}
