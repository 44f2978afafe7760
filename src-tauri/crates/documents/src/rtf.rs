//! RTF (1.9) as paragraphs: its words and line ends, without what only sets type.
//!
//! The crates that read RTF lose the ends of paragraphs or characters; its syntax is groups, control words and text.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::source::Source;
use atelier_protocol::document::{Anchor, DocumentFormat};
use encoding_rs::{Encoding, WINDOWS_1252};

/// Groups that hold something else than text of the document.
const ASIDE: &[&str] = &[
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "filetbl",
    "listtable",
    "listoverridetable",
    "revtbl",
    "rsidtbl",
    "generator",
    "themedata",
    "colorschememapping",
    "datastore",
    "latentstyles",
    "xmlnstbl",
    "mmathPr",
    "fldinst",
    "bkmkstart",
    "bkmkend",
];

/// What holds within a group.
#[derive(Debug, Clone, Copy)]
struct Group {
    aside: bool,
    bold: bool,
    /// Characters that stand in for one that an older reader does not know.
    skip: usize,
}

pub(crate) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let damaged = ReadError::damaged(DocumentFormat::Rtf);
    let text = Reader::default().text(source.whole()?);
    let text = text.ok_or_else(|| damaged("it ends in the middle of a group".to_owned()))?;
    let paragraphs: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    draft.part(Anchor::Whole, None, paragraphs.join("\n\n"));
    Ok(())
}

#[derive(Default)]
struct Reader {
    text: String,
    /// Bytes of the code page that are not text yet: some characters take two.
    bytes: Vec<u8>,
    encoding: Option<&'static Encoding>,
    /// The first half of a character beyond the basic plane.
    high: Option<u16>,
    skipped: usize,
    bold: bool,
}

impl Reader {
    /// `None` where groups are still open at the end.
    fn text(mut self, input: &[u8]) -> Option<String> {
        let mut groups: Vec<Group> = Vec::new();
        let mut now = Group { aside: false, bold: false, skip: 1 };
        let mut at = 0;
        while let Some(byte) = input.get(at) {
            at += 1;
            match byte {
                b'{' => groups.push(now),
                b'}' => {
                    now = groups.pop()?;
                    if groups.is_empty() {
                        self.flush();
                        return Some(self.text);
                    }
                }
                b'\\' => at = self.control(input, at, &mut now),
                b'\r' | b'\n' => {}
                byte => self.byte(*byte, now),
            }
        }
        None
    }

    /// A control word or symbol that begins behind its `\`; where it ends.
    fn control(&mut self, input: &[u8], at: usize, now: &mut Group) -> usize {
        let letters = input[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if letters == 0 {
            match input.get(at) {
                Some(b'\'') => {
                    let hex = input.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
                    if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                        self.byte(byte, *now);
                    }
                    return at + 3;
                }
                Some(b'*') => now.aside = true,
                Some(b'~') => self.say(" ", *now),
                Some(b'_') => self.say("-", *now),
                Some(symbol @ (b'{' | b'}' | b'\\')) => self.byte(*symbol, *now),
                Some(b'\n' | b'\r') => self.say("\n", *now),
                _ => {}
            }
            return at + 1;
        }
        let word = std::str::from_utf8(&input[at..at + letters]).unwrap_or_default();
        let mut end = at + letters;
        let digits = input[end..]
            .iter()
            .enumerate()
            .take_while(|(n, byte)| byte.is_ascii_digit() || (*n == 0 && **byte == b'-'));
        let digits = digits.count();
        let number = std::str::from_utf8(&input[end..end + digits]).ok().and_then(|number| number.parse::<i32>().ok());
        end += digits;
        if input.get(end) == Some(&b' ') {
            end += 1; // it only ends the word
        }
        match word {
            "par" | "sect" | "page" | "line" | "row" => self.say("\n", *now),
            "tab" => self.say(" ", *now),
            "cell" => self.say(" | ", *now),
            "emdash" => self.say("—", *now),
            "endash" => self.say("–", *now),
            "bullet" => self.say("•", *now),
            "lquote" => self.say("‘", *now),
            "rquote" => self.say("’", *now),
            "ldblquote" => self.say("“", *now),
            "rdblquote" => self.say("”", *now),
            "b" => now.bold = number != Some(0),
            "plain" => now.bold = false,
            "uc" => now.skip = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(16),
            "u" => self.wide(number.unwrap_or(0), *now),
            "bin" => end = end.saturating_add(usize::try_from(number.unwrap_or(0)).unwrap_or(0)).min(input.len()),
            "ansicpg" => self.encoding = number.and_then(code_page),
            word if ASIDE.contains(&word) => now.aside = true,
            _ => {}
        }
        end
    }

    /// A UTF-16 unit; negative where it is above 32767.
    fn wide(&mut self, number: i32, now: Group) {
        self.skipped = now.skip;
        let Ok(unit) = u16::try_from(if number < 0 { number + 65_536 } else { number }) else { return };
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        let units: Vec<u16> = self.high.take().into_iter().chain([unit]).collect();
        let skip = self.skipped;
        self.say(&String::from_utf16_lossy(&units), now);
        self.skipped = skip;
    }

    fn byte(&mut self, byte: u8, now: Group) {
        if self.skipped > 0 {
            self.skipped -= 1;
        } else if !now.aside {
            self.embolden(now);
            self.bytes.push(byte);
        }
    }

    fn say(&mut self, text: &str, now: Group) {
        self.skipped = 0;
        if now.aside {
            return;
        }
        if text == "\n" {
            self.embolden(Group { bold: false, ..now });
        } else {
            self.embolden(now);
        }
        self.flush();
        self.text.push_str(text);
    }

    /// Marks where bold text begins and ends, within a line.
    fn embolden(&mut self, now: Group) {
        if self.bold != now.bold {
            self.flush();
            self.bold = now.bold;
            self.text.push_str("**");
        }
    }

    fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.text.push_str(&self.encoding.unwrap_or(WINDOWS_1252).decode_without_bom_handling(&bytes).0);
    }
}

fn code_page(number: i32) -> Option<&'static Encoding> {
    let label = match number {
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        65001 => "utf-8".to_owned(),
        number => format!("windows-{number}"),
    };
    Encoding::for_label(label.as_bytes())
}
