//! Jupyter notebooks: a part for each cell (nbformat 4).

use crate::draft::Draft;
use crate::error::ReadError;
use crate::source::Source;
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind};
use serde_json::Value;

/// Characters of an output that are shown.
const OUTPUT: usize = 4_000;

pub(crate) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let damaged = ReadError::damaged(DocumentFormat::Notebook);
    let notebook: Value = serde_json::from_slice(source.whole()?).map_err(|error| damaged(error.to_string()))?;
    let cells = notebook["cells"].as_array().ok_or_else(|| damaged("it has no cells".to_owned()))?;
    let language = notebook["metadata"]["kernelspec"]["language"].as_str().unwrap_or("python");
    let mut pictures = 0;
    for (n, cell) in (1u32..).zip(cells) {
        let written = joined(&cell["source"]);
        let mut text = match cell["cell_type"].as_str() {
            Some("code") => format!("```{language}\n{}\n```\n", written.trim_end()),
            _ => format!("{}\n", written.trim_end()),
        };
        for output in cell["outputs"].as_array().into_iter().flatten() {
            let plain = [&output["text"], &output["data"]["text/plain"], &output["evalue"]];
            let shown = plain.into_iter().map(joined).find(|text| !text.is_empty()).unwrap_or_default();
            pictures +=
                usize::from(output["data"].as_object().is_some_and(|d| d.keys().any(|k| k.starts_with("image/"))));
            if !shown.is_empty() {
                let cut: String = shown.chars().take(OUTPUT).collect();
                let dots = if cut.len() < shown.len() { "\n…" } else { "" };
                text.push_str(&format!("\nOutput:\n```\n{}{dots}\n```\n", cut.trim_end()));
            }
        }
        let heading =
            written.lines().find_map(|line| line.strip_prefix('#')).filter(|_| cell["cell_type"] == "markdown");
        let heading = heading.map(|heading| heading.trim_start_matches('#').trim().to_owned());
        draft.title = draft.title.take().or_else(|| heading.clone());
        draft.part(Anchor::Cell { n }, heading, text);
    }
    if pictures > 0 {
        draft.notice(NoticeKind::NotRead, format!("{pictures} pictures among the outputs are not in the text."));
    }
    Ok(())
}

/// A text that may be a list of its lines.
fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}
