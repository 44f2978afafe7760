//! `atelier edit apply`: applies a model's edits to files, all or none.

mod batch;

use crate::out::{End, Finished, Out};
use atelier_edit::{ChangeSet, Format, apply, parse};
use atelier_engine::files::{self, Staged};
use atelier_protocol::error::{Code, Problem};
use clap::Subcommand;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};

const BATCH_HELP: &str = r#"Formats:
  whole-file      a path line, then a fenced block with the whole content
  search-replace  a path line, then `<<<<<<< SEARCH`, `=======`, `>>>>>>> REPLACE`
  unified-diff    as git and diff write it
  apply-patch     `*** Begin Patch` ... `*** End Patch`
  line-range      {"edits":[{"path":"a.rs","start":3,"end":4,"text":"new\n"}]}
                  lines from 1, both ends replaced; `end` = `start` - 1 puts text before line `start`;
                  optional "old" (the lines as they are) and "hash" (blake3:... of the file as it was read)
  hunk-list       {"edits":[{"path":"a.rs","search":"old\n","replace":"new\n"}]}
  Both JSON formats also take {"op":"create","path","content"}, {"op":"delete","path"}, {"op":"move","path","to"}.

Batch (--batch): JSON lines in, JSON lines out, one for one.
  in       {"id":..., "format":"unified-diff", "files":{"path":"content", ...}, "edit":"text"}
  out      {"id":..., "files":{"path":"content", "gone":null, ...}}      only what changed; a move is both paths
  refused  {"id":..., "refused":{"reason":"...", "code":"...", "hint":"...", "candidates":[{"path","lines":[3,5],"text"}]}}
  Bytes that are not UTF-8: "files_base64":{"path":"..."} and "edit_base64":"..." stand beside or in the place of
  "files" and "edit"; a changed file that came in Base64, or is not UTF-8, is answered in "files_base64".
  "seen":{"path":"blake3:..."} refuses a file that is not what was read.
  A line that cannot be read is answered as refused, with its id where it has one, else with "line": its number.
"#;

#[derive(Subcommand, Debug)]
pub enum EditVerb {
    /// Apply edits, all or none.
    #[command(after_long_help = BATCH_HELP)]
    Apply {
        /// How the edits are written: whole-file, search-replace, unified-diff, apply-patch, line-range or hunk-list.
        #[arg(long, required_unless_present = "batch", conflicts_with = "batch")]
        format: Option<String>,
        /// Read cases from standard input, one in a line, and answer each in a line; nothing is read from or written
        /// to files.
        #[arg(long, conflicts_with_all = ["root", "file", "dry_run"])]
        batch: bool,
        /// The folder that paths are relative to.
        #[arg(long, value_name = "DIR", default_value = ".")]
        root: PathBuf,
        /// The file with the edits; `-` or nothing reads standard input.
        file: Option<PathBuf>,
        /// Say what would change and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub fn edit(verb: &EditVerb, out: &Out) -> End {
    let EditVerb::Apply { format, batch, root, file, dry_run } = verb;
    if *batch {
        return batch::run(out);
    }
    let format: Format = format
        .as_deref()
        .unwrap_or_default()
        .parse()
        .map_err(|e| Problem::new(Code::BadArgument, format!("{e}."), "Name one of them with `--format`."))?;
    if !root.is_dir() {
        return Err(Problem::new(
            Code::NoFolder,
            format!("There is no folder {}.", root.display()),
            "Name it with `--root`.",
        ));
    }
    let text = read_edits(file.as_deref())?;
    let edits = parse(format, &text).map_err(|e| e.problem())?;
    let set = apply(|path| read(root, path), &edits).map_err(|e| e.problem())?;
    let mut changed = Vec::new();
    for change in &set.files {
        let what = match (&change.before, &change.after) {
            (None, _) => "added",
            (_, None) => "deleted",
            _ => "changed",
        };
        let places: Vec<[u32; 2]> = change.applied.iter().map(|hunk| hunk.lines).collect();
        out.say(format!("{what} {}", change.path));
        changed.push(json!({"path": change.path, "what": what, "lines": places}));
    }
    if !dry_run {
        write(root, &set)?;
    }
    Ok(Finished::done(json!({"files": changed, "written": !dry_run})))
}

fn read_edits(file: Option<&Path>) -> Result<Vec<u8>, Problem> {
    let unreadable = |what: String| Problem::new(Code::BadArgument, what, "Name a file with edits, or pipe them in.");
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::read(file).map_err(|e| unreadable(format!("{} cannot be read: {e}", file.display()))),
        None => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text).map_err(|e| unreadable(format!("Standard input: {e}")))?;
            Ok(text)
        }
    }
}

fn read(root: &Path, path: &str) -> Result<Option<Vec<u8>>, String> {
    files::read(&files::writable(root, path)?)
}

/// Writes every new content beside its file first, so that a full disk changes nothing; then puts them in place.
fn write(root: &Path, set: &ChangeSet) -> Result<(), Problem> {
    let failed = |path: &str, why: String| {
        Problem::new(Code::Io, format!("`{path}` could not be written: {why}"), "Check free space and permissions.")
    };
    let mut ready = Vec::new();
    for change in &set.files {
        let Some(bytes) = &change.after else { continue };
        let place = files::writable(root, &change.path).map_err(|why| failed(&change.path, why))?;
        ready.push((change, Staged::beside(&place, bytes).map_err(|e| failed(&change.path, e.to_string()))?));
    }
    for (change, staged) in ready {
        staged.put().map_err(|e| failed(&change.path, e.to_string()))?;
        // A file that is moved keeps its mode.
        if let Some(from) = &change.moved_from
            && let Ok(meta) = std::fs::metadata(root.join(from))
        {
            let kept = std::fs::set_permissions(root.join(&change.path), meta.permissions());
            kept.map_err(|e| failed(&change.path, e.to_string()))?;
        }
    }
    for change in set.files.iter().filter(|change| change.after.is_none()) {
        std::fs::remove_file(root.join(&change.path)).map_err(|e| failed(&change.path, e.to_string()))?;
    }
    Ok(())
}
