//! `atelier serve` as a process, spoken to over real sockets as any other program would.

use crate::Cli;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An open door. Dropping it ends the process.
pub struct Door {
    child: Child,
    log: PathBuf,
    /// Its port on this machine.
    pub port: u16,
    /// The file that holds its token.
    pub token_file: PathBuf,
    /// The token.
    pub token: String,
}

impl Door {
    /// Opens the door of a world's program; what it logs goes to `log`.
    pub fn open(cli: &Cli, log: &Path) -> Door {
        Door::of(cli.command(&["serve"]), log)
    }

    /// The same by a command of one's own.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn of(mut command: Command, log: &Path) -> Door {
        // Into a file: a pipe that nobody reads would fill and stop it.
        let said = File::create(log).expect("a file for the log");
        command.env("ATELIER_LOG", "trace").stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("a line of JSON");
        let word = |key: &str| said["progress"][key].as_str().expect("a word").to_owned();
        let port = word("address").rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let token_file = PathBuf::from(word("token_file"));
        let token = std::fs::read_to_string(&token_file).expect("the token's file");
        Door { child, log: log.to_owned(), port, token_file, token }
    }

    /// Sends a request with these header lines, each ended by CRLF, and leaves its answer to be read.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn send(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> TcpStream {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the door is open");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("a request is sent");
        stream
    }

    /// Status and body of the answer to such a request.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> (u16, String) {
        let mut answer = String::new();
        self.send(method, path, headers, body).read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer.split_once("\r\n\r\n").expect("a head").1.to_owned())
    }

    /// The header lines of a program that was let in.
    pub fn let_in(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n", self.port, self.token)
    }

    /// The answer to a program that was let in.
    pub fn with_token(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        self.ask(method, path, &self.let_in(), body)
    }

    /// Asks it to end, waits until it has, and gives everything it logged.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn close(mut self) -> String {
        #[cfg(unix)]
        {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
            assert!(self.child.wait().expect("it ends").success(), "it ended well");
            assert!(!self.token_file.exists(), "the token ends with the door");
        }
        let _ = self.child.kill();
        std::fs::read_to_string(&self.log).expect("the log")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
