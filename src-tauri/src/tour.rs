//! The tour: a fresh sample project with a scripted model, so that the window can be tried with nothing installed.

use crate::bench::Bench;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_stage::{Options, Stage, tour};
use std::path::PathBuf;

/// Makes a sample project whose models are the scripted one, and gives its folder.
pub async fn start(bench: &Bench) -> Result<PathBuf, Problem> {
    let folder = sample(bench).await?;
    let mut running = bench.tour.lock().await;
    if running.is_none() {
        let script = tour::script().map_err(|e| failed(&format!("its script is wrong: {e}")))?;
        let stage = Stage::start(script, Options::default()).await.map_err(|e| failed(&e.to_string()))?;
        *running = Some(stage);
    }
    let base_url = running.as_ref().map(Stage::url).unwrap_or_default();
    let server = ProviderSettings { id: "tour".to_owned(), kind: ProviderKind::Ollama, base_url };
    bench.workshop().await?.use_servers_for(&folder, vec![server]);
    Ok(folder)
}

/// Makes a fresh sample project and gives its folder.
pub async fn sample(bench: &Bench) -> Result<PathBuf, Problem> {
    let workshop = bench.workshop().await?;
    let folder = (1..1000)
        .map(|n| std::env::temp_dir().join(format!("atelier-sample-{}-{n}", std::process::id())).join("greet"))
        .find(|folder| !folder.exists())
        .ok_or_else(|| failed("the temporary folder is full of sample projects"))?;
    tour::write_sample(&folder).map_err(|e| failed(&format!("the sample project cannot be written: {e}")))?;
    workshop.initialise(&folder).await?;
    // The sample is Atelier's own: nobody need be asked whether its check may run.
    workshop.open_project(&folder).await?.allow_commands().await?;
    Ok(folder)
}

fn failed(why: &str) -> Problem {
    Problem::new(Code::Io, format!("The tour could not start: {why}."), "Check the temporary folder and try again.")
}
