//! Finds keys and personal data in text, and masks them reversibly.
//!
//! [`scan`] says where they are; [`Mask`] puts placeholders in their place, the same one for the same value, and
//! [`Restorer`] puts the values back into an answer as it arrives, wherever it is cut. Pure; knows no room, so that any
//! room may ask. It cannot know what only people know to be private: a name, a street, a business figure.

mod checksum;
mod mask;
mod restore;
mod scan;

pub use mask::Mask;
pub use restore::Restorer;
pub use scan::{Finding, scan};
