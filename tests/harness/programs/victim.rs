//! The process that campaigns kill, see `atelier_tests::victim`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    atelier_tests::victim::main().await
}
