//! The half of a search that goes by meaning: has passages made into vectors beside, and a question when it is asked.
//!
//! Only where the user named a model for it in the settings. The model is asked as any other: through the egress door,
//! with its lock, permissions, masks and ledger. A search never waits long for it, and says why it went without.

use crate::desk::{Desk, blocking};
use atelier_egress::Errand;
use atelier_models::{EmbedRequest, Provider, keeps_to_its_machine};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::MeaningView;
use atelier_search::{Meaning, Near, Unlearned};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Passages that a model is asked about at once.
const AT_ONCE: usize = 16;
/// How long a question waits for its own vector.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a passage that is too long for the model is cut in two.
const HALVED: u32 = 4;
/// Files that mean something alike and are looked at.
pub(crate) const NEAREST: usize = 100;

/// What is known of the meaning of a project's files.
#[derive(Default)]
pub(crate) struct Minded {
    /// The vectors by the model of the settings, opened on first use.
    meaning: Mutex<Option<(ModelChoice, Arc<Meaning>)>>,
    /// Why the model could not be asked the last time.
    problem: Mutex<Option<Problem>>,
    /// Held while passages are made into vectors.
    learning: tokio::sync::Mutex<()>,
}

/// Vectors of questions, or why there are none.
pub(crate) enum Sense {
    /// No model was named for it.
    Off,
    /// The nearest passages of each question.
    Near(Vec<Vec<Near>>),
    /// It had to be left out.
    Without(Problem),
}

