//! Why an object does not take a message, in words a user can act on.

use atelier_protocol::error::{Code, Problem};

/// Why an object does not take a message. Nothing has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The name is none.
    #[error("`{object}` is not the name of an object")]
    NoName {
        /// What was given.
        object: String,
    },
    /// There is no such kind.
    #[error("there is no kind of object `{kind}`; there are {known}")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// Those that there are.
        known: String,
    },
    /// There is no such object.
    #[error("there is no object `{object}`")]
    Unknown {
        /// The object.
        object: String,
    },
    /// It does nothing about such a message.
    #[error("`{object}` does nothing about `{handler}`; it knows {known}")]
    UnknownHandler {
        /// The object.
        object: String,
        /// The handler.
        handler: String,
        /// Those it has.
        known: String,
    },
    /// It was told something it cannot take.
    #[error("`{handler}` of `{object}`: {why}")]
    NotTaken {
        /// The object.
        object: String,
        /// The handler.
        handler: String,
        /// What is wrong, or which of its conditions does not hold.
        why: String,
    },
    /// It changed meanwhile.
    #[error("`{object}` has version {actual}, {expected} was expected")]
    Stale {
        /// The object.
        object: String,
        /// What the teller knew.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// Objects ask each other in a circle.
    #[error("objects call each other in a circle: {circle}")]
    Cycle {
        /// The objects in order.
        circle: String,
    },
    /// Objects ask each other too deep.
    #[error("more than {most} objects call one another: {chain}")]
    TooDeep {
        /// How many may.
        most: usize,
        /// The objects in order.
        chain: String,
    },
    /// Its state would be larger than its kind allows.
    #[error("`{object}` would have {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// The object.
        object: String,
        /// What it would have.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// It was ended.
    #[error("`{object}` was ended for good")]
    Ended {
        /// The object.
        object: String,
    },
    /// Its state was written by a newer template than there is.
    #[error("`{object}` has a state of version {found}, its template is of version {known}")]
    Newer {
        /// The object.
        object: String,
        /// The version of its state.
        found: u32,
        /// The template's.
        known: u32,
    },
    /// Its state does not fit the template.
    #[error("the state of `{object}` does not fit its template: {why}")]
    Misfit {
        /// The object.
        object: String,
        /// Where.
        why: String,
    },
    /// The store could not be read or written.
    #[error("{0}")]
    Store(Problem),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, hint) = match &refusal {
            Refusal::Store(problem) => return problem.clone(),
            Refusal::NoName { .. } => (
                Code::ObjectInvalid,
                "Write it as kind/name, with letters, digits, `_`, `-` and `.`, such as board/team.",
            ),
            Refusal::UnknownKind { .. } => {
                (Code::ObjectInvalid, "Add a template to .atelier/objects, or take one of those.")
            }
            Refusal::Unknown { .. } => {
                (Code::ObjectInvalid, "List them with `atelier objects list`; a message makes one.")
            }
            Refusal::UnknownHandler { .. } | Refusal::NotTaken { .. } => {
                (Code::ObjectInvalid, "Nothing was changed. Look at its template and tell it again.")
            }
            Refusal::Stale { .. } => (Code::ObjectChanged, "Look at it with `atelier objects show` and decide again."),
            Refusal::Cycle { .. } | Refusal::TooDeep { .. } => {
                (Code::ObjectCycle, "Nothing was changed. Let one of the templates do without the other.")
            }
            Refusal::TooLarge { .. } => (Code::ObjectInvalid, "Nothing was changed. Remove something from it first."),
            Refusal::Ended { .. } => (Code::ObjectInvalid, "Use another name; its history is kept."),
            Refusal::Newer { .. } => (Code::ObjectInvalid, "Update its template, or Atelier."),
            Refusal::Misfit { .. } => {
                (Code::ObjectInvalid, "Mend the template, or raise its version and declare a migration.")
            }
        };
        Problem::new(code, format!("{}.", capital(&refusal.to_string())), hint)
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
