//! Checks the rules of the house that a machine can check.
//!
//! Each rule is a pure function from file texts or cargo's metadata to findings, with a test that shows it finding
//! something. What clippy, the compiler or a test already checks is not repeated here.

mod crates;
mod layout;
mod links;
mod manifests;
mod page;
mod rust;

use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use std::fmt;
use std::process::Command;

pub const HELP: &str = "\
cargo xtask tidy

Checks, and prints as `path:line: rule: message`:
  direction   protocol <- leaves <- engine <- programs; no leaf names another leaf
  owner       a heavy dependency belongs to one crate
  mutants     only the tests' package can break rules on purpose, and not by default
  why         every dependency line in a Cargo.toml says why it is there
  header      every Rust file begins with what it is
  size        no file over 800 lines (those over 500 are listed)
  name        no mod.rs, no utils
  unfinished  no unfinished code, no test that is switched off
  stage       engine and models do not know the scripted model server
  process     only the rooms that may start other programs do
  page        Tauri in one file of the page, colours in one
  link        relative links in README and ARCHITECTURE lead somewhere
  top         nothing unexpected at the top of the repository
  path        no path of one machine in a file
";

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message } = self;
        if *line == 0 { write!(f, "{path}: {rule}: {message}") } else { write!(f, "{path}:{line}: {rule}: {message}") }
    }
}

/// A file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative to the root, with `/`.
    pub path: String,
    /// Its text; empty where it is not text.
    pub text: String,
}

impl File {
    fn at(&self, line: usize, rule: &'static str, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, rule, message: message.into() }
    }

    /// Whether it is a Rust file.
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines, numbered from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }
}

pub fn main(_: &Args) -> Result<(), Failure> {
    check()
}

/// Runs every rule and prints the findings.
pub fn check() -> Result<(), Failure> {
    let files = files()?;
    let metadata = workspace::metadata()?;
    let mut findings = crates::direction(&metadata);
    findings.extend(crates::owners(&metadata));
    findings.extend(crates::mutants(&metadata));
    for file in &files {
        findings.extend(manifests::why(file));
        findings.extend(rust::header(file));
        findings.extend(rust::unfinished(file));
        findings.extend(rust::stage(file));
        findings.extend(rust::processes(file));
        findings.extend(layout::size(file));
        findings.extend(layout::name(file));
        findings.extend(layout::machine_paths(file));
        findings.extend(page::tauri(file));
        findings.extend(page::colours(file));
    }
    findings.extend(layout::top(&files));
    findings.extend(links::relative(&files));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    for (path, lines) in layout::long(&files) {
        println!("note: {path} has {lines} lines; split it before it has {}", layout::LONGEST);
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files keep the rules", files.len());
            Ok(())
        }
        count => Err(Failure::Work(format!("{count} places break the rules of the house"))),
    }
}

/// The files of the repository that git knows or would take.
fn files() -> Result<Vec<File>, Failure> {
    let root = workspace::root();
    let list = run::output(Command::new("git").current_dir(&root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]))?;
    let list = String::from_utf8_lossy(&list);
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let read = |path: &str| {
        let bytes = std::fs::read(root.join(path)).ok()?; // a file that was deleted but not yet committed
        Some(File { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() })
    };
    Ok(paths.into_iter().filter_map(read).collect())
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_printed_so_that_an_editor_can_jump_to_it() {
        let file = file("a/b.rs", "");
        assert_eq!(file.at(3, "name", "no").to_string(), "a/b.rs:3: name: no");
        assert_eq!(file.at(0, "name", "no").to_string(), "a/b.rs: name: no");
    }
}
