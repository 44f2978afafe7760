//! Writes the files of an accept as git would check them out into the user's work tree, but in a folder of their own.
//!
//! libgit2's checkout does it, so that line ends follow the user's configuration and attributes. It is driven from a
//! scratch repository without commits: measured against the user's HEAD, checkout would leave out files that it believes
//! to be there, and a file that takes the place of a folder.

use crate::durable;
use crate::fault::{Fault, git, io};
use crate::landing::Landing;
use crate::open::UserRepo;
use crate::paths::{remove_all, to_os};
use git2::build::CheckoutBuilder;
use git2::{Repository, RepositoryOpenFlags};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// The folder of the files below the staging folder.
pub(crate) const FILES: &str = "files";

impl UserRepo {
    /// Writes the new and changed files of `landing` below `staging`/[`FILES`] and syncs them.
    pub(crate) fn stage(&self, landing: &Landing<'_>, staging: &Path) -> Result<(), Fault> {
        remove_all(staging).map_err(io("removing", staging))?;
        let files = staging.join(FILES);
        fs::create_dir_all(&files).map_err(io("making", &files))?;
        let written = landing.touches.iter().filter(|(_, touch)| touch.new.is_some());
        let paths: Vec<&Vec<u8>> = written.map(|(path, _)| path).collect();
        if paths.is_empty() {
            return Ok(()); // no path at all would mean every path
        }
        let scratch = self.scratch(&staging.join("repo"))?;
        let mut options = CheckoutBuilder::new();
        options.force().update_index(false).refresh(false).disable_pathspec_match(true).target_dir(&files);
        for path in &paths {
            options.path(path.as_slice());
        }
        let doing = || git("writing the run's files");
        let tree = scratch.find_tree(landing.to.id()).map_err(doing())?;
        scratch.checkout_tree(tree.as_object(), Some(&mut options)).map_err(doing())?;
        for path in paths {
            let Some(file) = to_os(path).map(|p| files.join(p)) else { continue };
            if !file.is_symlink() {
                durable::sync_file(&file)?;
            }
        }
        Ok(())
    }

    /// A repository with the user's objects, configuration, attributes and work tree, but no commit.
    fn scratch(&self, at: &Path) -> Result<Repository, Fault> {
        let make = |name: &str| fs::create_dir_all(at.join(name)).map_err(io("making", at));
        let write = |name: &str, text: &[u8]| fs::write(at.join(name), text).map_err(io("writing", at));
        for folder in ["objects/info", "refs/heads", "info"] {
            make(folder)?;
        }
        write("HEAD", b"ref: refs/heads/none\n")?;
        write("objects/info/alternates", &self.alternates()?)?;
        let attributes = self.common_dir().join("info/attributes");
        if attributes.exists() {
            write("info/attributes", &fs::read(&attributes).map_err(io("reading", &attributes))?)?;
        }
        let doing = || git("preparing the run's files");
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE | RepositoryOpenFlags::NO_DOTGIT;
        let scratch = Repository::open_ext(at, flags, std::iter::empty::<&OsStr>()).map_err(doing())?;
        let theirs = self.repo()?.config().map_err(doing())?;
        scratch.set_config(&theirs).map_err(doing())?;
        scratch.set_workdir(self.root(), false).map_err(doing())?;
        Ok(scratch)
    }
}
