//! Lines of backticks or tildes around code.

/// A line of backticks or tildes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    pub mark: char,
    pub length: usize,
    /// What follows the marks; only an opening fence has something there.
    pub info: &'a str,
}

impl<'a> Fence<'a> {
    /// CommonMark 0.31.2 section 4.5: at most three spaces before, no backtick in the info of a backtick fence.
    pub fn on(line: &'a str) -> Option<Self> {
        let body = line.trim_start_matches(' ');
        if line.len() - body.len() > 3 {
            return None;
        }
        let mark = body.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let length = body.chars().take_while(|c| *c == mark).count();
        let info = body[length..].trim();
        (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(Self { mark, length, info })
    }
}
