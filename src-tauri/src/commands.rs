//! The commands that the page may call. Each does one thing and answers with plain data or a problem.

use crate::bench::Bench;
use crate::subscription::{Batch, Subscription};
use crate::tour;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::{ProjectId, Seq};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{KnownProject, ProjectView};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tauri::ipc::Channel;
use tauri::{AppHandle, State};
use tauri_plugin_dialog::DialogExt;

/// What the page needs to begin.
#[derive(Debug, Serialize)]
pub struct StartInfo {
    version: &'static str,
    /// The folder to open at once.
    project: Option<String>,
    /// Whether the tour is to begin at once.
    tour: bool,
}

type Answer<T> = Result<T, Problem>;

#[tauri::command]
pub async fn start_info(bench: State<'_, Bench>) -> Answer<StartInfo> {
    let project = match &bench.start.project {
        Some(path) => Some(text(path)),
        None if bench.start.sample => Some(text(&tour::sample(&bench).await?)),
        None => None,
    };
    Ok(StartInfo { version: env!("CARGO_PKG_VERSION"), project, tour: bench.start.tour })
}

#[tauri::command]
pub async fn known_projects(bench: State<'_, Bench>) -> Answer<Vec<KnownProject>> {
    bench.workshop().await?.known_projects().await
}

#[tauri::command]
pub async fn open_project(bench: State<'_, Bench>, path: String, init: bool) -> Answer<ProjectView> {
    let workshop = bench.workshop().await?;
    let folder = expanded(path.trim());
    if path.trim().is_empty() {
        return Err(Problem::new(Code::NoFolder, "No folder is named.", "Type a folder's path or browse for one."));
    }
    if init {
        workshop.initialise(&folder).await?;
    }
    let project = workshop.open_project(&folder).await?;
    match project.submit(Op::ShowProject).await? {
        Reply::Project(view) => Ok(view),
        _ => Err(Problem::new(Code::Internal, "The project did not describe itself.", "Please report this.")),
    }
}

#[tauri::command]
pub async fn pick_folder(app: AppHandle) -> Answer<Option<String>> {
    let (answer, picked) = tokio::sync::oneshot::channel();
    app.dialog().file().pick_folder(move |folder| {
        let _ = answer.send(folder);
    });
    let folder = picked.await.ok().flatten().and_then(|folder| folder.into_path().ok());
    Ok(folder.as_deref().map(text))
}

#[tauri::command]
pub async fn start_tour(bench: State<'_, Bench>) -> Answer<String> {
    tour::start(&bench).await.map(|folder| text(&folder))
}

#[tauri::command]
pub async fn submit(bench: State<'_, Bench>, project: Option<ProjectId>, op: Op) -> Answer<Reply> {
    match (project, op) {
        // Settings are the window's as a whole, whichever project it shows.
        (_, op @ (Op::ChangeSettings { .. } | Op::ListProjects)) | (None, op) => {
            bench.workshop().await?.submit(op).await
        }
        (Some(project), op) => bench.project(&project).await?.submit(op).await,
    }
}

#[tauri::command]
pub async fn subscribe(
    bench: State<'_, Bench>,
    project: ProjectId,
    after: Seq,
    channel: Channel<Batch>,
) -> Answer<u32> {
    let frames = bench.project(&project).await?.follow(after);
    let subscription = Arc::new(Subscription::default());
    let number = bench.keep(subscription.clone());
    tauri::async_runtime::spawn(async move { subscription.send(frames, channel).await });
    Ok(number)
}

#[tauri::command]
pub fn acknowledge(bench: State<'_, Bench>, subscription: u32, n: u64) {
    if let Some(subscription) = bench.subscription(subscription) {
        subscription.acknowledge(n);
    }
}

#[tauri::command]
pub fn unsubscribe(bench: State<'_, Bench>, subscription: u32) {
    bench.drop_subscription(subscription);
}

/// The page says how far it is; printed for measuring when it is asked for.
#[tauri::command]
#[expect(clippy::print_stdout, reason = "the mark is what a measuring program reads")]
pub fn mark(name: String) {
    if std::env::var_os("ATELIER_READY_MARK").is_some() {
        println!("mark {name}");
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path as people type it: `~` is the home folder.
fn expanded(path: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE")).map(PathBuf::from);
    match (path, path.strip_prefix("~/")) {
        ("~", _) => home().unwrap_or_else(|| PathBuf::from(path)),
        (_, Some(rest)) => home().map_or_else(|| PathBuf::from(path), |home| home.join(rest)),
        _ => PathBuf::from(path),
    }
}
