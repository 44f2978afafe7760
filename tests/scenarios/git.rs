//! Looks at what became of a repository.

use git2::{Repository, Sort};
use std::path::Path;

/// The subjects of a branch's commits, newest first.
pub fn log(project: &Path, branch: &str) -> Vec<String> {
    let repo = Repository::open(project).unwrap();
    let tip = repo.revparse_single(branch).unwrap().peel_to_commit().unwrap().id();
    let mut walk = repo.revwalk().unwrap();
    walk.set_sorting(Sort::TOPOLOGICAL).unwrap();
    walk.push(tip).unwrap();
    walk.map(|id| repo.find_commit(id.unwrap()).unwrap().summary().unwrap().unwrap_or_default().to_owned()).collect()
}

/// The tree of a revision.
pub fn tree(project: &Path, revision: &str) -> String {
    let repo = Repository::open(project).unwrap();
    repo.revparse_single(revision).unwrap().peel_to_tree().unwrap().id().to_string()
}

/// Every reference with where it points.
pub fn refs(project: &Path) -> Vec<String> {
    let repo = Repository::open(project).unwrap();
    let refs = repo.references().unwrap();
    let mut all: Vec<String> = refs
        .map(|r| {
            let r = r.unwrap();
            format!("{} {}", r.name().unwrap_or("?"), r.target().map(|id| id.to_string()).unwrap_or_default())
        })
        .collect();
    all.sort();
    all
}

/// Whether nothing is changed, staged or untracked.
pub fn is_clean(project: &Path) -> bool {
    let repo = Repository::open(project).unwrap();
    repo.statuses(None).unwrap().iter().all(|entry| entry.status().is_ignored())
}
