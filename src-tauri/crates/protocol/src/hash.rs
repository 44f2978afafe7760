//! The one content hash: BLAKE3, written `blake3:` and 64 hex digits.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::fmt;
use ts_rs::TS;

/// A content hash as text, `blake3:` and 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(transparent)]
#[ts(as = "String")]
pub struct Hash(String);

impl Hash {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("blake3:{}", blake3::hash(bytes).to_hex()))
    }
    /// Hashes everything that a reader gives.
    ///
    /// # Errors
    /// The reader failed.
    pub fn of_reader(reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Self(format!("blake3:{}", hasher.finalize().to_hex())))
    }
    /// The hash whose 32 bytes these are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(format!("blake3:{}", HEXLOWER.encode(&bytes)))
    }
    /// The hash's 32 bytes; `None` where the text is none that [`Hash::of`] made.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        HEXLOWER.decode(self.hex().as_bytes()).ok()?.try_into().ok()
    }
    /// The hash with these hex digits; `None` where they are none.
    pub fn from_hex(digits: &str) -> Option<Self> {
        Self::parse(&format!("blake3:{digits}"))
    }
    /// Reads a hash that was written earlier; `None` where the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("blake3:")?;
        let well_formed = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(text.to_owned()))
    }
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The hex digits alone, for file names.
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("blake3:")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
