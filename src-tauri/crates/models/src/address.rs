//! Whether an address is this machine, judged by its text alone.
//!
//! No name is looked up; a name other than `localhost` counts as another machine. `egress` decides what is let through.

use std::net::IpAddr;

/// Whether the host of an absolute address is this machine.
pub fn is_this_machine(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host_and_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host_and_port.rsplit_once(':').map_or(host_and_port, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_and_localhost_are_this_machine() {
        for url in [
            "http://127.0.0.1:11434",
            "http://localhost:1/x",
            "http://[::1]:8080",
            "http://127.9.9.9",
            "http://LOCALHOST",
        ] {
            assert!(is_this_machine(url), "{url}");
        }
        for url in [
            "http://192.168.1.4:11434",
            "https://localhost.example.org",
            "http://127.0.0.1@evil.example",
            "127.0.0.1",
            "",
        ] {
            assert!(!is_this_machine(url), "{url}");
        }
    }
}
