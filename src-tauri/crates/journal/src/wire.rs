//! What goes over the socket: one JSON object a line, each with the version of this format, both ways.
//!
//! The owner speaks first: `{"v":1,"hello":{store,epoch,pid,door}}`. A connection is then used in one of two ways,
//! decided by the guest's first line. `{"v":1,"id":7,"op":{..}}` asks; answers `{"v":1,"id":7,"reply":{..}}` or
//! `{"v":1,"id":7,"problem":{..}}` come in any order. `{"v":1,"subscribe":0}` makes the connection a subscription:
//! from then on only `{"v":1,"frame":{..}}` comes. A line that is none of these, or too long, ends the connection.

use crate::owner::Places;
use atelier_protocol::op::Frame;
use atelier_protocol::{Op, Problem, Reply, Seq};
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{GenericFilePath, Name};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Version of the format.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a line from a guest.
pub(crate) const GUEST_LINE: usize = 8 * 1024 * 1024;
/// Bytes of a line from the owner.
pub(crate) const OWNER_LINE: usize = 64 * 1024 * 1024;

/// Who owns the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub store: String,
    pub epoch: u32,
    pub pid: u32,
    pub door: String,
}

/// A line of a guest.
#[derive(Debug, PartialEq)]
pub(crate) enum FromGuest {
    Op { id: u64, op: Box<Op> },
    Subscribe { after: Seq },
}

/// A line of the owner.
#[derive(Debug, PartialEq)]
pub(crate) enum FromOwner {
    Hello(Hello),
    Answer { id: u64, result: Result<Reply, Problem> },
    Frame(Frame),
}

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadLine {
    #[error("version {0} of the socket's format")]
    Version(u32),
    #[error("a line that is not of the socket's format")]
    Garbage,
}

#[derive(Serialize, Deserialize)]
struct Version {
    v: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct GuestLine {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<Box<Op>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscribe: Option<Seq>,
}

#[derive(Default, Serialize, Deserialize)]
struct OwnerLine {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hello: Option<Hello>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<Reply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame: Option<Frame>,
}

impl FromGuest {
    pub fn into_line(self) -> serde_json::Result<Vec<u8>> {
        let line = GuestLine { v: VERSION, ..GuestLine::default() };
        encode(&match self {
            FromGuest::Op { id, op } => GuestLine { id: Some(id), op: Some(op), ..line },
            FromGuest::Subscribe { after } => GuestLine { subscribe: Some(after), ..line },
        })
    }

    pub fn parse(line: &[u8]) -> Result<Self, BadLine> {
        match decode::<GuestLine>(line)? {
            GuestLine { id: Some(id), op: Some(op), subscribe: None, .. } => Ok(FromGuest::Op { id, op }),
            GuestLine { id: None, op: None, subscribe: Some(after), .. } => Ok(FromGuest::Subscribe { after }),
            _ => Err(BadLine::Garbage),
        }
    }
}

impl FromOwner {
    pub fn into_line(self) -> serde_json::Result<Vec<u8>> {
        let line = OwnerLine { v: VERSION, ..OwnerLine::default() };
        encode(&match self {
            FromOwner::Hello(hello) => OwnerLine { hello: Some(hello), ..line },
            FromOwner::Answer { id, result: Ok(reply) } => OwnerLine { id: Some(id), reply: Some(reply), ..line },
            FromOwner::Answer { id, result: Err(problem) } => {
                OwnerLine { id: Some(id), problem: Some(problem), ..line }
            }
            FromOwner::Frame(frame) => OwnerLine { frame: Some(frame), ..line },
        })
    }

