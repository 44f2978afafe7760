//! Model servers behind one stream of typed events.
//!
//! A [`Provider`] turns a [`ChatRequest`] into [`ModelEvent`]s; [`collect`] turns those into one [`Turn`]; [`choose`]
//! picks the model. Bytes come and go through `protocol::ports::Http`, so nothing here opens a socket.
//! Whether a call may be made at all, and what is done with its tool calls, is not decided here.

mod address;
mod anthropic;
mod chat;
mod choose;
mod embed;
mod error;
mod fetch;
mod ids;
mod keys;
mod lines;
mod markup;
mod masked;
mod ollama;
mod openai;
mod provider;
mod refusal;
mod sse;
mod stream;
mod turn;

pub use chat::{CHAT_LIMITS, ChatRequest, Message, ModelEvent, ModelStream, ToolSpec};
pub use choose::{Chosen, WORKING_CONTEXT, choose};
pub use embed::{EMBED_LIMITS, EmbedRequest, Embedded, keeps_to_its_machine};
pub use error::CallError;
pub use keys::{KeyError, KeySource, Keychain, Keys, Vault, key_header};
pub use masked::mask;
pub use provider::{Provider, provider};
pub use turn::{Failed, Turn, collect};
