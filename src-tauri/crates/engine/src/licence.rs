//! Under which licence a project says that it is: by its manifest, else by the text of its licence file.
//!
//! A name is one of the SPDX list (<https://spdx.org/licenses>), or what the manifest says to the letter. Texts are told
//! by phrases that each of the common ones has and no other; the crates that compare with all 700 texts bring two megabytes
//! of them. It is a guess for people who look at a hit, not a legal opinion; what is not known is said to be unknown.

use atelier_protocol::view::Licence;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a manifest or licence that are looked into.
const LOOKED_INTO: u64 = 128 << 10;

/// The licence of the project in a folder, as far as it can be told.
pub(crate) fn of(root: &Path) -> Option<Licence> {
    stated(root).or_else(|| by_text(root))
}

fn read(root: &Path, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(root.join(name)).ok()?.take(LOOKED_INTO).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn stated(root: &Path) -> Option<Licence> {
    let toml = |name: &str| read(root, name)?.parse::<toml::Table>().ok();
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&read(root, name)?).ok();
    let text = |value: &toml::Value| {
        value.as_str().or_else(|| value.get("text").and_then(toml::Value::as_str)).map(str::to_owned)
    };
    let cargo = || {
        let file = toml("Cargo.toml")?;
        let package = file.get("package").and_then(|package| text(package.get("license")?));
        package.or_else(|| text(file.get("workspace")?.get("package")?.get("license")?))
    };
    let python = || {
        let file = toml("pyproject.toml")?;
        let project = file.get("project").and_then(|project| text(project.get("license")?));
        project.or_else(|| text(file.get("tool")?.get("poetry")?.get("license")?))
    };
    let of_json = |name: &str| {
        let file = json(name)?;
        let stated = file.get("license")?;
        stated.as_str().or_else(|| stated.get("type")?.as_str()).map(str::to_owned)
    };
    let manifests: [(&str, Option<String>); 4] = [
        ("Cargo.toml", cargo()),
        ("package.json", of_json("package.json")),
        ("pyproject.toml", python()),
        ("composer.json", of_json("composer.json")),
    ];
    let (from, name) = manifests.into_iter().find_map(|(from, name)| {
        Some((from, name.filter(|name| !name.trim().is_empty() && name.len() < 200 && !name.contains('\n'))?))
    })?;
    Some(Licence { name: spelled(name.trim()), from: from.to_owned() })
}

/// An expression as SPDX spells it; other words stay as they are.
fn spelled(name: &str) -> String {
    match spdx::Expression::canonicalize(name) {
        Ok(Some(name)) => name,
        _ => name.to_owned(),
    }
}

fn by_text(root: &Path) -> Option<Licence> {
    let mut names: Vec<String> = std::fs::read_dir(root)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let stem = name.to_ascii_lowercase();
            ["license", "licence", "copying", "unlicense"].iter().any(|word| stem.starts_with(word))
        })
        .collect();
    names.sort();
    let told: Vec<(String, &str)> =
        names.into_iter().filter_map(|name| Some((name.clone(), told(&read(root, &name)?)?))).collect();
    let from = told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let mut licences: Vec<&str> = told.iter().map(|(_, licence)| *licence).collect();
    licences.sort_unstable();
    licences.dedup();
    // Several files offer a choice, as is the custom of those who have several.
    (!licences.is_empty()).then(|| Licence { name: licences.join(" OR "), from })
}

