//! What a commit says.

/// The type of a commit (Conventional Commits 1.0.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `feat`
    Feat,
    /// `fix`
    Fix,
    /// `refactor`
    Refactor,
    /// `docs`
    Docs,
    /// `test`
    Test,
    /// `chore`
    Chore,
}

/// What the commits of a hand-over say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The type of the commit with the sources; `None` derives it from the subject.
    pub kind: Option<Kind>,
    /// What was done, in one line; shortened and put into form as needed.
    pub subject: String,
    /// Paragraphs after the subject; may be empty.
    pub body: String,
    /// Lines `key: value` at the end.
    pub trailers: Vec<(String, String)>,
}
