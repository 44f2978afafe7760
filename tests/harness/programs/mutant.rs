//! The victim with a rule broken that `VICTIM_MUTANT` names as `atelier_protocol::mutant::Mutant` does. Only this
//! program is built with the feature `mutants`.

use atelier_protocol::mutant::{Mutant, choose};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let name = std::env::var("VICTIM_MUTANT").unwrap_or_default();
    let Some(mutant) = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name) else {
        atelier_tests::job::say(format_args!("VICTIM_MUTANT must name a mutant, not `{name}`"));
        return ExitCode::from(2);
    };
    choose(mutant);
    atelier_tests::victim::main().await
}
