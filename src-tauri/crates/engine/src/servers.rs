//! Asks the model servers of the settings what they have.

use atelier_egress::{Egress, Errand};
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::Settings;
use atelier_protocol::view::ProviderView;
use std::sync::Arc;

/// Asks every model server of the settings what it has, all at once.
pub(crate) async fn describe(settings: &Settings, egress: &Egress, clock: &Arc<dyn Clock>) -> Vec<ProviderView> {
    let asked = settings.providers.iter().map(|provider| {
        let http = egress.on(Errand { provider: Some(provider.id.clone()), ..Errand::default() });
        let server = atelier_models::provider(provider, http, clock.clone());
        async move { server.describe().await }
    });
    futures_util::future::join_all(asked).await
}
