//! Finds the developer's tools, so that a confined command can use them with a private `HOME`.
//!
//! Only what tools need to run and to build offline is opened for reading: never a whole home folder, never a
//! file with credentials.

use crate::Spec;
use std::path::PathBuf;

/// Folders with tools and the variables that point at them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Folders and files to open for reading.
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
        let env = var("PATH").map(|path| ("PATH".to_owned(), path)).into_iter().collect();
        Self { read_only: Vec::new(), env }
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
