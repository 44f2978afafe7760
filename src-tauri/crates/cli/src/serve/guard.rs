//! Who may come in: programs of this machine that name it as such and show the token.
//!
//! A page in a browser can reach loopback too. It is known by its `Origin`, and by a `Host` that is not ours where a name
//! of the web was made to lead here (DNS rebinding).

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// The request names another host.
    Host,
    /// It comes from a page.
    Origin,
    /// It shows no token, or a wrong one.
    Token,
}

/// Lets a request in or says why not. `/health` and `/ready` need no token.
pub fn check(headers: &HeaderMap, port: u16, token: &str, open: bool) -> Result<(), Stranger> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let ours = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| *host == format!("{name}:{port}"));
    if !ours {
        return Err(Stranger::Host);
    }
    if headers.contains_key(ORIGIN) {
        return Err(Stranger::Origin);
    }
    if open {
        return Ok(());
    }
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match shown {
        Some(shown) if same(shown.trim(), token) => Ok(()),
        _ => Err(Stranger::Token),
    }
}

/// Compares in a time that does not tell how much is right.
fn same(shown: &str, token: &str) -> bool {
    shown.len() == token.len() && shown.bytes().zip(token.bytes()).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// Guards: no page of the web and no program without the token comes in. Turned red by a check of the host's ending,
    /// and by one that asks for the token first and lets a page in that has it.
    #[test]
    fn only_programs_of_this_machine_with_the_token_come_in() {
        let token = ("authorization", "Bearer t0ken");
        for host in ["127.0.0.1:7", "localhost:7", "[::1]:7"] {
            assert_eq!(check(&headers(&[("host", host), token]), 7, "t0ken", false), Ok(()));
        }
        for host in ["127.0.0.1:8", "localhost", "evil.test:7", "localhost.evil.test:7", "127.0.0.1:7.evil.test", ""] {
            assert_eq!(check(&headers(&[("host", host), token]), 7, "t0ken", false), Err(Stranger::Host), "{host}");
        }
        let page = [("host", "127.0.0.1:7"), token, ("origin", "https://evil.test")];
        assert_eq!(check(&headers(&page), 7, "t0ken", true), Err(Stranger::Origin));
        for shown in ["Bearer t0kem", "Bearer t0ken2", "Basic t0ken", ""] {
            let asked = headers(&[("host", "127.0.0.1:7"), ("authorization", shown)]);
            assert_eq!(check(&asked, 7, "t0ken", false), Err(Stranger::Token), "{shown}");
            assert_eq!(check(&asked, 7, "t0ken", true), Ok(()));
        }
    }
}
