//! The keychain of the system: Keychain on macOS, Credential Manager on Windows, Secret Service elsewhere.
//!
//! It may ask the user, or hang with the service behind it, so each call has a thread and two seconds of its own.

use keyring::{Entry, Error};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;

/// The service under which keys are kept.
const SERVICE: &str = "dev.atelier.keys";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A keychain. Its calls may block.
pub trait Keychain: Send + Sync + 'static {
    /// The key of a name.
    ///
    /// # Errors
    /// Why it cannot be asked.
    fn get(&self, name: &str) -> Result<Option<SecretString>, String>;
    /// Keeps a key.
    ///
    /// # Errors
    /// Why it cannot be kept.
    fn set(&self, name: &str, key: &SecretString) -> Result<(), String>;
    /// Forgets a key; whether there was one.
    ///
    /// # Errors
    /// Why it cannot be forgotten.
    fn remove(&self, name: &str) -> Result<bool, String>;
}

/// The system's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfTheSystem;

impl Keychain for OfTheSystem {
    fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
        let entry = |entry: Entry| entry.get_password();
        Ok(there(Entry::new(SERVICE, name).and_then(entry))?.map(SecretString::from))
    }
    fn set(&self, name: &str, key: &SecretString) -> Result<(), String> {
        let kept = Entry::new(SERVICE, name).and_then(|entry| entry.set_password(key.expose_secret()));
        kept.map_err(|error| error.to_string())
    }
    fn remove(&self, name: &str) -> Result<bool, String> {
        Ok(there(Entry::new(SERVICE, name).and_then(|entry| entry.delete_credential()))?.is_some())
    }
}

/// `None` where there is no such entry.
fn there<T>(result: Result<T, Error>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks a keychain and does not wait for ever.
#[derive(Clone)]
pub(crate) struct Patient {
    keychain: Arc<dyn Keychain>,
    patience: Duration,
}

impl Patient {
    pub(crate) fn with(keychain: Arc<dyn Keychain>) -> Self {
        Self { keychain, patience: PATIENCE }
    }

    #[cfg(test)]
    pub(crate) fn for_only(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Keychain) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let keychain = self.keychain.clone();
        let (answer, answered) = tokio::sync::oneshot::channel();
        // A thread and no blocking task: one that hangs must not keep the program from ending.
        let started = std::thread::Builder::new().name("keychain".to_owned()).spawn(move || {
            let _ = answer.send(act(&*keychain)); // whoever asked may have given up
        });
        started.map_err(|error| error.to_string())?;
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err("it ended without an answer".to_owned()),
            Err(_) => Err(format!("it did not answer within {} s", self.patience.as_secs())),
        }
    }
}
