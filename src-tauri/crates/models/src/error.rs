//! Why a call to a model brought no usable turn, and what a person can do about it.

use atelier_protocol::event::{FailureClass, Usage};
use atelier_protocol::ports::HttpError;
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::{Code, Problem};
use std::time::Duration;

/// A call that brought no usable turn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing listens at the server's address.
    #[error("no model server answers: {reason}")]
    ServerDown {
        /// The cause.
        reason: String,
    },
    /// The server's address in the settings cannot be requested.
    #[error("the server's address cannot be used: {reason}")]
    BadAddress {
        /// The cause.
        reason: String,
    },
    /// The server does not have the model.
    #[error("the server does not have the model: {text}")]
    ModelMissing {
        /// The server's words.
        text: String,
    },
    /// The server answered with an error, or wrote one into its stream.
    #[error("the server answered with an error ({status}): {text}")]
    ServerError {
        /// The HTTP status; 200 where the error stood in the stream.
        status: u16,
        /// The server's words, at most 2,000 bytes.
        text: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The account is used up: no money or no calls are left.
    #[error("the account is used up: {text}")]
    Exhausted {
        /// The server's words.
        text: String,
        /// When the server says it goes on.
        retry_after: Option<Duration>,
    },
    /// The server wants a key, or refused the one it got.
    #[error("the server refused the key ({status}): {text}")]
    KeyRefused {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        text: String,
    },
    /// The model does not fit into the machine's memory.
    #[error("the model does not fit into memory: {text}")]
    OutOfMemory {
        /// The server's words.
        text: String,
    },
    /// The prompt does not fit the model's context.
    #[error("the prompt does not fit the model's context: {text}")]
    Overflow {
        /// The server's words.
        text: String,
    },
    /// A time limit passed.
    #[error("the server did not {act} within {seconds} s")]
    Timeout {
        /// `connect`, `answer` or `go on`.
        act: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The stream ended before the turn was complete.
    #[error("the answer broke off: {reason}")]
    Incomplete {
        /// How it ended.
        reason: String,
    },
    /// The model ended its turn without saying or doing anything.
    #[error("the model ended its turn without saying or doing anything")]
    Empty,
    /// A tool call whose arguments are not a JSON object. It is never performed.
    #[error("the call of `{name}` has unreadable arguments")]
    MalformedCall {
        /// The tool.
        name: String,
        /// The arguments as they came, at most 2,000 bytes.
        raw: String,
        /// What the server says the turn used; `None` where it did not come to that.
        usage: Option<Box<Usage>>,
    },
    /// The server read less than it was sent: it dropped a part of the prompt without a word.
    #[error("the server read {read} tokens of a prompt that has at least {sent}")]
    PromptCut {
        /// Tokens it says it read.
        read: u32,
        /// The least tokens that were sent.
        sent: u32,
    },
    /// Something in the stream that is not of the server's dialect.
    #[error("the server's answer cannot be read: {text}")]
    Unreadable {
        /// What, at most 2,000 bytes.
        text: String,
    },
    /// Local-only mode forbids the server's machine.
    #[error("{host} is another machine, and local-only mode is on")]
    LocalOnly {
        /// The host.
        host: String,
    },
    /// The user has not permitted material to leave for the server.
    #[error("nothing may be sent to {host}: it was not permitted")]
    NotPermitted {
        /// The host.
        host: String,
    },
    /// The egress ledger could not be written, so nothing was sent.
    #[error("the request could not be recorded, so it was not made: {reason}")]
    NotRecorded {
        /// The cause.
        reason: String,
    },
    /// One line of the stream is longer than is read.
    #[error("one line of the answer is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The model cannot do what was asked of it, such as tools or thinking.
    #[error("the model cannot do this: {what}")]
    Unsupported {
        /// The server's words.
        what: String,
    },
}

impl CallError {
    /// What is to be done about it. Decided by what kind of failure it is, never by its words.
    pub fn class(&self) -> FailureClass {
        match self {
            CallError::ServerError { status, .. } => match status {
                200 | 408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 | 529 => FailureClass::RetrySame,
                // The server does not understand the request; another one may.
                _ => FailureClass::FailOver,
            },
            CallError::Incomplete { .. } | CallError::Empty | CallError::Timeout { act: "go on", .. } => {
                FailureClass::RetrySame
            }
            CallError::ServerDown { .. }
            | CallError::Timeout { .. }
            | CallError::ModelMissing { .. }
            | CallError::OutOfMemory { .. }
            | CallError::Exhausted { .. }
            | CallError::MalformedCall { .. }
            | CallError::PromptCut { .. }
            | CallError::TooLong { .. }
            | CallError::Unsupported { .. } => FailureClass::FailOver,
            CallError::Overflow { .. } | CallError::NotPermitted { .. } => FailureClass::Ask,
            CallError::BadAddress { .. }
            | CallError::KeyRefused { .. }
            | CallError::Unreadable { .. }
            | CallError::NotRecorded { .. }
            | CallError::LocalOnly { .. } => FailureClass::FixConfiguration,
        }
    }

    /// Whether it says that the server, not the request, is unwell: what a circuit breaker counts.
    pub fn is_of_the_server(&self) -> bool {
        match self {
            CallError::ServerError { status, .. } => *status == 200 || *status == 429 || *status >= 500,
            CallError::ServerDown { .. }
            | CallError::Timeout { .. }
            | CallError::Incomplete { .. }
            | CallError::OutOfMemory { .. }
            | CallError::Exhausted { .. } => true,
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            CallError::ServerError { retry_after, .. } | CallError::Exhausted { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The error as a person sees it. `model` is empty where the server itself was asked about.
    pub fn problem(&self, provider: &ProviderSettings, model: &str) -> Problem {
        let at = &provider.base_url;
        match self {
            CallError::ServerDown { reason } => Problem::new(
                Code::ModelServerDown,
                format!("No model server answers at {at}."),
                match provider.kind {
                    ProviderKind::Ollama => "Start Ollama (`ollama serve`) or choose another server in the settings.",
                    ProviderKind::OpenAi | ProviderKind::Anthropic => {
                        "Start the server or choose another one in the settings."
                    }
                },
            )
            .with_details([reason.clone()]),
            CallError::BadAddress { reason } => Problem::new(
                Code::ModelServerDown,
                format!("The address {at} of model server `{}` cannot be used: {reason}.", provider.id),
                "Correct the address in the settings.",
            ),
            CallError::ModelMissing { text } => Problem::new(
                Code::ModelMissing,
                format!("The server at {at} does not have the model `{model}`."),
                match provider.kind {
                    ProviderKind::Ollama => format!("Fetch it with `ollama pull {model}` or choose another model."),
                    ProviderKind::OpenAi | ProviderKind::Anthropic => {
                        "Load it in the server or choose another model.".to_owned()
                    }
                },
            )
            .with_details([text.clone()]),
            CallError::ServerError { status: 503 | 429, text, .. } => Problem::new(
                Code::ModelServerError,
                format!("The model server at {at} is busy."),
                "Wait a moment and resume the run.",
            )
            .with_details([text.clone()]),
            CallError::KeyRefused { text, .. } => Problem::new(
                Code::KeyRefused,
                format!("The model server at {at} refused the request."),
                "Check the key and the server's access rules, or choose another server in the settings.",
            )
            .with_details([text.clone()]),
            CallError::Exhausted { text, retry_after } => Problem::new(
                Code::AccountExhausted,
                format!("The account at {at} is used up{}.", because(text)),
                match retry_after {
                    Some(wait) => format!("Wait {} s, or choose another server in the settings.", wait.as_secs()),
                    None => "Add to the account, or choose another server in the settings; then resume.".to_owned(),
                },
            )
            .with_details([text.clone()]),
            CallError::OutOfMemory { text } => Problem::new(
                Code::ModelServerError,
                format!("`{model}` does not fit into the memory of the machine of {at}."),
                "Close other programs, or choose a smaller model or context; then resume the run.",
            )
            .with_details([text.clone()]),
            CallError::ServerError { text, .. } => Problem::new(
                Code::ModelServerError,
                match model {
                    "" => format!("The model server at {at} answers with an error{}.", because(text)),
                    _ => format!("The model server at {at} failed while running `{model}`{}.", because(text)),
                },
                "Look at the server's own log. A smaller model or context may help; then resume the run.",
            )
            .with_details([text.clone()]),
            CallError::Overflow { text } => Problem::new(
                Code::ContextOverflow,
                format!("The prompt does not fit the context of `{model}`."),
                "Choose a model with a longer context, or make the goal smaller.",
            )
            .with_details([text.clone()]),
            CallError::Timeout { act, seconds } => Problem::new(
                Code::ModelTimeout,
                format!("The model server at {at} did not {act} within {seconds} s."),
                "The model may be too large for this machine, or busy. Resume the run, or choose a smaller model.",
            ),
            CallError::Incomplete { reason } => Problem::new(
                Code::AnswerIncomplete,
                format!("The answer of `{model}` broke off before it was complete."),
                "Resume the run to ask again.",
            )
            .with_details([reason.clone()]),
            CallError::Empty => Problem::new(
                Code::AnswerEmpty,
                format!("`{model}` ended its turn without saying or doing anything."),
                "Ask once more, or choose another model; small models do this when a task is too large.",
            ),
            CallError::MalformedCall { name, raw, .. } => Problem::new(
                Code::AnswerInvalid,
                format!("`{model}` called `{name}` with arguments that cannot be read, so nothing was done."),
                "Resume the run to ask again, or choose a model that calls tools more reliably.",
            )
            .with_details([raw.clone()]),
            CallError::PromptCut { read, sent } => Problem::new(
                Code::ContextMismatch,
                format!(
                    "The server at {at} read {read} tokens of a prompt that has at least {sent}: it dropped a part of it \
                     without a word. The turn was not used."
                ),
                "Give the server a longer context, or choose another model or server; then resume.",
            ),
            CallError::Unreadable { text } => Problem::new(
                Code::ModelServerError,
                format!("What the server at {at} answers cannot be read."),
                "Check that the address and the kind of server in the settings fit together.",
            )
            .with_details([text.clone()]),
            CallError::LocalOnly { host } => Problem::new(
                Code::LocalOnly,
                format!("{host} is another machine, and local-only mode is on."),
                "Choose a server on this machine, or turn local-only mode off in the settings.",
            ),
            CallError::NotPermitted { host } => Problem::new(
                Code::NotPermitted,
                format!("Nothing of this project may be sent to {host}: you have not permitted it."),
                format!("Permit it with `atelier egress allow {}`, or choose a model on this machine.", provider.id),
            ),
            CallError::NotRecorded { reason } => Problem::new(
                Code::StoreFailed,
                format!("The request to {at} could not be recorded, so it was not made."),
                "Check free space and permissions of the data folder, then resume.",
            )
            .with_details([reason.clone()]),
            CallError::TooLong { limit } => Problem::new(
                Code::AnswerInvalid,
                format!("`{model}` wrote a single piece of more than {limit} bytes."),
                "Resume the run to ask again, or choose another model.",
            ),
            CallError::Unsupported { what } => Problem::new(
                Code::ModelServerError,
                format!("`{model}` cannot do what is asked of it{}.", because(what)),
                "Choose another model: one that can call tools for a step, one that makes vectors for embeddings.",
            )
            .with_details([what.clone()]),
        }
    }
}

impl From<HttpError> for CallError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::LocalOnly { host } => CallError::LocalOnly { host },
            HttpError::NotPermitted { host } => CallError::NotPermitted { host },
            HttpError::NotRecorded { reason, .. } => CallError::NotRecorded { reason },
            HttpError::BadUrl { reason, .. } => CallError::BadAddress { reason },
            HttpError::Connect { host, reason } => CallError::ServerDown { reason: format!("{host}: {reason}") },
            HttpError::Timeout { act, seconds, .. } => CallError::Timeout { act, seconds },
            HttpError::Broken { reason, .. } => CallError::Incomplete { reason },
        }
    }
}

/// A server's words as the end of a sentence, where they fit into one.
fn because(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let fits = !text.is_empty() && text.len() <= 200 && !text.contains(['\n', '<']);
    if fits { format!(": {text}") } else { String::new() }
}

/// At most 2,000 bytes of a server's words.
pub(crate) fn clip(text: &str) -> String {
    const LONGEST: usize = 2_000;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST);
    format!("{}…", &text[..end])
}
