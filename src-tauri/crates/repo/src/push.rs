//! A run's commits to another repository, by the user's git program and with the user's leave.
//!
//! What would leave is said first, to the commit; what is pushed then is that commit and nothing else. A remote on this
//! machine needs no network. One at another machine is reached by HTTPS through the proxy that the caller hands in, so that
//! it is in the ledger; other ways there have no such door and are refused by name. Never by force, and no hooks.

use crate::diff::changes;
use crate::fault::{Fault, git};
use crate::hand_over::{branch_of, branch_ref};
use crate::open::{OpenError, UserRepo};
use crate::paths::shown;
use crate::program::{Call, Program, ProgramError};
use crate::run_tree::ref_target;
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Commit, Push};
use atelier_protocol::ids::RunId;
use git2::{Oid, Repository, Sort};
use std::path::Path;
use std::time::Duration;

/// Large repositories on slow lines take their time.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Why it was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The configuration has no such remote.
    #[error("there is no remote `{remote}`")]
    NoRemote {
        /// What was asked for.
        remote: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The run's branch is not there.
    #[error("there is no branch `{branch}`")]
    NoBranch {
        /// The branch.
        branch: String,
    },
    /// A branch cannot be called that.
    #[error("no branch can be called `{name}`")]
    BadName {
        /// The name.
        name: String,
    },
    /// The address is reached by a way that no proxy covers.
    #[error("`{url}` is reached by {way}, which cannot be watched")]
    Way {
        /// The address.
        url: String,
        /// The way.
        way: String,
    },
    /// The git program did not do it.
    #[error("{said}")]
    Refused {
        /// What it said.
        said: String,
    },
    /// There is no git program.
    #[error("the program `git` is not on the path")]
    NoProgram,
    /// The repository cannot be worked on.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl PushError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            PushError::NoRemote { known, .. } if known.is_empty() => {
                (Code::BadArgument, "Name one with `git remote add NAME URL`.".to_owned())
            }
            PushError::NoRemote { known, .. } => (Code::BadArgument, format!("The remotes are: {}.", known.join(", "))),
            PushError::NoBranch { .. } => (Code::WrongState, "Hand the run over first.".to_owned()),
            PushError::BadName { .. } => (Code::BadArgument, "Choose a name that git takes for a branch.".to_owned()),
            PushError::Way { .. } => (
                Code::UnsupportedRepository,
                "Push the run's branch by hand with `git push`, or give the remote an `https://` address.".to_owned(),
            ),
            PushError::Refused { .. } => {
                (Code::GitFailed, "Mend what git names, then push again; nothing is ever pushed by force.".to_owned())
            }
            PushError::NoProgram => (Code::ProgramMissing, "Install git.".to_owned()),
            PushError::Open(error) => return error.problem(),
            PushError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run cannot be pushed: {self}."), hint)
    }
}

impl UserRepo {
    /// What pushing the run's branch to `remote` would send, as the branch `to` there (the run's own name without it).
    /// Nothing is asked of the remote: what it has is taken from what git last saw of it.
    pub fn plan_push(&self, run: &RunId, remote: &str, to: Option<&str>) -> Result<Push, PushError> {
        let repo = self.repo()?;
        let doing = || git("planning the push");
        let known: Vec<String> =
            repo.remotes().map_err(doing())?.iter().flatten().flatten().map(str::to_owned).collect();
        if !known.iter().any(|name| name == remote) {
            return Err(PushError::NoRemote { remote: remote.to_owned(), known });
        }
        let found = repo.find_remote(remote).map_err(doing())?;
        let url = shown(found.pushurl_bytes().unwrap_or_else(|| found.url_bytes()));
        let host = host(&url)?;
        let branch = branch_of(run);
        let to = to.unwrap_or(&branch).to_owned();
        if !git2::Reference::is_valid_name(&branch_ref(&to)) || to.starts_with('-') {
            return Err(PushError::BadName { name: to });
        }
        let tip = ref_target(&repo, &branch_ref(&branch))?.ok_or(PushError::NoBranch { branch })?;
        let (commits, base) = unseen(&repo, remote, tip)?;
        let tree = |id: Oid| repo.find_commit(id).map(|commit| commit.tree_id()).map_err(doing());
        let empty = || repo.treebuilder(None).and_then(|builder| builder.write()).map_err(doing());
        let from = match base {
            Some(base) => tree(base)?,
            None => empty()?,
        };
        let files = changes(&repo, from, tree(tip)?)?.into_iter().map(|change| change.file).collect();
        Ok(Push {
            remote: remote.to_owned(),
            url: without_password(&url),
            host,
            to,
            tip: tip.to_string(),
            commits,
            files,
        })
    }

