//! The words that arguments choose among, and what each is in the protocol.

use atelier_protocol::event::{AcceptMode, AskKind, Priority};
use atelier_protocol::op::ExportFormat;
use atelier_protocol::settings::ProviderKind;
use atelier_protocol::view::HitKind;
use clap::ValueEnum;

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    Ollama,
    Openai,
    Anthropic,
}

impl From<ServerKind> for ProviderKind {
    fn from(kind: ServerKind) -> Self {
        match kind {
            ServerKind::Ollama => ProviderKind::Ollama,
            ServerKind::Openai => ProviderKind::OpenAi,
            ServerKind::Anthropic => ProviderKind::Anthropic,
        }
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    HandOver,
    /// Run what the project brings along: its checks, its set-up. The yes holds for later runs too.
    ProjectCommands,
    Command,
    Tool,
    Question,
    Budget,
    Cloud,
}

impl From<Kind> for AskKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::HandOver => AskKind::HandOver,
            Kind::ProjectCommands => AskKind::ProjectCommands,
            Kind::Command => AskKind::Command,
            Kind::Tool => AskKind::Tool,
            Kind::Question => AskKind::Question,
            Kind::Budget => AskKind::Budget,
            Kind::Cloud => AskKind::Cloud,
        }
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A zip of the files.
    Zip,
    /// A compressed tar of the files.
    TarGz,
    /// The files in a new folder.
    Folder,
    /// A git bundle with the history.
    Bundle,
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Zip => ExportFormat::Zip,
            Format::TarGz => ExportFormat::TarGz,
            Format::Folder => ExportFormat::Folder,
            Format::Bundle => ExportFormat::Bundle,
        }
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Low,
    Normal,
    High,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Low => Priority::Low,
            Urgency::Normal => Priority::Normal,
            Urgency::High => Priority::High,
        }
    }
}

/// What a hit is cut from.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Files of code, settings and data.
    Code,
    /// Texts for people.
    Doc,
    /// Messages of earlier commits.
    Commit,
    /// What was said in runs: goals, turns of roles, remarks.
    Chat,
    /// Requirements made from goals.
    Spec,
    /// Answered questions, reviews, what became of results.
    Decision,
    /// Parts of files of other formats: PDF, office files, e-mail and more.
    Document,
    /// Notes and snippets of your library.
    Note,
}

impl From<Cut> for HitKind {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Code => HitKind::Code,
            Cut::Doc => HitKind::Doc,
            Cut::Commit => HitKind::Commit,
            Cut::Chat => HitKind::Chat,
            Cut::Spec => HitKind::Spec,
            Cut::Decision => HitKind::Decision,
            Cut::Document => HitKind::Document,
            Cut::Note => HitKind::Note,
        }
    }
}

/// A way to the user's branch.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Move the branch forward, or refuse.
    Ff,
    /// Make a merge commit.
    Merge,
    /// Make one commit of all.
    Squash,
}

impl From<Way> for AcceptMode {
    fn from(way: Way) -> Self {
        match way {
            Way::Ff => AcceptMode::FastForward,
            Way::Merge => AcceptMode::Merge,
            Way::Squash => AcceptMode::Squash,
        }
    }
}
