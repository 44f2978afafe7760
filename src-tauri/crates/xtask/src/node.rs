//! Node and the page's packages: whether they are there and match the lock file.

use crate::run::{self, Failure};
use crate::workspace;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The oldest Node that the page's tools run on, major and minor.
const OLDEST: (u32, u32) = (20, 19);

/// `npm` in the page's folder.
pub fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(workspace::ui());
    npm
}

/// Whether Node and npm are there and new enough; otherwise what to do.
pub fn check() -> Result<(), Failure> {
    let how = "Install Node 20.19 or newer: from https://nodejs.org, with nvm (`nvm install 20`), or on Debian and Ubuntu \
               from NodeSource (their own package is too old)";
    let version = run::ask("node", &["--version"])
        .ok_or_else(|| Failure::Environment(format!("Node is not installed. {how}.")))?;
    if numbers(&version).is_none_or(|version| version < OLDEST) {
        return Err(Failure::Environment(format!("Node {version} is too old for the page's tools. {how}.")));
    }
    if !run::on_path("npm") {
        return Err(Failure::Environment(format!("Node is installed, but npm is not. {how}.")));
    }
    Ok(())
}

/// Major and minor.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Installs the page's packages where they do not match the lock file.
pub fn install() -> Result<(), Failure> {
    if current(&workspace::ui()) {
        return Ok(());
    }
    run::check(npm().args(["ci", "--no-audit", "--no-fund"]))
}

/// Whether the packages in `ui` are those of its lock file.
pub fn current(ui: &Path) -> bool {
    let read = |file: &str| serde_json::from_slice(&std::fs::read(ui.join(file)).ok()?).ok();
    match (read("package-lock.json"), read("node_modules/.package-lock.json")) {
        (Some(wanted), Some(installed)) => matches(&wanted, &installed),
        _ => false,
    }
}

/// Whether everything `wanted` is `installed` in the same version. Optional packages are for other machines.
fn matches(wanted: &Value, installed: &Value) -> bool {
    let Some(packages) = wanted["packages"].as_object() else { return false };
    packages.iter().filter(|(path, _)| !path.is_empty()).all(|(path, package)| {
        let there = &installed["packages"][path];
        let same = there["version"] == package["version"] && there["integrity"] == package["integrity"];
        same || (there.is_null() && package["optional"] == true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_are_read_as_node_prints_them() {
        assert_eq!(numbers("v20.20.2"), Some((20, 20)));
        assert_eq!(numbers("18.19.0"), Some((18, 19)));
        assert_eq!(numbers("nonsense"), None);
        assert!(numbers("v22.1.0") > Some(OLDEST) && numbers("v20.18.9") < Some(OLDEST));
    }

    #[test]
    fn packages_are_current_only_when_all_that_is_wanted_is_there() {
        let wanted = json!({ "packages": {
            "": { "name": "page" },
            "node_modules/a": { "version": "1.0.0", "integrity": "x" },
            "node_modules/mac": { "version": "2.0.0", "optional": true },
        }});
        let installed = json!({ "packages": { "node_modules/a": { "version": "1.0.0", "integrity": "x" } } });
        assert!(matches(&wanted, &installed));
        let older = json!({ "packages": { "node_modules/a": { "version": "0.9.0", "integrity": "w" } } });
        assert!(!matches(&wanted, &older));
        assert!(!matches(&wanted, &json!({ "packages": {} })));
        assert!(!matches(&json!({}), &installed));
    }
}
