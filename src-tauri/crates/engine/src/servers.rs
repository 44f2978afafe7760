//! Asks the model servers of the settings what they have.

use crate::keys::KeyRing;
use atelier_egress::{Egress, Errand};
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::Settings;
use atelier_protocol::view::ProviderView;
use std::sync::Arc;

/// Asks every model server of the settings what it has, all at once.
pub(crate) async fn describe(
    settings: &Settings,
    egress: &Egress,
    keys: &KeyRing,
    clock: &Arc<dyn Clock>,
) -> Vec<ProviderView> {
    let asked = settings.providers.iter().map(|provider| {
        async move {
            // A key that cannot be had shows in what the server answers.
            let credential = keys.credential(provider).await.unwrap_or_default();
            let errand = Errand { provider: Some(provider.id.clone()), credential, ..Errand::default() };
            atelier_models::provider(provider, egress.on(errand), clock.clone()).describe().await
        }
    });
    futures_util::future::join_all(asked).await
}
