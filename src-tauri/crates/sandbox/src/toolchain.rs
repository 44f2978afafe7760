//! Finds the developer's tools, so that a confined command can use them with a private `HOME`.
//!
//! Only what tools need to run and to build offline is opened, for reading: never a whole home folder, never a
//! file with credentials. Knows where version managers keep things; does not run them.

use crate::Spec;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Version managers and the like: the variable that points at one, and where it is in the home folder otherwise.
const MANAGERS: &[(&str, &str)] = &[
    ("RUSTUP_HOME", ".rustup"),
    ("PYENV_ROOT", ".pyenv"),
    ("RBENV_ROOT", ".rbenv"),
    ("NVM_DIR", ".nvm"),
    ("VOLTA_HOME", ".volta"),
    ("BUN_INSTALL", ".bun"),
    ("DENO_INSTALL", ".deno"),
    ("ASDF_DATA_DIR", ".asdf"),
    ("SDKMAN_DIR", ".sdkman"),
    ("DOTNET_ROOT", ".dotnet"),
    ("MISE_DATA_DIR", ".local/share/mise"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),
    ("PIPX_HOME", ".local/share/pipx"),
    ("GOMODCACHE", "go/pkg/mod"),
];

/// What of Cargo's home is needed to build offline. Its `credentials.toml` is not.
const CARGO: &[&str] = &["bin", "registry", "git", "config.toml", "config"];

/// Folders with tools and the variables that point at them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Folders and files to open for reading, sorted; all exist.
    pub read_only: Vec<PathBuf>,
    /// `PATH`, `CARGO_HOME`, `RUSTUP_HOME` and the like.
    pub env: Vec<(String, String)>,
}

impl Toolchain {
    /// Finds the tools that this process can see.
    pub fn detect() -> Self {
        Self::find(|name| std::env::var(name).ok())
    }

    /// Finds the tools that the environment `var` points at.
    pub fn find(var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let home = var("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home.parent().is_some());
        let mut found = Found { home: home.clone(), open: BTreeSet::new(), env: Vec::new() };
        let place = |name: &str, default: &str| {
            var(name).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(default))).filter(|place| place.is_dir())
        };

        if let Some(cargo) = place("CARGO_HOME", ".cargo") {
            for part in CARGO {
                found.open(&cargo.join(part));
            }
            found.set("CARGO_HOME", &cargo);
        }
        for (name, default) in MANAGERS {
            if let Some(folder) = place(name, default) {
                found.open(&folder);
                found.set(name, &folder);
            }
        }
        if let Some(java) = var("JAVA_HOME").map(PathBuf::from).filter(|java| java.is_dir()) {
            found.open(&java);
            found.set("JAVA_HOME", &java);
        }
        let path: Vec<PathBuf> = std::env::split_paths(OsStr::new(&var("PATH").unwrap_or_default()))
            .filter(|folder| folder.is_absolute() && folder.is_dir())
            .collect();
        for folder in &path {
            found.open_programs(folder);
        }
        if let Ok(path) = std::env::join_paths(&path)
            && !path.is_empty()
        {
            found.set("PATH", Path::new(&path));
        }
        Self { read_only: found.open.into_iter().collect(), env: found.env }
    }

    /// Opens the tools to the command `spec`. Variables that `spec` sets itself stay.
    pub fn open_to(&self, spec: &mut Spec) {
        spec.read_only.extend(self.read_only.iter().cloned());
        for (name, value) in &self.env {
            if !spec.env.iter().any(|(set, _)| set == name) {
                spec.env.push((name.clone(), value.clone()));
            }
        }
    }
}

/// What was found so far.
struct Found {
    home: Option<PathBuf>,
    open: BTreeSet<PathBuf>,
    env: Vec<(String, String)>,
}

impl Found {
    /// Opens `path` and what it links to, unless that would open the home folder or all of the machine.
    fn open(&mut self, path: &Path) {
        for path in [Some(path.to_path_buf()), path.canonicalize().ok()].into_iter().flatten() {
            let too_much = path.parent().is_none() || self.home.as_ref().is_some_and(|home| home.starts_with(&path));
            if !too_much && path.exists() {
                self.open.insert(path);
            }
        }
    }

