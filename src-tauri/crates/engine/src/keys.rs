//! The keys of model servers, as requests carry them: found once, bound to their host, and looked for again now and then.

use crate::places::Places;
use atelier_egress::Credential;
use atelier_models::{KeyError, Keys, Vault, is_this_machine, key_header};
use atelier_protocol::error::Problem;
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what was found counts. A key that is set meanwhile by another program is found after that.
const COUNTS: Duration = Duration::from_secs(30);

type Found = (Instant, Option<Arc<Credential>>);

/// Keys as requests carry them.
pub struct KeyRing {
    keys: Keys,
    found: Mutex<HashMap<(String, String), Found>>,
}

impl KeyRing {
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys, found: Mutex::default() }
    }

    /// The key that a server wants, where there is one.
    ///
    /// # Errors
    /// The sealed file is there, cannot be opened, and the server is on another machine.
    pub(crate) async fn credential(&self, server: &ProviderSettings) -> Result<Option<Arc<Credential>>, Problem> {
        let here = is_this_machine(&server.base_url);
        if here && server.kind == ProviderKind::Ollama {
            return Ok(None); // it asks for none
        }
        let place = (server.id.clone(), server.base_url.clone());
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some((at, credential)) = known
            && at.elapsed() < COUNTS
        {
            return Ok(credential);
        }
        let key = match self.keys.find(server).await {
            Ok(key) => key,
            Err(KeyError::Locked) if here => None,
            Err(error) => return Err(error.problem()),
        };
        let (header, prefix) = key_header(server.kind);
        let bound = |(key, _)| Credential::new(&server.base_url, header, prefix, key).map(Arc::new);
        let credential = key.and_then(bound);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(place, (Instant::now(), credential.clone()));
        Ok(credential)
    }
}

/// The keys of the user this program works for. `ATELIER_VAULT_FD` names a descriptor that holds the passphrase of the
/// sealed file; `ATELIER_KEYCHAIN=off` leaves the system's keychain alone.
pub fn of_this_user(places: &Places) -> Keys {
    let passphrase = std::env::var("ATELIER_VAULT_FD").ok().and_then(|fd| read_fd(&fd));
    with_passphrase(places, passphrase)
}

/// The same, with the passphrase of the sealed file; `None` leaves it closed.
pub fn with_passphrase(places: &Places, passphrase: Option<SecretString>) -> Keys {
    let keys = Keys::new(Vault::new(sealed_file(places), passphrase));
    if std::env::var("ATELIER_KEYCHAIN").is_ok_and(|word| word == "off") { keys.without_keychain() } else { keys }
}

/// The sealed file.
pub fn sealed_file(places: &Places) -> std::path::PathBuf {
    places.config.join("keys.sealed")
}

fn read_fd(fd: &str) -> Option<SecretString> {
    let number: u32 = fd.parse().ok()?;
    let text = std::fs::read_to_string(format!("/dev/fd/{number}")).ok()?;
    let passphrase = text.trim_end_matches(['\n', '\r']);
    (!passphrase.is_empty()).then(|| SecretString::from(passphrase))
}
