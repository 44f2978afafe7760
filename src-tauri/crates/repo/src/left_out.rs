//! What the user has set up in the project that will not happen here, so that nobody is surprised.
//!
//! This room starts no program, so hooks, signatures and filter programs are left out, by name.

use crate::fault::git;
use crate::listing::{SUBMODULE, listing};
use crate::open::{OpenError, UserRepo};
use crate::paths::shown;
use atelier_protocol::error::{Code, Problem};
use git2::Repository;
use std::path::Path;

/// Hooks that git would run where this room commits, merges or moves a branch.
const HOOKS: &[&str] = &[
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-merge-commit",
    "post-merge",
    "post-checkout",
    "reference-transaction",
];

impl UserRepo {
    /// Things to know that stop nothing: hooks that will not run, commits that will not be signed, filter programs and
    /// submodules that a run's tree goes without.
    pub fn left_out(&self) -> Result<Vec<Problem>, OpenError> {
        let repo = self.repo()?;
        let mut found = Vec::new();
        let mut tell = |message: String, hint: &str| {
            found.push(Problem::new(Code::UnsupportedRepository, message, hint));
        };
        let hooks = self.hooks(&repo);
        if !hooks.is_empty() {
            tell(
                format!("These git hooks of the project are not run on the commits of runs: {}.", hooks.join(", ")),
                "Declare what they check in `.atelier/project.yaml`, or run them on the run's branch before you push.",
            );
        }
        if repo.config().and_then(|config| config.get_bool("commit.gpgsign")).unwrap_or(false) {
            tell(
                "The commits of runs are not signed, although your git configuration asks for it.".to_owned(),
                "Sign them on the run's branch with `git rebase --exec 'git commit --amend --no-edit -S'` before you merge.",
            );
        }
        let (_, head) = self.head_of(&repo)?;
        let tree = repo.find_commit(head).and_then(|c| c.tree()).map_err(git("reading HEAD"))?;
        let mut filters = Vec::new();
        let mut submodules = Vec::new();
        for (path, entry) in listing(&repo, &tree)? {
            let is_attributes = path == b".gitattributes" || path.ends_with(b"/.gitattributes");
            if entry.mode == SUBMODULE {
                submodules.push(shown(&path));
            } else if is_attributes
                && repo.find_blob(entry.id).is_ok_and(|blob| shown(blob.content()).contains("filter="))
            {
                filters.push(shown(&path));
            }
        }
        if !filters.is_empty() {
            tell(
                format!("Filter programs such as LFS are not run; {} names some.", filters.join(", ")),
                "Runs see such files as they are stored, and a run that changes one has to be merged with git.",
            );
        }
        if !submodules.is_empty() {
            tell(
                format!("Submodules are empty for runs: {}.", submodules.join(", ")),
                "Open a submodule as a project of its own to work on it.",
            );
        }
        Ok(found)
    }

    fn hooks(&self, repo: &Repository) -> Vec<String> {
        let configured = repo.config().and_then(|config| config.get_path("core.hooksPath")).ok();
        let folder = configured.map_or_else(|| self.common_dir().join("hooks"), |path| self.root().join(path));
        HOOKS.iter().filter(|name| may_run(&folder.join(name))).map(|name| (*name).to_owned()).collect()
    }
}

#[cfg(unix)]
fn may_run(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn may_run(file: &Path) -> bool {
    file.is_file()
}
