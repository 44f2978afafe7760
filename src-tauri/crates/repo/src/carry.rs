//! Carries everything that git holds of a project's runs to another clone: their trees' repositories, what keeps their
//! bases, and their branches, as one git bundle.
//!
//! The bundle holds the whole history behind them, so it needs nothing of the clone but that it is of the same project. Files
//! of a tree that no checkpoint recorded come along; ignored ones, such as build caches, do not. Nothing of the user's own is
//! ever moved: a branch of a run that is elsewhere refuses the whole, before the first write.

use crate::checkpoint::record_beside;
use crate::export::{ExportError, bundle};
use crate::fault::{Fault, git, io};
use crate::fork::copy_behind;
use crate::hand_over::branch_ref;
use crate::open::{OpenError, UserRepo};
use crate::run_tree::{BRANCH, RunTree, TreeError, TreeSpec, open_private, ref_target};
use crate::{discard, durable, paths};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::RunId;
use git2::{Indexer, Oid, Repository};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Why runs could not be carried.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The bundle is cut or damaged.
    #[error("the git bundle in it is damaged ({why})")]
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// A reference of a run is there already, at another commit.
    #[error("`{name}` is at {at} already")]
    Elsewhere {
        /// The reference.
        name: String,
        /// Where it is.
        at: String,
    },
    /// A run's tree is there already.
    #[error("{} holds a run's tree already", dir.display())]
    TreeThere {
        /// Its folder.
        dir: PathBuf,
    },
    /// The bundle cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The repository cannot be worked on.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A tree cannot be used.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A tree cannot be laid out.
    #[error(transparent)]
    Restore(#[from] discard::DiscardError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl CarryError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            CarryError::Damaged { .. } => (Code::StoreDamaged, "Export the state again; nothing was changed here."),
            CarryError::Elsewhere { .. } => {
                (Code::WrongState, "Rename or delete that branch with git, then import again.")
            }
            CarryError::TreeThere { .. } => {
                (Code::WrongState, "Import into another home (`ATELIER_HOME`), or move that folder away.")
            }
            CarryError::Export(error) => return error.problem(),
            CarryError::Open(error) => return error.problem(),
            CarryError::Tree(error) => return error.problem(),
            CarryError::Restore(error) => return error.problem(),
            CarryError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The runs cannot be carried over: {self}."), hint)
    }
}

/// Before the name of a run: one whose tree is there, and one that was put aside.
const LIVE: &str = "refs/runs/";
const ASIDE: &str = "refs/kept/";
/// The files of a tree that no checkpoint recorded.
const PRESENT: &str = "present";

impl UserRepo {
    /// Writes the runs whose trees lie in these folders, and what the user's repository holds of them, to the new bundle `to`.
    /// `scratch` is a folder for what is needed meanwhile.
    pub fn carry_out(&self, runs: &[(RunId, PathBuf)], scratch: &Path, to: &Path) -> Result<(), CarryError> {
        let user = self.repo()?;
        if user.is_shallow() {
            return Err(ExportError::Shallow.into());
        }
        let bare = Repository::init_bare(scratch).map_err(git("gathering the runs"))?;
        let mut lenders = self.alternates()?;
        let mut refs: Vec<(Oid, String)> = Vec::new();
        for name in names(&user)? {
            if let Some(at) = ref_target(&user, &name)?.filter(|_| is_of_runs(&name)) {
                refs.push((at, name));
            }
        }
        for (run, dir) in runs {
            let (place, live) = match dir.join("repo").exists() {
                true => (dir.join("repo"), true),
                false => (dir.join("kept"), false),
            };
            if !place.join("HEAD").exists() {
                continue;
            }
            let own = open_private(&place)?;
            let objects = place.join("objects");
            lenders.extend(paths::name_bytes(objects.as_os_str()).unwrap_or_default());
            lenders.push(b'\n');
            let before = if live { LIVE } else { ASIDE };
            for name in names(&own)? {
                if let Some(at) = ref_target(&own, &name)? {
                    refs.push((at, format!("{before}{run}/{}", name.trim_start_matches("refs/"))));
                }
            }
            if live && let Some(present) = unrecorded(&RunTree::open(dir)?, &scratch.join("objects"))? {
                refs.push((present, format!("{LIVE}{run}/{PRESENT}")));
            }
        }
        durable::write(&scratch.join("objects/info/alternates"), &lenders)?;
        drop(bare);
        let gathered = Repository::open_bare(scratch).map_err(git("gathering the runs"))?;
        if let Some(head) = user.head().ok().and_then(|head| head.target()) {
            refs.insert(0, (head, "HEAD".to_owned()));
        }
        let mut file = File::create_new(to).map_err(io("writing", to))?;
        bundle::write_refs(&gathered, &refs, &mut file)?;
        Ok(file.sync_all().map_err(io("syncing", to))?)
    }

