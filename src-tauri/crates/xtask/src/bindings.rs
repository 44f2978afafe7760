//! Writes `ui/src/ipc/bindings.ts` from the protocol crate.

use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;

pub const HELP: &str = "\
cargo xtask bindings

Writes ui/src/ipc/bindings.ts from the types of src-tauri/crates/protocol.
A test of that crate fails while the file is stale.
";

pub fn main(_: &Args) -> Result<(), Failure> {
    let text = run::output(workspace::cargo().args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "atelier-protocol",
        "--example",
        "bindings",
    ]))?;
    let file = workspace::ui().join("src/ipc/bindings.ts");
    let cannot = |error| Failure::Work(format!("{} cannot be written: {error}", file.display()));
    if std::fs::read(&file).is_ok_and(|stored| stored == text) {
        println!("ui/src/ipc/bindings.ts is current");
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    std::fs::write(&file, text).map_err(cannot)?;
    println!("wrote ui/src/ipc/bindings.ts");
    Ok(())
}
