//! OpenAI's embeddings, as plain types, and how they become a question to a model and back.

use super::openai::bad;
use atelier_models::{EmbedRequest, Embedded};
use atelier_protocol::error::Problem;
use data_encoding::BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The body of `POST /v1/embeddings`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct EmbedBody {
    /// `auto`, `server/model`, or a model's name.
    #[serde(default)]
    pub model: String,
    /// What vectors are made of.
    pub input: Input,
    /// How a vector is written.
    #[serde(default)]
    pub encoding_format: Encoding,
    /// The length of the vectors; left out, it is the model's own.
    #[serde(default)]
    pub dimensions: Option<u32>,
}

/// What vectors are made of.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Input {
    /// One text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Numbers of a tokenizer. Which one, nobody knows; they are refused.
    Tokens(Vec<u32>),
    /// The same for several texts.
    ManyTokens(Vec<Vec<u32>>),
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As numbers.
    #[default]
    Float,
    /// As the bytes of its 32-bit numbers, the lowest first, in Base64.
    Base64,
}

impl EmbedBody {
    /// The question to a model.
    ///
    /// # Errors
    /// What cannot be passed on, by name.
    pub fn request(&self) -> Result<EmbedRequest, Problem> {
        let texts = match &self.input {
            Input::Text(text) => vec![text.clone()],
            Input::Texts(texts) => texts.clone(),
            Input::Tokens(_) | Input::ManyTokens(_) => {
                return Err(bad("`input` holds token numbers, which are not passed on; send the text"));
            }
        };
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(bad("`input` holds no text, or an empty one"));
        }
        if self.dimensions == Some(0) {
            return Err(bad("`dimensions` is 0"));
        }
        Ok(EmbedRequest { dimensions: self.dimensions, ..EmbedRequest::new("", texts) })
    }

    /// The answer in the form that was asked for.
    pub fn answer(&self, model: &str, embedded: &Embedded) -> Value {
        let entry = |(index, vector): (usize, &Vec<f32>)| {
            let written = match self.encoding_format {
                Encoding::Float => json!(vector),
                Encoding::Base64 => {
                    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                    json!(BASE64.encode(&bytes))
                }
            };
            json!({"object": "embedding", "index": index, "embedding": written})
        };
        let data: Vec<Value> = embedded.vectors.iter().enumerate().map(entry).collect();
        json!({
            "object": "list", "model": model, "data": data,
            "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> EmbedBody {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_vector_is_written_as_numbers_or_as_their_bytes() {
        let embedded = Embedded { vectors: vec![vec![0.5, -2.0]], tokens: Some(3) };
        let plain = body(r#"{"input": "x"}"#).answer("s/m", &embedded);
        assert_eq!(plain["data"][0], json!({"object": "embedding", "index": 0, "embedding": [0.5, -2.0]}));
        assert_eq!(plain["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
        let bytes = body(r#"{"input": ["x"], "encoding_format": "base64"}"#).answer("s/m", &embedded);
        assert_eq!(bytes["data"][0]["embedding"], "AAAAPwAAAMA=");
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() {
        for (input, word) in [("[1, 2]", "token"), ("[[1]]", "token"), ("\"\"", "empty"), ("[\"a\", \"\"]", "empty")] {
            let problem = body(&format!("{{\"input\": {input}}}")).request().unwrap_err();
            assert!(problem.message.contains(word), "{input}: {problem}");
        }
        // An empty list is a list of texts.
        assert!(body(r#"{"input": []}"#).request().unwrap_err().message.contains("no text"));
        assert_eq!(body(r#"{"input": ["a", "b"], "dimensions": 8}"#).request().unwrap().dimensions, Some(8));
    }
}
