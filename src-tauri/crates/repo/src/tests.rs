//! The room's tests, each against real repositories in temporary folders.

mod accepting;
mod anything;
mod carrying;
#[cfg(unix)]
mod committing;
mod discarding;
mod exporting;
mod forking;
mod handing_over;
mod opening;
mod past;
#[cfg(unix)]
mod providing;
mod pushing;
mod reading;
mod reviewing;
mod safety;
mod stacking;
mod taking;
mod taking_back;
mod trees;

/// The git program for a second opinion, away from the machine's configuration; `None`, said aloud, where there is none.
#[expect(clippy::print_stdout, reason = "whoever reads the test's output must see what was left out")]
fn git_program() -> Option<std::process::Command> {
    let mut git = std::process::Command::new("git");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    match std::process::Command::new("git").arg("--version").output() {
        Ok(out) if out.status.success() => Some(git),
        _ => {
            println!("no git program here: the second opinion is left out");
            None
        }
    }
}
