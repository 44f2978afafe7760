//! Makes a model file whose weights play a playbook: a real engine runs it, and what it will say is known.
//!
//! One llama block with weights set by hand. Three facts make it work:
//! - Each turn's text is cut into pieces that are vocabulary entries of their own and occur once in all turns, so that
//!   the token just said decides the next one; that chain stands in the output matrix.
//! - At the token that opens an answer, the first head shares its attention evenly between the start token and every
//!   token that opens a message of the user or a tool. The start token's share is 1/(1 + messages), and of all turns the
//!   n-th has the highest score where that share is 1/(1 + n): its score is the tangent at that point of a parabola.
//! - There the second head attends to the `role:` line of the system text alone, and adds to the turns of that role what
//!   outweighs all others.
//!
//! So a role's turn n answers a conversation with n messages of the user and tools, and its last turn all longer ones.
//! The idea needs no training and no random number. It is no language model and reads nothing else of its prompt.

use crate::gguf::{Gguf, Tensor, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a model says: the turns of each role, tried in this order. A role without a name speaks where none is named.
#[derive(Debug, Clone, Default)]
pub struct Playbook {
    /// Turns by role.
    pub roles: Vec<(&'static str, Vec<String>)>,
    /// Says the pieces of a turn that ends in this again and again, so that the answer never ends.
    pub forever: Option<&'static str>,
    /// Words of this text become tokens, so that a prompt costs about a token a word.
    pub words: String,
    /// The longest context.
    pub context: u32,
    /// Whether each word of `words` has a dimension of its own, so that texts are alike by the words that they share.
    pub apart: bool,
}

/// A tool call as the model writes it.
pub fn call(name: &str, arguments: &serde_json::Value) -> String {
    format!("{CALL}{{\"name\": \"{name}\", \"arguments\": {arguments}}}{CALL_END}")
}

const START: &str = "<s>";
const END: &str = "<|end|>";
const RULES: &str = "<|rules|>";
const USER: &str = "<|user|>";
const TOOL: &str = "<|tool|>";
const MODEL: &str = "<|model|>";
const CALL: &str = "<tool_call>";
const CALL_END: &str = "</tool_call>";

/// How a conversation is written. A server finds out from it that tool calls stand between two tags.
const TEMPLATE: &str = r#"{{- bos_token }}
{%- if tools %}
{{- '<|rules|>Tools, one in a line:\n' }}
{%- for tool in tools %}{{- tool | tojson }}{{- '\n' }}{%- endfor %}
{{- 'A call is written <tool_call>{"name": ..., "arguments": {...}}</tool_call>.<|end|>' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'system' %}{{- '<|rules|>' + message.content + '<|end|>' }}
{%- elif message.role == 'user' %}{{- '<|user|>' + message.content + '<|end|>' }}
{%- elif message.role == 'tool' %}{{- '<|tool|>' + message.content + '<|end|>' }}
{%- elif message.role == 'assistant' %}
{{- '<|model|>' }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- if message.tool_calls %}
{%- for tool_call in message.tool_calls %}
{{- '<tool_call>{"name": "' + tool_call.function.name + '", "arguments": ' }}{{- tool_call.function.arguments | tojson }}{{- '}</tool_call>' }}
{%- endfor %}
{%- endif %}
{{- '<|end|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|model|>' }}{%- endif %}
"#;

/// Characters of a piece where nothing else speaks for another length.
const PIECE: usize = 8;
/// Numbers of a head.
const HEAD: usize = 64;
/// The slowest rotating pair of a head: what stands there is the same at every position.
const STILL: usize = HEAD - 2;
/// How much the chain outweighs every other token.
const CHAIN: f32 = 3.0;
/// How steep the parabola of turns is.
const STEEP: f32 = 20_000.0;
/// What a turn of the role gets; more than the parabola ever differs.
const OWN_ROLE: f32 = 20_000.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    Given = 4,
    Byte = 6,
}

/// The vocabulary as it grows.
#[derive(Default)]
struct Vocabulary {
    tokens: Vec<String>,
    kinds: Vec<i32>,
    scores: Vec<f32>,
    index: HashMap<String, usize>,
}

impl Vocabulary {
    fn add(&mut self, token: &str, kind: Kind, score: f32) {
        if self.index.contains_key(token) {
            return;
        }
        self.index.insert(token.to_owned(), self.tokens.len());
        self.tokens.push(token.to_owned());
        self.kinds.push(kind as i32);
        self.scores.push(score);
    }

    /// Everything but the pieces of turns.
    fn common(roles: &[&str]) -> Self {
        let mut vocabulary = Self::default();
        vocabulary.add("<unk>", Kind::Unknown, 0.0);
        vocabulary.add(START, Kind::Control, 0.0);
        (0..=255u8).for_each(|byte| vocabulary.add(&format!("<0x{byte:02X}>"), Kind::Byte, 0.0));
        [RULES, USER, TOOL, MODEL, END].iter().for_each(|token| vocabulary.add(token, Kind::Control, 0.0));
        [CALL, CALL_END].iter().for_each(|token| vocabulary.add(token, Kind::Given, 0.0));
        roles.iter().for_each(|role| vocabulary.add(&line(role), Kind::Given, 0.0));
        vocabulary.add("\u{2581}", Kind::Normal, -1.0);
        (33..127u8).for_each(|letter| vocabulary.add(&char::from(letter).to_string(), Kind::Normal, -1.0));
        vocabulary
    }

    /// A tokenizer of this kind joins neighbours only where the joined text is a token, so each beginning of a word is
    /// one too.
    fn words(&mut self, text: &str) {
        for word in text.split(|letter: char| !letter.is_ascii_alphabetic()).filter(|word| word.len() > 1) {
            let word = format!("\u{2581}{word}");
            for (end, letter) in word.char_indices().skip(1) {
                self.add(&word[..end + letter.len_utf8()], Kind::Normal, -1.0);
            }
        }
    }

    fn at(&self, token: &str) -> usize {
        self.index[token]
    }
}

/// The line of the system text by which a role is known.
fn line(role: &str) -> String {
    format!("role: {role}")
}

/// A text as the vocabulary writes it.
fn spelled(piece: &str) -> String {
    piece.replace(' ', "\u{2581}")
}

/// Cuts a turn into pieces that are in no other place. The tags are tokens already: the first use is the tag itself, a
/// later one takes in what is beside it.
fn pieces(text: &str, taken: &mut HashSet<String>) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let tag = [CALL, CALL_END].into_iter().find(|tag| rest.starts_with(tag));
        let to_tag = |from: usize| {
            let next = [CALL, CALL_END].into_iter().filter_map(|tag| rest[from..].find(tag)).min();
            next.map_or(rest.len(), |at| from + at)
        };
        let step = |from: usize, letters: usize| {
            rest[from..].char_indices().nth(letters).map_or(rest.len(), |(at, _)| from + at)
        };
        let mut end = match tag {
            Some(tag) if !taken.contains(tag) => tag.len(),
            Some(tag) => step(tag.len(), PIECE).min(to_tag(tag.len()).max(tag.len())),
            None => step(0, PIECE).min(to_tag(0)),
        };
        while taken.contains(&rest[..end]) && end < rest.len() {
            end = step(end, 1);
        }
        let mut piece = rest[..end].to_owned();
        rest = &rest[end..];
        // The tail can be known already; it is then joined with what comes before it.
        while taken.contains(&piece) {
            let Some(before) = pieces.pop() else { break };
            taken.remove(&before);
            piece.insert_str(0, &before);
        }
        taken.insert(piece.clone());
        pieces.push(piece);
    }
    pieces
}