/// The licence that a text is.
fn told(text: &str) -> Option<&'static str> {
    if let Some(id) = text.lines().find_map(|line| line.split_once("SPDX-License-Identifier:")) {
        return spdx::license_id(id.1.trim().trim_end_matches("*/").trim()).map(|id| id.name);
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let has = |phrase: &str| text.contains(phrase);
    let gnu = |older: &'static str, newer: &'static str| if has("version 3, ") { newer } else { older };
    // First those that name the GNU licences beside themselves.
    let known = if has("mozilla public license version 2.0") || has("mozilla public license, version 2.0") {
        "MPL-2.0"
    } else if has("eclipse public license - v 2.0") {
        "EPL-2.0"
    } else if has("gnu affero general public license version 3") {
        "AGPL-3.0"
    } else if has("gnu lesser general public license version") || has("gnu lesser general public license, version") {
        gnu("LGPL-2.1", "LGPL-3.0")
    } else if has("gnu general public license version") || has("gnu general public license, version") {
        gnu("GPL-2.0", "GPL-3.0")
    } else if has("apache license version 2.0") || has("apache license, version 2.0") {
        "Apache-2.0"
    } else if has("boost software license - version 1.0") {
        "BSL-1.0"
    } else if has("permission is hereby granted, free of charge, to any person obtaining a copy") {
        if has("the above copyright notice and this permission notice shall be included") { "MIT" } else { "MIT-0" }
    } else if has("permission to use, copy, modify, and/or distribute this software")
        || has("permission to use, copy, modify, and distribute this software")
    {
        if has("appear in all copies") { "ISC" } else { "0BSD" }
    } else if has("redistribution and use in source and binary forms") {
        if has("neither the name") || has("may not be used to endorse") { "BSD-3-Clause" } else { "BSD-2-Clause" }
    } else if has("this is free and unencumbered software released into the public domain") {
        "Unlicense"
    } else if has("creative commons legal code cc0 1.0") || has("cc0 1.0 universal") {
        "CC0-1.0"
    } else if has("this software is provided 'as-is', without any express or implied warranty") {
        "Zlib"
    } else {
        return None;
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::{of, told};
    use std::fs;

    fn licence(files: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        of(dir.path()).map(|licence| format!("{} by {}", licence.name, licence.from))
    }

    const APACHE: &str = "\n      Apache License\n   Version 2.0, January 2004\n  http://www.apache.org/licenses/\n";
    const MIT: &str = "Permission is hereby granted, free of charge, to any person obtaining a copy of this\n\
        The above copyright notice and this permission notice shall be included in all copies";

    #[test]
    fn a_manifest_states_it_and_else_the_text_tells() {
        let said = [
            licence(&[]),
            licence(&[("LICENSE", "Ask Berta before you use any of this.")]),
            licence(&[("LICENSE", APACHE)]),
            licence(&[("LICENSE-MIT", MIT), ("LICENSE-APACHE", APACHE)]),
            licence(&[("package.json", r#"{"name": "x", "license": "MIT/Apache-2.0"}"#), ("LICENSE", APACHE)]),
            licence(&[("package.json", r#"{"dependencies": {"license": "MIT"}}"#)]),
            licence(&[("package.json", r#"{"license": "SEE LICENSE IN terms.md"}"#)]),
            licence(&[(
                "Cargo.toml",
                "[package]\nlicense.workspace = true\n[workspace.package]\nlicense = \"0BSD\"\n",
            )]),
            licence(&[("pyproject.toml", "[project]\nlicense = {text = \"BSD-3-Clause\"}\n")]),
            licence(&[("Cargo.toml", "not a manifest"), ("COPYING", "// SPDX-License-Identifier: Zlib\n")]),
        ];
        let said: Vec<&str> = said.iter().map(|said| said.as_deref().unwrap_or("unknown")).collect();
        assert_eq!(
            said,
            [
                "unknown",
                "unknown",
                "Apache-2.0 by LICENSE",
                "Apache-2.0 OR MIT by LICENSE-APACHE, LICENSE-MIT",
                "MIT OR Apache-2.0 by package.json",
                "unknown",
                "SEE LICENSE IN terms.md by package.json",
                "0BSD by Cargo.toml",
                "BSD-3-Clause by pyproject.toml",
                "Zlib by COPYING",
            ]
        );
    }

    #[test]
    fn names_told_from_texts_are_of_the_list() {
        let texts = [
            "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007",
            "GNU GENERAL PUBLIC LICENSE Version 2, June 1991",
            "GNU LESSER GENERAL PUBLIC LICENSE Version 2.1, February 1999",
            "GNU AFFERO GENERAL PUBLIC LICENSE Version 3, 19 November 2007 as the GNU General Public License version 3",
            "Mozilla Public License Version 2.0",
            "Redistribution and use in source and binary forms, with or without modification",
        ];
        let names: Vec<&str> = texts.iter().filter_map(|text| told(text)).collect();
        assert_eq!(names, ["GPL-3.0", "GPL-2.0", "LGPL-2.1", "AGPL-3.0", "MPL-2.0", "BSD-2-Clause"]);
        assert!(names.iter().all(|name| spdx::license_id(name).is_some()));
    }
}
