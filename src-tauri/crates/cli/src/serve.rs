//! `atelier serve`: an opt-in door on this machine for other programs.
//!
//! OpenAI's chat, vectors and models through the router, and routes of our own under `/api/v1`. It listens on loopback
//! alone and wants a token, which stands in a file that only its owner reads. Who comes with a foreign `Host`, or from a
//! page of the web, is turned away before anything is read.

mod answer;
mod api;
mod embeddings;
mod guard;
mod openai;

use crate::args::Args;
use crate::out::{End, Finished, Out};
use crate::session;
use atelier_engine::{Places, Workshop};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::ProjectId;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[derive(clap::Args, Debug)]
pub struct ServeArgs {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Print the OpenAPI document and do nothing else.
    #[arg(long)]
    pub openapi: bool,
}

/// The door.
struct Door {
    workshop: Workshop,
    /// The project whose permissions count for what leaves this machine.
    project: Option<ProjectId>,
    token: String,
    port: u16,
}

pub async fn serve(args: &Args, serve: &ServeArgs, out: &Out) -> End {
    if serve.openapi {
        let document = api::document();
        out.say(serde_json::to_string_pretty(&document).unwrap_or_default());
        return Ok(Finished::done(json!({"openapi": document})));
    }
    let io = |what: &str, error: std::io::Error| {
        Problem::new(Code::Io, format!("{what}: {error}."), "Choose another port, or check the folder's permissions.")
    };
    let workshop = session::workshop(args).await?;
    // Without a project the door works; then nothing may leave this machine.
    let project = workshop.open_project(&args.project).await.ok().map(|project| project.id().clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, serve.port))
        .await
        .map_err(|e| io(&format!("Port {} on 127.0.0.1 cannot be had", serve.port), e))?;
    let port = listener.local_addr().map_err(|e| io("The port cannot be named", e))?.port();
    let places = Places::of_this_user()?;
    // Named by its port, so that the doors of two projects leave each other's alone.
    let file = places.run.join(format!("serve-{port}.token"));
    let token = new_token().and_then(|token| keep(&file, &token).map(|()| token));
    let token = token.map_err(|e| io(&format!("The token cannot be written to {}", file.display()), e))?;
    out.say(format!("http://127.0.0.1:{port}/v1   token in {}", file.display()));
    out.line("progress", &json!({"address": format!("http://127.0.0.1:{port}"), "token_file": file}));

    let door = Arc::new(Door { workshop, project, token, port });
    let mut connections = JoinSet::new();
    let stop = asked_to_stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let _ = stream.set_nodelay(true);
                let door = door.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let door = door.clone();
                        async move { Ok::<_, std::convert::Infallible>(door.answer(request).await) }
                    });
                    // An error here is a client that hung up.
                    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    connections.shutdown().await;
    let _ = std::fs::remove_file(&file);
    door.workshop.close().await;
    Ok(Finished::done(json!({"stopped": true})))
}

/// Resolves when the user, or whoever started this program, wants it to end.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn new_token() -> std::io::Result<String> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(data_encoding::HEXLOWER.encode(&random))
}

/// Writes the token into a file that was never readable by others.
fn keep(file: &Path, token: &str) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(token.as_bytes())
}
