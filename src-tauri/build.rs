//! Lets Tauri read its configuration; the page's own commands are the only ones it may call.

fn main() {
    tauri_build::build();
}
