//! Which files are for keys, by their names alone: what stands in them is nobody's business but the user's.

use std::path::Path;

/// Files in which programs keep keys, wherever they are.
const NAMES: &[&str] = &[
    ".env",
    ".envrc",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
];

/// Files that hold keys where they lie in a certain folder.
const IN_FOLDERS: &[(&str, &str)] = &[
    (".aws", "credentials"),
    (".cargo", "credentials"),
    (".cargo", "credentials.toml"),
    (".docker", "config.json"),
    (".kube", "config"),
];

/// Endings of files that are keys or hold some.
const ENDINGS: &[&str] = &["env", "jks", "kdbx", "key", "keystore", "p12", "pem", "pfx", "ppk"];

/// Words by which a file says that it only shows the shape of one.
const SHAPES: &[&str] = &["defaults", "dist", "example", "sample", "schema", "template"];

/// Whether a file is for keys, such as `.env`, `deploy/id_ed25519` or `server.pem`; not `.env.example`.
pub fn is_for_keys(path: &str) -> bool {
    let path = path.replace('\\', "/").to_lowercase();
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let Some(name) = parts.next() else { return false };
    let folder = parts.next().unwrap_or_default();
    let shows_shape = name.split(['.', '-', '_']).any(|word| SHAPES.contains(&word));
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let named = NAMES.contains(&name) || IN_FOLDERS.contains(&(folder, name));
    (named || name.starts_with(".env.") || ENDINGS.contains(&ending)) && !shows_shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_for_keys_are_known_by_their_names() {
        for path in [
            ".env",
            "app/.env.local",
            "deploy/prod.env",
            ".ENV",
            "deploy\\id_rsa",
            "tls/server.key",
            "a.pem",
            ".aws/credentials",
            ".cargo/credentials.toml",
        ] {
            assert!(is_for_keys(path), "{path}");
        }
        for path in [
            "",
            "src/env.rs",
            ".env.example",
            "example.env",
            ".env.sample",
            "keys.md",
            "src/key.ts",
            "id_rsa.pub",
            "docs/credentials",
            ".docker/compose.yaml",
            "environment",
        ] {
            assert!(!is_for_keys(path), "{path}");
        }
    }
}
