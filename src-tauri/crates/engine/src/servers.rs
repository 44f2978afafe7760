//! Asks the model servers of the settings what they have.

use atelier_protocol::ports::{Clock, Http};
use atelier_protocol::settings::Settings;
use atelier_protocol::view::ProviderView;
use std::sync::Arc;

/// Asks every model server of the settings what it has, all at once.
pub(crate) async fn describe(settings: &Settings, http: &Arc<dyn Http>, clock: &Arc<dyn Clock>) -> Vec<ProviderView> {
    let asked = settings.providers.iter().map(|provider| {
        let server = atelier_models::provider(provider, http.clone(), clock.clone());
        async move { server.describe().await }
    });
    futures_util::future::join_all(asked).await
}
