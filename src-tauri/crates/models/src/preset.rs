//! Well-known model servers: where they are and how they speak.
//!
//! A preset only fills in a settings entry; nothing is asked of a server because it is listed here.

use atelier_protocol::settings::{ProviderKind, ProviderSettings};

/// A well-known model server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The id of its settings entry.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The wire format.
    pub kind: ProviderKind,
    /// Its address.
    pub base_url: &'static str,
}

use ProviderKind::{Anthropic, Ollama, OpenAi};

/// The well-known servers, those of this machine first.
pub const PRESETS: &[Preset] = &[
    Preset { id: "ollama", title: "Ollama", kind: Ollama, base_url: "http://127.0.0.1:11434" },
    Preset { id: "llama-server", title: "llama.cpp's server", kind: OpenAi, base_url: "http://127.0.0.1:8080" },
    Preset { id: "lm-studio", title: "LM Studio", kind: OpenAi, base_url: "http://127.0.0.1:1234" },
    Preset { id: "vllm", title: "vLLM", kind: OpenAi, base_url: "http://127.0.0.1:8000" },
    Preset { id: "openai", title: "OpenAI", kind: OpenAi, base_url: "https://api.openai.com/v1" },
    Preset { id: "anthropic", title: "Anthropic", kind: Anthropic, base_url: "https://api.anthropic.com" },
    Preset {
        id: "gemini",
        title: "Gemini, through its OpenAI-compatible route",
        kind: OpenAi,
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
    },
    Preset { id: "openrouter", title: "OpenRouter", kind: OpenAi, base_url: "https://openrouter.ai/api/v1" },
];

impl Preset {
    /// The preset of that id.
    pub fn named(id: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.id == id)
    }

    /// Its settings entry.
    pub fn settings(&self) -> ProviderSettings {
        ProviderSettings { id: self.id.to_owned(), kind: self.kind, base_url: self.base_url.to_owned() }
    }
}
