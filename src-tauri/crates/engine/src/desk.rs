//! What all runs of a project share: its history, folder, rules, index and ways to the outside.

use crate::allowance::Doors;
use crate::checks;
use crate::declared::Declared;
use crate::flow::{self, Flow};
use crate::freshness::Following;
use crate::keys::KeyRing;
use crate::loaded::Loaded;
use crate::meaning::Minded;
use crate::objects::Objects;
use crate::places::Places;
use crate::processes::Processes;
use crate::role::Role;
use crate::rulebook::Rulebook;
use crate::shelf::Beside;
use crate::sources::Sources;
use crate::stack::Stacks;
use atelier_egress::Egress;
use atelier_journal::{Journal, Projections};
use atelier_models::Traffic;
use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{FlowRef, ModelCard, NewEvent, Output};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{ProjectId, RunId};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::Settings;
use atelier_protocol::view::{DeclaredCheck, FlowView};
use atelier_repo::{RunTree, UserRepo};
use atelier_sandbox::{Sandbox, Toolchain};
use atelier_search::Index;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Output that a tool or check may keep in the history itself, in bytes; the rest goes to a blob.
const KEPT_OUTPUT: usize = 12 * 1024;

/// What all runs of a project share.
pub struct Desk {
    /// The project's history.
    pub journal: Journal,
    /// Time and randomness.
    pub sources: Sources,
    /// Where files are kept.
    pub places: Places,
    /// The project.
    pub project: ProjectId,
    /// The user's folder.
    pub root: PathBuf,
    /// What confines commands.
    pub sandbox: Sandbox,
    /// The developer's tools, for commands.
    pub toolchain: Toolchain,
    /// The way to model servers.
    pub egress: Egress,
    /// Keys of model servers.
    pub keys: Arc<KeyRing>,
    /// Asks the home store.
    pub home: AskHome,
    /// The settings in force now.
    pub settings: Arc<dyn Fn() -> Settings + Send + Sync>,
    /// The project's durable objects: boards, memories.
    pub objects: Objects,
    /// What is read of the history without folding it anew.
    pub projections: Projections,
    /// The search index, opened on first use.
    pub index: Mutex<Option<Arc<Index>>>,
    /// Whether somebody works on what the index lacks.
    pub completing: Arc<AtomicBool>,
    /// What can be found beside the files.
    pub(crate) beside: Beside,
    /// What is known of the meaning of files.
    pub(crate) minded: Minded,
    /// Follows the folder for the index.
    pub(crate) watching: Following,
    /// Sees every append, just before and just after it.
    pub witness: Option<Witness>,
    /// Roles, flows and what the project says of itself, as they were read.
    pub(crate) rulebook: Rulebook,
    /// Calls to models that are under way in this process, and how they ended.
    pub traffic: Arc<Traffic>,
    /// What was measured about models, by digest.
    pub cards: Arc<dyn Fn() -> BTreeMap<String, ModelCard> + Send + Sync>,
    /// Memory that is free on this machine, in bytes; `None` where that is not known.
    pub free_memory: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
    /// Held from the look into the budget until what a call may use is set aside.
    pub purse: Arc<tokio::sync::Mutex<()>>,
    /// Models that runs of this process use on servers of this machine.
    pub(crate) loaded: Arc<Loaded>,
    /// What is set aside for calls of other programs.
    pub(crate) doors: Doors,
    /// One accept, discard, resume or move of a run's tree by others at a time: what is open when another looks is then left
    /// over from a crash, never at work.
    pub(crate) deciding: tokio::sync::Mutex<()>,
    /// Which runs stand on which.
    pub(crate) stacks: Stacks,
    /// Processes that stay while a run works.
    pub(crate) processes: Processes,
}

