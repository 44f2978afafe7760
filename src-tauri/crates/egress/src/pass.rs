//! What a program may reach, and what became of its attempts.

use crate::place::is_here;
use crate::policy::EgressPolicy;
use atelier_protocol::event::Reached;
use atelier_protocol::ids::{ProjectId, RoleId, RunId};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a program may reach, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// What it is for, such as `command test` or `push`.
    pub purpose: String,
    /// Hosts, as [`named_host`] gives them. One of this machine is named as such: a name that only leads to it is refused.
    pub hosts: Vec<String>,
    /// Under whose name the user must have permitted each host; `None` where the pass itself is the user's word.
    pub holder: Option<String>,
    /// The project.
    pub project: Option<ProjectId>,
    /// The run.
    pub run: Option<RunId>,
    /// The role.
    pub role: Option<RoleId>,
}

/// A host as a pass and a permission name it: `name:port`, or `*.name:port` for any name below it. Without a port it is 443.
///
/// # Errors
/// What is wrong with it.
pub fn named_host(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    if text.contains("://") || text.contains('/') {
        return Err(format!("`{text}` is an address; name the host alone, such as `registry.npmjs.org`"));
    }
    let (name, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address without a port.
        Some((name, _)) if name.contains(':') && !text.starts_with('[') => {
            return Err(format!("`{text}`: an IPv6 address stands in brackets, such as `[::1]:5432`"));
        }
        Some((_, digits)) if digits.ends_with(']') => (text.as_str(), None),
        Some((name, digits)) => (name, Some(digits)),
        None => (text.as_str(), None),
    };
    let port = match port.map(str::parse::<u16>) {
        None if is_here(name) => return Err(format!("`{text}` is this machine; name the port too")),
        None => 443,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return Err(format!("`{text}` does not end in a port")),
    };
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let usual = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if bare.is_empty() || !bare.chars().all(usual) {
        return Err(format!("`{text}` is not a host; `*` stands only before the first dot"));
    }
    Ok(format!("{name}:{port}"))
}

impl Pass {
    /// The entry that names a host.
    fn entry(&self, host: &str, port: u16) -> Option<&str> {
        self.hosts.iter().map(String::as_str).find(|named| {
            let Some((name, wanted)) = named.rsplit_once(':') else { return false };
            let fits = match name.strip_prefix("*.") {
                Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.ends_with('.') && below.len() > 1),
                None => name.eq_ignore_ascii_case(host),
            };
            fits && wanted.parse::<u16>() == Ok(port)
        })
    }

    /// Why a host may not be reached now.
    pub(crate) fn refusal(&self, host: &str, port: u16, policy: &EgressPolicy) -> Option<String> {
        let place = format!("{host}:{port}");
        if policy.local_only() && !is_here(host) {
            return Some(format!("{place} is another machine, and local-only mode is on"));
        }
        let Some(entry) = self.entry(host, port) else {
            return Some(format!("the pass for `{}` does not name {place}", self.purpose));
        };
        let holder = self.holder.as_ref()?;
        let permitted = self.project.as_ref().is_some_and(|project| policy.permits(project, holder, entry));
        (!permitted).then(|| format!("{holder} of this project have no permission for {entry}"))
    }

    /// Ports of this machine that it names.
    pub(crate) fn ports_here(&self) -> Vec<(String, u16)> {
        let here = |named: &String| {
            let (name, port) = named.rsplit_once(':')?;
            is_here(name).then(|| Some((name.to_owned(), port.parse().ok()?)))?
        };
        self.hosts.iter().filter_map(here).collect()
    }
}

/// What a program reached and what it was refused, while it runs.
#[derive(Debug, Default)]
pub(crate) struct Account(Mutex<BTreeMap<(String, Option<String>), Reached>>);

impl Account {
    pub(crate) fn tried(&self, place: &str, refused: Option<&str>) {
        self.add(place, refused, |reached| reached.times += 1);
    }
    pub(crate) fn moved(&self, place: &str, out: usize, back: usize) {
        self.add(place, None, |reached| {
            reached.bytes_out += out as u64;
            reached.bytes_in += back as u64;
        });
    }
    fn add(&self, place: &str, refused: Option<&str>, change: impl FnOnce(&mut Reached)) {
        let refused = refused.map(str::to_owned);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Reached { host: place.to_owned(), refused: refused.clone(), times: 0, bytes_out: 0, bytes_in: 0 };
        change(all.entry((place.to_owned(), refused.clone())).or_insert_with(new));
    }
    pub(crate) fn all(&self) -> Vec<Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_with_its_port() {
        for (text, named) in [
            ("registry.npmjs.org", "registry.npmjs.org:443"),
            (" *.Example.org ", "*.example.org:443"),
            ("git.example.org:8443", "git.example.org:8443"),
            ("localhost:5432", "localhost:5432"),
            ("[::1]:5432", "[::1]:5432"),
            ("[2001:db8::7]", "[2001:db8::7]:443"),
        ] {
            assert_eq!(named_host(text).unwrap(), named);
        }
        for text in
            ["https://a.example", "a.example/x", "", "*", "a b", "localhost", "::1", "a:0", "a:x", "a:99999", "*.*.a"]
        {
            assert!(named_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pass_names_hosts_with_their_ports() {
        let hosts = ["crates.io:443", "*.example.org:443", "git.example.org:8443"].map(str::to_owned);
        let pass =
            Pass { purpose: "x".into(), hosts: hosts.into(), holder: None, project: None, run: None, role: None };
        for (host, port) in
            [("crates.io", 443), ("a.example.org", 443), ("a.b.example.org", 443), ("git.example.org", 8443)]
        {
            assert!(pass.entry(host, port).is_some(), "{host}:{port}");
        }
        for (host, port) in
            [("crates.io", 80), ("example.org", 443), ("evilexample.org", 443), ("crates.io.evil.test", 443)]
        {
            assert!(pass.entry(host, port).is_none(), "{host}:{port}");
        }
    }
}
