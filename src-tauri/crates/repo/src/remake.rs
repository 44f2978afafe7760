//! Makes the commits that an accept brings anew: signed as the user's configuration asks, with messages as the user's hooks
//! left them.
//!
//! Files, parents, author and time stay; only what a commit says of itself changes. Nothing refers to the new ones before
//! the accept is performed.

use crate::accept::{Accept, AcceptRefusal};
use crate::fault::{Fault, git};
use crate::open::UserRepo;
use crate::pack;
use crate::program::{Call, Program, ProgramError};
use git2::{Commit, Oid, Repository, Signature, Sort};
use std::collections::BTreeMap;
use std::time::Duration;

/// Somebody may have to type a passphrase first.
const PATIENCE: Duration = Duration::from_secs(120);

impl UserRepo {
    /// Whether the user's configuration asks for signed commits.
    pub fn wants_signatures(&self) -> Result<bool, Fault> {
        let config = self.repo()?.config().map_err(git("reading the configuration"))?;
        Ok(config.get_bool("commit.gpgsign").unwrap_or(false))
    }

    /// The commits that the accept brings and the branch does not have, oldest first: the id and the message of each.
    pub fn messages(&self, plan: &Accept) -> Result<Vec<(String, String)>, AcceptRefusal> {
        let repo = self.repo()?;
        let told = |id: &Oid| {
            let commit = repo.find_commit(*id).map_err(git("reading the run's commits"))?;
            Ok((id.to_string(), crate::paths::shown(commit.message_bytes())))
        };
        new_commits(&repo, plan)?.iter().map(told).collect()
    }

    /// The same accept with its commits signed, where `sign` is set, and with the messages that are given by commit id.
    pub fn remake(
        &self,
        plan: &Accept,
        messages: &BTreeMap<String, String>,
        sign: bool,
    ) -> Result<Accept, AcceptRefusal> {
        let repo = self.repo()?;
        let program = match sign {
            true => Some(Program::find().map_err(unsigned)?),
            false => None,
        };
        pack::hold_in_memory(&repo)?;
        let doing = || git("making the commits anew");
        let mut made: BTreeMap<Oid, Oid> = BTreeMap::new();
        let mut plain = Vec::new();
        for id in new_commits(&repo, plan)? {
            let old = repo.find_commit(id).map_err(doing())?;
            let parents: Vec<Oid> = old.parent_ids().map(|id| made.get(&id).copied().unwrap_or(id)).collect();
            let said = crate::paths::shown(old.message_bytes());
            let text = messages.get(&id.to_string()).cloned().unwrap_or_else(|| said.clone());
            let same = text == said && parents.iter().copied().eq(old.parent_ids());
            let new = match &program {
                None if same => id,
                None => {
                    let parents = parents.iter().map(|id| repo.find_commit(*id)).collect::<Result<Vec<_>, _>>();
                    let parents = parents.map_err(doing())?;
                    let parents: Vec<&Commit<'_>> = parents.iter().collect();
                    let tree = old.tree().map_err(doing())?;
                    let new = repo.commit(None, &old.author(), &old.committer(), &text, &tree, &parents);
                    plain.push(new.map_err(doing())?);
                    plain[plain.len() - 1]
                }
                Some(program) => self.signed(program, &old, &parents, &text)?,
            };
            made.insert(id, new);
        }
        pack::write(&repo, plain, &self.common_dir().join("objects"))?;
        let to = Oid::from_str(&plan.to).ok().and_then(|to| made.get(&to).copied());
        Ok(Accept { to: to.map_or_else(|| plan.to.clone(), |to| to.to_string()), ..plan.clone() })
    }

    fn signed(&self, program: &Program, old: &Commit<'_>, parents: &[Oid], text: &str) -> Result<Oid, AcceptRefusal> {
        let mut arguments = vec!["commit-tree".to_owned(), "-S".to_owned(), "-F".to_owned(), "-".to_owned()];
        arguments.extend(parents.iter().flat_map(|parent| ["-p".to_owned(), parent.to_string()]));
        arguments.push(old.tree_id().to_string());
        let mut env = identity("AUTHOR", &old.author());
        env.extend(identity("COMMITTER", &old.committer()));
        let call = Call {
            git_dir: self.git_dir(),
            folder: self.root(),
            env: &env,
            input: text.as_bytes(),
            patience: PATIENCE,
        };
        let printed = program.run(&call, &arguments).map_err(unsigned)?;
        // It is believed only what is there.
        let none =
            |why: &str| AcceptRefusal::Unsigned { why: format!("{why} (`git commit-tree` printed `{printed}`)") };
        let id = Oid::from_str(&printed).map_err(|_| none("no commit was made"))?;
        let repo = self.repo()?; // a handle from before does not know the new object
        let new = repo.find_commit(id).map_err(|_| none("no commit was made"))?;
        if new.tree_id() != old.tree_id() || !new.parent_ids().eq(parents.iter().copied()) {
            return Err(none("another commit was made"));
        }
        if repo.extract_signature(&id, None).is_err() {
            return Err(none("the commit has no signature"));
        }
        Ok(id)
    }
}

/// Oldest first.
fn new_commits(repo: &Repository, plan: &Accept) -> Result<Vec<Oid>, AcceptRefusal> {
    let doing = || git("reading the run's commits");
    let id = |text: &str| Oid::from_str(text).map_err(|_| AcceptRefusal::NoCommit { commit: text.to_owned() });
    let mut walk = repo.revwalk().map_err(doing())?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).map_err(doing())?;
    walk.push(id(&plan.to)?).and_then(|()| walk.hide(Oid::from_str(&plan.from)?)).map_err(doing())?;
    Ok(walk.collect::<Result<Vec<Oid>, _>>().map_err(doing())?)
}

/// The variables by which git takes an identity and a time.
fn identity(whose: &str, who: &Signature<'_>) -> Vec<(String, String)> {
    let when = who.when();
    let (sign, minutes) = (if when.offset_minutes() < 0 { '-' } else { '+' }, when.offset_minutes().abs());
    let date = format!("@{} {sign}{:02}{:02}", when.seconds(), minutes / 60, minutes % 60);
    vec![
        (format!("GIT_{whose}_NAME"), crate::paths::shown(who.name_bytes())),
        (format!("GIT_{whose}_EMAIL"), crate::paths::shown(who.email_bytes())),
        (format!("GIT_{whose}_DATE"), date),
    ]
}

fn unsigned(error: ProgramError) -> AcceptRefusal {
    AcceptRefusal::Unsigned { why: error.to_string() }
}