impl Desk {
    /// The vectors by the model that the settings name.
    fn meaning(&self) -> Result<Option<(ModelChoice, Arc<Meaning>)>, Problem> {
        let Some(choice) = (self.settings)().search.meaning else { return Ok(None) };
        let mut slot = self.minded.meaning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, meaning)) = &*slot
            && *known == choice
        {
            return Ok(Some((choice, meaning.clone())));
        }
        let name = format!("{}/{}", choice.provider, choice.model);
        let dir = self.places.vectors(&self.project);
        self.unpack_for_search(&dir);
        let meaning = Arc::new(Meaning::open(&dir, &name)?);
        *slot = Some((choice.clone(), meaning.clone()));
        Ok(Some((choice, meaning)))
    }

    /// How much of the project has vectors; `None` where no model was named.
    pub(crate) fn meaning_view(&self) -> Option<MeaningView> {
        let (choice, meaning) = self.meaning().ok()??;
        let learned = meaning.learned();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(MeaningView {
            model: choice,
            known: count(learned.known),
            wanting: count(learned.wanting),
            beyond: count(learned.beyond),
            problem: self.minded.problem.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    /// Has the passages that have no vector made into some; what takes longer than a moment goes on beside. It ends when
    /// all have one, or with a problem, which the state of the index tells.
    pub(crate) async fn learn_meaning(self: &Arc<Self>) {
        if !matches!(self.meaning(), Ok(Some(_))) {
            return;
        }
        let desk = self.clone();
        let work = tokio::spawn(async move {
            let Ok(_alone) = desk.minded.learning.try_lock() else { return };
            let problem = desk.learn_all().await.err();
            if let Some(problem) = &problem {
                tracing::warn!(%problem, "passages could not be made into vectors");
            }
            *desk.minded.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        });
        let _ = tokio::time::timeout(PATIENCE, work).await;
    }

    async fn learn_all(&self) -> Result<(), Problem> {
        loop {
            let Some((choice, meaning)) = self.meaning()? else { return Ok(()) };
            let (index, root, asked) = (self.index()?, self.root.clone(), meaning.clone());
            let wanting = blocking(move || Ok(asked.wanting(&index, &root, AT_ONCE)?)).await?;
            if wanting.is_empty() {
                return Ok(());
            }
            let server = self.embedder(&choice).await?;
            let texts: Vec<String> = wanting.iter().map(|passage| passage.text.clone()).collect();
            let vectors = self.vectors(&choice, &*server, texts, HALVED).await?;
            let learned: Vec<(Unlearned, Vec<f32>)> = wanting.into_iter().zip(vectors).collect();
            blocking(move || Ok(meaning.learn(learned)?)).await?;
        }
    }

    /// The passages that are nearest to each question.
    pub(crate) async fn sense(&self, queries: &[String]) -> Sense {
        let asked = async {
            let Some((choice, meaning)) = self.meaning()? else { return Ok(None) };
            if meaning.learned().known == 0 {
                let (index, root, meaning) = (self.index()?, self.root.clone(), meaning.clone());
                // What is known of an earlier time counts from the first question on.
                blocking(move || Ok(meaning.wanting(&index, &root, 0)?)).await?;
            }
            let server = self.embedder(&choice).await?;
            let vectors = self.vectors(&choice, &*server, queries.to_vec(), 0).await?;
            let nearest = move || Ok(vectors.iter().map(|vector| meaning.nearest(vector, NEAREST)).collect());
            blocking(nearest).await.map(Some)
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(None)) => Sense::Off,
            Ok(Ok(Some(near))) => Sense::Near(near),
            Ok(Err(problem)) => Sense::Without(problem),
            Err(_) => Sense::Without(Problem::new(
                Code::ModelServerDown,
                format!("The model for meaning did not answer within {} s.", PATIENCE.as_secs()),
                "It may still be loading; ask again.",
            )),
        }
    }

    async fn embedder(&self, choice: &ModelChoice) -> Result<Arc<dyn Provider>, Problem> {
        let settings = (self.settings)();
        let Some(server) = settings.providers.iter().find(|server| server.id == choice.provider) else {
            return Err(Problem::new(
                Code::ModelMissing,
                format!(
                    "The settings name no model server `{}`, which the search by meaning is to ask.",
                    choice.provider
                ),
                "Name another with `atelier index --meaning SERVER/MODEL`, or `--meaning off`.",
            ));
        };
        let errand = Errand {
            project: Some(self.project.clone()),
            provider: Some(server.id.clone()),
            passed_on: !keeps_to_its_machine(&server.base_url, &choice.model),
            credential: self.keys.credential(server).await?,
            ..Errand::default()
        };
        Ok(atelier_models::provider(server, self.egress.on(errand), self.sources.clock.clone()))
    }

    /// Vectors of texts. What the model cannot hold is halved, and its parts' vectors are added: a text that is too long
    /// after that has the vector of nothing.
    fn vectors<'a>(
        &'a self,
        choice: &'a ModelChoice,
        server: &'a dyn Provider,
        texts: Vec<String>,
        halved: u32,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Problem>> {
        Box::pin(async move {
            let mut request = EmbedRequest::new(&choice.model, texts.clone());
            request.passed_on = !keeps_to_its_machine(&server.settings().base_url, &choice.model);
            let problem = match server.embed(request).await {
                Ok(embedded) => return Ok(embedded.vectors),
                Err(error) => error.problem(server.settings(), &choice.model),
            };
            if problem.code != Code::ContextOverflow || halved == 0 {
                return Err(problem);
            }
            let mut vectors = Vec::new();
            for text in &texts {
                let parts = match texts.len() {
                    1 => halves(text),
                    _ => vec![text.clone()],
                };
                // Alone it may fit; if not, in two.
                let left = if texts.len() == 1 { halved - 1 } else { halved };
                let mut sum: Vec<f32> = Vec::new();
                for part in parts {
                    let made = match self.vectors(choice, server, vec![part], left).await {
                        Ok(made) => made,
                        Err(problem) if problem.code == Code::ContextOverflow => continue,
                        Err(problem) => return Err(problem),
                    };
                    for vector in made {
                        sum.resize(vector.len(), 0.0);
                        sum.iter_mut().zip(&vector).for_each(|(sum, number)| *sum += number);
                    }
                }
                vectors.push(sum);
            }
            // Of a text that fits in no part, nothing is known but that it has no meaning here.
            let length = vectors.iter().map(Vec::len).max().unwrap_or(0);
            if length == 0 {
                return Err(problem);
            }
            vectors.iter_mut().for_each(|vector| vector.resize(length, 0.0));
            Ok(vectors)
        })
    }
}

/// A text in two parts, between lines.
fn halves(text: &str) -> Vec<String> {
    let middle = text.floor_char_boundary(text.len() / 2);
    let at = text[..middle].rfind('\n').map_or(middle, |at| at + 1);
    let (first, second) = text.split_at(at);
    [first, second].into_iter().filter(|part| !part.trim().is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn a_text_is_halved_between_lines() {
        assert_eq!(halves("a\nb\nc\nd\n"), ["a\nb\n", "c\nd\n"]);
        assert_eq!(halves("äää"), ["ä", "ää"]);
        assert_eq!(halves("x"), ["x"]);
    }
}