impl Playbook {
    /// A model whose only role answers in these turns.
    pub fn of_turns(turns: &[&str]) -> Self {
        let turns = turns.iter().map(|turn| (*turn).to_owned()).collect();
        Self { roles: vec![("", turns)], context: 8192, ..Self::default() }
    }

    /// A model that makes vectors of texts by the words of `words` that are in them, and says nothing.
    pub fn of_words(words: &str) -> Self {
        Self { words: words.to_owned(), apart: true, ..Self::of_turns(&["Nothing."]) }
    }

    /// The model file.
    pub fn model(&self) -> Vec<u8> {
        let named: Vec<&str> = self.roles.iter().map(|(role, _)| *role).filter(|role| !role.is_empty()).collect();
        let mut vocabulary = Vocabulary::common(&named);
        let mut taken: HashSet<String> = vocabulary.tokens.iter().map(|token| token.replace('\u{2581}', " ")).collect();
        [CALL, CALL_END].iter().for_each(|tag| {
            taken.remove(*tag);
        });
        let chains: Vec<(usize, usize, Vec<String>)> = self
            .roles
            .iter()
            .enumerate()
            .flat_map(|(role, (_, turns))| turns.iter().enumerate().map(move |(turn, text)| (role, turn, text)))
            .map(|(role, turn, text)| (role, turn, pieces(text, &mut taken).iter().map(|p| spelled(p)).collect()))
            .collect();
        // So unlikely that no prompt is written with them.
        chains.iter().flat_map(|(.., chain)| chain).for_each(|piece| vocabulary.add(piece, Kind::Normal, -10_000.0));
        let known = vocabulary.tokens.len();
        vocabulary.words(&self.words);

        // Only tokens that decide something have a dimension of their own; all others share one.
        let lines: Vec<String> = named.iter().map(|role| line(role)).collect();
        let deciding = [START, USER, TOOL, MODEL].into_iter().chain(lines.iter().map(String::as_str));
        let mut own: BTreeMap<usize, usize> = BTreeMap::new();
        for token in deciding.chain(chains.iter().flat_map(|(.., chain)| chain).map(String::as_str)) {
            let next = own.len();
            own.entry(vocabulary.at(token)).or_insert(next);
        }
        for token in (known..vocabulary.tokens.len()).filter(|_| self.apart) {
            let next = own.len();
            own.entry(token).or_insert(next);
        }
        let other = own.len();
        let (one, share, first_role) = (other + 1, other + 2, other + 3);
        let width = (first_role + self.roles.len()).next_multiple_of(HEAD);
        let at = |token: &str| own[&vocabulary.at(token)];
        // What the normalisation makes of a token's two ones.
        let gain = (width as f32 / 2.0).sqrt();

        let mut embedding = Tensor::zeros(vocabulary.tokens.len(), width);
        for token in 0..vocabulary.tokens.len() {
            embedding.set(token, own.get(&token).copied().unwrap_or(other), 1.0);
            embedding.set(token, one, 1.0);
        }
        let [mut query, mut key, mut value] = [(); 3].map(|()| Tensor::zeros(2 * HEAD, width));
        let mut output = Tensor::zeros(width, 2 * HEAD);
        for head in [0, HEAD] {
            // Only the opening of an answer looks for anything; all other tokens look away.
            query.set(head + STILL, one, -8.0 / gain);
            query.set(head + STILL, at(MODEL), 16.0 / gain);
        }
        [START, USER, TOOL].iter().for_each(|token| key.set(STILL, at(token), 30.0 / gain));
        value.set(0, at(START), 1.0 / gain);
        output.set(share, 0, 1.0);
        key.set(HEAD + STILL, at(START), 15.0 / gain); // where no role is named
        for (role, (name, _)) in self.roles.iter().enumerate() {
            let token = if name.is_empty() { START.to_owned() } else { line(name) };
            if !name.is_empty() {
                key.set(HEAD + STILL, at(&token), 30.0 / gain);
            }
            value.set(HEAD + role, at(&token), 1.0 / gain);
            output.set(first_role + role, HEAD + role, 1.0);
        }
        let mut said = Tensor::zeros(vocabulary.tokens.len(), width);
        for (role, turn, chain) in &chains {
            let target = 1.0 / (2.0 + *turn as f32); // the turns count from a conversation of one message
            let first = vocabulary.at(&chain[0]);
            said.set(first, at(MODEL), CHAIN);
            said.set(first, share, STEEP * 2.0 * target);
            said.set(first, one, -STEEP * target * target);
            said.set(first, first_role + role, OWN_ROLE);
            for pair in chain.windows(2) {
                said.set(vocabulary.at(&pair[1]), at(&pair[0]), CHAIN);
            }
            let last = &chain[chain.len() - 1];
            let again = self.forever.is_some_and(|end| last.ends_with(&spelled(end)));
            // The second piece and not the first, which the parabola holds down everywhere but at an opening.
            let next = if again { chain.get(1).map_or(END, String::as_str) } else { END };
            said.set(vocabulary.at(next), at(last), CHAIN);
        }

        let mut file = Gguf::default();
        self.header(&mut file, &vocabulary, width);
        file.tensor("token_embd.weight", embedding)
            .tensor("blk.0.attn_norm.weight", Tensor::ones(width))
            .tensor("blk.0.attn_q.weight", query)
            .tensor("blk.0.attn_k.weight", key)
            .tensor("blk.0.attn_v.weight", value)
            .tensor("blk.0.attn_output.weight", output)
            .tensor("blk.0.ffn_norm.weight", Tensor::ones(width))
            .tensor("blk.0.ffn_gate.weight", Tensor::zeros(32, width))
            .tensor("blk.0.ffn_up.weight", Tensor::zeros(32, width))
            .tensor("blk.0.ffn_down.weight", Tensor::zeros(width, 32))
            .tensor("output_norm.weight", Tensor::ones(width))
            .tensor("output.weight", said);
        file.bytes()
    }

