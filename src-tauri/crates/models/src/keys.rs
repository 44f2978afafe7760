//! The keys of model servers: where each is looked for, and where it is put.
//!
//! First the keychain of the system, then the sealed file, then the environment; the first hit wins and says where it was.
//! A key lives in a [`SecretString`]: it is not printed, and its memory is cleared. It is never written in the open.

mod keychain;
mod vault;

pub use keychain::Keychain;
pub use vault::Vault;

use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::{Code, Problem};
use keychain::{OfTheSystem, Patient};
use secrecy::SecretString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a key was found, or is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The keychain of the system.
    Keychain,
    /// The file that a passphrase seals.
    Vault,
    /// A variable of this process.
    Environment(String),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Keychain => f.write_str("the system's keychain"),
            KeySource::Vault => f.write_str("the sealed file"),
            KeySource::Environment(name) => write!(f, "the variable {name}"),
        }
    }
}

/// Why keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The keychain does not work, or not in time.
    #[error("the system's keychain cannot be used: {0}")]
    Keychain(String),
    /// The sealed file is there and nobody gave its passphrase.
    #[error("the sealed file needs its passphrase")]
    Locked,
    /// It is not the file's passphrase, or the file was changed.
    #[error("the sealed file does not open with this passphrase")]
    WrongPassphrase,
    /// The sealed file cannot be read or written.
    #[error("the sealed file {path} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
}

impl KeyError {
    /// The error as a person sees it.
    pub fn problem(&self) -> Problem {
        let hint = match self {
            KeyError::Keychain(_) => "Unlock the keychain, or keep the key in the sealed file with `--sealed`.",
            KeyError::Locked => {
                "Type the passphrase when asked, or pass it on a file descriptor named by ATELIER_VAULT_FD."
            }
            KeyError::WrongPassphrase => "Try again with the passphrase it was sealed with.",
            KeyError::File { .. } => "Check the file and its permissions.",
        };
        Problem::new(Code::KeysLocked, format!("Keys cannot be read or kept: {self}."), hint)
    }
}

/// The keys of this user.
#[derive(Clone)]
pub struct Keys {
    vault: Vault,
    /// The value of a variable of this process.
    environment: fn(&str) -> Option<String>,
    /// The keychain that is asked, if any.
    keychain: Option<Patient>,
}

impl Keys {
    /// The keys with the sealed file at `vault`.
    pub fn new(vault: Vault) -> Self {
        Self { vault, environment: |name| std::env::var(name).ok(), keychain: None }
            .with_keychain(Arc::new(OfTheSystem))
    }

    /// The same without a keychain.
    pub fn without_keychain(self) -> Self {
        Self { keychain: None, ..self }
    }

    /// The same with another keychain than the system's.
    pub fn with_keychain(self, keychain: Arc<dyn Keychain>) -> Self {
        Self { keychain: Some(Patient::with(keychain)), ..self }
    }

    /// The key of a server, and where it was.
    ///
    /// # Errors
    /// The sealed file is there and cannot be opened. A keychain that does not work is passed over, with a line in the log.
    pub async fn find(&self, server: &ProviderSettings) -> Result<Option<(SecretString, KeySource)>, KeyError> {
        let name = name_of(server);
        if let Some(keychain) = &self.keychain {
            let asked = name.clone();
            match keychain.ask(move |keychain| keychain.get(&asked)).await {
                Ok(Some(key)) => return Ok(Some((key, KeySource::Keychain))),
                Ok(None) => {}
                Err(reason) => tracing::debug!(reason, "the keychain is passed over"),
            }
        }
        if let Some(key) = self.vault.get(&name).await? {
            return Ok(Some((key, KeySource::Vault)));
        }
        let set = |name: &String| (self.environment)(name).filter(|value| !value.trim().is_empty());
        let found = variables(server).into_iter().find_map(|name| set(&name).map(|value| (value, name)));
        Ok(found.map(|(value, name)| (SecretString::from(value.trim().to_owned()), KeySource::Environment(name))))
    }

    /// Keeps a key: in the keychain, or where that does not work or `sealed` is wanted in the sealed file.
    ///
    /// # Errors
    /// Neither can be used.
    pub async fn set(&self, server: &ProviderSettings, key: SecretString, sealed: bool) -> Result<KeySource, KeyError> {
        let name = name_of(server);
        if let Some(keychain) = self.keychain.as_ref().filter(|_| !sealed) {
            let (kept, as_name) = (key.clone(), name.clone());
            match keychain.ask(move |keychain| keychain.set(&as_name, &kept)).await {
                Ok(()) => return Ok(KeySource::Keychain),
                Err(reason) if !self.vault.can_open() => return Err(KeyError::Keychain(reason)),
                Err(reason) => tracing::debug!(reason, "the keychain is passed over"),
            }
        }
        self.vault.set(&name, Some(key)).await?;
        Ok(KeySource::Vault)
    }

