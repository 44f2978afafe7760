//! What the user gives to a run's tree besides the commit: files that are not committed but that builds need.
//!
//! Copied, or lent by a link that commands can read and not change. Never recorded: each is excluded in the run's own
//! repository, and what the commit has already is refused. Nothing of the user's is followed out of the project, nothing
//! of the tree's out of the tree. Whether the user has said yes to it is not asked here.

use crate::fault::{git, io};
use crate::listing::{Listing, kept_listing};
use crate::run_tree::{RunTree, TreeError};
use crate::{durable, paths};
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

impl RunTree {
    /// Gives a tree that is there already what it lacks of this: one that was made before the user's yes, or in which somebody
    /// removed it. What the user does not have is left out; what the commits hold is refused, as when a tree is made.
    pub fn lend(&self, project: &Path, provide: &[Provide]) -> Result<(), TreeError> {
        let lacks = |root: &Path, path: &str| {
            paths::look(root, Path::new(path)).map(|found| found.is_none()).map_err(io("reading", root))
        };
        let mut lacking = Vec::new();
        for one in provide {
            if lacks(self.root(), one.path())? && !lacks(project, one.path())? {
                lacking.push(one.clone());
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        let repo = self.repo()?;
        let files = self.head(&repo)?.tree().map_err(git("reading the last checkpoint"))?;
        Provide::refuse_any(&lacking, &*kept_listing(&repo, &files)?)?;
        // Excluded first: nothing of it is ever part of a checkpoint.
        let exclude = self.dir().join("repo/info/exclude");
        let mut lines = fs::read(&exclude).map_err(io("reading", &exclude))?;
        for line in excluded(&lacking).lines() {
            if !lines.split(|byte| *byte == b'\n').any(|known| known == line.as_bytes()) {
                lines.extend_from_slice(format!("\n{line}\n").as_bytes());
            }
        }
        durable::write(&exclude, &lines)?;
        // Whole or not at all, so that a kill leaves no half of a folder to be taken for the whole.
        let aside = self.dir().join("repo/lent");
        for one in lacking {
            paths::remove_all(&aside).map_err(io("removing", &aside))?;
            one.put(project, &aside)?;
            let (from, to) = (aside.join(one.path()), self.root().join(one.path()));
            make_parents(self.root(), one.path())?;
            fs::rename(&from, &to).map_err(io("moving", &to))?;
        }
        Ok(paths::remove_all(&aside).map_err(io("removing", &aside))?)
    }
}

/// Makes the folders on the way to a path below `root`. Somebody else works there: a link in the place of one of them could
/// lead anywhere, so it is refused.
fn make_parents(root: &Path, path: &str) -> Result<(), TreeError> {
    let mut place = root.to_owned();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let why = "a link or file of the run is in the place of a folder above it".to_owned();
                return Err(TreeError::Unprovidable { path: path.to_owned(), why });
            }
            Err(_) => fs::create_dir(&place).map_err(io("making", &place))?,
        }
    }
    Ok(())
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
