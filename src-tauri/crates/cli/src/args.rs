//! The arguments of `atelier`.

use crate::choices::{Format, Kind, ServerKind, Urgency};
use atelier_protocol::event::AcceptMode;
use atelier_protocol::settings::{ModelChoice, ProviderSettings};
use atelier_protocol::view::{HitKind, RunState};
use clap::{Parser, Subcommand, ValueEnum};
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
    Run(RunArgs),
    /// List, show, resume, accept or discard runs.
    #[command(subcommand)]
    Runs(RunsVerb),
    /// What steps, hand-overs, accepts and discards changed; take them back, or do them again.
    #[command(subcommand)]
    Ops(OpsVerb),
    /// List and answer open questions.
    #[command(subcommand)]
    Approvals(ApprovalsVerb),
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
    Search(SearchArgs),
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
    Documents(DocumentsVerb),
    /// Apply a model's edits to files.
    #[command(subcommand)]
    Edit(EditVerb),
    /// Serve a scripted model for tests and demonstrations.
    Stage(StageArgs),
    /// List and check the roles.
    #[command(subcommand)]
    Roles(RolesVerb),
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
    State(StateVerb),
    /// Look at what this machine has and what is missing.
    Doctor,
    /// Perform the main job on a sample project with a scripted model: no model, key or network needed.
    Demo(DemoArgs),
    /// Write the project, or a run's result, to a file; or its whole state.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Export {
        #[command(subcommand)]
        whole: Option<WholeVerb>,
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
    Import(ImportVerb),
}

#[derive(Subcommand, Debug)]
pub enum WholeVerb {
    /// The project's whole state as one file: history, contents, what git holds of its runs, settings without secrets.
    ///
    /// It holds everything that was recorded (goals, prompts, answers, outputs of commands), unmasked.
    State {
        /// The file to write; must not exist yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Refused: a masked history is another one and has another hash. `runs record` writes a masked record of a run.
        #[arg(long)]
        redacted: bool,
    },
}

#[derive(Subcommand, Debug)]
pub enum ImportVerb {
    /// Into the project's folder, a clone of the same repository at any path. A damaged or cut file changes nothing.
    State {
        /// A file that `export state` wrote.
        file: PathBuf,
        /// Put it in the place of a history that is there; that one is kept beside.
        #[arg(long)]
        replace: bool,
        /// Put the settings in the file in force too.
        #[arg(long)]
        settings: bool,
    },
}

#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// What should be different, in a sentence or more.
    pub goal: String,
    /// The model, as `provider/model` or a name on Ollama.
    #[arg(long)]
    pub model: Option<String>,
    /// Answer questions of this kind yes, recorded as your grant.
    #[arg(long = "approve", value_name = "KIND")]
    pub approve: Vec<Kind>,
    /// Answer every other question no.
    #[arg(long)]
    pub deny_asks: bool,
    /// The flow to follow, such as `feature` or `reviewed`, or one of `.atelier/flows`.
    #[arg(long, value_name = "ID")]
    pub flow: Option<String>,
    /// How urgent it is among the runs of the project.
    #[arg(long, value_name = "HOW", default_value = "normal")]
    pub priority: Urgency,
    /// Ask before more tokens than this are used.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget_tokens: Option<u64>,
    /// Begin with the changes of this run, which is not accepted yet, and follow them: its id, or `last`.
    #[arg(long, value_name = "RUN")]
    pub on: Option<String>,
    /// Make a repository of the project's folder first, with a commit of the files as they are, where it is none.
    #[arg(long)]
    pub init: bool,
    /// Do not wait: print the run's id and leave it to the window or command that owns the project.
    #[arg(long)]
    pub detach: bool,
}

#[derive(clap::Args, Debug)]
pub struct SearchArgs {
    /// Words or identifiers; words in quotes must follow each other.
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    pub query: Option<String>,
    /// At most so many hits.
    #[arg(short = 'k', long = "limit", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// What hits may be cut from; may be given more than once. Without it: files.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<Cut>,
    /// Search your other projects instead, those that you share; each hit says whose it is and under which licence.
    #[arg(long, conflicts_with = "batch")]
    pub elsewhere: bool,
    /// Answer many questions: reads lines `{"id":ANY,"query":TEXT}` and prints for each a line
    /// `{"id","hits":[{"path","lines","score","hash"}]}`, in the same order.
    #[arg(long)]
    pub batch: bool,
}

