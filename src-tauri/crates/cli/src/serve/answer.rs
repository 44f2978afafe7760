//! Answers of the door: JSON, errors in OpenAI's form, and streams of events.

use super::guard::Stranger;
use atelier_engine::{FoundAnswer, Waited};
use atelier_protocol::error::{Code, ExitClass, Problem};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;

/// An answer of the door.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A JSON document.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = Bytes::from(serde_json::to_vec(value).unwrap_or_default());
    of(status, "application/json", Full::new(body).boxed_unsync())
}

/// Server-sent events (WHATWG HTML, section 9.2), each one line of data.
pub fn events(events: impl Stream<Item = String> + Send + 'static) -> Answer {
    let frame = |event| Ok::<_, Infallible>(Frame::data(Bytes::from(format!("data: {event}\n\n"))));
    let body = StreamBody::new(events.map(frame));
    of(StatusCode::OK, "text/event-stream", BodyExt::boxed_unsync(body))
}

fn of(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Says of an answer that it was kept from an earlier question.
pub fn found(mut answer: Answer, kept: Option<FoundAnswer>) -> Answer {
    if let Some(kept) = kept {
        let word = match kept {
            FoundAnswer::Same => "same",
            FoundAnswer::Like => "like",
        };
        answer.headers_mut().insert("x-atelier-kept", HeaderValue::from_static(word));
    }
    answer
}

/// Says of an answer for how long, in milliseconds, it waited behind which model.
pub fn waited(mut answer: Answer, waited: Option<Waited>) -> Answer {
    if let Some(Waited { behind, ms }) = waited {
        let headers = answer.headers_mut();
        headers.insert("x-atelier-waited-ms", HeaderValue::from(ms));
        if let Ok(behind) = HeaderValue::from_str(&behind) {
            headers.insert("x-atelier-waited-behind", behind);
        }
    }
    answer
}

/// An error in OpenAI's form.
pub fn error(status: StatusCode, kind: &str, code: &str, message: &str) -> Answer {
    json(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

/// A problem of the engine.
pub fn problem(problem: &Problem) -> Answer {
    let status = match problem.code {
        Code::ModelMissing | Code::NoModel => StatusCode::NOT_FOUND,
        Code::ModelServerDown | Code::ModelServerError | Code::AnswerIncomplete => StatusCode::BAD_GATEWAY,
        Code::ModelTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::ContextMismatch => StatusCode::BAD_GATEWAY,
        Code::AnswerEmpty | Code::AnswerInvalid => StatusCode::BAD_GATEWAY,
        Code::ContextOverflow => StatusCode::BAD_REQUEST,
        Code::BudgetReached | Code::CloudPaused => StatusCode::PAYMENT_REQUIRED,
        code if code.exit() == ExitClass::Refused => StatusCode::FORBIDDEN,
        code if code.exit() == ExitClass::Usage => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    json(status, &error_of(problem))
}

/// The body of an error, for streams too.
pub fn error_of(problem: &Problem) -> Value {
    let message = format!("{} {}", problem.message, problem.hint);
    json!({"error": {"message": message, "type": "atelier_error", "param": null, "code": problem.code}})
}

/// Somebody who is turned away.
pub fn stranger(stranger: Stranger) -> Answer {
    match stranger {
        Stranger::Host => error(
            StatusCode::FORBIDDEN,
            "forbidden",
            "host",
            "This door is for this machine: the Host header names another one.",
        ),
        Stranger::Origin => {
            error(StatusCode::FORBIDDEN, "forbidden", "origin", "This door is for programs; pages are not let in.")
        }
        Stranger::Token => error(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            "token",
            "Send `Authorization: Bearer TOKEN`; `atelier serve` says which file holds the token.",
        ),
    }
}
