//! Answers that are kept for other programs: looked for before a model is asked, and kept when it has answered.
//!
//! A question is looked for where its answer is meant to be the same again, or where the settings name a model that
//! makes vectors and it calls no tools. What a role does in a run is always asked anew.

use crate::answers::{self, Answers, Found, HeldFile, KeptView, Looked};
use crate::workshop::Workshop;
use atelier_models::cache::{Question, question};
use atelier_models::{ChatRequest, Chosen, EmbedRequest, ModelEvent, Turn, card_key};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::ProjectId;
use atelier_protocol::settings::KeptAnswers;
use atelier_protocol::view::ProviderView;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use tokio::task::JoinHandle;

/// An answer that is to be kept when it is whole.
pub(super) struct Keeping {
    answers: Arc<Answers>,
    question: Question,
    request: ChatRequest,
    vector: Option<Vec<f32>>,
    files: Vec<HeldFile>,
    turn: Option<Turn>,
}

/// What was found.
pub(super) enum Looking {
    /// The answer.
    Kept(Found, Turn),
    /// None, but the one that comes is to be kept.
    Keep(Box<Keeping>),
    /// None, and none is kept.
    Ask,
}

impl Workshop {
    /// Looks for the answer to a question to a chosen model.
    pub(super) async fn look(
        &self,
        project: Option<&ProjectId>,
        views: &[ProviderView],
        chosen: &Chosen,
        request: &ChatRequest,
        files: &[HeldFile],
    ) -> Looking {
        let settings = self.settings().routing.kept;
        if !settings.on {
            return Looking::Ask;
        }
        let view = views.iter().find(|view| view.id == chosen.provider.id);
        let model = view.and_then(|view| Some((view, view.models.iter().find(|model| model.name == chosen.model)?)));
        let Some(digest) = model.map(|(view, model)| card_key(view, model)) else { return Looking::Ask };
        let asked = ChatRequest { model: chosen.model.clone(), context: chosen.route.context, ..request.clone() };
        let question = question(&digest, &asked);
        let like = settings.like.as_ref().filter(|_| question.like.is_some());
        if question.exact.is_none() && like.is_none() {
            return Looking::Ask;
        }
        let vector = match like {
            Some(like) => {
                self.vector(project, &format!("{}/{}", like.by.provider, like.by.model), &question.last).await
            }
            None => None,
        };
        let floor = like.map_or(1.0, |like| like.floor as f32 / 1000.0);
        let answers = self.answers(project);
        let (now_ms, for_ms) = (self.shared.options.sources.clock.now_ms(), u64::from(settings.for_s) * 1000);
        let root: Option<PathBuf> = project.and_then(|project| self.opened(project)).map(|open| open.root().to_owned());
        let (store, asked_for, compared) = (answers.clone(), question.clone(), vector.clone());
        let found = tokio::task::spawn_blocking(move || {
            let vector = compared.as_deref().map(|vector| (vector, floor));
            store.find(&Looked { question: &asked_for, vector, now_ms, for_ms, root: root.as_deref() })
        });
        match found.await {
            Ok(Some((found, turn))) => Looking::Kept(found, turn),
            _ => Looking::Keep(Box::new(Keeping {
                answers,
                question,
                request: asked,
                vector,
                files: files.to_vec(),
                turn: None,
            })),
        }
    }

    /// The vector of a text; `None` where the model cannot be asked now, which keeps no answer from coming.
    async fn vector(&self, project: Option<&ProjectId>, by: &str, text: &str) -> Option<Vec<f32>> {
        let made = async {
            let embedder = self.embedder(by).await?;
            self.embed(project, &embedder, EmbedRequest::new("", vec![text.to_owned()])).await
        };
        match made.await {
            Ok(mut made) => made.vectors.pop(),
            Err(problem) => {
                tracing::warn!(%problem, "questions cannot be compared by likeness");
                None
            }
        }
    }

    fn answers(&self, project: Option<&ProjectId>) -> Arc<Answers> {
        let mut all = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let made =
            || Arc::new(Answers::at(self.answers_of(project), self.shared.options.sources.call_id().to_string()));
        all.entry(project.cloned()).or_insert_with(made).clone()
    }

    fn answers_of(&self, project: Option<&ProjectId>) -> PathBuf {
        let name = project.map_or("door", ProjectId::as_str);
        self.shared.options.places.cache.join("answers").join(name)
    }

    /// The files that a question says it holds, as they are now.
    ///
    /// # Errors
    /// `bad_argument` with the one that is no file of the project.
    pub(super) fn held_files(&self, project: Option<&ProjectId>, named: &[String]) -> Result<Vec<HeldFile>, Problem> {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let open = project.and_then(|project| self.opened(project));
        let held = open.map_or_else(|| Err(named[0].clone()), |open| answers::held_files(open.root(), named));
        held.map_err(|path| {
            Problem::new(
                Code::BadArgument,
                format!("`{path}` is no file of the project that this door is for."),
                "Name files by their paths below the project's folder.",
            )
        })
    }

    /// What is kept, with the settings about it.
    pub fn kept(&self, project: Option<&ProjectId>) -> (KeptAnswers, KeptView) {
        (self.settings().routing.kept, answers::view(&self.answers_of(project)))
    }

    /// Removes everything that is kept.
    ///
    /// # Errors
    /// `io`.
    pub fn clear_kept(&self, project: Option<&ProjectId>) -> Result<(), Problem> {
        let folder = self.answers_of(project);
        answers::clear(&folder).map_err(|error| {
            Problem::new(
                Code::Io,
                format!("{} cannot be removed: {error}.", folder.display()),
                "Check its permissions.",
            )
        })
    }

    /// Notes how often answers were given.
    pub(crate) fn note_kept(&self) {
        let all = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().for_each(|answers| answers.note_counts());
    }
}

impl Keeping {
    /// Gathers the answer; at its end, what keeps it. That is waited for before the end is told, so that who asks again
    /// has it.
    pub(super) fn heard(&mut self, event: &ModelEvent, now_ms: u64) -> Option<JoinHandle<()>> {
        let turn = self.turn.get_or_insert_with(|| Turn {
            text: String::new(),
            thinking: String::new(),
            tool_calls: Vec::new(),
            usage: atelier_protocol::event::Usage::default(),
            stop: atelier_protocol::event::Stop::Other,
            from_text: false,
        });
        match event {
            ModelEvent::Phase(_) => {}
            ModelEvent::Text(piece) => turn.text.push_str(piece),
            ModelEvent::Thinking(piece) => turn.thinking.push_str(piece),
            ModelEvent::ToolCall(call) => turn.tool_calls.push(call.clone()),
            ModelEvent::Done { usage, stop, rest } => {
                turn.usage = usage.clone();
                turn.stop = *stop;
                if let Some(rest) = rest {
                    turn.text.clone_from(rest);
                }
                let (answers, question, request) = (self.answers.clone(), self.question.clone(), self.request.clone());
                let (turn, vector, files) = (turn.clone(), self.vector.take(), std::mem::take(&mut self.files));
                return Some(tokio::task::spawn_blocking(move || {
                    if let Err(error) = answers.keep(&question, &request, &turn, vector, files, now_ms) {
                        tracing::warn!(%error, "an answer could not be kept");
                    }
                }));
            }
        }
        None
    }
}
