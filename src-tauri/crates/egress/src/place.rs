//! Where a request goes: this machine or another. Decided from the address alone; no name is looked up.

use reqwest::Url;
use std::net::IpAddr;

/// An address that may be requested, as far as its own text goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) url: Url,
    /// Host and port.
    pub(crate) host: String,
    /// Whether the host is this machine: 127.0.0.0/8, `::1` or `localhost`, which is never looked up but taken to be it.
    pub(crate) here: bool,
}

impl Place {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// Why it cannot be requested.
    pub(crate) fn of(text: &str) -> Result<Place, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is not an absolute address")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("only http and https are spoken");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a name or password in an address ends up in logs; it belongs in a header");
        }
        let Some(name) = url.host_str() else { return Err("it names no host") };
        let here = is_here(name);
        let host = match url.port_or_known_default() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Place { host, here, url })
    }
    /// Whether what is sent can be read on the way.
    pub(crate) fn is_open(&self) -> bool {
        !self.here && self.url.scheme() == "http"
    }
}

/// Whether a host is this machine by its own name: 127.0.0.0/8, `::1` or `localhost`. No name is looked up.
pub fn is_here(host: &str) -> bool {
    host == "localhost" || literal(host).is_some_and(|ip| ip.is_loopback())
}

/// The address behind a literal; the URL parser has turned odd spellings of it into the usual one.
fn literal(host: &str) -> Option<IpAddr> {
    let ip: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_loopback_is_this_machine() {
        for text in [
            "http://127.0.0.1:11434/api/chat",
            "http://localhost:8080",
            "http://LOCALHOST",
            "http://[::1]:1/",
            "http://127.8.8.8",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(Place::of(text).unwrap().here, "{text}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_loopback_is_another_machine() {
        for text in [
            "http://localhost.example.org/",
            "http://127.0.0.1.nip.io/",
            "http://localhost./",
            "http://0.0.0.0:11434/",
            "http://192.168.0.7/",
            "http://[fe80::1]/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert!(!Place::of(text).unwrap().here, "{text}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_requested_say_why() {
        for text in ["", "api/chat", "file:///etc/passwd", "ftp://127.0.0.1/", "http://me:secret@127.0.0.1/"] {
            assert!(Place::of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_carries_its_port() {
        assert_eq!(Place::of("http://127.0.0.1:11434/x").unwrap().host, "127.0.0.1:11434");
        assert_eq!(Place::of("https://example.org/x").unwrap().host, "example.org:443");
    }
}
