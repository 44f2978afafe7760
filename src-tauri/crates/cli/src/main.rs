//! `atelier`: the headless twin. The same engine as the window, with text for people or JSON lines for programs.
//!
//! This file only reads the arguments and turns the end into an exit code; each verb has its own file.

mod approvals;
mod args;
mod bus;
mod cache;
mod checks;
mod choices;
mod demo;
mod doctor;
mod documents;
mod edit;
mod egress;
mod export;
mod find;
mod follow;
mod jobs;
mod keys;
mod library;
mod memory;
mod model_work;
mod models;
mod objects;
mod ops;
mod out;
mod projects;
mod push;
mod record;
mod review;
mod roles;
mod run;
mod runs;
mod serve;
mod session;
mod stage;
mod state;
mod state_file;
mod story;
mod words;

use args::{Args, Verb};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = atelier_engine::reader::serve_if_asked(std::env::args_os().skip(1)) {
        return done;
    }
    atelier_engine::heap::share();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("ATELIER_LOG").unwrap_or_else(|_| "error".into()))
        .with_writer(std::io::stderr)
        .init();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if asked_for_help { 0 } else { 2 });
        }
    };
    let out = out::Out::new(args.json);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return out.end(Err(out::environment(&format!("The program could not start: {error}")))),
    };
    let end = runtime.block_on(perform(&args, &out));
    // A model call or command that is still open must not hold up the exit; the run can be resumed.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    out.end(end)
}

/// The async runtime. Where the system has no descriptors left it panics instead of saying so.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let built = std::panic::catch_unwind(|| tokio::runtime::Builder::new_multi_thread().enable_all().build());
    std::panic::set_hook(usual);
    built.unwrap_or_else(|_| Err(std::io::Error::other("the system gave it no more files or sockets")))
}

async fn perform(args: &Args, out: &out::Out) -> out::End {
    match &args.verb {
        Verb::Run(run) => run::run(args, run, out).await,
        Verb::Runs(verb) => runs::runs(args, verb, out).await,
        Verb::Ops(verb) => ops::ops(args, verb, out).await,
        Verb::Approvals(verb) => approvals::approvals(args, verb, out).await,
        Verb::Answer { text, id } => approvals::in_words(args, id.as_deref(), text, out).await,
        Verb::Index { watch: true, .. } => find::watch(args, out).await,
        Verb::Index { status, meaning, .. } => find::index(args, *status, meaning.as_deref(), out).await,
        Verb::Context { goal, budget } => find::context(args, goal, *budget, out).await,
        Verb::Search(search) => find::search(args, search, out).await,
        Verb::Checks(verb) => checks::checks(args, verb, out).await,
        Verb::Documents(verb) => documents::documents(verb, out).await,
        Verb::Edit(verb) => edit::edit(verb, out),
        Verb::Stage(stage) => stage::stage(stage, out).await,
        Verb::Roles(verb) => roles::roles(args, verb, out),
        Verb::Bus(verb) => bus::bus(args, verb, out).await,
        Verb::Jobs(verb) => jobs::jobs(args, verb, out).await,
        Verb::Objects(verb) => objects::objects(args, verb, out).await,
        Verb::Models { verb: None } => doctor::models(args, out).await,
        Verb::Models { verb: Some(verb) } => models::models(args, verb, out).await,
        Verb::Library(verb) => library::library(args, verb, out).await,
        Verb::Projects(verb) => projects::projects(args, verb, out).await,
        Verb::Keys(verb) => keys::keys(args, verb, out).await,
        Verb::Serve(serve) => serve::serve(args, serve, out).await,
        Verb::Egress(verb) => egress::egress(args, verb, out).await,
        Verb::State(verb) => state::state(args, verb, out).await,
        Verb::Doctor => doctor::doctor(args, out).await,
        Verb::Demo(demo) => demo::demo(args, demo, out).await,
        Verb::Export { whole: Some(verb), .. } => state_file::export(args, verb, out).await,
        Verb::Export { whole: None, run, format: Some(format), out: Some(to) } => {
            export::export(args, run.as_deref(), *format, to, out).await
        }
        Verb::Export { .. } => Err(out::unexpected()), // clap requires both
        Verb::Import(verb) => state_file::import(args, verb, out).await,
    }
}
