//! What the user has set up in the project that will not happen here, so that nobody is surprised.
//!
//! Hooks that have a say before a commit are asked at the accept (`rehearse`), and commits are signed then (`remake`). Hooks
//! that are told afterwards would act on the user's folder, so they are left out, as filter programs are, by name.

use crate::fault::git;
use crate::listing::{SUBMODULE, listing};
use crate::open::{OpenError, UserRepo};
use crate::paths::shown;
use crate::program::Program;
use atelier_protocol::error::{Code, Problem};
use std::path::Path;

/// Hooks that git would tell afterwards where this room commits, merges or moves a branch.
const AFTER: &[&str] = &["post-commit", "post-merge", "post-checkout", "reference-transaction"];

impl UserRepo {
    /// Things to know that stop nothing: hooks that will not be told, commits that cannot be signed, filter programs and
    /// submodules that a run's tree goes without.
    pub fn left_out(&self) -> Result<Vec<Problem>, OpenError> {
        let repo = self.repo()?;
        let mut found = Vec::new();
        let mut tell = |message: String, hint: &str| {
            found.push(Problem::new(Code::UnsupportedRepository, message, hint));
        };
        let folder = self.hooks_folder(&repo);
        let hooks: Vec<&str> = AFTER.iter().copied().filter(|name| may_run(&folder.join(name))).collect();
        if !hooks.is_empty() {
            tell(
                format!("These git hooks of the project are not told when a run is accepted: {}.", hooks.join(", ")),
                "Do by hand what they would do, where it is needed.",
            );
        }
        if self.wants_signatures()? && Program::find().is_err() {
            tell(
                "Your git configuration asks for signed commits, but there is no `git` on the path to sign them."
                    .to_owned(),
                "Install git, or accept runs without signatures.",
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
}

#[cfg(unix)]
pub(crate) fn may_run(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub(crate) fn may_run(file: &Path) -> bool {
    file.is_file()
}