    /// Brings the runs of a bundle into this clone: `places` says where a run's tree goes. Refused before the first write
    /// where anything of them is here already as something else; what is here already as it should be is fine, so that an
    /// import that was interrupted is finished by doing it again.
    pub fn carry_in(
        &self,
        from: &Path,
        scratch: &Path,
        places: &dyn Fn(&RunId) -> TreeSpec,
    ) -> Result<usize, CarryError> {
        let user = self.repo()?;
        let refs = unbundled(from, scratch)?;
        let bare = Repository::open_bare(scratch).map_err(git("reading the bundle"))?;
        for at in refs.values() {
            bare.find_commit(*at).map_err(|e| damaged(e.message()))?;
        }
        let mut runs: BTreeMap<RunId, (bool, BTreeMap<String, Oid>)> = BTreeMap::new();
        let mut shared: BTreeMap<String, Oid> = BTreeMap::new();
        for (name, at) in refs {
            let of_run = [(LIVE, true), (ASIDE, false)].into_iter().find_map(|(before, live)| {
                let (run, rest) = name.strip_prefix(before)?.split_once('/')?;
                Some((run.parse::<RunId>().ok()?, live, rest.to_owned()))
            });
            match of_run {
                Some((run, live, rest)) => {
                    runs.entry(run).or_insert_with(|| (live, BTreeMap::new())).1.insert(rest, at);
                }
                None if is_of_runs(&name) => drop(shared.insert(name, at)),
                None => {} // where the other clone was is only history
            }
        }
        for (name, at) in &shared {
            match ref_target(&user, name)? {
                Some(found) if found != *at => {
                    return Err(CarryError::Elsewhere { name: name.clone(), at: found.to_string() });
                }
                _ => {}
            }
        }
        for (run, (live, own)) in &runs {
            let dir = places(run).dir;
            if taken(&dir)? && !is_same(&dir, *live, own)? {
                return Err(CarryError::TreeThere { dir });
            }
        }
        let bases = runs.values().filter_map(|(_, own)| own.get("atelier/base"));
        let tips: BTreeSet<Oid> = shared.values().chain(bases).copied().collect();
        let known = known(&user, &bare)?;
        copy_behind(&bare, tips, known, &self.common_dir().join("objects"))?;
        let user = self.repo()?; // the handle from before does not know the pack
        for (name, at) in &shared {
            if ref_target(&user, name)?.is_none() {
                durable::unlock(self.common_dir(), name)?;
                user.reference(name, *at, false, "atelier: imported").map_err(git("writing a reference"))?;
            }
            durable::sync_ref(self.common_dir(), name)?;
        }
        for (run, (live, own)) in &runs {
            let spec = places(run);
            if !taken(&spec.dir)? {
                self.take_in(&user, &bare, &spec, *live, own)?;
            }
        }
        Ok(runs.len())
    }

    /// Makes the repository of one run, and lays its files out where it is not put aside.
    fn take_in(
        &self,
        user: &Repository,
        bare: &Repository,
        spec: &TreeSpec,
        live: bool,
        own: &BTreeMap<String, Oid>,
    ) -> Result<(), CarryError> {
        let lacking = |what: &str| damaged(&format!("run {} has no {what}", spec.run));
        let base = *own.get("atelier/base").ok_or_else(|| lacking("base"))?;
        let tip = *own.get("heads/run").ok_or_else(|| lacking("branch"))?;
        let (part, kept) = (spec.dir.join("part"), spec.dir.join("kept"));
        paths::remove_all(&part).map_err(io("removing", &part))?;
        durable::make_dir(&spec.dir)?;
        let place = part.join("repo");
        self.lay_out(user, spec, base, tip, &place)?;
        copy_behind(bare, own.values().copied(), [base], &place.join("objects"))?;
        let private = open_private(&place)?;
        for (name, at) in own.iter().filter(|(name, _)| *name != PRESENT) {
            private
                .reference(&format!("refs/{name}"), *at, true, "imported")
                .map_err(git("writing a reference of a run"))?;
        }
        durable::sync_tree(&place)?;
        fs::rename(&place, &kept).map_err(io("moving", &place))?;
        durable::sync_dir(&spec.dir)?;
        if !live {
            return Ok(paths::remove_all(&part).map_err(io("removing", &part))?);
        }
        let spec = TreeSpec { base: base.to_string(), ..spec.clone() };
        self.perform_restore(&spec, None)?;
        if let Some(present) = own.get(PRESENT) {
            let tree = RunTree::open(&spec.dir)?;
            tree.reset_to(&present.to_string())?;
            tree.repo()?.reference(BRANCH, tip, true, "imported").map_err(git("moving the run's branch"))?;
            tree.sync_ref(BRANCH)?;
        }
        Ok(())
    }
}

