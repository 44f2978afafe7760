//! Asks the model servers of the settings what they have.

use crate::keys::KeyRing;
use crate::workshop::Shared;
use atelier_egress::{Egress, Errand};
use atelier_protocol::event::{ModelCard, Route};
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::{ProviderSettings, Settings};
use atelier_protocol::view::ProviderView;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what servers said counts as it is.
const FRESH: Duration = Duration::from_secs(2);
/// How long it counts while they are asked again beside it.
const USABLE: Duration = Duration::from_secs(60);

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

/// What servers said a moment ago, so that not every call asks them anew. A failure or other settings end it; what it
/// does not know is asked for before anybody is told that it is not there.
#[derive(Default)]
pub(crate) struct Lately {
    said: Mutex<Option<Said>>,
    /// The longest context that each model was asked with, as `provider/model`: a shorter one would load it anew.
    contexts: Mutex<BTreeMap<String, u32>>,
    /// Held while they are asked.
    asking: tokio::sync::Mutex<()>,
}

struct Said {
    at: Instant,
    of: Vec<ProviderSettings>,
    views: Arc<Vec<ProviderView>>,
}

impl Lately {
    /// What the servers said lately, and whether that is just now.
    pub(crate) async fn views(shared: &Arc<Shared>) -> (Arc<Vec<ProviderView>>, bool) {
        let settings = shared.settings();
        if let Some((views, age)) = shared.lately.known(&settings) {
            if age > FRESH
                && let Ok(asking) = shared.lately.asking.try_lock()
            {
                drop(asking);
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Ok(_asking) = shared.lately.asking.try_lock() {
                        shared.lately.ask(&shared, &settings).await;
                    }
                });
            }
            return (views, false);
        }
        let _asking = shared.lately.asking.lock().await;
        // Another call asked meanwhile.
        match shared.lately.known(&settings) {
            Some((views, _)) => (views, false),
            None => (shared.lately.ask(shared, &settings).await, true),
        }
    }

    /// What they say now.
    pub(crate) async fn views_now(shared: &Arc<Shared>) -> Arc<Vec<ProviderView>> {
        let _asking = shared.lately.asking.lock().await;
        shared.lately.ask(shared, &shared.settings()).await
    }

    /// The context to ask a model with that needs so much now.
    pub(crate) fn context(&self, route: &Route, need: u32) -> u32 {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = contexts.entry(format!("{}/{}", route.provider, route.model)).or_default();
        *kept = need.max(*kept);
        *kept
    }

    fn known(&self, settings: &Settings) -> Option<(Arc<Vec<ProviderView>>, Duration)> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.as_ref().filter(|said| said.of == settings.providers)?;
        let age = said.at.elapsed();
        (age < USABLE).then(|| (said.views.clone(), age))
    }

    async fn ask(&self, shared: &Shared, settings: &Settings) -> Arc<Vec<ProviderView>> {
        let clock = &shared.options.sources.clock;
        let views = Arc::new(describe(settings, &shared.egress, &shared.keys, clock).await);
        let said = Said { at: Instant::now(), of: settings.providers.clone(), views: views.clone() };
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        views
    }
}
