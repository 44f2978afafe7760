//! Which kinds of repository can be worked on safely.
//!
//! The configuration is looked at before libgit2 opens the repository, so that each refusal has a name of its own and
//! does not depend on the wording of a library's message.

use crate::fault::git;
use crate::open::OpenError;
use git2::RepositoryState;
use std::path::Path;

/// Refuses a format, extension or sparse checkout that is not supported here.
pub(crate) fn refuse_unsupported(git_dir: &Path, common_dir: &Path) -> Result<(), OpenError> {
    // `config.worktree` overrides `config` where `extensions.worktreeConfig` is on; refusing a sparse work tree that
    // is named there although the extension is off does no harm.
    for file in [common_dir.join("config"), git_dir.join("config.worktree")] {
        if !file.exists() {
            continue;
        }
        let config = git2::Config::open(&file).map_err(git("reading the repository's configuration"))?;
        let version = config.get_i64("core.repositoryformatversion").unwrap_or(0);
        if !(0..=1).contains(&version) {
            return Err(OpenError::Unsupported { what: format!("repository format version {version}") });
        }
        if config.get_bool("core.sparsecheckout").unwrap_or(false) {
            return Err(OpenError::Sparse { root: git_dir.to_owned() });
        }
        let mut found = None;
        let entries = config.entries(None).map_err(git("reading the repository's configuration"))?;
        entries
            .for_each(|entry| {
                let (Ok(name), value) = (entry.name(), entry.value().unwrap_or_default()) else {
                    return;
                };
                if found.is_none() && unsupported(name, value) {
                    found = Some(format!("`{name} = {value}`"));
                }
            })
            .map_err(git("reading the repository's configuration"))?;
        if let Some(what) = found {
            return Err(OpenError::Unsupported { what });
        }
    }
    Ok(())
}

/// Extensions that change how the repository is read (git, `Documentation/technical/repository-version`). A partial
/// clone fetches objects when they are missed, which would need the network.
fn unsupported(name: &str, value: &str) -> bool {
    if let Some(extension) = name.strip_prefix("extensions.") {
        return match extension {
            "noop" | "worktreeconfig" | "preciousobjects" | "relativeworktrees" => false,
            "objectformat" => !value.eq_ignore_ascii_case("sha1"),
            _ => true,
        };
    }
    name.starts_with("remote.") && name.ends_with(".promisor") && value.eq_ignore_ascii_case("true")
}

/// The operation of the user's that is under way, for people.
pub(crate) fn in_progress(state: RepositoryState) -> Option<&'static str> {
    match state {
        RepositoryState::Clean => None,
        RepositoryState::Merge => Some("a merge"),
        RepositoryState::Revert | RepositoryState::RevertSequence => Some("a revert"),
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => Some("a cherry-pick"),
        RepositoryState::Bisect => Some("a bisect"),
        RepositoryState::Rebase | RepositoryState::RebaseInteractive | RepositoryState::RebaseMerge => Some("a rebase"),
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => Some("applying patches"),
    }
}
