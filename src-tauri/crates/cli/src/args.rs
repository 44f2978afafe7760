//! The arguments of `atelier` that all verbs share, and the list of verbs. What a verb takes stands in the file of the verb.

use crate::choices::{Format, ServerKind};
use atelier_protocol::settings::{ModelChoice, ProviderSettings};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Directs a team of role-bound agents on a git project and hands back reviewed commits.
///
/// Exit codes: 0 done, 1 work not done, 2 wrong usage or input, 3 needs an approval, 4 budget reached, 5 cancelled,
/// 6 environment (server down, model missing), 7 unusable answer of a model, 8 refused by policy.
#[derive(Parser, Debug)]
#[command(name = "atelier", version, disable_help_subcommand = true)]
pub struct Args {
    /// Print JSON lines for programs; text for people goes to standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// The project's folder.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// A model server for this command only, instead of the ones in the settings.
    #[arg(long, global = true, value_name = "URL", env = "ATELIER_SERVER")]
    pub server: Option<String>,
    /// How that server speaks.
    #[arg(long, global = true, value_name = "KIND", default_value = "ollama")]
    pub server_kind: ServerKind,
    #[command(subcommand)]
    pub verb: Verb,
}

impl Args {
    /// The model server that was named for this command.
    pub fn providers(&self) -> Option<Vec<ProviderSettings>> {
        let url = self.server.as_ref()?;
        let base_url = url.trim_end_matches('/').to_owned();
        Some(vec![ProviderSettings { id: SERVER.to_owned(), kind: self.server_kind.into(), base_url }])
    }

    /// `provider/model`, or a model of the named server, or of Ollama.
    pub fn model_choice(&self, text: &str) -> ModelChoice {
        if self.server.is_some() {
            return ModelChoice { provider: SERVER.to_owned(), model: text.to_owned() };
        }
        match text.split_once('/') {
            Some((provider, model)) => ModelChoice { provider: provider.to_owned(), model: model.to_owned() },
            None => ModelChoice { provider: "ollama".to_owned(), model: text.to_owned() },
        }
    }
}

/// The id of a server that was named by `--server`.
const SERVER: &str = "server";

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Start a run for a goal and follow it.
    Run(crate::run::RunArgs),
    /// List, show, resume, accept or discard runs.
    #[command(subcommand)]
    Runs(crate::runs::RunsVerb),
    /// What steps, hand-overs, accepts and discards changed; take them back, or do them again.
    #[command(subcommand)]
    Ops(crate::ops::OpsVerb),
    /// List and answer open questions.
    #[command(subcommand)]
    Approvals(crate::approvals::ApprovalsVerb),
    /// Answer an open question in words; `runs resume` goes on.
    Answer {
        /// The answer.
        text: String,
        /// The question's id; not needed where only one waits.
        #[arg(long)]
        id: Option<String>,
    },
    /// Bring the project's search index up to date.
    Index {
        /// Only say what is in it.
        #[arg(long, conflicts_with = "watch")]
        status: bool,
        /// Stay, follow the folder, and tell what changes in the index, until Ctrl-C.
        #[arg(long)]
        watch: bool,
        /// From now on, in all projects, also find what means the same: by the vectors that this model makes, as
        /// `SERVER/MODEL` or a name on Ollama; `off` goes by words alone.
        #[arg(long, value_name = "MODEL", conflicts_with_all = ["status", "watch"])]
        meaning: Option<String>,
    },
    /// Show what of the project fits a goal best within a budget of tokens, and why each part of it.
    Context {
        /// The goal, in words.
        goal: String,
        /// Tokens that it may cost.
        #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
        budget: u32,
    },
    /// Search the project: its files, earlier commits, what was said and decided in runs, documents.
    Search(crate::find::SearchArgs),
    /// Notes and snippets that are kept for all your projects.
    #[command(subcommand)]
    Library(crate::library::LibraryVerb),
    /// Your projects: which of them are searched from others, and which are packed.
    #[command(subcommand)]
    Projects(crate::projects::ProjectsVerb),
    /// What the project brings along to be run: its checks, its set-up, what it asks to be lent.
    #[command(subcommand)]
    Checks(crate::checks::ChecksVerb),
    /// Read files of other formats as Markdown with anchors: PDF, office files, e-mail, tables and more.
    #[command(subcommand)]
    Documents(crate::documents::DocumentsVerb),
    /// Apply a model's edits to files.
    #[command(subcommand)]
    Edit(crate::edit::EditVerb),
    /// Serve a scripted model for tests and demonstrations.
    Stage(crate::stage::StageArgs),
    /// List and check the roles.
    #[command(subcommand)]
    Roles(crate::roles::RolesVerb),
    /// Topics, messages, letters, and messages that were laid aside.
    #[command(subcommand)]
    Bus(crate::bus::BusVerb),
    /// Work that waits in queues.
    #[command(subcommand)]
    Jobs(crate::jobs::JobsVerb),
    /// Durable objects: boards, memories, counters, and kinds of your own.
    #[command(subcommand)]
    Objects(crate::objects::ObjectsVerb),
    /// Models: what there is, how one is chosen, what was used. Without a verb: the servers and their models.
    Models {
        #[command(subcommand)]
        verb: Option<crate::models::ModelsVerb>,
    },
    /// Keys of model servers: where each is found, and where it is put.
    #[command(subcommand)]
    Keys(crate::keys::KeysVerb),
    /// Open a door on this machine for other programs: OpenAI's routes through the router, with a token.
    Serve(crate::serve::ServeArgs),
    /// What left this machine, and what may.
    #[command(subcommand)]
    Egress(crate::egress::EgressVerb),
    /// The project's store as a whole: hashes, check, copies, and what to do about a damaged one.
    #[command(subcommand)]
    State(crate::state::StateVerb),
    /// Look at what this machine has and what is missing.
    Doctor,
    /// Perform the main job on a sample project with a scripted model: no model, key or network needed.
    Demo(crate::demo::DemoArgs),
    /// Write the project, or a run's result, to a file; or its whole state.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Export {
        #[command(subcommand)]
        whole: Option<crate::state_file::WholeVerb>,
        /// The run whose result is meant; without it the project's HEAD.
        #[arg(long)]
        run: Option<String>,
        /// The kind of file.
        #[arg(long, required = true)]
        format: Option<Format>,
        /// The file to write; must not exist yet.
        #[arg(long, value_name = "FILE", required = true)]
        out: Option<PathBuf>,
    },
    /// Read a project's whole state from a file.
    #[command(subcommand)]
    Import(crate::state_file::ImportVerb),
}