/// What a hit is cut from.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Files of code, settings and data.
    Code,
    /// Texts for people.
    Doc,
    /// Messages of earlier commits.
    Commit,
    /// What was said in runs: goals, turns of roles, remarks.
    Chat,
    /// Requirements made from goals.
    Spec,
    /// Answered questions, reviews, what became of results.
    Decision,
    /// Parts of files of other formats: PDF, office files, e-mail and more.
    Document,
    /// Notes and snippets of your library.
    Note,
}

impl From<Cut> for HitKind {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Code => HitKind::Code,
            Cut::Doc => HitKind::Doc,
            Cut::Commit => HitKind::Commit,
            Cut::Chat => HitKind::Chat,
            Cut::Spec => HitKind::Spec,
            Cut::Decision => HitKind::Decision,
            Cut::Document => HitKind::Document,
            Cut::Note => HitKind::Note,
        }
    }
}

#[derive(Subcommand, Debug)]
pub enum DocumentsVerb {
    /// A file as Markdown; a comment before each part says which page, sheet, slide or lines it is of.
    Read {
        /// The file.
        file: PathBuf,
    },
    /// Answer one SELECT (SQLite's SQL) over the tables of a file.
    Query {
        /// The file: a spreadsheet, CSV, JSON, SQLite file, or another with tables.
        file: PathBuf,
        /// The query, such as `select kind, count(*) from "Sensors" group by kind`.
        sql: String,
    },
}

