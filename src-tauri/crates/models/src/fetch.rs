//! Requests as all dialects make them, and the reading of JSON that is not quite.

use crate::address::is_this_machine;
use crate::error::{CallError, clip};
use crate::refusal;
use atelier_protocol::ports::{Http, HttpLimits, HttpRequest, Method};
use atelier_protocol::settings::ProviderSettings;
use atelier_protocol::view::{ModelView, ProviderView};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// Time limits of a question about the server itself.
const QUICK: HttpLimits =
    HttpLimits { connect: Duration::from_secs(2), head: Duration::from_secs(10), idle: Duration::from_secs(10) };

/// The longest answer that is read whole. A long list of models with their templates stays far below, and so do the
/// vectors of a thousand texts.
const LONGEST: usize = 64 * 1024 * 1024;

/// An address under a base that may end with a slash.
pub(crate) fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// A base with its version: the one that the settings say, such as `/v1` or `/v1beta/openai`, else `/v1`.
pub(crate) fn versioned(base: &str) -> String {
    let base = base.trim_end_matches('/');
    let is_version = |part: &str| {
        let rest = part.strip_prefix('v').unwrap_or_default();
        rest.starts_with(|c: char| c.is_ascii_digit())
    };
    let path = base.split_once("://").map_or(base, |(_, rest)| rest);
    if path.split('/').skip(1).any(is_version) { base.to_owned() } else { format!("{base}/v1") }
}

/// A `POST` with a JSON body.
pub(crate) fn post(url: String, body: &Value, purpose: &'static str, limits: HttpLimits) -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        url,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from(body.to_string()),
        purpose,
        limits,
    }
}

/// A whole answer.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// Its JSON.
    pub(crate) fn document(self) -> Result<Value, CallError> {
        let text = String::from_utf8_lossy(&self.body);
        if self.status != 200 {
            return Err(refusal::of_answer(self.status, &self.headers, &text));
        }
        object(&text)
    }
}

/// Asks the server about itself.
pub(crate) async fn get(http: &dyn Http, base: &str, path: &str) -> Result<Answer, CallError> {
    let request = HttpRequest {
        method: Method::Get,
        url: join(base, path),
        headers: Vec::new(),
        body: Bytes::new(),
        purpose: "models",
        limits: QUICK,
    };
    send(http, request).await
}

/// Asks the server about something.
pub(crate) async fn ask(http: &dyn Http, base: &str, path: &str, body: &Value) -> Result<Answer, CallError> {
    send(http, post(join(base, path), body, "models", QUICK)).await
}

/// Sends a request and reads its whole answer.
pub(crate) async fn send(http: &dyn Http, request: HttpRequest) -> Result<Answer, CallError> {
    let mut response = http.send(request).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.body.next().await {
        body.extend_from_slice(&chunk?);
        if body.len() > LONGEST {
            return Err(CallError::TooLong { limit: LONGEST });
        }
    }
    Ok(Answer { status: response.status, headers: response.headers, body })
}

/// The view of a server of which nothing is known yet.
pub(crate) fn empty_view(settings: &ProviderSettings) -> ProviderView {
    ProviderView {
        id: settings.id.clone(),
        kind: settings.kind,
        base_url: settings.base_url.clone(),
        local: is_this_machine(&settings.base_url),
        version: None,
        models: Vec::new(),
        embedders: Vec::new(),
        problem: None,
    }
}

/// The view of a server by the models it told of.
pub(crate) fn view_with(settings: &ProviderSettings, told: Result<Vec<ModelView>, CallError>) -> ProviderView {
    let view = empty_view(settings);
    match told {
        Ok(models) => ProviderView { models, ..view },
        Err(error) => ProviderView { problem: Some(error.problem(settings, "")), ..view },
    }
}

/// The entries of `/models`, as servers list them that speak OpenAI's or Anthropic's routes.
pub(crate) async fn listed(http: &dyn Http, base: &str) -> Result<Vec<Value>, CallError> {
    let mut list = get(http, &versioned(base), "/models").await?.document()?;
    match list["data"].take() {
        Value::Array(entries) => Ok(entries),
        _ => Err(CallError::Unreadable { text: clip(&list.to_string()) }),
    }
}

/// A JSON object. Half a surrogate pair, which some servers escape, is read as the replacement character.
pub(crate) fn object(text: &str) -> Result<Value, CallError> {
    let read = serde_json::from_str(text).or_else(|error| match without_half_pairs(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(mended) => serde_json::from_str(&mended),
    });
    match read {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(CallError::Unreadable { text: clip(text) }),
    }
}

/// The text with `\uFFFD` in place of every `\uD800`..`\uDFFF` that is not half of a pair.
fn without_half_pairs(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(next) = text[at..].find('\\') {
        let here = at + next;
        at = match unit(here) {
            Some(0xd800..=0xdbff) if matches!(unit(here + 6), Some(0xdc00..=0xdfff)) => here + 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&text[kept..here]);
                mended.push_str("\\ufffd");
                kept = here + 6;
                here + 6
            }
            Some(_) => here + 6,
            // Any other escape is two characters; the second may be a backslash and must not begin one.
            None => here + 1 + text[here + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[kept..]);
    Cow::Owned(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_does_not_lose_the_rest() {
        let read = |text: &str| object(text).unwrap()["a"].as_str().unwrap().to_owned();
        assert_eq!(read(r#"{"a":"x\ud83dy"}"#), "x\u{fffd}y");
        assert_eq!(read(r#"{"a":"\ude00"}"#), "\u{fffd}");
        assert_eq!(read(r#"{"a":"\ud83d\ud83d\ude00"}"#), "\u{fffd}😀");
        assert_eq!(read(r#"{"a":"\\ud83d \ud83d"}"#), "\\ud83d \u{fffd}");
    }

    #[test]
    fn what_is_no_object_is_unreadable() {
        for text in ["", "[]", "null", "{", "<html>", "{\"a\":\"\\"] {
            assert!(matches!(object(text), Err(CallError::Unreadable { .. })), "{text}");
        }
    }

    #[test]
    fn a_base_keeps_the_version_it_names() {
        assert_eq!(versioned("http://127.0.0.1:8080/"), "http://127.0.0.1:8080/v1");
        assert_eq!(versioned("https://v2.example.org"), "https://v2.example.org/v1", "a host is no version");
        for base in ["https://a.example/api/v1", "https://a.example/v1beta/openai"] {
            assert_eq!(versioned(base), base);
        }
    }

    #[test]
    fn a_base_may_end_with_a_slash() {
        assert_eq!(join("http://127.0.0.1:1/", "/api/chat"), "http://127.0.0.1:1/api/chat");
    }
}
