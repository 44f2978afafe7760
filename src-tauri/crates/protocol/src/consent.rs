//! What a project brings along to be run, or to be lent of the user's, and whether it may be.

use crate::hash::Hash;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// One thing that a project brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "brings", rename_all = "snake_case")]
pub enum ProjectCommand {
    /// A file or folder beside the committed ones that every run's tree gets a copy of.
    Copy {
        /// Its path in the project.
        path: String,
    },
    /// The same by a link to the user's own, to read.
    Link {
        /// Its path in the project.
        path: String,
    },
    /// A command that is run in every new tree.
    SetUp {
        /// Program and arguments.
        argv: Vec<String>,
        /// Hosts that it asks to reach, which is a question of its own.
        network: Vec<String>,
    },
    /// A check.
    Check {
        /// Its name.
        name: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// Hosts that it asks to reach, which is a question of its own.
        network: Vec<String>,
        /// The file that it is read off.
        source: String,
    },
}

impl ProjectCommand {
    /// It as one line that holds nothing but what can be read: what is not plain in a word is escaped.
    pub fn told(&self) -> String {
        match self {
            ProjectCommand::Copy { path } => format!("lend a copy of {}", plain(path)),
            ProjectCommand::Link { path } => format!("lend, to read, {}", plain(path)),
            ProjectCommand::SetUp { argv, network } => format!("set up: {}{}", line(argv), reaching(network)),
            ProjectCommand::Check { name, argv, network, source } => {
                format!("check {}: {}{} (from {})", plain(name), line(argv), reaching(network), plain(source))
            }
        }
    }
}

fn line(argv: &[String]) -> String {
    argv.iter().map(|word| plain(word)).collect::<Vec<_>>().join(" ")
}

/// A word as it is, or quoted: a project's file must not be able to hide a part of it, or to steer a terminal.
fn plain(word: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(simple) { word.to_owned() } else { format!("{word:?}") }
}

fn reaching(network: &[String]) -> String {
    if network.is_empty() { String::new() } else { format!(", reaching {} once you permit that", network.join(", ")) }
}

/// All that a project brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CommandsView {
    /// Hash of all of it; an answer is kept by this.
    pub hash: Hash,
    /// Each thing, in the order in which it is needed.
    pub commands: Vec<ProjectCommand>,
    /// Whether the user allowed it. Nothing at all needs no leave.
    pub allowed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_command_can_hide_in_its_line() {
        let argv = ["sh", "-c", "true\u{1b}[2K\rcargo test", ""].map(str::to_owned).to_vec();
        let check = ProjectCommand::Check {
            name: "unit\ntest".to_owned(),
            argv,
            network: vec!["x.example:443".to_owned()],
            source: "Cargo.toml".to_owned(),
        };
        insta::assert_snapshot!(check.told(), @r#"check "unit\ntest": sh -c "true\u{1b}[2K\rcargo test" "", reaching x.example:443 once you permit that (from Cargo.toml)"#);
    }
}
