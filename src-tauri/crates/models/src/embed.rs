//! Vectors of texts, from the servers that make them.
//!
//! A text that does not fit the model is an error and never cut (`truncate: false` where the server would). What comes
//! back is one vector a text, in their order, all of one length; anything else is not taken.

use crate::address::is_this_machine;
use crate::error::{CallError, clip};
use crate::fetch;
use atelier_protocol::ports::{Http, HttpLimits};
use serde_json::{Value, json};
use std::time::Duration;

/// Time limits of a question for vectors. Like a chat's, the head waits for the model to be loaded.
pub const EMBED_LIMITS: HttpLimits =
    HttpLimits { connect: Duration::from_secs(5), head: Duration::from_secs(600), idle: Duration::from_secs(120) };

/// A question for vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedRequest {
    /// The model's name as the server knows it.
    pub model: String,
    /// The texts.
    pub texts: Vec<String>,
    /// The length of the vectors; `None` is the model's own.
    pub dimensions: Option<u32>,
    /// Time limits, normally [`EMBED_LIMITS`].
    pub limits: HttpLimits,
    /// Whether the server, although it is on this machine, passes it on to another one.
    pub passed_on: bool,
}

impl EmbedRequest {
    /// A question with everything else left to the server.
    pub fn new(model: impl Into<String>, texts: Vec<String>) -> Self {
        Self { model: model.into(), texts, dimensions: None, limits: EMBED_LIMITS, passed_on: false }
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One vector a text, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of the texts; `None` where the server does not say.
    pub tokens: Option<u32>,
}

/// Whether a model of the server at `base_url` works on this machine, as far as its name tells.
pub fn keeps_to_its_machine(base_url: &str, model: &str) -> bool {
    is_this_machine(base_url) && !model.ends_with(":cloud") && !model.ends_with("-cloud")
}

/// Asks `/api/embed` of Ollama.
pub(crate) async fn ollama(http: &dyn Http, base: &str, request: &EmbedRequest) -> Result<Embedded, CallError> {
    let mut body = json!({"model": request.model, "input": request.texts, "truncate": false});
    if let Some(dimensions) = request.dimensions {
        body["dimensions"] = dimensions.into();
    }
    let url = fetch::join(base, "/api/embed");
    let document = fetch::send(http, fetch::post(url, &body, "embed", request.limits)).await?.document()?;
    let vectors = document["embeddings"].as_array().map(|rows| rows.iter().map(vector).collect());
    read(&document, vectors, &document["prompt_eval_count"], request)
}

/// Asks `/v1/embeddings` of an OpenAI-style server. The entries may come in any order, each with its number.
pub(crate) async fn openai(http: &dyn Http, base: &str, request: &EmbedRequest) -> Result<Embedded, CallError> {
    let mut body = json!({"model": request.model, "input": request.texts, "encoding_format": "float"});
    if let Some(dimensions) = request.dimensions {
        body["dimensions"] = dimensions.into();
    }
    let url = fetch::join(&fetch::versioned(base), "/embeddings");
    let document = fetch::send(http, fetch::post(url, &body, "embed", request.limits)).await?.document()?;
    let vectors = document["data"].as_array().map(|entries| {
        let mut placed: Vec<(u64, Option<Vec<f32>>)> = entries
            .iter()
            .zip(0u64..)
            .map(|(entry, at)| (entry["index"].as_u64().unwrap_or(at), vector(&entry["embedding"])))
            .collect();
        placed.sort_by_key(|(index, _)| *index);
        // Each number once, from 0 on: else some text has another's vector.
        placed.into_iter().zip(0u64..).map(|((index, vector), at)| vector.filter(|_| index == at)).collect()
    });
    read(&document, vectors, &document["usage"]["prompt_tokens"], request)
}

fn vector(value: &Value) -> Option<Vec<f32>> {
    #[expect(clippy::cast_possible_truncation, reason = "models compute in 32 bits or fewer")]
    value.as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32)).collect()
}

fn read(
    document: &Value,
    vectors: Option<Option<Vec<Vec<f32>>>>,
    tokens: &Value,
    request: &EmbedRequest,
) -> Result<Embedded, CallError> {
    let sound = vectors.flatten().filter(|vectors| {
        let length = vectors.first().map_or(0, Vec::len);
        vectors.len() == request.texts.len() && length > 0 && vectors.iter().all(|vector| vector.len() == length)
    });
    let Some(vectors) = sound else { return Err(CallError::Unreadable { text: clip(&document.to_string()) }) };
    Ok(Embedded { vectors, tokens: tokens.as_u64().and_then(|tokens| u32::try_from(tokens).ok()) })
}
