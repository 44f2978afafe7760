//! A git bundle, version 2 (git, `gitformat-bundle`): a header that names references, then one pack with the whole history.

use super::ExportError;
use crate::fault::{git, io};
use crate::open::UserRepo;
use git2::{Commit, Oid, Repository};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes the bundle. It names `HEAD`, so that a clone checks the commit out, and the branch the commit is on.
pub(crate) fn write(user: &UserRepo, repo: &Repository, commit: &Commit<'_>, to: &mut File) -> Result<(), ExportError> {
    if repo.is_shallow() {
        return Err(ExportError::Shallow);
    }
    let branch = branch_at(user, repo, commit)?;
    write_refs(repo, &[(commit.id(), "HEAD".to_owned()), (commit.id(), format!("refs/heads/{branch}"))], to)
}

/// Writes a bundle of these references, all of commits, with the whole history behind them.
pub(crate) fn write_refs(repo: &Repository, refs: &[(Oid, String)], to: &mut File) -> Result<(), ExportError> {
    let doing = || git("packing the history");
    let writing = || io("writing", Path::new("the bundle"));
    let mut out = BufWriter::new(to);
    writeln!(out, "# v2 git bundle").map_err(writing())?;
    let mut walk = repo.revwalk().map_err(doing())?;
    for (id, name) in refs {
        writeln!(out, "{id} {name}").map_err(writing())?;
        walk.push(*id).map_err(doing())?;
    }
    writeln!(out).map_err(writing())?;
    let mut pack = repo.packbuilder().map_err(doing())?;
    pack.insert_walk(&mut walk).map_err(doing())?;
    let mut failed = None;
    let packed = pack.foreach(|bytes| match out.write_all(bytes) {
        Ok(()) => true,
        Err(e) => {
            failed = Some(e);
            false
        }
    });
    match failed {
        Some(e) => return Err(writing()(e).into()),
        None => packed.map_err(doing())?,
    }
    out.flush().map_err(writing())?;
    Ok(())
}

/// The checked-out branch where it is at the commit, else the first other branch that is, else `main`.
fn branch_at(user: &UserRepo, repo: &Repository, commit: &Commit<'_>) -> Result<String, ExportError> {
    let (current, head) = user.head_of(repo)?;
    if let Some(current) = current.filter(|_| head == commit.id()) {
        return Ok(current);
    }
    let mut names = Vec::new();
    for branch in repo.branches(Some(git2::BranchType::Local)).map_err(git("reading the branches"))? {
        let (branch, _) = branch.map_err(git("reading the branches"))?;
        if branch.get().target() == Some(commit.id())
            && let Ok(name) = branch.get().shorthand()
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names.into_iter().next().unwrap_or_else(|| "main".to_owned()))
}
