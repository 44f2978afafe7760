//! The result of an accept in a repository of its own, for the user's hooks: they run before anything of the user's changes.
//!
//! The copy is a plain repository, as hooks expect one: the branch is where it was, the index and the files are as they
//! would be. It borrows the user's objects and is thrown away afterwards, so a hook that spoils it spoils nothing. What
//! counts of a hook is its exit code and the messages it leaves; one that changes the files refuses the accept, since what it
//! leaves was never checked. Running them, confined, is the caller's part.

use crate::accept::{Accept, AcceptRefusal, HEAD};
use crate::fault::{Fault, git, io};
use crate::hand_over::branch_ref;
use crate::left_out::may_run;
use crate::listing::{Listing, listing};
use crate::open::{UserRepo, author};
use crate::paths::{remove_all, shown, to_os};
use crate::put;
use crate::run_tree::{TreeError, find_commit};
use crate::scan::{index_entry, stat_entry};
use atelier_protocol::event::AcceptMode;
use git2::{Index, Repository};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Hooks that have a say before a commit, in git's order.
pub(crate) const BEFORE: [&str; 4] = ["pre-commit", "pre-merge-commit", "prepare-commit-msg", "commit-msg"];
/// A longer message is none.
const LONGEST: u64 = 64 * 1024;

/// One hook as it is to be run in the rehearsal's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name, such as `pre-commit`.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables that git sets for it.
    pub env: Vec<(String, String)>,
}

/// An accept laid out for hooks. [`Rehearsal::end`] removes it.
#[derive(Debug)]
pub struct Rehearsal {
    root: PathBuf,
    files: Listing,
    messages: Vec<Said>,
    /// The hooks to run, in order. The first that fails refuses the accept.
    pub hooks: Vec<Hook>,
    /// What a hook must be able to read beside the root: itself, and the objects that are borrowed.
    pub reads: Vec<PathBuf>,
}

/// The message of one commit, in a file that hooks may change.
#[derive(Debug)]
struct Said {
    commit: String,
    text: String,
    file: PathBuf,
}

impl UserRepo {
    /// Lays the accept out in `root`, which is made anew; `None` where the user has no hook that would have a say.
    pub fn rehearse(&self, plan: &Accept, root: &Path) -> Result<Option<Rehearsal>, AcceptRefusal> {
        let repo = self.repo()?;
        let folder = self.hooks_folder(&repo);
        let hooks: BTreeSet<&str> = BEFORE.into_iter().filter(|name| may_run(&folder.join(name))).collect();
        let first = if plan.mode == AcceptMode::Merge { "pre-merge-commit" } else { "pre-commit" };
        if !hooks.iter().any(|name| *name == first || name.ends_with("-msg")) {
            return Ok(None);
        }
        let dot_git = root.join(".git");
        remove_all(root).map_err(io("removing", root))?;
        let files = self.lay_out_files(&repo, plan, root)?;
        let said = self.messages(plan)?;
        let who = author(&repo, 0)?;
        let (name, email) = (shown(who.name_bytes()), shown(who.email_bytes()));
        for (file, text) in [
            ("objects/info/alternates", self.alternates()?),
            ("HEAD", head(plan).into_bytes()),
            ("config", config(&name, &email).into_bytes()),
        ] {
            write(&dot_git.join(file), &text)?;
        }
        for folder in ["refs/heads", "objects/pack", "info"] {
            let folder = dot_git.join(folder);
            fs::create_dir_all(&folder).map_err(io("making", &folder))?;
        }
        if plan.branch != HEAD {
            write(&dot_git.join(branch_ref(&plan.branch)), format!("{}\n", plan.from).as_bytes())?;
        }
        let mut messages = Vec::new();
        for (place, (commit, text)) in said.into_iter().enumerate() {
            // git's own name for it, where there is only one.
            let file =
                dot_git.join(if place == 0 { "COMMIT_EDITMSG".to_owned() } else { format!("COMMIT_EDITMSG_{place}") });
            write(&file, text.as_bytes())?;
            messages.push(Said { commit, text, file });
        }
        let env = vec![
            ("GIT_INDEX_FILE".to_owned(), dot_git.join("index").to_string_lossy().into_owned()),
            ("GIT_EDITOR".to_owned(), ":".to_owned()),
            ("GIT_AUTHOR_NAME".to_owned(), name),
            ("GIT_AUTHOR_EMAIL".to_owned(), email),
        ];
        let call = |name: &str, arguments: &[&str]| {
            let program = folder.join(name).to_string_lossy().into_owned();
            let argv = std::iter::once(program).chain(arguments.iter().map(|a| (*a).to_owned())).collect();
            hooks.contains(name).then(|| Hook { name: name.to_owned(), argv, env: env.clone() })
        };
        let mut calls: Vec<Hook> = call(first, &[]).into_iter().collect();
        for (place, said) in messages.iter().enumerate() {
            let merges = plan.mode == AcceptMode::Merge && place + 1 == messages.len();
            let file = said.file.to_string_lossy();
            calls.extend(call("prepare-commit-msg", &[&file, if merges { "merge" } else { "message" }]));
            calls.extend(call("commit-msg", &[&file]));
        }
        let borrowed = String::from_utf8_lossy(&self.alternates()?).lines().map(PathBuf::from).collect::<Vec<_>>();
        let reads = borrowed.into_iter().chain([folder]).collect();
        Ok(Some(Rehearsal { root: root.to_owned(), files, messages, hooks: calls, reads }))
    }

