//! What the machine must have besides Rust: found by trying, installed with apt where that is there.
//!
//! A thing is asked for by what it does (a program on `PATH`, a library that pkg-config knows), not by package name,
//! so that other distributions, where only the names differ, are not bothered. Tried on Debian 12.

use crate::run::{self, Failure};
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::Command;

/// How to tell whether a thing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A program on `PATH`.
    Program(&'static str),
    /// A library with its headers.
    Library(&'static str),
    /// A file.
    File(&'static str),
}

/// Something the machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Its package in Debian 12 and Ubuntu 24.04.
    pub package: &'static str,
    /// How to tell whether it is there.
    pub sign: Sign,
}

const fn need(package: &'static str, sign: Sign) -> Need {
    Need { package, sign }
}

/// To build anything at all.
pub const BUILD: &[Need] = &[
    need("build-essential", Sign::Program("cc")),
    need("ca-certificates", Sign::File("/etc/ssl/certs/ca-certificates.crt")),
];

/// To build the window.
pub const WINDOW: &[Need] =
    &[need("pkg-config", Sign::Program("pkg-config")), need("libwebkit2gtk-4.1-dev", Sign::Library("webkit2gtk-4.1"))];

/// To run the tests of everything but the window.
pub const TESTS: &[Need] = &[need("git", Sign::Program("git")), need("bubblewrap", Sign::Program("bwrap"))];

/// To run the tests of the window.
pub const WINDOW_TESTS: &[Need] = &[
    need("xvfb", Sign::Program("xvfb-run")),
    need("xauth", Sign::Program("xauth")),
    need("dbus-daemon", Sign::Program("dbus-run-session")),
    need("webkit2gtk-driver", Sign::Program("WebKitWebDriver")),
];

impl Sign {
    fn seen(self) -> bool {
        match self {
            Sign::Program(name) => run::on_path(name),
            Sign::Library(name) => run::ask("pkg-config", &["--exists", name]).is_some(),
            Sign::File(path) => Path::new(path).exists(),
        }
    }
}

/// Those of `needs` that are not there.
pub fn missing(needs: impl IntoIterator<Item = Need>) -> Vec<Need> {
    needs.into_iter().filter(|need| !need.sign.seen()).collect()
}

/// Installs what of `needs` is missing. `unattended` does not ask before using sudo.
pub fn install(needs: impl IntoIterator<Item = Need>, unattended: bool) -> Result<(), Failure> {
    let lacking = missing(needs);
    if lacking.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = lacking.iter().map(|need| need.package).collect();
    let lack = |how: &str| Failure::Environment(format!("this machine lacks {}. {how}", names.join(", ")));
    if !run::on_path("apt-get") {
        return Err(lack("There is no apt-get here: install what these Debian packages hold, then try again."));
    }
    let root = run::ask("id", &["-u"]).as_deref() == Some("0");
    if !root {
        let line = format!("sudo {} && sudo {}", UPDATE.join(" "), [INSTALL, &names].concat().join(" "));
        println!("These packages are missing: {}. The line that installs them is\n\n  {line}\n", names.join(", "));
        if !run::on_path("sudo") || !(unattended || agreed("Run it now?")) {
            return Err(lack("Run the line above as an administrator, then try again."));
        }
    }
    run::check(&mut apt(UPDATE, root))?;
    run::check(apt(INSTALL, root).args(&names))?;
    let still: Vec<&str> = missing(lacking).iter().map(|need| need.package).collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(Failure::Environment(format!("apt-get reported success, but {} cannot be found", still.join(", "))))
    }
}

const UPDATE: &[&str] = &["apt-get", "update"];
const INSTALL: &[&str] = &["apt-get", "install", "--yes", "--no-install-recommends"];

fn apt(words: &[&str], root: bool) -> Command {
    // Through `env`, because sudo does not hand variables on.
    let quiet = ["env", "DEBIAN_FRONTEND=noninteractive"];
    let line: Vec<&str> = quiet.iter().chain(words).copied().collect();
    let (program, rest) = if root { (line[0], &line[1..]) } else { ("sudo", &line[..]) };
    let mut command = Command::new(program);
    command.args(rest);
    command
}

/// Asks a yes-or-no question on the terminal; no terminal means no.
pub fn agreed(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    print!("{question} [y/N] ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let there = need("coreutils", Sign::Program("sh"));
        let gone = need("gone", Sign::Program("no-such-program"));
        let no_file = need("file", Sign::File("/no/such/file"));
        assert_eq!(missing([there, gone, no_file]), [gone, no_file]);
    }

    #[test]
    fn root_calls_apt_directly_and_others_through_sudo() {
        let words = |command: &Command| {
            let parts = std::iter::once(command.get_program()).chain(command.get_args());
            parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&apt(UPDATE, true)), "env DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(words(&apt(UPDATE, false)), "sudo env DEBIAN_FRONTEND=noninteractive apt-get update");
    }
}
