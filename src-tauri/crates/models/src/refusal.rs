//! Reads a server's error: an answer with another status than 200, or an error inside a stream.
//!
//! Real servers word the same error differently and put one's document into the other's string, so an overflow is told
//! by the type or code where there is one, and otherwise by a set of phrases together with the status.

use crate::error::{CallError, clip};
use serde_json::Value;
use std::time::Duration;

/// Phrases by which servers say that a prompt is too long.
const OVERFLOWS: [&str; 6] = [
    "exceeds the available context size",
    "maximum context length",
    "context length exceeded",
    "exceeds the context window",
    "input length exceeds",
    "prompt is too long",
];

/// Codes by which servers say that nothing is left on the account.
const EXHAUSTED: [&str; 6] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_error",
    "usage_limit_reached",
    "insufficient_balance",
    "payment_required",
];

/// Codes by which servers say that the key is missing or wrong.
const REFUSED: [&str; 4] = ["invalid_api_key", "authentication_error", "permission_error", "PERMISSION_DENIED"];

/// Phrases by which local servers say that a model does not fit into memory; there is no code for it.
const MEMORY: [&str; 4] = ["insufficient memory", "requires more system memory", "out of memory", "unable to allocate"];

/// What the server said and how it names it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    text: String,
    kind: String,
}

/// An answer with another status than 200.
pub(crate) fn of_answer(status: u16, headers: &[(String, String)], body: &str) -> CallError {
    let retry_after = retry_after(headers);
    let document = serde_json::from_str::<Value>(body).ok();
    // A server that knows the route and lacks the model says so in a document of the dialect.
    let known = document.as_ref().is_some_and(|value| value.get("error").or_else(|| value.get("message")).is_some());
    let said =
        document.map_or_else(|| Said { text: body.trim().to_owned(), kind: String::new() }, |value| said(&value));
    match status {
        404 if !known => CallError::Unreadable { text: clip(&said.text) },
        404 => CallError::ModelMissing { text: clip(&said.text) },
        _ => classify(status, said, retry_after),
    }
}