    /// Pushes it. `proxy` is the address of the door to other machines, with its pass; without one only what is on this
    /// machine is reached.
    pub fn perform_push(&self, plan: &Push, proxy: Option<&str>) -> Result<(), PushError> {
        let program = Program::find().map_err(refused)?;
        // By the environment, since a list of arguments can be read by every user of the machine.
        let door = proxy.unwrap_or("http://127.0.0.1:9"); // discarded: nothing gets out without a pass
        let mut settings = vec![("http.proxy".to_owned(), door.to_owned())];
        let way = if plan.host.is_some() { "https" } else { "file" };
        for other in ["https", "file", "http", "ssh", "git", "ext"] {
            let allow = if other == way { "always" } else { "never" };
            settings.push((format!("protocol.{other}.allow"), allow.to_owned()));
        }
        if let Some(host) = &plan.host {
            // What the user has set up for this host would go past the door.
            settings.push((format!("http.https://{host}/.proxy"), door.to_owned()));
        }
        let mut env = vec![("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string())];
        for (place, (key, value)) in settings.into_iter().enumerate() {
            env.push((format!("GIT_CONFIG_KEY_{place}"), key));
            env.push((format!("GIT_CONFIG_VALUE_{place}"), value));
        }
        let what = format!("{}:{}", plan.tip, branch_ref(&plan.to));
        let arguments = ["push", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", &plan.remote, &what];
        let call = Call { git_dir: self.git_dir(), folder: self.root(), env: &env, input: b"", patience: PATIENCE };
        program.run(&call, &arguments).map_err(refused)?;
        Ok(())
    }

    /// Whether it arrived, as far as this repository was told.
    pub fn settle_push(&self, remote: &str, to: &str, tip: &str) -> Settled {
        let name = format!("refs/remotes/{remote}/{to}");
        match self.repo().and_then(|repo| ref_target(&repo, &name)) {
            Ok(Some(at)) if at.to_string() == tip => Settled::Landed,
            Ok(_) => Settled::NotLanded, // pushing the same commit again does no harm
            Err(error) => Settled::Unknown(error.to_string()),
        }
    }
}

/// The commits that no branch of the remote has, oldest first, and the newest that one has.
fn unseen(repo: &Repository, remote: &str, tip: Oid) -> Result<(Vec<Commit>, Option<Oid>), PushError> {
    let doing = || git("looking what the remote has");
    let mut walk = repo.revwalk().map_err(doing())?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).map_err(doing())?;
    walk.push(tip).map_err(doing())?;
    let mut base = None;
    for seen in repo.references_glob(&format!("refs/remotes/{remote}/*")).map_err(doing())? {
        let Some(at) = seen.map_err(doing())?.resolve().ok().and_then(|seen| seen.target()) else { continue };
        walk.hide(at).map_err(doing())?;
        // Of several the one that the fewest commits lie after.
        let Ok(common) = repo.merge_base(tip, at) else { continue };
        let nearer = |old: Oid| repo.graph_descendant_of(common, old).unwrap_or(false);
        if base.is_none_or(nearer) {
            base = Some(common);
        }
    }
    let told = |id: Result<Oid, git2::Error>| {
        let commit = repo.find_commit(id?)?;
        let subject = shown(commit.summary_bytes().unwrap_or_default());
        Ok(Commit { id: commit.id().to_string(), subject })
    };
    let commits = walk.map(told).collect::<Result<Vec<_>, git2::Error>>().map_err(doing())?;
    Ok((commits, base))
}

/// Host and port of an address at another machine; `None` for a folder of this one.
fn host(url: &str) -> Result<Option<String>, PushError> {
    let other = |way: &str| PushError::Way { url: without_password(url), way: way.to_owned() };
    if let Some(rest) = url.strip_prefix("https://") {
        let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        return Ok(Some(if port { place.to_owned() } else { format!("{place}:443") }));
    }
    if url.starts_with("file://") || Path::new(url).is_absolute() || url.starts_with("./") || url.starts_with("../") {
        return Ok(None);
    }
    match url.split_once("://") {
        Some((scheme, _)) => Err(other(scheme)),
        None if url.contains("::") => Err(other("a remote helper")),
        None if url.contains(':') => Err(other("ssh")),
        None => Ok(None),
    }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match place.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => url.to_owned(),
    }
}

fn refused(error: ProgramError) -> PushError {
    match error {
        ProgramError::Missing => PushError::NoProgram,
        other => PushError::Refused { said: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_which_way_leads_there() {
        let told = |url: &str| match host(url) {
            Ok(Some(host)) => format!("{url} -> {host}"),
            Ok(None) => format!("{url} -> here"),
            Err(error) => error.to_string(),
        };
        let urls = [
            "https://git.example.org/a.git",
            "https://me:secret@git.example.org:8443/a.git",
            "file:///srv/a.git",
            "/srv/a.git",
            "../a.git",
            "a.git",
            "git@git.example.org:a.git",
            "ssh://git@git.example.org/a.git",
            "http://me:secret@git.example.org/a.git",
            "ext::sh -c x",
        ];
        insta::assert_snapshot!(urls.map(told).join("\n"), @r"
        https://git.example.org/a.git -> git.example.org:443
        https://me:secret@git.example.org:8443/a.git -> git.example.org:8443
        file:///srv/a.git -> here
        /srv/a.git -> here
        ../a.git -> here
        a.git -> here
        `git@git.example.org:a.git` is reached by ssh, which cannot be watched
        `ssh://git.example.org/a.git` is reached by ssh, which cannot be watched
        `http://git.example.org/a.git` is reached by http, which cannot be watched
        `ext::sh -c x` is reached by a remote helper, which cannot be watched
        ");
    }
}
