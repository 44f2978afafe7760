//! Sets a machine up: the part that uses the network. What is there already is skipped.

use crate::args::Args;
use crate::packages::{self, BUILD, Need, TESTS, WINDOW, WINDOW_TESTS};
use crate::run::{self, Failure};
use crate::{node, workspace};

pub const HELP: &str = "\
cargo xtask setup [--yes]

Installs what is missing: Debian packages for the window and its tests (with apt-get), the page's packages (npm ci),
crates (cargo fetch), clippy and rustfmt. Needs Node 20 or newer, which it does not install.
As an ordinary user it shows the line for the packages and asks before it runs it with sudo.

  --yes   do not ask
";
pub const FLAGS: &[&str] = &["--yes"];

/// What the machine is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To open the window.
    Window,
    /// To run every check.
    Everything,
}

pub fn main(args: &Args) -> Result<(), Failure> {
    prepare(Purpose::Everything, args.has("--yes"))?;
    println!("\nReady: `cargo xtask start` opens Atelier, `cargo xtask test` runs every check.");
    Ok(())
}

/// Sets the machine up for `purpose`.
pub fn prepare(purpose: Purpose, unattended: bool) -> Result<(), Failure> {
    run::heading("setup");
    packages::install(needs(purpose), unattended)?;
    node::check()?;
    node::install()?;
    if purpose == Purpose::Everything {
        components()?;
        run::check(workspace::cargo().args(["fetch", "--locked", "--target", &host()?]))?;
    }
    Ok(())
}

/// The Debian packages for `purpose`.
fn needs(purpose: Purpose) -> impl Iterator<Item = Need> {
    let tests: &[&[Need]] = match purpose {
        Purpose::Window => &[],
        Purpose::Everything => &[TESTS, WINDOW_TESTS],
    };
    // Elsewhere the window uses what the system brings.
    let linux: &[&[Need]] = if cfg!(target_os = "linux") { &[BUILD, WINDOW] } else { &[] };
    let tests = if cfg!(target_os = "linux") { tests } else { &[] };
    linux.iter().chain(tests).flat_map(|needs| needs.iter().copied())
}

/// clippy and rustfmt.
fn components() -> Result<(), Failure> {
    let lacking: Vec<&str> = [("clippy", "clippy"), ("fmt", "rustfmt")]
        .into_iter()
        .filter(|(command, _)| run::ask("cargo", &[command, "--version"]).is_none())
        .map(|(_, component)| component)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    if !run::on_path("rustup") {
        return Err(Failure::Environment(format!(
            "{} missing and there is no rustup to add it. Install the Rust toolchain with its components, or rustup from https://rustup.rs.",
            lacking.join(" and ")
        )));
    }
    let mut rustup = std::process::Command::new("rustup");
    run::check(rustup.current_dir(workspace::root()).args(["component", "add"]).args(&lacking))
}

/// The triple that rustc builds for.
fn host() -> Result<String, Failure> {
    let text = run::output(std::process::Command::new("rustc").arg("-vV").current_dir(workspace::root()))?;
    let text = String::from_utf8_lossy(&text);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.ok_or_else(|| Failure::Environment("rustc does not say what it builds for".to_owned()))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_window_alone_needs_nothing_for_tests() {
        let names = |purpose| needs(purpose).map(|need| need.package).collect::<Vec<_>>();
        let window = ["build-essential", "ca-certificates", "pkg-config", "libwebkit2gtk-4.1-dev"];
        assert_eq!(names(Purpose::Window), window);
        assert!(names(Purpose::Everything).starts_with(&window));
        assert!(names(Purpose::Everything).contains(&"webkit2gtk-driver"));
    }
}