/// Sees every append of a run just before and just after its commit, and may end the process there. With it a crash
/// harness proves that any run goes on from any point.
pub type Witness = Arc<dyn Fn(Moment<'_>) + Send + Sync>;

/// Has an op performed by the home store's owner, and lets this process know at once what follows from it.
pub type AskHome = Arc<dyn Fn(Op) -> BoxFuture<'static, Result<Reply, Problem>> + Send + Sync>;

/// A moment that a witness sees.
pub enum Moment<'a> {
    /// These are about to be appended; what they tell of has happened.
    Before(&'a [NewEvent]),
    /// These are committed; what follows from them has not happened.
    After(&'a [Envelope]),
}

impl Desk {
    /// The roles as their files say now.
    pub fn roles(&self) -> Result<Arc<Vec<Role>>, Problem> {
        self.rulebook.roles(&self.root)
    }

    /// What the project says of itself now.
    pub(crate) fn declared(&self) -> Result<Arc<Declared>, Problem> {
        self.rulebook.declared(&self.root)
    }

    /// The checks that it has now.
    pub(crate) fn checks(&self) -> Result<Vec<DeclaredCheck>, Problem> {
        Ok(checks::of(&*self.declared()?, &self.root))
    }

    /// The flow of that id, with its text: the project's own, else a shipped one.
    pub fn flow(&self, id: Option<&str>, roles: &[Role]) -> Result<(Arc<Flow>, String), Problem> {
        let mut found = flow::sources(&self.root)?;
        let id = id.unwrap_or("feature");
        let Some(source) = found.remove(id) else {
            let known: Vec<String> = found.into_keys().collect();
            return Err(Problem::new(
                Code::FlowInvalid,
                format!("There is no flow `{id}`."),
                format!("The flows here are: {}. Own ones are files in `.atelier/flows`.", known.join(", ")),
            ));
        };
        Ok((self.read_flow(&source.file, &source.text, roles)?, source.text))
    }

    fn read_flow(&self, file: &str, text: &str, roles: &[Role]) -> Result<Arc<Flow>, Problem> {
        if let Some(flow) = self.rulebook.flow(&Hash::of(text.as_bytes())) {
            return Ok(flow);
        }
        let ids: Vec<_> = roles.iter().map(|role| role.id.clone()).collect();
        let flow = Arc::new(flow::read(file, text, &ids).map_err(|e| flow::problem(&e))?);
        self.rulebook.keep(&flow);
        Ok(flow)
    }

    /// The flows that a goal can be given to: the project's own, and those shipped ones that publish; the others are
    /// only called.
    pub fn flows(&self) -> Result<Vec<FlowView>, Problem> {
        let roles = self.roles()?;
        let mut views = Vec::new();
        for source in flow::sources(&self.root)?.into_values() {
            let flow = self.read_flow(&source.file, &source.text, &roles)?;
            if flow.publishes() || !flow::ships(&flow.hash) {
                views.push(FlowView { id: flow.id.clone(), title: flow.title.clone() });
            }
        }
        Ok(views)
    }

    /// The flow that a run was started with, from its recorded text.
    pub async fn flow_of(&self, reference: &FlowRef, roles: &[Role]) -> Result<Arc<Flow>, Problem> {
        if let Some(flow) = self.rulebook.flow(&reference.hash) {
            return Ok(flow);
        }
        let bytes = self.journal.blob(&reference.hash).await?.ok_or_else(|| {
            Problem::new(
                Code::FlowInvalid,
                format!("The text of the flow `{}` that this run follows is not in the store.", reference.id),
                "Restore the store's folder from a backup, or start a new run.",
            )
        })?;
        self.read_flow(&reference.id, &String::from_utf8_lossy(&bytes), roles)
    }

    /// Works on the user's repository, off the async threads.
    pub async fn with_repo<T: Send + 'static>(
        &self,
        work: impl FnOnce(&UserRepo) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let root = self.root.clone();
        blocking(move || work(&UserRepo::open(&root).map_err(|e| e.problem())?)).await
    }

    /// Works on a run's private tree, off the async threads.
    pub async fn with_tree<T: Send + 'static>(
        &self,
        run: &RunId,
        work: impl FnOnce(&RunTree) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let dir = self.places.tree(&self.project, run);
        blocking(move || work(&RunTree::open(&dir).map_err(|e| e.problem())?)).await
    }

    /// Text as the history keeps it: whole, or head and tail with the whole in a blob.
    pub async fn output(&self, bytes: Vec<u8>, whole_size: u64) -> Result<Output, Problem> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.len() <= KEPT_OUTPUT {
            return Ok(Output { text, bytes: whole_size, full: None });
        }
        let full = self.journal.put_blob(bytes).await?;
        Ok(Output { text: head_and_tail(&text, KEPT_OUTPUT), bytes: whole_size, full: Some(full) })
    }
}

/// Runs `work` on a thread that may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| {
        Err(Problem::new(
            Code::Internal,
            format!("A worker thread ended unexpectedly: {e}"),
            "Please report this with the log.",
        ))
    })
}

/// The first and last lines of `text` within `limit` bytes, with a line between that says what is left out.
fn head_and_tail(text: &str, limit: usize) -> String {
    let half = limit / 2;
    let mut head = half;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = text.len() - half;
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    let head = text[..head].rfind('\n').map_or(head, |at| at + 1);
    let tail = text[tail..].find('\n').map_or(tail, |at| tail + at + 1);
    format!("{}[... {} bytes left out ...]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::head_and_tail;

    #[test]
    fn long_output_keeps_whole_lines_of_both_ends() {
        let text: String = (0..100).map(|n| format!("line {n} é\n")).collect();
        let cut = head_and_tail(&text, 60);
        assert_eq!(cut, "line 0 é\nline 1 é\nline 2 é\n[... 1038 bytes left out ...]\nline 98 é\nline 99 é\n");
    }
}
