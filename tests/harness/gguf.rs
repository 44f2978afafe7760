//! Writes model files in the GGUF format, version 3, as its specification in the ggml repository lays it out.
//!
//! Little-endian: magic, version, counts, keys with typed values, tensor descriptions, then the tensors' data, each
//! aligned to 32 bytes. Only the value types that a small llama needs, and only 32-bit floats.

const ALIGNMENT: usize = 32;
const VERSION: u32 = 3;

/// A value of the header.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned number.
    U32(u32),
    /// A floating point number.
    F32(f32),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of numbers.
    I32s(Vec<i32>),
    /// A list of floating point numbers.
    F32s(Vec<f32>),
}

/// A matrix of `rows` rows of `columns` numbers; a vector has one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    rows: usize,
    columns: usize,
    data: Vec<f32>,
}

impl Tensor {
    /// All zero.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, data: vec![0.0; rows * columns] }
    }
    /// A vector of ones.
    pub fn ones(columns: usize) -> Self {
        Self { rows: 1, columns, data: vec![1.0; columns] }
    }
    /// Puts a number in its place.
    pub fn set(&mut self, row: usize, column: usize, value: f32) {
        self.data[row * self.columns + column] = value;
    }
}

/// A model file in the making.
#[derive(Debug, Default)]
pub struct Gguf {
    keys: Vec<(String, Value)>,
    tensors: Vec<(String, Tensor)>,
}

impl Gguf {
    /// Adds a key of the header.
    pub fn key(&mut self, name: &str, value: Value) -> &mut Self {
        self.keys.push((name.to_owned(), value));
        self
    }
    /// Adds a tensor.
    pub fn tensor(&mut self, name: &str, tensor: Tensor) -> &mut Self {
        self.tensors.push((name.to_owned(), tensor));
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Out(b"GGUF".to_vec());
        out.u32(VERSION);
        out.u64(self.tensors.len());
        out.u64(self.keys.len());
        for (name, value) in &self.keys {
            out.text(name);
            out.u32(kind(value));
            out.value(value);
        }
        let mut offset = 0;
        for (name, tensor) in &self.tensors {
            out.text(name);
            // The fastest dimension comes first; a vector has only that one.
            let dimensions: &[usize] =
                if tensor.rows == 1 { &[tensor.columns] } else { &[tensor.columns, tensor.rows] };
            out.u32(if tensor.rows == 1 { 1 } else { 2 });
            dimensions.iter().for_each(|size| out.u64(*size));
            out.u32(0); // 32-bit floats
            out.u64(offset);
            offset += (tensor.data.len() * 4).next_multiple_of(ALIGNMENT);
        }
        for (_, tensor) in &self.tensors {
            out.align();
            tensor.data.iter().for_each(|number| out.0.extend(number.to_le_bytes()));
        }
        out.align();
        out.0
    }
}

/// A value's type as the format numbers them.
fn kind(value: &Value) -> u32 {
    match value {
        Value::U32(_) => 4,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::Texts(_) | Value::I32s(_) | Value::F32s(_) => 9,
    }
}

struct Out(Vec<u8>);

impl Out {
    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }
    fn u64(&mut self, number: usize) {
        self.0.extend((number as u64).to_le_bytes());
    }
    fn text(&mut self, text: &str) {
        self.u64(text.len());
        self.0.extend(text.as_bytes());
    }
    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
    }
    fn list(&mut self, kind: u32, length: usize) {
        self.u32(kind);
        self.u64(length);
    }
    fn value(&mut self, value: &Value) {
        match value {
            Value::U32(number) => self.u32(*number),
            Value::F32(number) => self.0.extend(number.to_le_bytes()),
            Value::Bool(yes) => self.0.push(u8::from(*yes)),
            Value::Text(text) => self.text(text),
            Value::Texts(texts) => {
                self.list(8, texts.len());
                texts.iter().for_each(|text| self.text(text));
            }
            Value::I32s(numbers) => {
                self.list(5, numbers.len());
                numbers.iter().for_each(|number| self.0.extend(number.to_le_bytes()));
            }
            Value::F32s(numbers) => {
                self.list(6, numbers.len());
                numbers.iter().for_each(|number| self.0.extend(number.to_le_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_out_as_the_format_says() {
        let mut file = Gguf::default();
        file.key("a", Value::U32(7)).key("t", Value::Texts(vec!["x".into()])).tensor("w", Tensor::ones(3));
        let bytes = file.bytes();
        assert_eq!(&bytes[..8], b"GGUF\x03\0\0\0");
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!((number(8), number(16)), (1, 2), "tensors and keys");
        // key `a`: length, name, type 4, value
        assert_eq!((number(24), bytes[32], bytes[33], bytes[37]), (1, b'a', 4, 7));
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let data = &bytes[bytes.len() - ALIGNMENT..];
        assert_eq!(data[..12], [1.0f32, 1.0, 1.0].map(f32::to_le_bytes).concat());
        assert!(data[12..].iter().all(|byte| *byte == 0));
    }
}