/// How long the server asks to wait (RFC 9110, section 10.2.3): in seconds, as a date counted from the server's own, or
/// in milliseconds as some write it.
fn retry_after(headers: &[(String, String)]) -> Option<Duration> {
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.trim());
    if let Some(ms) = header("retry-after-ms").and_then(|value| value.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let told = header("retry-after")?;
    if let Ok(seconds) = told.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(told).ok()?;
    let now = header("date").and_then(|date| httpdate::parse_http_date(date).ok())?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The value of `error` inside a stream that began with 200.
pub(crate) fn of_stream(error: &Value) -> CallError {
    classify(200, said(error), None)
}

fn classify(status: u16, said: Said, retry_after: Option<Duration>) -> CallError {
    let Said { text, kind } = said;
    let lower = text.to_lowercase();
    let too_long = matches!(kind.as_str(), "exceed_context_size_error" | "context_length_exceeded")
        || OVERFLOWS.iter().any(|phrase| lower.contains(phrase));
    if matches!(status, 200 | 400 | 413 | 500) && too_long {
        return CallError::Overflow { text: clip(&text) };
    }
    if status == 402 || EXHAUSTED.contains(&kind.as_str()) {
        return CallError::Exhausted { text: clip(&text), retry_after };
    }
    if matches!(status, 401 | 403 | 407) || REFUSED.contains(&kind.as_str()) {
        return CallError::KeyRefused { status, text: clip(&text) };
    }
    if matches!(status, 200 | 500) && MEMORY.iter().any(|phrase| lower.contains(phrase)) {
        return CallError::OutOfMemory { text: clip(&text) };
    }
    if status == 400 && lower.contains("does not support") {
        return CallError::Unsupported { what: clip(&text) };
    }
    if lower.contains("invalid tool call arguments") {
        let name = text.split('"').nth(1).unwrap_or_default().to_owned();
        return CallError::MalformedCall { name, raw: clip(&text), usage: None };
    }
    CallError::ServerError { status, text: clip(&text), retry_after }
}

/// Finds the words in an error document, however deep it was wrapped.
fn said(value: &Value) -> Said {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => said(&inner),
            _ => Said { text: text.clone(), kind: String::new() },
        },
        Value::Object(map) => {
            if let Some(inner) = map.get("error").filter(|inner| !inner.is_null()) {
                return said(inner);
            }
            let word = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let inner = map.get("message").or_else(|| map.get("detail")).map(said).unwrap_or_default();
            let text = if inner.text.is_empty() { value.to_string() } else { inner.text };
            let kind = [word("code"), inner.kind, word("type")].into_iter().find(|kind| !kind.is_empty());
            Said { text, kind: kind.unwrap_or_default() }
        }
        other => Said { text: other.to_string(), kind: String::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::event::FailureClass;

    #[test]
    fn a_document_inside_a_string_is_unwrapped() {
        let body = r#"{"error":"{\"error\":{\"code\":400,\"message\":\"request (9 tokens) exceeds the available context size (4 tokens)\",\"type\":\"exceed_context_size_error\"}}"}"#;
        let text = "request (9 tokens) exceeds the available context size (4 tokens)".to_owned();
        assert_eq!(of_answer(400, &[], body), CallError::Overflow { text });
    }

    #[test]
    fn a_busy_server_says_how_long_to_wait() {
        let headers = [("retry-after".to_owned(), "7".to_owned())];
        let error = of_answer(429, &headers, r#"{"error":{"message":"slow down","type":"rate_limit","code":null}}"#);
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(error, CallError::ServerError { status: 429, text: "slow down".into(), retry_after });
        assert_eq!(error.class(), FailureClass::RetrySame);
        let mut date = vec![("retry-after".to_owned(), "Sat, 21 Nov 2026 01:50:59 GMT".to_owned())];
        assert_eq!(of_answer(503, &date, "busy").retry_after(), None, "nobody knows the server's clock");
        date.push(("date".to_owned(), "Sat, 21 Nov 2026 01:50:19 GMT".to_owned()));
        assert_eq!(of_answer(503, &date, "busy").retry_after(), Some(Duration::from_secs(40)));
        let odd = [("retry-after".to_owned(), "-3".to_owned())];
        assert_eq!(of_answer(503, &odd, "busy").retry_after(), None);
    }

    #[test]
    fn an_account_without_money_is_told_from_a_busy_server_by_status_or_code() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert!(matches!(of_answer(429, &[], quota), CallError::Exhausted { .. }));
        assert!(matches!(of_answer(402, &[], "{}"), CallError::Exhausted { .. }));
        assert!(matches!(of_answer(401, &[], "{}"), CallError::KeyRefused { status: 401, .. }));
        let memory = r#"{"error":"llama runner: insufficient memory (attempted to allocate 24414.06 MB)"}"#;
        assert!(matches!(of_answer(500, &[], memory), CallError::OutOfMemory { .. }));
    }

    #[test]
    fn a_missing_route_is_not_a_missing_model() {
        for page in ["404 page not found", r#"{"detail":"Not Found"}"#] {
            assert!(matches!(of_answer(404, &[], page), CallError::Unreadable { .. }), "{page}");
        }
        assert!(matches!(
            of_answer(404, &[], r#"{"error":"model 'x' not found"}"#),
            CallError::ModelMissing { text } if text == "model 'x' not found"
        ));
    }

    #[test]
    fn a_page_in_place_of_an_error_is_kept_short() {
        let page = format!("<html>{}</html>", "x".repeat(10_000));
        let CallError::ServerError { text, .. } = of_answer(502, &[], &page) else { unreachable!() };
        assert!(text.len() <= 2_010 && text.ends_with('…'), "{}", text.len());
    }
}
