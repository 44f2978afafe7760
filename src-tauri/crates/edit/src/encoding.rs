//! Files that are not UTF-8: worked on as UTF-8, written back as they were.
//!
//! UTF-16 is told by its byte order mark. Bytes that are no UTF-8 at all are Latin-1, which is lossless either way;
//! a file in which some of them are UTF-8 is left to its bytes.

/// How a file's bytes are its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8, or bytes of which nothing is known.
    #[default]
    Bytes,
    /// ISO 8859-1.
    Latin1,
    /// With its byte order mark, which becomes that of UTF-8.
    Utf16 {
        /// The high byte first.
        big: bool,
    },
}

impl Encoding {
    /// The encoding of a file. `edit_is_text`: what is written into it is UTF-8 beyond ASCII, so that it matters.
    pub(crate) fn of(bytes: &[u8], edit_is_text: bool) -> Self {
        for (mark, big) in [(b"\xff\xfe", false), (b"\xfe\xff", true)] {
            let encoding = Self::Utf16 { big };
            if bytes.starts_with(mark) && bytes.len().is_multiple_of(2) {
                let text = encoding.decode(bytes);
                // The bytes of something else rarely make lines when they are read by twos.
                let has_lines = text.contains(&b'\n') || !bytes.contains(&b'\n');
                if has_lines && encoding.encode(&text).as_deref() == Ok(bytes) {
                    return encoding;
                }
            }
        }
        if !edit_is_text || bytes.is_ascii() || bytes.contains(&0) || std::str::from_utf8(bytes).is_ok() {
            return Self::Bytes;
        }
        let mixed = bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii());
        if mixed { Self::Bytes } else { Self::Latin1 }
    }

    /// The text as UTF-8.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes => bytes.to_vec(),
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
            Self::Utf16 { big } => {
                let units = bytes.chunks_exact(2).map(|pair| match pair {
                    [a, b] if big => u16::from_be_bytes([*a, *b]),
                    [a, b] => u16::from_le_bytes([*a, *b]),
                    _ => 0,
                });
                char::decode_utf16(units)
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect::<String>()
                    .into_bytes()
            }
        }
    }

    /// The bytes of a text; the first character that the encoding lacks where it has one.
    pub(crate) fn encode(self, text: &[u8]) -> Result<Vec<u8>, char> {
        if self == Self::Bytes {
            return Ok(text.to_vec());
        }
        let Ok(text) = std::str::from_utf8(text) else { return Err(char::REPLACEMENT_CHARACTER) };
        match self {
            Self::Utf16 { big } => Ok(text
                .encode_utf16()
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect()),
            _ => text.chars().map(|c| u8::try_from(c).map_err(|_| c)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart_and_written_back() {
        let utf16: Vec<u8> = "\u{feff}aé\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let encoding = Encoding::of(&utf16, false);
        assert_eq!(encoding, Encoding::Utf16 { big: false });
        assert_eq!(encoding.decode(&utf16), "\u{feff}aé\n".as_bytes());
        assert_eq!(encoding.encode("\u{feff}aé\n".as_bytes()), Ok(utf16));

        assert_eq!(Encoding::of(b"caf\xe9", true), Encoding::Latin1);
        assert_eq!(Encoding::Latin1.decode(b"caf\xe9"), "café".as_bytes());
        assert_eq!(Encoding::Latin1.encode("café".as_bytes()), Ok(b"caf\xe9".to_vec()));
        assert_eq!(Encoding::Latin1.encode("1 €".as_bytes()), Err('€'));

        assert_eq!(Encoding::of(b"caf\xe9", false), Encoding::Bytes, "nothing but ASCII is written");
        assert_eq!(Encoding::of("caf\u{e9}".as_bytes(), true), Encoding::Bytes);
        assert_eq!(Encoding::of(b"caf\xe9 caf\xc3\xa9", true), Encoding::Bytes, "some of it is UTF-8");
        assert_eq!(Encoding::of(b"\xff\xfeabc", true), Encoding::Latin1, "an odd number of bytes");
        assert_eq!(Encoding::of(b"\xff\xd8\x00", true), Encoding::Bytes);
    }
}
