//! A model server, whatever its dialect.

use crate::chat::{ChatRequest, ModelStream};
use crate::error::CallError;
use atelier_protocol::ports::{Clock, Http};
use atelier_protocol::settings::ProviderSettings;
use atelier_protocol::view::ProviderView;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use std::sync::Arc;

/// A model server.
pub trait Provider: Send + Sync {
    /// Asks a model. Nothing is sent before the stream is polled; dropping it stops the model.
    fn chat(&self, request: ChatRequest) -> ModelStream;
    /// What the server is and has. A server that is down is described by its problem.
    fn describe(&self) -> BoxFuture<'_, ProviderView>;
    /// Its entry in the settings.
    fn settings(&self) -> &ProviderSettings;
}

/// The server of a settings entry.
pub fn provider(settings: &ProviderSettings, http: Arc<dyn Http>, clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
    Arc::new(Draft { settings: settings.clone(), _http: http, _clock: clock })
}

struct Draft {
    settings: ProviderSettings,
    _http: Arc<dyn Http>,
    _clock: Arc<dyn Clock>,
}

impl Provider for Draft {
    fn chat(&self, _request: ChatRequest) -> ModelStream {
        futures_util::stream::once(async { Err(CallError::Unsupported { what: "chat".into() }) }).boxed()
    }
    fn describe(&self) -> BoxFuture<'_, ProviderView> {
        let settings = self.settings.clone();
        async move {
            ProviderView {
                local: crate::address::is_this_machine(&settings.base_url),
                id: settings.id,
                kind: settings.kind,
                base_url: settings.base_url,
                version: None,
                models: Vec::new(),
                problem: None,
            }
        }
        .boxed()
    }
    fn settings(&self) -> &ProviderSettings {
        &self.settings
    }
}