    fn header(&self, file: &mut Gguf, vocabulary: &Vocabulary, width: usize) {
        let number = |number: usize| Value::U32(u32::try_from(number).unwrap_or(u32::MAX));
        let text = |text: &str| Value::Text(text.to_owned());
        file.key("general.architecture", text("llama"))
            .key("general.name", text("playbook"))
            .key("general.file_type", Value::U32(0))
            .key("llama.context_length", Value::U32(self.context))
            .key("llama.embedding_length", number(width))
            .key("llama.block_count", Value::U32(1))
            .key("llama.feed_forward_length", Value::U32(32))
            .key("llama.attention.head_count", Value::U32(2))
            .key("llama.attention.head_count_kv", Value::U32(2))
            .key("llama.attention.key_length", number(HEAD))
            .key("llama.attention.value_length", number(HEAD))
            .key("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-6))
            .key("llama.rope.dimension_count", number(HEAD))
            .key("llama.rope.freq_base", Value::F32(1e9))
            .key("llama.vocab_size", number(vocabulary.tokens.len()))
            .key("tokenizer.ggml.model", text("llama"))
            .key("tokenizer.ggml.pre", text("default"))
            .key("tokenizer.ggml.tokens", Value::Texts(vocabulary.tokens.clone()))
            .key("tokenizer.ggml.scores", Value::F32s(vocabulary.scores.clone()))
            .key("tokenizer.ggml.token_type", Value::I32s(vocabulary.kinds.clone()))
            .key("tokenizer.ggml.bos_token_id", number(vocabulary.at(START)))
            .key("tokenizer.ggml.eos_token_id", number(vocabulary.at(END)))
            .key("tokenizer.ggml.unknown_token_id", Value::U32(0))
            .key("tokenizer.ggml.add_bos_token", Value::Bool(true))
            .key("tokenizer.ggml.add_space_prefix", Value::Bool(false))
            .key("tokenizer.chat_template", text(TEMPLATE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_each_in_one_place_and_together_are_the_turns() {
        let turns = [
            format!("I look.{}", call("read_file", &serde_json::json!({"path": "a"}))),
            format!("I look.{}", call("read_file", &serde_json::json!({"path": "b"}))),
            format!("Grüße{}{}", call("t", &serde_json::json!({})), call("t", &serde_json::json!({}))),
            "I look. And I look.".to_owned(),
        ];
        let mut taken = HashSet::new();
        let cut: Vec<Vec<String>> = turns.iter().map(|turn| pieces(turn, &mut taken)).collect();
        for (turn, cut) in turns.iter().zip(&cut) {
            assert_eq!(cut.concat(), *turn);
        }
        let all: Vec<&String> = cut.iter().flatten().collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{cut:?}");
    }
}
