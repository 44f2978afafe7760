//! The routes of the door: one table, from which both the answers and the OpenAPI document are made.

use super::answer::{self, Answer};
use super::embeddings::EmbedBody;
use super::openai::{self, ChatBody, Head};
use super::{Door, guard};
use atelier_engine::Answering;
use atelier_models::collect;
use atelier_protocol::error::{Code, Problem};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest body that is read.
const LONGEST: usize = 32 * 1024 * 1024;

/// The body of `POST /api/v1/ai/route`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct RouteBody {
    /// `auto`, `server/model`, or a model's name.
    #[serde(default)]
    pub model: String,
}

/// A route of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Health,
    Ready,
    Document,
    Models,
    Chat,
    Embeddings,
    Explain,
    Servers,
}

/// Method, path, whether it needs no token, what it does.
const ROUTES: [(&str, &str, bool, &str, Route); 8] = [
    ("GET", "/health", true, "Whether the program runs.", Route::Health),
    ("GET", "/ready", true, "Whether a model can be asked now.", Route::Ready),
    ("GET", "/openapi.json", false, "This document.", Route::Document),
    ("GET", "/v1/models", false, "The models, and `auto`.", Route::Models),
    ("POST", "/v1/chat/completions", false, "Asks a model; with `stream`, as server-sent events.", Route::Chat),
    ("POST", "/v1/embeddings", false, "Vectors of texts.", Route::Embeddings),
    ("POST", "/api/v1/ai/route", false, "The model that would be asked now, and why.", Route::Explain),
    (
        "GET",
        "/api/v1/ai/models",
        false,
        "The model servers, what they have, and which calls wait for a model's turn.",
        Route::Servers,
    ),
];

impl Door {
    /// Answers a request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let here: Vec<_> = ROUTES.iter().filter(|(_, known, ..)| *known == path).collect();
        let open = here.iter().any(|(_, _, open, ..)| *open);
        if let Err(stranger) = guard::check(request.headers(), self.port, &self.token, open) {
            return answer::stranger(stranger);
        }
        let found = here.iter().find(|(method, ..)| request.method() == *method).map(|(.., route)| *route);
        match (found, here.is_empty()) {
            (Some(route), _) => match self.perform(route, request).await {
                Ok(answer) => answer,
                Err(problem) => answer::problem(&problem),
            },
            (None, true) => {
                answer::error(StatusCode::NOT_FOUND, "invalid_request_error", "no_route", "There is no such route.")
            }
            (None, false) => {
                answer::error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method", "Not by this method.")
            }
        }
    }

    async fn perform(&self, route: Route, request: Request<Incoming>) -> Result<Answer, Problem> {
        match route {
            Route::Health => Ok(answer::json(StatusCode::OK, &json!({"status": "ok"}))),
            Route::Ready => Ok(match self.workshop.route(self.project.as_ref(), "auto").await {
                Ok(chosen) => answer::json(StatusCode::OK, &json!({"ready": true, "model": chosen.route})),
                Err(problem) => {
                    answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"ready": false, "problem": problem}))
                }
            }),
            Route::Document => Ok(answer::json(StatusCode::OK, &document())),
            Route::Models => Ok(answer::json(StatusCode::OK, &self.models().await)),
            Route::Chat => self.chat(body(request).await?).await,
            Route::Embeddings => self.embeddings(body(request).await?).await,
            Route::Explain => {
                let asked: RouteBody = body(request).await?;
                let chosen = self.workshop.route(self.project.as_ref(), &asked.model).await?;
                Ok(answer::json(StatusCode::OK, &json!({"route": chosen.route})))
            }
            Route::Servers => {
                let (servers, waiting) = (self.workshop.models().await, self.workshop.waiting_calls());
                Ok(answer::json(StatusCode::OK, &json!({"servers": servers, "waiting": waiting})))
            }
        }
    }

    async fn models(&self) -> Value {
        let entry = |id: String, by: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": by});
        let mut all = vec![entry(atelier_engine::AUTO.to_owned(), "atelier")];
        for server in self.workshop.models().await {
            let names = server.models.iter().map(|model| &model.name).chain(&server.embedders);
            all.extend(names.map(|name| entry(format!("{}/{name}", server.id), &server.id)));
        }
        json!({"object": "list", "data": all})
    }

    async fn chat(&self, body: ChatBody) -> Result<Answer, Problem> {
        let request = body.request()?;
        let Answering { chosen, events, kept, waited } =
            self.workshop.chat(self.project.as_ref(), &body.model, request, &body.files).await?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = Head {
            id: format!("chatcmpl-{:x}", since.as_nanos()),
            created: since.as_secs(),
            model: format!("{}/{}", chosen.provider.id, chosen.model),
        };
        if body.stream {
            let with_usage = body.stream_options.is_some_and(|options| options.include_usage);
            let events = openai::chunks(head, chosen.provider, events, with_usage);
            return Ok(answer::waited(answer::found(answer::events(events), kept), waited));
        }
        match collect(events, |_| {}).await {
            Ok(turn) => {
                let told = answer::json(StatusCode::OK, &openai::completion(&head, &turn));
                Ok(answer::waited(answer::found(told, kept), waited))
            }
            Err(failed) => Err(failed.error.problem(&chosen.provider, &chosen.model)),
        }
    }

    async fn embeddings(&self, body: EmbedBody) -> Result<Answer, Problem> {
        let request = body.request()?;
        let embedder = self.workshop.embedder(&body.model).await?;
        let embedded = self.workshop.embed(self.project.as_ref(), &embedder, request).await?;
        let model = format!("{}/{}", embedder.provider.id, embedder.model);
        Ok(answer::json(StatusCode::OK, &body.answer(&model, &embedded)))
    }
}

/// The body of a request.
async fn body<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Problem> {
    let bad = |what: String| Problem::new(Code::BadArgument, what, "See `/openapi.json` for the shape.");
    let read = Limited::new(request.into_body(), LONGEST).collect().await;
    let bytes = read.map_err(|e| bad(format!("The body cannot be read: {e}.")))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| bad(format!("The body is not what this route takes: {e}.")))
}

/// The OpenAPI document, from the table of routes and the types of the bodies.
pub fn document() -> Value {
    let mut generator = SchemaGenerator::new(
        schemars::generate::SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into()),
    );
    let mut schema_of = |route: Route| match route {
        Route::Chat => Some(generator.subschema_for::<ChatBody>()),
        Route::Embeddings => Some(generator.subschema_for::<EmbedBody>()),
        Route::Explain => Some(generator.subschema_for::<RouteBody>()),
        Route::Health | Route::Ready | Route::Document | Route::Models | Route::Servers => None,
    };
    let mut paths = json!({});
    for (method, path, open, about, route) in ROUTES {
        let mut operation = json!({
            "summary": about,
            "responses": {"200": {"description": "As asked."}, "default": {"description": "An error, in OpenAI's form."}},
        });
        if let Some(schema) = schema_of(route) {
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        if open {
            operation["security"] = json!([]);
        }
        paths[path][method.to_lowercase()] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Atelier", "version": env!("CARGO_PKG_VERSION"), "description": "Models on this machine, through Atelier's router."},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_route_with_the_body_it_takes() {
        let document = document();
        for (method, path, ..) in ROUTES {
            let operation = &document["paths"][path][method.to_lowercase()];
            assert!(operation["summary"].is_string(), "{path}");
            assert_eq!(operation["requestBody"].is_object(), method == "POST", "{path}");
        }
        // Every reference leads somewhere.
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        assert!(document.pointer("/components/schemas/ChatBody/properties/messages").is_some(), "{text}");
    }
}
