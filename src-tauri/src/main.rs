//! The desktop shell: one window, a dozen commands, one channel a subscription.
//!
//! The only package that knows Tauri. It holds no state of its own beside the open subscriptions: what is true comes
//! from the engine, and what the window shows is folded by the page from the events it is sent.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod bench;
mod commands;
mod start;
mod subscription;
mod tour;

use bench::Bench;
use tauri::{AppHandle, Manager, RunEvent, WebviewWindowBuilder};

fn main() -> std::process::ExitCode {
    if let Some(done) = atelier_engine::reader::serve_if_asked(std::env::args_os().skip(1)) {
        return done;
    }
    atelier_engine::heap::share();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("ATELIER_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let start = match start::Start::read(std::env::args_os().skip(1)) {
        Ok(start) => start,
        Err(problem) => {
            tracing::error!("{problem}");
            return std::process::ExitCode::from(2);
        }
    };
    start::avoid_blank_window();
    if let Err(why) = start::display() {
        tracing::error!("{why}");
        return std::process::ExitCode::from(6);
    }
    let built = tauri::Builder::default()
        .plugin(tauri_plugin_dialog::init())
        .manage(Bench::new(start))
        .invoke_handler(tauri::generate_handler![
            commands::start_info,
            commands::known_projects,
            commands::open_project,
            commands::pick_folder,
            commands::start_tour,
            commands::submit,
            commands::subscribe,
            commands::acknowledge,
            commands::unsubscribe,
            commands::mark,
        ])
        .setup(|app| open_window(app.handle()).map_err(Into::into))
        .build(tauri::generate_context!());
    let app = match built {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("the window could not be made: {error}");
            return std::process::ExitCode::from(6);
        }
    };
    app.run(|app, event| {
        if let RunEvent::Exit = event {
            // Locks and sockets go in order; runs at work can be resumed.
            tauri::async_runtime::block_on(app.state::<Bench>().close());
        }
    });
    std::process::ExitCode::SUCCESS
}

/// Opens the window as the configuration says; its title is the page's, so that a question that waits can be seen
/// from elsewhere.
fn open_window(app: &AppHandle) -> tauri::Result<()> {
    for window in &app.config().app.windows {
        WebviewWindowBuilder::from_config(app, window)?
            .on_document_title_changed(|window, title| {
                let _ = window.set_title(&title); // a window that is closing has no title to set
            })
            .build()?;
    }
    Ok(())
}