    /// Forgets a key in the keychain and in the sealed file; says where it was. One in the environment is not ours.
    ///
    /// # Errors
    /// One of them could not be asked, so that the key may still be there.
    pub async fn remove(&self, server: &ProviderSettings) -> Result<Vec<KeySource>, KeyError> {
        let name = name_of(server);
        let mut removed = Vec::new();
        if self.vault.exists() && self.vault.set(&name, None).await? {
            removed.push(KeySource::Vault);
        }
        if let Some(keychain) = &self.keychain {
            match keychain.ask(move |keychain| keychain.remove(&name)).await {
                Ok(true) => removed.push(KeySource::Keychain),
                Ok(false) => {}
                // A machine without one has no key in it either; where something was removed, that was the place.
                Err(reason) if removed.is_empty() => return Err(KeyError::Keychain(reason)),
                Err(reason) => tracing::debug!(reason, "the keychain is passed over"),
            }
        }
        Ok(removed)
    }
}

/// Under what a key is kept: a server whose address is changed to another host has none until it is given one.
fn name_of(server: &ProviderSettings) -> String {
    let address = server.base_url.split_once("://").map_or(server.base_url.as_str(), |(_, rest)| rest);
    let host = address.split(['/', '?', '#']).next().unwrap_or_default().to_lowercase();
    format!("{} at {host}", server.id)
}

/// The header in which a kind of server wants its key, and what stands before the key.
pub fn key_header(kind: ProviderKind) -> (&'static str, &'static str) {
    match kind {
        ProviderKind::Anthropic => ("x-api-key", ""),
        ProviderKind::Ollama | ProviderKind::OpenAi => ("authorization", "Bearer "),
    }
}

