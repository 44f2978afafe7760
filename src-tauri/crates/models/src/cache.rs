//! What makes two questions the same, so that the answer to one may be given to the other.
//!
//! Pure. The same question is one with the same model files, messages, tools, schema and options, whose answer the asker
//! wants to be the same again: temperature 0, or a seed. A like one differs in its last message alone. Where answers are
//! kept, and whether, is not decided here.

use crate::chat::{ChatRequest, Message};
use atelier_protocol::hash::Hash;
use serde_json::json;

/// A question as kept answers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The same for the same question; `None` where its answer is not meant to be the same again.
    pub exact: Option<Hash>,
    /// The same for questions that differ in their last message alone; `None` where like is not good enough: tools act.
    pub like: Option<Hash>,
    /// That last message.
    pub last: String,
}

/// A question to a model whose files have this digest.
pub fn question(digest: &str, request: &ChatRequest) -> Question {
    let deterministic = request.temperature == Some(0.0) || request.seed.is_some();
    let (last, before) = match request.messages.split_last() {
        Some((Message::User { text }, before)) => (text.clone(), Some(before)),
        _ => (String::new(), None),
    };
    let before = before.filter(|_| request.tools.is_empty());
    Question {
        exact: deterministic.then(|| hash(digest, &request.messages, request)),
        like: before.map(|before| hash(digest, before, request)),
        last,
    }
}

fn hash(digest: &str, messages: &[Message], request: &ChatRequest) -> Hash {
    let of = json!({
        "digest": digest,
        "model": request.model,
        "messages": messages,
        "tools": request.tools,
        "schema": request.schema,
        "constrained": request.constrained,
        "context": request.context,
        "max_output": request.max_output,
        "temperature": request.temperature.map(f32::to_bits),
        "top_p": request.top_p.map(f32::to_bits),
        "stop": request.stop,
        "seed": request.seed,
        "think": request.think,
    });
    Hash::of(of.to_string().as_bytes())
}

/// How alike two vectors are: the cosine of the angle between them; 0 where they cannot be compared.
pub fn likeness(one: &[f32], other: &[f32]) -> f32 {
    if one.len() != other.len() {
        return 0.0;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let size = (dot(one, one) * dot(other, other)).sqrt();
    if size > 0.0 { (dot(one, other) / size) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{AnswerSchema, ToolSpec};

    fn request(last: &str) -> ChatRequest {
        let messages = vec![Message::system("rules"), Message::user(last)];
        ChatRequest { temperature: Some(0.0), ..ChatRequest::new("m", messages) }
    }

    /// Guards: an answer is given again to the very same question only. Turned red by a key that leaves an option out.
    #[test]
    fn every_part_of_a_question_makes_it_another() {
        let same = question("d", &request("a")).exact;
        assert_eq!(same, question("d", &request("a")).exact);
        let tool = ToolSpec { name: "t".into(), description: String::new(), parameters: json!({}) };
        assert_ne!(same, question("e", &request("a")).exact, "the model's files");
        let seeded = || ChatRequest { seed: Some(1), ..request("a") };
        let schema = AnswerSchema { schema: json!({}), strict: false };
        let changes: [(&str, ChatRequest); 12] = [
            ("model", ChatRequest { model: "n".into(), ..seeded() }),
            ("messages", ChatRequest { messages: request("b").messages, ..seeded() }),
            ("tools", ChatRequest { tools: vec![tool.clone()], ..seeded() }),
            ("schema", ChatRequest { schema: Some(schema), ..seeded() }),
            ("constrained", ChatRequest { constrained: !seeded().constrained, ..seeded() }),
            ("context", ChatRequest { context: Some(8192), ..seeded() }),
            ("max_output", ChatRequest { max_output: Some(5), ..seeded() }),
            ("temperature", ChatRequest { temperature: Some(0.1), ..seeded() }),
            ("top_p", ChatRequest { top_p: Some(0.9), ..seeded() }),
            ("stop", ChatRequest { stop: vec!["END".into()], ..seeded() }),
            ("seed", ChatRequest { seed: Some(2), ..seeded() }),
            ("think", ChatRequest { think: Some(true), ..seeded() }),
        ];
        let asked = question("d", &seeded()).exact;
        for (what, other) in changes {
            let other = question("d", &other).exact;
            assert!(other.is_some() && other != asked, "{what}");
        }
        assert_eq!(question("d", &ChatRequest { temperature: None, ..request("a") }).exact, None);
        assert_eq!(question("d", &request("a")).like, question("d", &request("b")).like);
        assert_eq!(question("d", &ChatRequest { tools: vec![tool], ..request("a") }).like, None);
    }

    #[test]
    fn vectors_are_compared_by_their_angle() {
        assert!((likeness(&[1.0, 0.0], &[2.0, 0.0]) - 1.0).abs() < 1e-6);
        assert!(likeness(&[1.0, 0.0], &[0.0, 1.0]).abs() < 1e-6);
        assert_eq!(likeness(&[1.0], &[1.0, 0.0]), 0.0);
        assert_eq!(likeness(&[0.0], &[1.0]), 0.0);
    }
}
