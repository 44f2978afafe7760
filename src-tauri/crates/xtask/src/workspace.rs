//! Where things are: the repository's root, cargo's metadata, built programs.

use crate::run::{self, Failure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub fn root() -> PathBuf {
    // Set by `cargo run`, so that a moved checkout is found; the other is where this was built.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.ancestors().nth(3).map_or(here.clone(), Path::to_path_buf)
}

/// `cargo` in the repository's root.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The page's folder.
pub fn ui() -> PathBuf {
    root().join("ui")
}

/// What `cargo metadata --no-deps` says.
pub fn metadata() -> Result<Value, Failure> {
    let text = run::output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    serde_json::from_slice(&text).map_err(|error| Failure::Work(format!("cargo's metadata cannot be read: {error}")))
}

/// The file of the program that `package` builds, in `target/debug` or `target/release`.
pub fn program(metadata: &Value, package: &str, release: bool) -> Result<PathBuf, Failure> {
    let name = target_names(metadata, package, "bin").into_iter().next();
    let name = name.ok_or_else(|| Failure::Work(format!("the package {package} builds no program")))?;
    Ok(built(metadata, release).join(name).with_extension(std::env::consts::EXE_EXTENSION))
}

/// The folder of built programs.
pub fn built(metadata: &Value, release: bool) -> PathBuf {
    let target = metadata["target_directory"].as_str().map_or_else(|| root().join("target"), PathBuf::from);
    target.join(if release { "release" } else { "debug" })
}

/// The names of the targets of `kind` (`bin`, `test`, `example`) in `package`.
pub fn target_names(metadata: &Value, package: &str, kind: &str) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.filter(|p| p["name"] == package).filter_map(|p| p["targets"].as_array()).flatten();
    let of_kind = targets.filter(|t| t["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind)));
    of_kind.filter_map(|t| t["name"].as_str().map(str::to_owned)).collect()
}

/// The names of all packages of the workspace.
pub fn package_names(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter_map(|package| package["name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_are_found_by_package_and_kind() {
        let metadata = json!({
            "target_directory": "/t",
            "packages": [
                { "name": "a", "targets": [{ "kind": ["bin"], "name": "tool" }, { "kind": ["test"], "name": "window" }] },
                { "name": "b", "targets": [{ "kind": ["lib"], "name": "b" }] },
            ],
        });
        assert_eq!(target_names(&metadata, "a", "test"), ["window"]);
        assert_eq!(program(&metadata, "a", true).unwrap(), Path::new("/t/release/tool"));
        assert!(program(&metadata, "b", true).is_err());
        assert_eq!(package_names(&metadata), ["a", "b"]);
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(root().join("src-tauri/crates/xtask").is_dir());
    }
}
