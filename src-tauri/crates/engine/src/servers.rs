//! Asks the model servers of the settings what they have.

use crate::keys::KeyRing;
use atelier_egress::{Egress, Errand};
use atelier_protocol::event::ModelCard;
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::Settings;
use atelier_protocol::view::ProviderView;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Adds what was measured about the models.
pub(crate) fn add_cards(views: &mut [ProviderView], cards: &BTreeMap<String, ModelCard>) {
    for view in views {
        for at in 0..view.models.len() {
            let card = cards.get(&atelier_models::card_key(view, &view.models[at])).cloned();
            view.models[at].card = card;
        }
    }
}

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