/// The variables that may hold a server's key: its own, then the one that the vendor's own tools read. A vendor's
/// variable is taken for that vendor's host alone, so that no other server is ever told it.
fn variables(server: &ProviderSettings) -> Vec<String> {
    let id: String =
        server.id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let host = server.base_url.strip_prefix("https://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    let vendors: &[&str] = match host {
        Some("api.openai.com") => &["OPENAI_API_KEY"],
        Some("api.anthropic.com") => &["ANTHROPIC_API_KEY"],
        Some("openrouter.ai") => &["OPENROUTER_API_KEY"],
        Some("generativelanguage.googleapis.com") => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        Some("api.mistral.ai") => &["MISTRAL_API_KEY"],
        Some("api.groq.com") => &["GROQ_API_KEY"],
        Some("api.deepseek.com") => &["DEEPSEEK_API_KEY"],
        _ => &[],
    };
    std::iter::once(format!("ATELIER_KEY_{id}")).chain(vendors.iter().map(|name| (*name).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn server(id: &str, base_url: &str) -> ProviderSettings {
        ProviderSettings { id: id.into(), kind: ProviderKind::OpenAi, base_url: base_url.into() }
    }

    fn keys(folder: &std::path::Path) -> Keys {
        let environment = |name: &str| match name {
            "OPENAI_API_KEY" => Some("from-env".to_owned()),
            "ATELIER_KEY_MY_BOX" => Some(" own \n".to_owned()),
            _ => None,
        };
        let vault = Vault::new(folder.join("keys.sealed"), Some(SecretString::from("correct horse"))).fast();
        Keys { environment, ..Keys::new(vault).without_keychain() }
    }

    /// Guards: a vendor's key is never told to another host. Turned red by choosing the variable by the server's kind.
    #[tokio::test]
    async fn a_vendors_variable_is_for_the_vendors_host_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path());
        let found = keys.find(&server("x", "https://api.openai.com/v1")).await.unwrap().unwrap();
        assert_eq!((found.0.expose_secret(), found.1), ("from-env", KeySource::Environment("OPENAI_API_KEY".into())));
        for elsewhere in ["https://api.openai.com.evil.test/v1", "http://api.openai.com/v1", "http://127.0.0.1:1"] {
            assert!(keys.find(&server("x", elsewhere)).await.unwrap().is_none(), "{elsewhere}");
        }
        let own = keys.find(&server("my-box", "http://127.0.0.1:1")).await.unwrap().unwrap();
        assert_eq!(own.0.expose_secret(), "own");
    }

    #[tokio::test]
    async fn the_sealed_file_comes_before_the_environment_and_holds_nothing_in_the_open() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path());
        let openai = server("openai", "https://api.openai.com/v1");
        let put = keys.set(&openai, SecretString::from("sk-planted-9"), true).await.unwrap();
        assert_eq!(put, KeySource::Vault);
        let found = keys.find(&openai).await.unwrap().unwrap();
        assert_eq!((found.0.expose_secret(), found.1), ("sk-planted-9", KeySource::Vault));
        let bytes = std::fs::read_to_string(folder.path().join("keys.sealed")).unwrap();
        assert!(!bytes.contains("planted") && !bytes.contains("openai"), "{bytes}");
        let moved = keys.find(&server("openai", "https://api.elsewhere.example/v1")).await.unwrap();
        assert!(moved.is_none(), "a server that moved to another host has no key");
        assert_eq!(keys.remove(&openai).await.unwrap(), [KeySource::Vault]);
        assert_eq!(keys.find(&openai).await.unwrap().unwrap().1, KeySource::Environment("OPENAI_API_KEY".into()));
    }

    #[tokio::test]
    async fn a_wrong_passphrase_or_a_changed_file_opens_nothing_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.sealed");
        let a = server("a", "http://127.0.0.1:1");
        keys(folder.path()).set(&a, SecretString::from("k"), true).await.unwrap();
        let before = std::fs::read(&file).unwrap();
        let with = |passphrase: Option<&str>| {
            Keys::new(Vault::new(file.clone(), passphrase.map(SecretString::from)).fast()).without_keychain()
        };
        assert!(matches!(with(Some("wrong")).find(&a).await, Err(KeyError::WrongPassphrase)));
        assert!(matches!(with(None).find(&a).await, Err(KeyError::Locked)));
        let set = with(Some("wrong")).set(&a, SecretString::from("k"), true).await;
        assert!(matches!(set, Err(KeyError::WrongPassphrase)));
        assert_eq!(std::fs::read(&file).unwrap(), before);
        let mut changed = before.clone();
        let last = changed.len() - 4;
        changed[last] ^= 1;
        std::fs::write(&file, changed).unwrap();
        assert!(with(Some("correct horse")).find(&a).await.is_err());
    }

    /// What a keychain does.
    enum StandIn {
        Holds(std::sync::Mutex<std::collections::BTreeMap<String, String>>),
        Fails,
        Hangs,
    }

    impl StandIn {
        fn with<T>(&self, act: impl FnOnce(&mut std::collections::BTreeMap<String, String>) -> T) -> Result<T, String> {
            match self {
                StandIn::Holds(keys) => Ok(act(&mut keys.lock().unwrap())),
                StandIn::Fails => Err("it is locked".to_owned()),
                StandIn::Hangs => loop {
                    std::thread::park();
                },
            }
        }
    }

    impl Keychain for StandIn {
        fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
            self.with(|keys| keys.get(name).map(|key| SecretString::from(key.as_str())))
        }
        fn set(&self, name: &str, key: &SecretString) -> Result<(), String> {
            self.with(|keys| drop(keys.insert(name.to_owned(), key.expose_secret().to_owned())))
        }
        fn remove(&self, name: &str) -> Result<bool, String> {
            self.with(|keys| keys.remove(name).is_some())
        }
    }

    /// Guards: the first hit wins, and a keychain that fails or hangs is passed over. Turned red by a call that waits for
    /// the keychain without a limit.
    #[tokio::test]
    async fn the_keychain_comes_first_and_one_that_hangs_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let openai = server("openai", "https://api.openai.com/v1");
        let of = |keychain: StandIn| {
            let keys = keys(folder.path()).with_keychain(Arc::new(keychain));
            let keychain = keys.keychain.clone().map(|patient| patient.for_only(std::time::Duration::from_millis(20)));
            Keys { keychain, ..keys }
        };
        let holds = of(StandIn::Holds(std::sync::Mutex::default()));
        assert_eq!(holds.set(&openai, SecretString::from("in-chain"), false).await.unwrap(), KeySource::Keychain);
        assert_eq!(holds.set(&openai, SecretString::from("in-file"), true).await.unwrap(), KeySource::Vault);
        let found = holds.find(&openai).await.unwrap().unwrap();
        assert_eq!((found.0.expose_secret(), found.1), ("in-chain", KeySource::Keychain));
        for broken in [StandIn::Fails, StandIn::Hangs] {
            let found = of(broken).find(&openai).await.unwrap().unwrap();
            assert_eq!((found.0.expose_secret(), found.1), ("in-file", KeySource::Vault));
        }
        assert_eq!(of(StandIn::Hangs).set(&openai, SecretString::from("k"), false).await.unwrap(), KeySource::Vault);
        assert_eq!(holds.remove(&openai).await.unwrap(), [KeySource::Vault, KeySource::Keychain]);
        let none = of(StandIn::Fails).remove(&openai).await;
        assert!(matches!(none, Err(KeyError::Keychain(_))), "it may still be there");
    }
}