/// The references that Atelier made in the user's repository.
fn is_of_runs(name: &str) -> bool {
    name.starts_with("refs/atelier/base/") || name.starts_with(&branch_ref("atelier/"))
}

fn names(repo: &Repository) -> Result<Vec<String>, Fault> {
    let doing = || git("reading the references");
    let mut all = Vec::new();
    for reference in repo.references().map_err(doing())? {
        if let Ok(name) = reference.map_err(doing())?.name() {
            all.push(name.to_owned());
        }
    }
    all.sort();
    Ok(all)
}

/// A commit of the files that are there and no checkpoint recorded, in the object folder `objects`; `None` where there are
/// none. The run's own repository stays as it is.
fn unrecorded(tree: &RunTree, objects: &Path) -> Result<Option<Oid>, CarryError> {
    let doing = || git("recording the present files");
    let repo = tree.repo()?;
    let present = tree.present(&repo)?;
    let head = repo.find_reference(BRANCH).and_then(|r| r.peel_to_commit()).map_err(doing())?;
    if head.tree_id() == present {
        return Ok(None);
    }
    Ok(Some(record_beside(&repo, &head, present, "not recorded yet", objects)?))
}

/// Reads a bundle (git, `gitformat-bundle`, version 2 without prerequisites) into a new bare repository: the references.
fn unbundled(from: &Path, scratch: &Path) -> Result<BTreeMap<String, Oid>, CarryError> {
    let doing = || git("reading the bundle");
    let repo = Repository::init_bare(scratch).map_err(doing())?;
    let mut reader = BufReader::new(File::open(from).map_err(io("reading", from))?);
    let mut refs = BTreeMap::new();
    let mut line = String::new();
    let mut next = |line: &mut String| -> Result<usize, CarryError> {
        line.clear();
        reader.by_ref().take(4096).read_line(line).map_err(|e| damaged(&e.to_string()))
    };
    if next(&mut line)? == 0 || line.trim_end() != "# v2 git bundle" {
        return Err(damaged("it is no bundle"));
    }
    while next(&mut line)? > 1 {
        let parsed = line.trim_end().split_once(' ').and_then(|(id, name)| Some((name, Oid::from_str(id).ok()?)));
        let (name, at) = parsed.ok_or_else(|| damaged("a line of its head cannot be read"))?;
        refs.insert(name.to_owned(), at);
    }
    let packs = scratch.join("objects/pack");
    fs::create_dir_all(&packs).map_err(io("making", &packs))?;
    let odb = repo.odb().map_err(doing())?;
    let mut indexer = Indexer::new(Some(&odb), &packs, 0, true).map_err(doing())?;
    std::io::copy(&mut reader, &mut indexer).map_err(|e| damaged(&e.to_string()))?;
    indexer.commit().map_err(|e| damaged(e.message()))?;
    Ok(refs)
}

fn damaged(why: &str) -> CarryError {
    CarryError::Damaged { why: why.to_owned() }
}

/// Commits of the clone that the bundle has too: what is behind them need not be copied.
fn known(user: &Repository, bare: &Repository) -> Result<BTreeSet<Oid>, Fault> {
    let mut all = BTreeSet::new();
    for name in names(user)?.iter().map(String::as_str).chain(["HEAD"]) {
        let at = user.find_reference(name).and_then(|r| r.peel_to_commit()).map(|commit| commit.id());
        all.extend(at.ok().filter(|at| bare.find_commit(*at).is_ok()));
    }
    Ok(all)
}

fn taken(dir: &Path) -> Result<bool, Fault> {
    Ok(["repo", "kept"].iter().any(|name| dir.join(name).exists()))
}

/// Whether what is there is the same run at the same commits.
fn is_same(dir: &Path, live: bool, own: &BTreeMap<String, Oid>) -> Result<bool, CarryError> {
    let place = dir.join(if live { "repo" } else { "kept" });
    if !place.join("HEAD").exists() {
        return Ok(false);
    }
    let there = open_private(&place)?;
    for (name, at) in own.iter().filter(|(name, _)| *name != PRESENT) {
        if ref_target(&there, &format!("refs/{name}"))? != Some(*at) {
            return Ok(false);
        }
    }
    Ok(true)
}
