//! A model server, whatever its dialect.

use crate::anthropic::Anthropic;
use crate::chat::{ChatRequest, ModelStream};
use crate::context::{Footprint, Loaded};
use crate::embed::{EmbedRequest, Embedded};
use crate::error::CallError;
use crate::masked;
use crate::ollama::Ollama;
use crate::openai::OpenAi;
use atelier_protocol::ports::{Clock, Http};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::view::ProviderView;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A model server.
pub trait Provider: Send + Sync {
    /// Asks a model. Nothing is sent before the stream is polled; dropping it stops the model.
    fn chat(&self, request: ChatRequest) -> ModelStream;
    /// Vectors of texts. Dropping the future stops the model.
    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, CallError>>;
    /// What the server is and has. A server that is down is described by its problem.
    fn describe(&self) -> BoxFuture<'_, ProviderView>;
    /// What the server has loaded of a model; `None` where it has not, or does not say.
    fn loaded(&self, model: &str) -> BoxFuture<'_, Option<Loaded>> {
        let _ = model;
        Box::pin(std::future::ready(None))
    }
    /// What the model takes of memory; `None` where the server does not say.
    fn footprint(&self, model: &str) -> BoxFuture<'_, Option<Footprint>> {
        let _ = model;
        Box::pin(std::future::ready(None))
    }
    /// Keeps a model that is loaded for so long from now, such as `1m`. Nothing happens where it is not, or where the
    /// server keeps models in its own way.
    fn keep(&self, model: &str, time: &str) -> BoxFuture<'_, ()> {
        let _ = (model, time);
        Box::pin(std::future::ready(()))
    }
    /// Its entry in the settings.
    fn settings(&self) -> &ProviderSettings;
}

/// The server of a settings entry. What leaves this machine for it is masked, and constrained
/// requests are held to a schema.
pub fn provider(settings: &ProviderSettings, http: Arc<dyn Http>, clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
    let settings = settings.clone();
    let server: Arc<dyn Provider> = match settings.kind {
        ProviderKind::Ollama => Arc::new(Ollama { settings, http, clock }),
        ProviderKind::OpenAi => Arc::new(OpenAi { settings, http, clock }),
        ProviderKind::Anthropic => Arc::new(Anthropic { settings, http, clock }),
    };
    Arc::new(Guarded { server })
}

/// A server with what stands before every server.
pub(crate) struct Guarded {
    pub(crate) server: Arc<dyn Provider>,
}

impl Provider for Guarded {
    fn chat(&self, request: ChatRequest) -> ModelStream {
        masked::chat(&*self.server, request)
    }
    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, CallError>> {
        self.server.embed(masked::texts(&*self.server, request))
    }
    fn describe(&self) -> BoxFuture<'_, ProviderView> {
        self.server.describe()
    }
    fn loaded(&self, model: &str) -> BoxFuture<'_, Option<Loaded>> {
        self.server.loaded(model)
    }
    fn footprint(&self, model: &str) -> BoxFuture<'_, Option<Footprint>> {
        self.server.footprint(model)
    }
    fn keep(&self, model: &str, time: &str) -> BoxFuture<'_, ()> {
        self.server.keep(model, time)
    }
    fn settings(&self) -> &ProviderSettings {
        self.server.settings()
    }
}