    pub fn parse(line: &[u8]) -> Result<Self, BadLine> {
        match decode::<OwnerLine>(line)? {
            OwnerLine { id: Some(id), reply: Some(reply), .. } => Ok(FromOwner::Answer { id, result: Ok(reply) }),
            OwnerLine { id: Some(id), problem: Some(problem), .. } => {
                Ok(FromOwner::Answer { id, result: Err(problem) })
            }
            OwnerLine { frame: Some(frame), .. } => Ok(FromOwner::Frame(frame)),
            OwnerLine { hello: Some(hello), .. } => Ok(FromOwner::Hello(hello)),
            _ => Err(BadLine::Garbage),
        }
    }
}

fn encode(line: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn decode<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, BadLine> {
    // The version first: what else another version has in its lines cannot be known.
    match serde_json::from_slice::<Version>(line) {
        Ok(Version { v: VERSION }) => serde_json::from_slice(line).map_err(|_| BadLine::Garbage),
        Ok(Version { v }) => Err(BadLine::Version(v)),
        Err(_) => Err(BadLine::Garbage),
    }
}

/// Reads a line of at most `longest` bytes into `line`; false at the end of the stream.
pub(crate) async fn read_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    longest: usize,
) -> io::Result<bool> {
    line.clear();
    let mut limited = stream.take(longest as u64 + 1);
    limited.read_until(b'\n', line).await?;
    match line.pop() {
        Some(b'\n') => Ok(true),
        None => Ok(false),
        Some(_) if line.len() >= longest => Err(io::Error::other("a line is too long")),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

pub(crate) async fn write_line(stream: &mut (impl AsyncWrite + Unpin), line: &[u8]) -> io::Result<()> {
    stream.write_all(line).await?;
    stream.flush().await
}

/// The address of a store's socket.
pub(crate) fn address(places: &Places) -> io::Result<Name<'_>> {
    places.socket.as_os_str().to_fs_name::<GenericFilePath>()
}

pub(crate) async fn connect(places: &Places) -> io::Result<Stream> {
    Stream::connect(address(places)?).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::{Code, RunId};

    #[test]
    fn lines_read_as_they_are_documented() {
        let run = RunId::new(1, [0; 10]);
        let text = |line: serde_json::Result<Vec<u8>>| String::from_utf8(line.unwrap()).unwrap();
        let lines = [
            text(FromGuest::Op { id: 7, op: Box::new(Op::CancelRun { run }) }.into_line()),
            text(FromGuest::Subscribe { after: Seq(3) }.into_line()),
            text(FromOwner::Hello(Hello { store: "home".into(), epoch: 2, pid: 1, door: "cli".into() }).into_line()),
            text(FromOwner::Answer { id: 7, result: Ok(Reply::Done) }.into_line()),
            text(FromOwner::Answer { id: 8, result: Err(Problem::new(Code::WrongState, "m", "h")) }.into_line()),
            text(FromOwner::Frame(Frame::CaughtUp(Seq(3))).into_line()),
        ];
        insta::assert_snapshot!(lines.concat(), @r#"
        {"v":1,"id":7,"op":{"op":"cancel_run","run":"0000000005o010000000000000"}}
        {"v":1,"subscribe":3}
        {"v":1,"hello":{"store":"home","epoch":2,"pid":1,"door":"cli"}}
        {"v":1,"id":7,"reply":{"reply":"done"}}
        {"v":1,"id":8,"problem":{"code":"wrong_state","message":"m","hint":"h"}}
        {"v":1,"frame":{"frame":"caught_up","value":3}}
        "#);
    }

    #[test]
    fn what_is_written_reads_back() {
        let runs = || Box::new(Op::ListRuns { states: Vec::new(), limit: None });
        let op = FromGuest::Op { id: 1, op: runs() };
        let line = FromGuest::Op { id: 1, op: runs() }.into_line().unwrap();
        assert_eq!(FromGuest::parse(&line), Ok(op));
        let answer = || FromOwner::Answer { id: 1, result: Ok(Reply::Blob("text\n".into())) };
        let line = answer().into_line().unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(FromOwner::parse(&line), Ok(answer()));
    }

    #[test]
    fn other_versions_are_told_from_garbage() {
        assert_eq!(FromGuest::parse(br#"{"v":2,"anything":[]}"#), Err(BadLine::Version(2)));
        for garbage in [&b"hello"[..], b"{}", br#"{"v":1}"#, br#"{"v":1,"id":1,"op":{"op":"fly"}}"#, b"\xff\xfe"] {
            assert_eq!(FromGuest::parse(garbage), Err(BadLine::Garbage));
        }
    }

    #[tokio::test]
    async fn a_line_may_be_as_long_as_the_limit_and_not_longer() {
        let mut line = Vec::new();
        let mut stream = &b"1234\n123\n"[..];
        assert!(read_line(&mut stream, &mut line, 4).await.unwrap());
        assert_eq!(line, b"1234");
        assert!(read_line(&mut stream, &mut line, 4).await.unwrap());
        assert!(!read_line(&mut stream, &mut line, 4).await.unwrap());
        assert!(read_line(&mut &b"12345\n"[..], &mut line, 4).await.is_err());
        assert!(read_line(&mut &b"cut off"[..], &mut line, 100).await.is_err());
    }
}
