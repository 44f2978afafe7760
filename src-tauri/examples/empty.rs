//! An empty window: what the web view itself costs, to compare the workbench with.

fn main() {
    let built = tauri::Builder::default().build(tauri::generate_context!("examples/empty.conf.json"));
    match built {
        Ok(app) => app.run(|_, _| {}),
        Err(error) => tracing::error!("the window could not be made: {error}"),
    }
}
