//! What the user gives to a run's tree besides the commit: files that are not committed but that builds need.
//!
//! Copied, or lent by a link that commands can read and not change. Never recorded: each is excluded in the run's own
//! repository, and what the commit has already is refused. Nothing of the user's is followed out of the project.

use crate::fault::io;
use crate::listing::Listing;
use crate::paths;
use crate::run_tree::TreeError;
use std::fs;
use std::path::{Component, Path};

/// One thing that is given, by its path in the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provide {
    /// A file or folder, copied.
    Copy(String),
    /// A file or folder, by a link to the user's own.
    Link(String),
}

impl Provide {
    /// Its path in the project.
    pub fn path(&self) -> &str {
        match self {
            Provide::Copy(path) | Provide::Link(path) => path,
        }
    }

    /// Refused where one leaves the project, is git's, is what the commit holds, or lies in another.
    pub(crate) fn refuse_any(all: &[Provide], files: &Listing) -> Result<(), TreeError> {
        for one in all {
            one.refuse(files)?;
            let path = Path::new(one.path());
            if all.iter().any(|other| path != Path::new(other.path()) && path.starts_with(other.path())) {
                let why = "it lies in another one of the list".to_owned();
                return Err(TreeError::Unprovidable { path: one.path().to_owned(), why });
            }
        }
        Ok(())
    }

    fn refuse(&self, files: &Listing) -> Result<(), TreeError> {
        let path = Path::new(self.path());
        let refused = |why: &str| TreeError::Unprovidable { path: self.path().to_owned(), why: why.to_owned() };
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || path.components().next().is_none() {
            return Err(refused("it is no path inside the project"));
        }
        if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
            return Err(refused("it belongs to git"));
        }
        let own = self.path().as_bytes();
        let below = |file: &[u8]| file == own || file.strip_prefix(own).is_some_and(|rest| rest.starts_with(b"/"));
        if files.keys().any(|file| below(file)) || paths::parents(own).any(|parent| files.contains_key(parent)) {
            return Err(refused("the commit has it already"));
        }
        Ok(())
    }

    /// Puts it below `tree`. What the user does not have is left out; what is there is left as it is.
    pub(crate) fn put(&self, project: &Path, tree: &Path) -> Result<(), TreeError> {
        let (from, to) = (project.join(self.path()), tree.join(self.path()));
        let there = |root: &Path| paths::look(root, Path::new(self.path())).map_err(io("reading", &from));
        if there(project)?.is_none() || there(tree)?.is_some() {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io("making", folder))?;
        }
        match self {
            Provide::Copy(_) => copy(&from, &to).map_err(io("copying", &from))?,
            Provide::Link(_) => link(&from, &to).map_err(io("linking", &to))?,
        }
        Ok(())
    }
}

/// The lines by which git leaves them out, as `info/exclude` has them.
pub(crate) fn excluded(all: &[Provide]) -> String {
    let line = |one: &Provide| {
        let mut line = String::from("/");
        for c in one.path().chars() {
            if "*?[]\\!# ".contains(c) {
                line.push('\\');
            }
            line.push(c);
        }
        line + "\n"
    };
    all.iter().map(line).collect()
}

/// Files and folders; links as links, so that nothing behind them is taken along.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if kind.is_symlink() {
        return link(&fs::read_link(from)?, to);
    }
    if kind.is_file() {
        fs::copy(from, to)?;
    }
    Ok(()) // a pipe or socket is nobody's to copy
}

#[cfg(unix)]
fn link(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(windows)]
fn link(target: &Path, place: &Path) -> std::io::Result<()> {
    match target.is_dir() {
        true => std::os::windows::fs::symlink_dir(target, place),
        false => std::os::windows::fs::symlink_file(target, place),
    }
}
