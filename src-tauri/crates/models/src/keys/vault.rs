//! A file of keys that a passphrase seals: Argon2id (RFC 9106) makes the key, XChaCha20-Poly1305 seals the content.
//!
//! The file tells its parameters and nothing else, not even for which servers it has keys. It is written beside and put in
//! place whole, readable by its owner alone.

use crate::keys::KeyError;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// The second recommended set of RFC 9106, section 4: 64 MiB, three passes, four lanes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// A file that asks for more memory than this is not ours.
const MOST_KIB: u32 = 1024 * 1024;

/// A file of keys that a passphrase seals.
#[derive(Clone)]
pub struct Vault {
    file: PathBuf,
    passphrase: Option<SecretString>,
    memory_kib: u32,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    schema: u32,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

impl Vault {
    /// The file, and its passphrase where somebody gave it.
    pub fn new(file: PathBuf, passphrase: Option<SecretString>) -> Self {
        Self { file, passphrase, memory_kib: MEMORY_KIB }
    }

    /// The same, quick to open: for tests.
    #[cfg(test)]
    pub(crate) fn fast(self) -> Self {
        Self { memory_kib: 64, ..self }
    }

    /// Whether the file is there.
    pub fn exists(&self) -> bool {
        self.file.exists()
    }

    /// Whether somebody gave a passphrase.
    pub(crate) fn can_open(&self) -> bool {
        self.passphrase.is_some()
    }

    /// A key of the file. No file has none.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<SecretString>, KeyError> {
        if !self.exists() {
            return Ok(None);
        }
        let (vault, name) = (self.clone(), name.to_owned());
        self.off_thread(move || Ok(vault.open()?.remove(&name).map(SecretString::from))).await
    }

    /// Puts a key into the file, or takes it out; whether that changed anything.
    pub(crate) async fn set(&self, name: &str, key: Option<SecretString>) -> Result<bool, KeyError> {
        let (vault, name) = (self.clone(), name.to_owned());
        self.off_thread(move || {
            let mut keys = if vault.exists() { vault.open()? } else { BTreeMap::new() };
            let changed = match key {
                Some(key) => keys.insert(name, key.expose_secret().to_owned()).as_deref() != Some(key.expose_secret()),
                None => keys.remove(&name).is_some(),
            };
            if changed {
                vault.seal(&keys)?;
            }
            Ok(changed)
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeyError> {
        let worked = tokio::task::spawn_blocking(work).await;
        worked.unwrap_or_else(|error| Err(self.unusable(error)))
    }

    fn unusable(&self, reason: impl ToString) -> KeyError {
        KeyError::File { path: self.file.clone(), reason: reason.to_string() }
    }

    fn open(&self) -> Result<BTreeMap<String, String>, KeyError> {
        let text = std::fs::read(&self.file).map_err(|e| self.unusable(e))?;
        let file: Sealed = serde_json::from_slice(&text).map_err(|e| self.unusable(e))?;
        if file.schema != 1 || file.memory_kib > MOST_KIB || file.passes > 64 || file.lanes > 64 {
            return Err(self.unusable("it is of a newer version, or damaged"));
        }
        let bytes = |text: &str| BASE64.decode(text.as_bytes()).map_err(|e| self.unusable(e));
        let (salt, nonce, sealed) = (bytes(&file.salt)?, bytes(&file.nonce)?, bytes(&file.sealed)?);
        if nonce.len() != 24 {
            return Err(self.unusable("its nonce has the wrong length"));
        }
        let cipher = self.cipher(file.memory_kib, file.passes, file.lanes, &salt)?;
        let payload = Payload { msg: &sealed, aad: SERVICE };
        let open = cipher.decrypt(XNonce::from_slice(&nonce), payload).map_err(|_| KeyError::WrongPassphrase)?;
        serde_json::from_slice(&open).map_err(|e| self.unusable(e))
    }

    fn seal(&self, keys: &BTreeMap<String, String>) -> Result<(), KeyError> {
        let (mut salt, mut nonce) = ([0u8; 16], [0u8; 24]);
        getrandom::fill(&mut salt).map_err(|e| self.unusable(e))?;
        getrandom::fill(&mut nonce).map_err(|e| self.unusable(e))?;
        let cipher = self.cipher(self.memory_kib, PASSES, LANES, &salt)?;
        let open = serde_json::to_vec(keys).map_err(|e| self.unusable(e))?;
        let payload = Payload { msg: &open, aad: SERVICE };
        let sealed =
            cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| self.unusable("it cannot be sealed"))?;
        let file = Sealed {
            schema: 1,
            memory_kib: self.memory_kib,
            passes: PASSES,
            lanes: LANES,
            salt: BASE64.encode(&salt),
            nonce: BASE64.encode(&nonce),
            sealed: BASE64.encode(&sealed),
        };
        self.write(&serde_json::to_vec(&file).map_err(|e| self.unusable(e))?).map_err(|e| self.unusable(e))
    }

    fn cipher(&self, memory_kib: u32, passes: u32, lanes: u32, salt: &[u8]) -> Result<XChaCha20Poly1305, KeyError> {
        let passphrase = self.passphrase.as_ref().ok_or(KeyError::Locked)?;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|e| self.unusable(e))?;
        let mut key = [0u8; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut key)
            .map_err(|e| self.unusable(e))?;
        Ok(XChaCha20Poly1305::new(&key.into()))
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(&self.file);
        std::fs::create_dir_all(folder)?;
        let beside = self.file.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.file)
    }
}

/// What a sealed content is bound to besides its key.
const SERVICE: &[u8] = b"atelier keys 1";
