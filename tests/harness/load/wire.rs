//! A client that does as little as one can: HTTP/1.1 on one connection that stays, bodies with a length or in chunks.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who is asked.
#[derive(Clone)]
pub struct Target {
    pub port: u16,
    pub path: &'static str,
    /// A header line with its end; may be empty.
    pub header: String,
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    target: Target,
    /// What was read and not used yet.
    rest: Vec<u8>,
}

impl Wire {
    pub async fn to(target: &Target) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", target.port)).await.expect("the door is open");
        stream.set_nodelay(true).expect("small pieces go out at once");
        Wire { stream, target: target.clone(), rest: Vec::new() }
    }

    /// Asks, and shows every piece of the answer's body as it comes; the status. `piece` ends it with `false`.
    pub async fn ask(&mut self, body: &str, piece: impl FnMut(&[u8]) -> bool + Send) -> u16 {
        tokio::time::timeout(PATIENCE, self.asked(body, piece)).await.expect("an answer comes")
    }

    async fn asked(&mut self, body: &str, mut piece: impl FnMut(&[u8]) -> bool + Send) -> u16 {
        let Target { port, path, header } = &self.target;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n{body}",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await.expect("it is sent");
        let head = String::from_utf8(self.until(b"\r\n\r\n").await).expect("a head").to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if let Some(length) = length {
            let body = self.take(length).await;
            piece(&body);
            return status;
        }
        loop {
            let line = self.until(b"\r\n").await;
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
            let chunk = self.take(size + 2).await;
            if size == 0 || !piece(&chunk[..size]) {
                return status;
            }
        }
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|window| window == end) {
                let rest = self.rest.split_off(at + end.len());
                return std::mem::replace(&mut self.rest, rest);
            }
            self.read().await;
        }
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.rest.len() < length {
            self.read().await;
        }
        let rest = self.rest.split_off(length);
        std::mem::replace(&mut self.rest, rest)
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.rest).await.expect("it can be read");
        assert!(read > 0, "the other side hung up in the middle: {}", String::from_utf8_lossy(&self.rest));
    }
}
