//! Which crate may depend on which, from `cargo metadata --no-deps`.
//!
//! Only normal dependencies count: a test may use another room.

use super::Finding;
use serde_json::Value;

/// The words; depends on no room.
const PROTOCOL: &str = "atelier-protocol";
/// What any room may ask: pure, without a library of weight, and knowing the words only.
const COMMON: &str = "atelier-sensitive";
/// The rooms; each knows the words and what is common only.
const LEAVES: &[&str] = &[
    "atelier-journal",
    "atelier-repo",
    "atelier-edit",
    "atelier-search",
    "atelier-watch",
    "atelier-documents",
    "atelier-egress",
    "atelier-models",
    "atelier-stage",
    "atelier-sandbox",
    "atelier-mcp",
];
/// Wires the rooms together.
const ENGINE: &str = "atelier-engine";
/// The doors, and what tests are made of.
const PROGRAMS: &[&str] = &["atelier-cli", "atelier-app", "atelier-tests", "atelier-faults"];

/// Heavy dependencies and the crates that may name each; mostly one. A name that ends in `*` stands for all that begin so.
const OWNERS: &[(&str, &[&str])] = &[
    // The history is the journal's; the other reads files that somebody else made.
    ("rusqlite", &["atelier-journal", "atelier-documents"]),
    ("git2", &["atelier-repo"]),
    ("tantivy", &["atelier-search"]),
    ("tree-sitter*", &["atelier-search"]),
    ("notify*", &["atelier-watch"]),
    ("reqwest", &["atelier-egress"]),
    ("ollama-rs", &["atelier-models"]),
    ("keyring*", &["atelier-models"]),
    ("landlock", &["atelier-sandbox"]),
    ("seccompiler", &["atelier-sandbox"]),
    ("rmcp", &["atelier-mcp"]),
    ("tauri*", &["atelier-app"]),
    // What plays a model server, and what serves other programs on this machine.
    ("hyper", &["atelier-stage", "atelier-cli"]),
    ("ts-rs", &["atelier-protocol"]),
    ("fantoccini", &["atelier-tests"]),
    ("pdf-extract", &["atelier-documents"]),
    ("calamine", &["atelier-documents"]),
    ("quick-xml", &["atelier-documents"]),
    ("htmd", &["atelier-documents"]),
    ("mail-parser", &["atelier-documents"]),
    ("parquet", &["atelier-documents"]),
];

/// The feature with which rules can be broken on purpose.
const MUTANTS: &str = "mutants";

/// A package with the names it depends on.
struct Package<'a> {
    name: &'a str,
    manifest: String,
    /// Name and kind (`normal`, `dev`, `build`).
    dependencies: Vec<(&'a str, &'a str)>,
}

fn packages(metadata: &Value) -> Vec<Package<'_>> {
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| {
            let manifest = package["manifest_path"].as_str()?;
            let dependencies = package["dependencies"].as_array()?;
            Some(Package {
                name: package["name"].as_str()?,
                manifest: manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/').to_owned(),
                dependencies: dependencies
                    .iter()
                    .filter_map(|d| Some((d["name"].as_str()?, d["kind"].as_str().unwrap_or("normal"))))
                    .collect(),
            })
        })
        .collect()
}

/// Whether `from` may depend on the room `on`.
fn allowed(from: &str, on: &str) -> bool {
    if from == COMMON {
        on == PROTOCOL
    } else if LEAVES.contains(&from) {
        on == PROTOCOL || on == COMMON
    } else if from == ENGINE {
        // The scripted server is for programs and tests: the engine cannot tell it from any other.
        on == PROTOCOL || on == COMMON || (LEAVES.contains(&on) && on != "atelier-stage")
    } else {
        PROGRAMS.contains(&from) && !PROGRAMS.contains(&on)
    }
}

/// `protocol` <- leaves <- `engine` <- programs.
pub fn direction(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages(metadata) {
        let mut find = |message: String| {
            findings.push(Finding { path: package.manifest.clone(), line: 0, rule: "direction", message });
        };
        let known = [PROTOCOL, COMMON, ENGINE, "xtask"].contains(&package.name)
            || LEAVES.contains(&package.name)
            || PROGRAMS.contains(&package.name);
        if !known {
            find(format!("`{}` has no place in the house; give it one in tidy", package.name));
        }
        for (on, kind) in &package.dependencies {
            let counts = *kind == "normal" || package.name == "xtask";
            if counts && on.starts_with("atelier-") && !allowed(package.name, on) {
                find(format!("`{}` must not depend on `{on}`", package.name));
            }
        }
    }
    findings
}

/// A heavy dependency belongs to one crate.
pub fn owners(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages(metadata) {
        for (on, kind) in package.dependencies.iter().filter(|(_, kind)| *kind != "dev") {
            let owner = OWNERS.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
                Some(start) => on.starts_with(start),
                None => on == pattern,
            });
            if let Some((_, owners)) = owner.filter(|(_, owners)| !owners.contains(&package.name)) {
                let message = format!("`{on}` ({kind}) belongs to `{}` alone", owners.join("` and `"));
                findings.push(Finding { path: package.manifest.clone(), line: 0, rule: "owner", message });
            }
        }
    }
    findings
}

