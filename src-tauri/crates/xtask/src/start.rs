//! Builds Atelier and starts it: the window where there is a display, the demo on the terminal where there is none.

use crate::args::Args;
use crate::run::{self, Failure};
use crate::setup::{self, Purpose};
use crate::{node, packages, workspace};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

pub const HELP: &str = "\
cargo xtask start [--headless] [--yes] [--release]

Sets up what the window needs, builds it and opens it with a sample project and a scripted model, so that no model
has to be installed. Where an Ollama answers on this machine you are asked whether to use it instead.

Without a display, or with --headless, only the command line program is built, and the same story is told on the
terminal: a goal, its plan, the change, the checks and the commit. No web view, no Node and no model are needed.

  --headless  tell the story on the terminal
  --yes       ask nothing: packages are installed, the scripted model is used
  --release   build optimised programs
";
pub const FLAGS: &[&str] = &["--headless", "--yes", "--release"];

pub fn main(args: &Args) -> Result<(), Failure> {
    let release = args.has("--release");
    if args.has("--headless") || !display() {
        if !args.has("--headless") {
            println!("There is no display here, so the story is told on the terminal.");
        }
        return headless(release);
    }
    setup::prepare(Purpose::Window, args.has("--yes"))?;
    run::heading("build");
    run::check(node::npm().args(["run", "build"]))?;
    run::check(build(release).args(["--package", "atelier-app", "--package", "atelier-cli"]))?;
    run::heading("start");
    let mut app = Command::new(workspace::program(&workspace::metadata()?, "atelier-app", release)?);
    let own_model = !args.has("--yes") && ollama() && packages::agreed("An Ollama answers on this machine. Use it?");
    app.arg(if own_model { "--sample" } else { "--tour" });
    run::pass_on(&mut app)
}

fn headless(release: bool) -> Result<(), Failure> {
    run::heading("build");
    if cfg!(target_os = "linux") {
        packages::install(packages::BUILD.iter().copied(), false)?;
    }
    run::check(build(release).args(["--package", "atelier-cli"]))?;
    run::heading("demo");
    let program = workspace::program(&workspace::metadata()?, "atelier-cli", release)?;
    run::pass_on(Command::new(program).arg("demo"))
}

fn build(release: bool) -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked"]);
    if release {
        cargo.arg("--release");
    }
    cargo
}

fn display() -> bool {
    !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Whether an Ollama answers at its usual address.
fn ollama() -> bool {
    answers_as_ollama(SocketAddr::from(([127, 0, 0, 1], 11434)))
}

fn answers_as_ollama(address: SocketAddr) -> bool {
    let wait = Duration::from_millis(500);
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, wait)?;
        stream.set_read_timeout(Some(wait))?;
        stream.write_all(b"GET /api/version HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.contains(" 200 ") && answer.contains("\"version\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(answer.as_bytes());
        });
        address
    }

    #[test]
    fn only_a_server_that_answers_as_one_is_taken_for_ollama() {
        assert!(answers_as_ollama(server("HTTP/1.0 200 OK\r\n\r\n{\"version\":\"0.9.0\"}")));
        assert!(!answers_as_ollama(server("HTTP/1.0 404 Not Found\r\n\r\n")));
        assert!(!answers_as_ollama(server("HTTP/1.0 200 OK\r\n\r\n<html>hello</html>")));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(!answers_as_ollama(nobody));
    }
}
