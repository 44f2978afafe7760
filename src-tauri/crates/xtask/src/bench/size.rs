//! Sizes of the release programs.

use super::{record, window};
use crate::run::{self, Failure};
use crate::{node, workspace};
use serde_json::{Map, Value, json};

pub fn main() -> Result<(), Failure> {
    run::check(node::npm().args(["run", "build"]))?;
    window::release_programs()?;
    let metadata = workspace::metadata()?;
    let mut figures = Map::new();
    for package in ["atelier-app", "atelier-cli"] {
        let file = workspace::program(&metadata, package, true)?;
        let bytes = file.metadata().map_err(|error| Failure::Work(format!("{}: {error}", file.display())))?.len();
        figures.insert(package.to_owned(), json!({ "bytes": bytes }));
    }
    record::write("size", &Value::Null, &Value::Object(figures))
}
