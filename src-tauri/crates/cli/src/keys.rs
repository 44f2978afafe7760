//! `atelier keys`: where the key of each model server is found, and where it is put. A key is typed or piped in, never an
//! argument: those stand in the history of the shell and in the list of processes.

use crate::args::Args;
use crate::out::{End, Finished, Out};
use crate::session;
use atelier_engine::Places;
use atelier_engine::keys::{of_this_user, sealed_file, with_passphrase};
use atelier_models::Keys;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::settings::ProviderSettings;
use clap::Subcommand;
use secrecy::SecretString;
use serde_json::json;
use std::io::{IsTerminal, Read};

#[derive(Subcommand, Debug)]
pub enum KeysVerb {
    /// The model servers of the settings, and where the key of each is found.
    List,
    /// Keep the key of a model server: typed, or piped in.
    Set {
        /// The server's id in the settings.
        // Not called `server`: that is a flag of every verb.
        #[arg(value_name = "SERVER")]
        id: String,
        /// In the file that a passphrase seals, not in the system's keychain.
        #[arg(long)]
        sealed: bool,
    },
    /// Forget the key of a model server.
    Remove {
        /// The server's id in the settings.
        // Not called `server`: that is a flag of every verb.
        #[arg(value_name = "SERVER")]
        id: String,
    },
}

pub async fn keys(args: &Args, verb: &KeysVerb, out: &Out) -> End {
    let places = Places::of_this_user()?;
    match verb {
        KeysVerb::List => list(args, &unlocked(&places, false)?, out).await,
        KeysVerb::Set { id, sealed } => {
            let server = known(args, id).await?;
            let key = secret(&format!("Key of {} at {}: ", server.id, server.base_url))?;
            let put = unlocked(&places, *sealed)?.set(&server, key, *sealed).await.map_err(|e| e.problem())?;
            out.say(format!("the key of {} at {} is in {put}", server.id, server.base_url));
            Ok(Finished::done(json!({"server": server.id, "source": put.to_string()})))
        }
        KeysVerb::Remove { id } => {
            let server = known(args, id).await?;
            let removed = unlocked(&places, false)?.remove(&server).await.map_err(|e| e.problem())?;
            let places: Vec<String> = removed.iter().map(ToString::to_string).collect();
            out.say(match places.as_slice() {
                [] => format!("there was no key of {} in the keychain or the sealed file", server.id),
                some => format!("the key of {} is gone from {}", server.id, some.join(" and ")),
            });
            Ok(Finished::done(json!({"server": server.id, "removed": places})))
        }
    }
}

/// The model servers of the settings.
async fn servers(args: &Args) -> Result<Vec<ProviderSettings>, Problem> {
    let workshop = session::workshop(args).await?;
    let servers = workshop.settings().providers;
    workshop.close().await;
    Ok(servers)
}

/// A server of the settings: a key is kept for its host and no other.
async fn known(args: &Args, id: &str) -> Result<ProviderSettings, Problem> {
    let servers = servers(args).await?;
    let ids: Vec<String> = servers.iter().map(|server| server.id.clone()).collect();
    servers.into_iter().find(|server| server.id == id).ok_or_else(|| {
        let what = format!("There is no model server called `{id}` in the settings.");
        Problem::new(Code::BadArgument, what, "Name one of these, or add it to the settings first.").with_details(ids)
    })
}

async fn list(args: &Args, keys: &Keys, out: &Out) -> End {
    let servers = servers(args).await?;
    let mut listed = Vec::new();
    let mut unknown = None;
    for server in &servers {
        let (said, line) = match keys.find(server).await {
            Ok(found) => {
                let source = found.map(|(_, source)| source.to_string());
                (source.clone().unwrap_or_else(|| "no key".to_owned()), json!({"server": server.id, "source": source}))
            }
            Err(error) => {
                unknown = Some(error.problem());
                (format!("unknown: {error}"), json!({"server": server.id, "problem": error.problem()}))
            }
        };
        out.say(format!("{:<16} {:<40} {said}", server.id, server.base_url));
        listed.push(line);
    }
    match unknown {
        Some(problem) if listed.iter().all(|line| line["problem"].is_object()) => Err(problem),
        _ => Ok(Finished::done(json!({"keys": listed}))),
    }
}

/// The keys, with the sealed file opened where it is there or wanted and somebody can be asked for its passphrase.
fn unlocked(places: &Places, sealed: bool) -> Result<Keys, Problem> {
    let file = sealed_file(places);
    let given = std::env::var_os("ATELIER_VAULT_FD").is_some();
    if given || !(sealed || file.exists()) || !std::io::stdin().is_terminal() {
        return Ok(of_this_user(places));
    }
    let passphrase = typed(if file.exists() { "Passphrase of the sealed file: " } else { "New passphrase: " })?;
    if !file.exists() && typed("The same again: ")? != passphrase {
        return Err(Problem::new(Code::BadArgument, "The passphrases differ; nothing was kept.", "Try again."));
    }
    Ok(with_passphrase(places, Some(SecretString::from(passphrase))))
}

/// A secret: typed without being shown, or the first line of what is piped in.
fn secret(prompt: &str) -> Result<SecretString, Problem> {
    let text = if std::io::stdin().is_terminal() {
        typed(prompt)?
    } else {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|e| unread(&e))?;
        text.lines().next().unwrap_or_default().to_owned()
    };
    match text.trim() {
        "" => Err(Problem::new(Code::BadArgument, "No key was given.", "Type it when asked, or pipe it in.")),
        key => Ok(SecretString::from(key)),
    }
}

fn typed(prompt: &str) -> Result<String, Problem> {
    rpassword::prompt_password(prompt).map_err(|e| unread(&e))
}

fn unread(error: &std::io::Error) -> Problem {
    Problem::new(Code::Io, format!("Nothing could be read: {error}."), "Type it in a terminal, or pipe it in.")
}
