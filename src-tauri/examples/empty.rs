//! An empty window: what the web view itself costs, to compare the workbench with.

use tauri::webview::PageLoadEvent;

fn main() -> tauri::Result<()> {
    tauri::Builder::default()
        .on_page_load(|_, load| {
            if load.event() == PageLoadEvent::Finished {
                mark();
            }
        })
        .build(tauri::generate_context!("examples/empty/tauri.conf.json"))?
        .run(|_, _| {});
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the mark is what a measuring program reads")]
fn mark() {
    if std::env::var_os("ATELIER_READY_MARK").is_some() {
        println!("mark ready");
    }
}
