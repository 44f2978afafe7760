//! The head of what a program asks a proxy: `CONNECT` only (RFC 9110, section 9.3.6).

use crate::tunnel::{PATIENCE, Refusal};
use data_encoding::BASE64;
use reqwest::Url;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest head of a request that is read.
const LONGEST_HEAD: usize = 16 * 1024;

/// Why a plain request is not passed on.
pub(crate) const IN_THE_OPEN: &str = "only CONNECT: another machine is only spoken to over TLS";

/// What was asked.
pub(crate) enum Asked {
    /// A tunnel to a host and port, lower-case, with the token that was shown.
    Tunnel(String, u16, Option<String>),
    /// A plain request to a host and port, which is not passed on.
    Plain(String, u16),
}

/// Reads the head of a request; `None` where the client went away, said too much or took too long.
pub(crate) async fn head(client: &mut TcpStream) -> Option<String> {
    let reading = async {
        let mut head = Vec::new();
        // Byte by byte, so that nothing of what follows the head is taken.
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.ok()?);
            if head.len() > LONGEST_HEAD {
                return None;
            }
        }
        String::from_utf8(head).ok()
    };
    tokio::time::timeout(PATIENCE, reading).await.ok()?
}

/// What the head of a request asks for.
pub(crate) fn asked(head: &str) -> Result<Asked, Refusal> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "CONNECT" {
        let url = Url::parse(target).ok();
        let named = url.and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
        let (host, port) = named.ok_or(Refusal("405 Method Not Allowed", IN_THE_OPEN.to_owned()))?;
        return Ok(Asked::Plain(host, port));
    }
    let place = target.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = place.filter(|(host, _)| !host.is_empty()) else {
        return Err(Refusal("400 Bad Request", format!("`{target}` is not host:port")));
    };
    let token = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        let basic = value.trim().strip_prefix("Basic ")?;
        let pair = name.eq_ignore_ascii_case("proxy-authorization").then(|| BASE64.decode(basic.as_bytes()).ok())??;
        Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
    });
    Ok(Asked::Tunnel(host.to_ascii_lowercase(), port, token))
}