#[derive(Subcommand, Debug)]
pub enum RunsVerb {
    /// The runs, newest first.
    List {
        /// Only runs that are in this state, such as `waits_for_approval` or `failed`; may be given more than once.
        #[arg(long = "state", value_name = "STATE", value_parser = run_state)]
        states: Vec<RunState>,
        /// At most so many.
        #[arg(long)]
        limit: Option<u32>,
    },
    /// One run: steps, children, checks, changes.
    Show {
        /// The run's id, or `last`.
        run: String,
        /// As it was after this event.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        /// Show the changes as a diff too.
        #[arg(long)]
        diff: bool,
    },
    /// What was told in short of a run's conversations, by whom, and the messages to the letter.
    Memory {
        /// The run's id, or `last`.
        run: String,
        /// The messages themselves too.
        #[arg(long)]
        whole: bool,
    },
    /// The recorded events of a run.
    Events {
        /// The run's id, or `last`.
        run: String,
        /// Only after this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// Go on with an interrupted, parked or answered run.
    Resume {
        /// The run's id, or `last`.
        run: String,
    },
    /// Continue a run another way: a new run with its history, and its tree as it was, up to an event.
    Fork {
        /// The run's id, or `last`.
        run: String,
        /// The last event that is kept; without it the last one that a fork can go on from.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        /// Do not wait: print the fork's id and leave it to the window or command that owns the project.
        #[arg(long)]
        detach: bool,
    },
    /// Bring a run's commits, or parts of its changes, to your branch.
    Accept(AcceptArgs),
    /// The files that your branch (or the run below) and the run both changed in the same place, with both sides.
    Conflicts {
        /// The run's id, or `last`.
        run: String,
        /// Also write each, with conflict markers, into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Put a run on what the run it stands on is now. Runs do this by themselves; what both changed must be settled here.
    Rebase {
        /// The run's id, or `last`.
        run: String,
        /// How a conflict is settled: `PATH=base` (the run below), `PATH=run`, or `PATH=@FILE`; more than once.
        #[arg(long, value_name = "PATH=TAKE")]
        resolve: Vec<String>,
    },
    /// Remark on lines of a run's result; rejecting its hand-over then sends it back to the author.
    Comment {
        /// The run's id, or `last`.
        run: String,
        /// The file.
        path: String,
        /// The lines that are meant, as the new side of the diff counts them: `12` or `12-15`.
        #[arg(long, value_parser = line_range)]
        lines: Option<(u32, u32)>,
        /// What is to change.
        #[arg(short = 'm', long = "text")]
        text: String,
    },
    /// Push a handed-over run's commits to a remote; without `--yes` only says what would leave and where to.
    Push {
        /// The run's id, or `last`.
        run: String,
        /// The remote, as `git remote` names it.
        #[arg(long, value_name = "NAME", default_value = "origin")]
        remote: String,
        /// The branch there; without it the run's own name.
        #[arg(long, value_name = "BRANCH")]
        to: Option<String>,
        /// Push it.
        #[arg(long)]
        yes: bool,
        /// Also where it holds what looks like keys or personal data.
        #[arg(long)]
        anyway: bool,
    },
    /// Write what a run was and did as Markdown or JSON, with keys and personal data masked.
    Record(crate::record::RecordArgs),
    /// Remove a run's branch and tree.
    Discard {
        /// The run's id, or `last`.
        run: String,
        /// Also where its tree holds work that no checkpoint recorded.
        #[arg(long)]
        anyway: bool,
    },
    /// Take the newest thing back that happened to a run: its discard, accept, hand-over, or a step.
    Undo {
        /// The run's id, or `last`.
        run: String,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop a run; its tree stays until it is discarded.
    Cancel {
        /// The run's id, or `last`.
        run: String,
    },
}

#[derive(clap::Args, Debug)]
pub struct AcceptArgs {
    /// The run's id, or `last`.
    pub run: String,
    /// The way to your branch; without it forward where that is possible, else a merge.
    #[arg(long, value_name = "WAY", conflicts_with = "hunks")]
    pub how: Option<Way>,
    /// Only this file, or hunks of it (`src/a.rs:1,3-4`, counted as in `runs show --diff`); may be given more than once.
    #[arg(long, value_name = "PATH[:N]")]
    pub hunks: Vec<String>,
    /// How a conflict is settled: `PATH=yours`, `PATH=run`, or `PATH=@FILE` with the whole text; more than once.
    #[arg(long, value_name = "PATH=TAKE")]
    pub resolve: Vec<String>,
    /// The message of a commit that is made, as `type: subject`.
    #[arg(short = 'm', long)]
    pub message: Option<String>,
    /// Accept the run that it stands on first, the same way, where that is not accepted yet.
    #[arg(long)]
    pub with_base: bool,
    /// Do not ask the project's git hooks (`pre-commit`, `pre-merge-commit`, `prepare-commit-msg`, `commit-msg`).
    #[arg(long)]
    pub no_verify: bool,
    /// Do not sign the commits, also where the git configuration asks for it.
    #[arg(long)]
    pub no_gpg_sign: bool,
}

/// A way to the user's branch.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Move the branch forward, or refuse.
    Ff,
    /// Make a merge commit.
    Merge,
    /// Make one commit of all.
    Squash,
}

impl From<Way> for AcceptMode {
    fn from(way: Way) -> Self {
        match way {
            Way::Ff => AcceptMode::FastForward,
            Way::Merge => AcceptMode::Merge,
            Way::Squash => AcceptMode::Squash,
        }
    }
}

/// `12` or `12-15`, from 1.
fn line_range(text: &str) -> Result<(u32, u32), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from > 0 && to >= from => Ok((from, to)),
        _ => Err("write a line such as 12, or lines such as 12-15".to_owned()),
    }
}

#[derive(Subcommand, Debug)]
pub enum OpsVerb {
    /// The operations, newest first.
    List {
        /// Only those of this run, by its id or `last`.
        #[arg(long)]
        run: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One operation, and exactly which files change when it is taken back now.
    Show {
        /// Its number.
        operation: u64,
    },
    /// Take an operation back.
    Undo {
        /// Its number; without it the newest one that is in force.
        operation: Option<u64>,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Do an operation again that was taken back.
    Redo {
        /// Its number; without it the last one that was taken back.
        operation: Option<u64>,
    },
}

#[derive(Subcommand, Debug)]
pub enum StateVerb {
    /// The read models, each with a hash over its rows.
    Hash {
        /// Make them anew from the first event on first.
        #[arg(long)]
        rebuild: bool,
    },
    /// Walk the whole history, its contents and the read models, and say what is not as it was written.
    Check,
    /// Copy the store, as of now, into a folder that does not exist yet.
    Backup {
        /// The folder.
        to: PathBuf,
    },
    /// Put a copy in the store's place, while nobody works on the project. What was there is kept beside it.
    Restore {
        /// The copy.
        from: PathBuf,
        /// Also where the store holds a history already.
        #[arg(long)]
        replace: bool,
    },
    /// Save what can be read of a damaged store into a new folder; the store stays as it is.
    Salvage {
        /// The folder, which must not exist yet.
        to: PathBuf,
        /// Another store's folder, instead of the project's.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
    /// Remove contents that no event names any more.
    Prune,
}

/// A state by the name it has in the output of `--json`.
fn run_state(text: &str) -> Result<RunState, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        let names = RunState::ALL.map(|state| serde_json::to_value(state).unwrap_or_default());
        let names: Vec<&str> = names.iter().filter_map(serde_json::Value::as_str).collect();
        format!("the states are {}", names.join(", "))
    })
}