    fn lay_out_files(&self, repo: &Repository, plan: &Accept, root: &Path) -> Result<Listing, AcceptRefusal> {
        let doing = || git("laying out the result");
        let fault = |error: TreeError| match error {
            TreeError::Fault(fault) => AcceptRefusal::Fault(fault),
            other => AcceptRefusal::Unrehearsed { why: other.to_string() },
        };
        let to = find_commit(repo, &plan.to).map_err(fault)?;
        let tree = repo.find_commit(to).and_then(|commit| commit.tree()).map_err(doing())?;
        let files = listing(repo, &tree)?;
        let dot_git = root.join(".git");
        fs::create_dir_all(&dot_git).map_err(io("making", &dot_git))?;
        let mut index = Index::open(&dot_git.join("index")).map_err(doing())?;
        for (path, entry) in &files {
            put::put(repo, root, path, *entry).map_err(fault)?;
            let stat = to_os(path).and_then(|relative| fs::symlink_metadata(root.join(relative)).ok());
            let entry_of_file = stat.and_then(|stat| stat_entry(path, entry.mode, &stat, entry.id));
            index.add(&entry_of_file.unwrap_or_else(|| index_entry(path, *entry))).map_err(doing())?;
        }
        index.write().map_err(doing())?;
        Ok(files)
    }

    /// The folder of the user's hooks.
    pub(crate) fn hooks_folder(&self, repo: &Repository) -> PathBuf {
        let configured = repo.config().and_then(|config| config.get_path("core.hooksPath")).ok();
        configured.map_or_else(|| self.common_dir().join("hooks"), |path| self.root().join(path))
    }
}

impl Rehearsal {
    /// The folder that hooks are run in and may write to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The messages that hooks have changed, by commit; refused where they changed what is to be committed. Nothing that
    /// lies there is trusted: git's configuration in it is not read.
    pub fn changed(&self) -> Result<BTreeMap<String, String>, AcceptRefusal> {
        let index = Index::open(&self.root.join(".git/index")).map_err(git("reading what the hooks left"))?;
        let left: BTreeMap<Vec<u8>, (u32, git2::Oid)> =
            index.iter().map(|entry| (entry.path, (entry.mode, entry.id))).collect();
        let was: BTreeMap<Vec<u8>, (u32, git2::Oid)> =
            self.files.iter().map(|(path, entry)| (path.clone(), (entry.mode, entry.id))).collect();
        if left != was {
            let paths: BTreeSet<&Vec<u8>> = left.keys().chain(was.keys()).collect();
            let differ = paths.into_iter().filter(|path| left.get(*path) != was.get(*path));
            return Err(AcceptRefusal::HookRewrote { paths: differ.map(|path| shown(path)).collect() });
        }
        let mut messages = BTreeMap::new();
        for said in &self.messages {
            let plain = fs::symlink_metadata(&said.file).is_ok_and(|found| found.is_file() && found.len() <= LONGEST);
            let text = plain.then(|| fs::read_to_string(&said.file).ok()).flatten();
            let text = text.and_then(|text| git2::message_prettify(text, None).ok()).unwrap_or_default();
            if text.trim().is_empty() {
                return Err(AcceptRefusal::HookEmptied);
            }
            if git2::message_prettify(said.text.as_str(), None).is_ok_and(|before| before != text) {
                messages.insert(said.commit.clone(), text);
            }
        }
        Ok(messages)
    }

    /// Removes it.
    pub fn end(self) -> Result<(), Fault> {
        remove_all(&self.root).map_err(io("removing", &self.root))
    }
}

fn head(plan: &Accept) -> String {
    if plan.branch == HEAD { format!("{}\n", plan.from) } else { format!("ref: {}\n", branch_ref(&plan.branch)) }
}

/// Enough for hooks that ask git who commits. Remotes, and what else the user's own says, are nothing to them.
fn config(name: &str, email: &str) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n[user]\n\tname = \"{}\"\n\temail = \"{}\"\n",
        quoted(name),
        quoted(email)
    )
}

fn write(file: &Path, text: &[u8]) -> Result<(), Fault> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(io("making", folder))?;
    }
    fs::write(file, text).map_err(io("writing", file))
}
