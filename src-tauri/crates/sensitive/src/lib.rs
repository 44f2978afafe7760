//! Finds keys and personal data in text, and masks them reversibly.
//!
//! [`scan`] says where they are; [`Mask`] puts placeholders in their place, the same one for the same value, and
//! [`Restorer`] puts the values back into an answer as it arrives, wherever it is cut; [`is_for_keys`] knows files that are
//! for keys. Pure; knows no room, so that any
//! room may ask. It cannot know what only people know to be private: a name, a street, a business figure.

mod checksum;
mod files;
mod mask;
mod restore;
mod scan;

pub use files::is_for_keys;
pub use mask::Mask;
pub use restore::Restorer;
pub use scan::{Finding, scan};
