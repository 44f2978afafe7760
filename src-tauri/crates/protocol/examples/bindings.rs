//! Prints the page's TypeScript bindings; `cargo xtask bindings` writes them to their place.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(atelier_protocol::bindings::typescript().as_bytes())
}