#[derive(Subcommand, Debug)]
pub enum ApprovalsVerb {
    /// The questions that wait.
    List,
    /// Answer yes.
    Approve {
        /// The question's id; not needed where only one waits.
        id: Option<String>,
        /// A word with it.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Answer no.
    Reject {
        /// The question's id; not needed where only one waits.
        id: Option<String>,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
    },
}

const BATCH_HELP: &str = r#"Formats:
  whole-file      a path line, then a fenced block with the whole content
  search-replace  a path line, then `<<<<<<< SEARCH`, `=======`, `>>>>>>> REPLACE`
  unified-diff    as git and diff write it
  apply-patch     `*** Begin Patch` ... `*** End Patch`
  line-range      {"edits":[{"path":"a.rs","start":3,"end":4,"text":"new\n"}]}
                  lines from 1, both ends replaced; `end` = `start` - 1 puts text before line `start`;
                  optional "old" (the lines as they are) and "hash" (blake3:... of the file as it was read)
  hunk-list       {"edits":[{"path":"a.rs","search":"old\n","replace":"new\n"}]}
  Both JSON formats also take {"op":"create","path","content"}, {"op":"delete","path"}, {"op":"move","path","to"}.

Batch (--batch): JSON lines in, JSON lines out, one for one.
  in       {"id":..., "format":"unified-diff", "files":{"path":"content", ...}, "edit":"text"}
  out      {"id":..., "files":{"path":"content", "gone":null, ...}}      only what changed; a move is both paths
  refused  {"id":..., "refused":{"reason":"...", "code":"...", "hint":"...", "candidates":[{"path","lines":[3,5],"text"}]}}
  Bytes that are not UTF-8: "files_base64":{"path":"..."} and "edit_base64":"..." stand beside or in the place of
  "files" and "edit"; a changed file that came in Base64, or is not UTF-8, is answered in "files_base64".
  "seen":{"path":"blake3:..."} refuses a file that is not what was read.
  A line that cannot be read is answered as refused, with its id where it has one, else with "line": its number.
"#;

#[derive(Subcommand, Debug)]
pub enum EditVerb {
    /// Apply edits, all or none.
    #[command(after_long_help = BATCH_HELP)]
    Apply {
        /// How the edits are written: whole-file, search-replace, unified-diff, apply-patch, line-range or hunk-list.
        #[arg(long, required_unless_present = "batch", conflicts_with = "batch")]
        format: Option<String>,
        /// Read cases from standard input, one in a line, and answer each in a line; nothing is read from or written
        /// to files.
        #[arg(long, conflicts_with_all = ["root", "file", "dry_run"])]
        batch: bool,
        /// The folder that paths are relative to.
        #[arg(long, value_name = "DIR", default_value = ".")]
        root: PathBuf,
        /// The file with the edits; `-` or nothing reads standard input.
        file: Option<PathBuf>,
        /// Say what would change and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(clap::Args, Debug)]
pub struct StageArgs {
    /// The script (YAML).
    pub script: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Write every request and answer to this file as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub transcript: Option<PathBuf>,
    /// Only read the script and say whether it is right.
    #[arg(long)]
    pub check: bool,
}

#[derive(Subcommand, Debug)]
pub enum RolesVerb {
    /// The roles of the project.
    List,
    /// Check role files: keys, tools, patterns and the files' own examples.
    Check {
        /// Role files; without any, the shipped ones and the project's.
        files: Vec<PathBuf>,
    },
}

#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// Where to make the sample project; must be empty or new. Without it, a folder in the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Stop at the question before hand-over instead of answering it.
    #[arg(long)]
    pub ask: bool,
}