    /// Opens a folder of programs, and the installation around it where it is one: those have `lib` beside `bin`.
    fn open_programs(&mut self, folder: &Path) {
        self.open(folder);
        let around = folder.parent().filter(|around| around.join("lib").is_dir());
        // `~/.local` also has a `lib`, but holds all kinds of things.
        let local = self.home.as_ref().map(|home| home.join(".local"));
        if let Some(around) = around.filter(|around| Some(*around) != local.as_deref()) {
            self.open(around);
        }
    }

    fn set(&mut self, name: &str, value: &Path) {
        if let Some(value) = value.to_str() {
            self.env.push((name.to_owned(), value.to_owned()));
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;

    fn made(home: &Path, folders: &[&str]) {
        for folder in folders {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
    }

    fn found(home: &Path, path: &[&str]) -> Toolchain {
        let path = path.iter().map(|part| home.join(part).to_string_lossy().into_owned()).collect::<Vec<_>>().join(":");
        Toolchain::find(|name| match name {
            "HOME" => Some(home.to_string_lossy().into_owned()),
            "PATH" => Some(path.clone()),
            "GITHUB_TOKEN" | "SSH_AUTH_SOCK" => Some("secret".to_owned()),
            _ => None,
        })
    }

    fn names(tools: &Toolchain, home: &Path) -> Vec<String> {
        tools.read_only.iter().map(|path| path.strip_prefix(home).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn cargo_is_opened_without_its_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        made(&home, &[".cargo/bin", ".cargo/registry", ".rustup/toolchains", ".ssh", "work"]);
        fs::write(home.join(".cargo/credentials.toml"), "token").unwrap();
        let tools = found(&home, &[".cargo/bin"]);
        assert_eq!(names(&tools, &home), [".cargo/bin", ".cargo/registry", ".rustup"]);
        let vars: Vec<_> = tools.env.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(vars, ["CARGO_HOME", "RUSTUP_HOME", "PATH"]);
    }

    #[test]
    fn an_installation_on_path_is_opened_whole_and_a_plain_bin_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        made(&home, &["apps/node/bin", "apps/node/lib", "bin", ".local/bin", ".local/lib", "lib"]);
        let tools = found(&home, &["apps/node/bin", "bin", ".local/bin", "gone/bin"]);
        assert_eq!(names(&tools, &home), [".local/bin", "apps/node", "apps/node/bin", "bin"]);
        let path = &tools.env.last().unwrap().1;
        assert!(!path.contains("gone"), "folders that do not exist are left out: {path}");
    }

    #[test]
    fn the_home_folder_itself_is_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let text = home.to_string_lossy().into_owned();
        let tools = Toolchain::find(|name| match name {
            "HOME" | "PATH" | "JAVA_HOME" | "PYENV_ROOT" => Some(text.clone()),
            _ => None,
        });
        assert_eq!(tools.read_only, Vec::<PathBuf>::new());
        let above = home.parent().unwrap().to_string_lossy().into_owned();
        let tools = Toolchain::find(|name| match name {
            "HOME" => Some(text.clone()),
            "JAVA_HOME" => Some(above.clone()),
            _ => None,
        });
        assert_eq!(tools.read_only, Vec::<PathBuf>::new());
    }

    #[test]
    fn what_the_command_sets_itself_stays() {
        let mut spec = Spec::new(["cargo"], "/", "/h");
        spec.env.push(("PATH".to_owned(), "/mine".to_owned()));
        let tools = Toolchain {
            read_only: vec!["/t".into()],
            env: vec![("PATH".to_owned(), "/theirs".to_owned()), ("JAVA_HOME".to_owned(), "/j".to_owned())],
        };
        tools.open_to(&mut spec);
        assert_eq!(spec.read_only, [PathBuf::from("/t")]);
        assert_eq!(spec.env, [("PATH".to_owned(), "/mine".to_owned()), ("JAVA_HOME".to_owned(), "/j".to_owned())]);
    }
}
