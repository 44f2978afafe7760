//! Model servers behind one stream of typed events.
//!
//! A [`Provider`] turns a [`ChatRequest`] into [`ModelEvent`]s; [`collect`] turns those into one [`Turn`]. [`route`]
//! decides which model is asked, [`retry`] what follows a failure, [`context`] what fits, [`cache`] which
//! questions are the same; [`Traffic`] knows what is
//! under way. Bytes come and go through `protocol::ports::Http`, so nothing here opens a socket.
//! Whether a call may be made at all, and what is done with its tool calls, is not decided here.

mod address;
mod anthropic;
pub mod cache;
mod chat;
mod choose;
pub mod context;
mod embed;
mod error;
mod fetch;
mod held;
mod ids;
mod keys;
mod lines;
mod markup;
mod masked;
mod ollama;
mod openai;
mod preset;
pub mod price;
mod provider;
mod pull;
mod refusal;
pub mod retry;
pub mod route;
mod sse;
mod stream;
mod traffic;
mod turn;

pub use address::is_this_machine;
pub use chat::{AnswerSchema, CHAT_LIMITS, ChatRequest, Message, ModelEvent, ModelStream, ToolSpec};
pub use choose::{Chosen, Known, candidates, card_key, chosen, policy_of, problem, short};
pub use embed::{EMBED_LIMITS, EmbedRequest, Embedded, keeps_to_its_machine};
pub use error::CallError;
pub use keys::{KeyError, KeySource, Keychain, Keys, Vault, key_header};
pub use masked::mask;
pub use preset::{PRESETS, Preset};
pub use price::Prices;
pub use provider::{Provider, provider};
pub use pull::{Pulled, pull};
pub use traffic::{Caller, Traffic, UnderWay};
pub use turn::{Failed, Turn, collect};
