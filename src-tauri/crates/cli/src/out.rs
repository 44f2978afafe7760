//! What the program prints: JSON lines with `--json`, text for people without.
//!
//! With `--json` every line of standard output is an object `{"v":1,"type":"event|progress|result|error",...}`, the
//! last always a result or an error, and text for people goes to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this file is for")]

use atelier_protocol::error::{Code, ExitClass, Problem};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// How a verb ended: its result and exit class, or a problem.
pub type End = Result<Finished, Problem>;

/// A verb that came to its end.
pub struct Finished {
    /// What programs read.
    pub value: Value,
    /// The exit class.
    pub class: ExitClass,
}

impl Finished {
    /// All well.
    pub fn done(value: Value) -> Self {
        Self { value, class: ExitClass::Done }
    }
}

/// Where output goes.
pub struct Out {
    json: bool,
}

impl Out {
    /// Output as JSON lines or as text.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub fn json(&self) -> bool {
        self.json
    }

    /// A line for people.
    pub fn say(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        // A closed pipe (`| head`) is the reader's choice, not a failure.
        if self.json {
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// A line for programs, of type `event` or `progress`.
    pub fn line(&self, kind: &str, value: &impl serde::Serialize) {
        if self.json {
            let _ = writeln!(std::io::stdout(), "{}", json!({"v": 1, "type": kind, kind: value}));
        }
    }

    /// A line that is for programs whether or not `--json` was given.
    pub fn data(&self, line: &Value) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    /// Prints the end and gives the exit code.
    pub fn end(&self, end: End) -> ExitCode {
        match end {
            Ok(finished) => {
                if self.json {
                    let line =
                        json!({"v": 1, "type": "result", "exit": finished.class.code(), "result": finished.value});
                    let _ = writeln!(std::io::stdout(), "{line}");
                }
                ExitCode::from(finished.class.code())
            }
            Err(problem) => {
                let exit = problem.code.exit().code();
                if self.json {
                    let _ = writeln!(
                        std::io::stdout(),
                        "{}",
                        json!({"v": 1, "type": "error", "exit": exit, "error": problem})
                    );
                }
                let _ = write!(std::io::stderr(), "{}", for_people(&problem));
                ExitCode::from(exit)
            }
        }
    }
}

/// A problem as a person reads it: what, details, what next, and the code to look it up by.
pub fn for_people(problem: &Problem) -> String {
    let mut text = format!("error: {} [{}]\n", problem.message, problem.code);
    for detail in &problem.details {
        for line in detail.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text.push_str(&format!("  → {}\n", problem.hint));
    text
}

/// A problem of the machine.
pub fn environment(message: &str) -> Problem {
    Problem::new(Code::Io, message, "Check the machine and try again.")
}

/// An answer of the engine that does not fit the question: a defect.
pub fn unexpected() -> Problem {
    Problem::new(Code::Internal, "The engine answered something else than was asked.", "Please report this.")
}

/// So many of something.
pub fn counted<N: std::fmt::Display + PartialEq + From<u8>>(n: N, of: &str) -> String {
    format!("{n} {of}{}", if n == N::from(1) { "" } else { "s" })
}