/// Programs are built without rules that can be broken: `protocol` has the feature, the tests' package turns it on when
/// it is asked to, and nobody else does.
pub fn mutants(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let strings = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let features = package["features"].as_object().into_iter().flatten();
        let own = features.filter(|(feature, _)| (name, feature.as_str()) != ("atelier-tests", "mutants"));
        let asked = package["dependencies"].as_array().into_iter().flatten().map(|on| strings(&on["features"]));
        let turned_on = own.map(|(_, on)| strings(on)).chain(asked).flatten();
        if turned_on.filter(|feature| feature.ends_with(MUTANTS)).count() > 0 {
            let path = package["manifest_path"].as_str().unwrap_or_default();
            let root = metadata["workspace_root"].as_str().unwrap_or_default();
            findings.push(Finding {
                path: path.strip_prefix(root).unwrap_or(path).trim_start_matches('/').to_owned(),
                line: 0,
                rule: "mutants",
                message: format!("`{name}` must not turn on `{MUTANTS}`"),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn house(packages: &[(&str, &[(&str, &str)])]) -> Value {
        let packages: Vec<Value> = packages
            .iter()
            .map(|(name, dependencies)| {
                let kind = |kind: &str| if kind == "normal" { Value::Null } else { json!(kind) };
                json!({
                    "name": name,
                    "manifest_path": format!("/top/{name}/Cargo.toml"),
                    "dependencies": dependencies.iter().map(|(on, k)| json!({ "name": on, "kind": kind(k) })).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({ "workspace_root": "/top", "packages": packages })
    }

    fn texts(findings: Vec<Finding>) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn the_house_as_it_is_meant_passes() {
        let metadata = house(&[
            ("atelier-protocol", &[("serde", "normal")]),
            ("atelier-repo", &[("atelier-protocol", "normal"), ("git2", "normal"), ("atelier-journal", "dev")]),
            ("atelier-engine", &[("atelier-protocol", "normal"), ("atelier-repo", "normal"), ("atelier-stage", "dev")]),
            ("atelier-cli", &[("atelier-engine", "normal"), ("atelier-stage", "normal")]),
            ("atelier-app", &[("atelier-engine", "normal"), ("tauri", "normal"), ("tauri-build", "build")]),
            ("xtask", &[("serde_json", "normal")]),
        ]);
        assert_eq!(texts(direction(&metadata)), [""; 0]);
        assert_eq!(texts(owners(&metadata)), [""; 0]);
    }

    #[test]
    fn whoever_goes_against_the_direction_is_found() {
        let metadata = house(&[
            ("atelier-protocol", &[("atelier-edit", "normal")]),
            ("atelier-repo", &[("atelier-journal", "normal")]),
            ("atelier-engine", &[("atelier-stage", "normal"), ("atelier-cli", "normal")]),
            ("atelier-app", &[("atelier-cli", "normal")]),
            ("xtask", &[("atelier-protocol", "dev")]),
            ("atelier-attic", &[]),
        ]);
        assert_eq!(
            texts(direction(&metadata)),
            [
                "atelier-protocol/Cargo.toml: direction: `atelier-protocol` must not depend on `atelier-edit`",
                "atelier-repo/Cargo.toml: direction: `atelier-repo` must not depend on `atelier-journal`",
                "atelier-engine/Cargo.toml: direction: `atelier-engine` must not depend on `atelier-stage`",
                "atelier-engine/Cargo.toml: direction: `atelier-engine` must not depend on `atelier-cli`",
                "atelier-app/Cargo.toml: direction: `atelier-app` must not depend on `atelier-cli`",
                "xtask/Cargo.toml: direction: `xtask` must not depend on `atelier-protocol`",
                "atelier-attic/Cargo.toml: direction: `atelier-attic` has no place in the house; give it one in tidy",
            ]
        );
    }

    #[test]
    fn who_could_break_rules_in_a_program_is_found() {
        let package = |name: &str, features: Value, dependency: Value| {
            json!({
                "name": name, "manifest_path": format!("/top/{name}/Cargo.toml"), "features": features,
                "dependencies": [{ "name": "atelier-protocol", "kind": null, "features": dependency }],
            })
        };
        let asks = json!({ "mutants": ["atelier-protocol/mutants"] });
        let by_default = json!({ "default": ["mutants"], "mutants": ["atelier-protocol/mutants"] });
        let house = |packages: &[Value]| json!({ "workspace_root": "/top", "packages": packages });
        let fine = [
            package("atelier-protocol", json!({ "mutants": [] }), json!([])),
            package("atelier-tests", asks.clone(), json!([])),
        ];
        assert_eq!(texts(mutants(&house(&fine))), [""; 0]);
        let wrong = [
            package("atelier-cli", json!({}), json!(["mutants"])),
            package("atelier-engine", asks, json!([])),
            package("atelier-tests", by_default, json!([])),
        ];
        assert_eq!(
            texts(mutants(&house(&wrong))),
            [
                "atelier-cli/Cargo.toml: mutants: `atelier-cli` must not turn on `mutants`",
                "atelier-engine/Cargo.toml: mutants: `atelier-engine` must not turn on `mutants`",
                "atelier-tests/Cargo.toml: mutants: `atelier-tests` must not turn on `mutants`",
            ]
        );
    }

    #[test]
    fn a_heavy_dependency_in_the_wrong_room_is_found() {
        let metadata = house(&[
            ("atelier-engine", &[("rusqlite", "normal"), ("tree-sitter-rust", "normal"), ("hyper", "dev")]),
            ("atelier-cli", &[("tauri-plugin-dialog", "normal")]),
        ]);
        assert_eq!(
            texts(owners(&metadata)),
            [
                "atelier-engine/Cargo.toml: owner: `rusqlite` (normal) belongs to `atelier-journal` and `atelier-documents` alone",
                "atelier-engine/Cargo.toml: owner: `tree-sitter-rust` (normal) belongs to `atelier-search` alone",
                "atelier-cli/Cargo.toml: owner: `tauri-plugin-dialog` (normal) belongs to `atelier-app` alone",
            ]
        );
    }
}
