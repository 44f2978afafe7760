//! Writes edits as a model would, so that prompts can show examples in the format that is read back.

use crate::change::Edit;
use crate::parse::Format;

/// The edits as text that [`crate::parse()`] reads back as the same edits; `None` where the format cannot say them.
pub fn render(format: Format, edits: &[Edit]) -> Option<String> {
    let _ = (format, edits);
    None
}
