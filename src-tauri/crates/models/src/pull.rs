//! Fetching a model with an Ollama server.
//!
//! Done only when the server says so: a stream that ends before is a failure, and asking again goes on where it was.

use crate::error::CallError;
use crate::fetch;
use crate::lines::{LONGEST_LINE, Lines};
use crate::refusal;
use atelier_protocol::ports::{Http, HttpLimits};
use futures_util::StreamExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// A registry may be slow to answer, and a large layer is checked without a word when it has come.
const LIMITS: HttpLimits =
    HttpLimits { connect: Duration::from_secs(5), head: Duration::from_secs(60), idle: Duration::from_secs(600) };

/// How far a pull is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulled {
    /// What the server does at the moment, in its words.
    pub status: String,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes of all layers that are known so far.
    pub of: u64,
}

/// Fetches a model with the server at `base`. Dropping it stops the server; what it has brought stays.
///
/// # Errors
/// The model is unknown, the server or its registry is not reached, or the stream broke off.
pub async fn pull(
    http: &dyn Http,
    base: &str,
    model: &str,
    told: &mut (dyn FnMut(Pulled) + Send),
) -> Result<(), CallError> {
    let body = json!({"model": model, "stream": true});
    let request = fetch::post(fetch::join(base, "/api/pull"), &body, "pull", LIMITS);
    let mut response = http.send(request).await?;
    if response.status != 200 {
        let mut text = Vec::new();
        while let Some(Ok(chunk)) = response.body.next().await {
            text.extend_from_slice(&chunk);
            if text.len() > LONGEST_LINE {
                break;
            }
        }
        return Err(refusal::of_answer(response.status, &response.headers, &String::from_utf8_lossy(&text)));
    }
    let (mut lines, mut state) = (Lines::new(LONGEST_LINE), State::default());
    while let Some(chunk) = response.body.next().await {
        lines.push(&chunk?, |line| state.line(line, told))?;
    }
    let rest = lines.rest()?;
    state.line(&rest, told)?;
    match state.done {
        true => Ok(()),
        false => Err(CallError::Incomplete { reason: "the pull ended without `success`".to_owned() }),
    }
}

#[derive(Default)]
struct State {
    /// Bytes here and bytes in all, by layer.
    layers: BTreeMap<String, (u64, u64)>,
    done: bool,
}

impl State {
    fn line(&mut self, line: &str, told: &mut (dyn FnMut(Pulled) + Send)) -> Result<(), CallError> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let object = fetch::object(line)?;
        if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
            return Err(refusal::of_stream(error));
        }
        let status = object["status"].as_str().unwrap_or_default();
        self.done |= status == "success";
        if let (Some(layer), Some(of)) = (object["digest"].as_str(), object["total"].as_u64()) {
            // A layer that has only begun is told without `completed`.
            self.layers.insert(layer.to_owned(), (object["completed"].as_u64().unwrap_or(0), of));
        }
        let (done, of) = self.layers.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        told(Pulled { status: status.to_owned(), done, of });
        Ok(())
    }
}
