//! Role files: who a role is, what it may use, what it must deliver.
//!
//! A role file lists everything the role may do; what it does not list is denied. Each file carries examples of
//! calls that must be allowed or denied, and loading runs them, so a file that says one thing and does another
//! is refused with its file, line and key.

use crate::policy::{self, Call};
use atelier_edit::Format;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Material, Verdict};
use atelier_protocol::ids::RoleId;
use atelier_protocol::view::RoleView;
use atelier_protocol::yaml::{self, YamlError};
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use std::path::Path;

/// A role, checked.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name on screen.
    pub title: String,
    /// Its one-letter badge.
    pub badge: String,
    /// Its hue, 0-359 degrees.
    pub hue: u16,
    /// Who it is, in the words a model is given.
    pub persona: String,
    /// The tools it may call.
    pub tools: Vec<Tool>,
    /// What it must deliver.
    pub delivers: Deliverable,
    /// Model turns it may take in one step.
    pub turns: u32,
    /// The least context it can work with, in tokens.
    pub min_context: u32,
    /// Models it prefers, best first.
    pub prefer: Vec<String>,
    /// How its model writes edits in its answers; without it, as was measured of the model.
    pub edits: Option<Format>,
    /// How far the material it is told may travel.
    pub material: Material,
    /// Paths it may write.
    pub write: GlobSet,
    /// Paths it may never write, whatever `write` says.
    pub never: GlobSet,
    /// Tools that must be asked each time.
    pub ask: Vec<Tool>,
    /// The shipped role that a project's file of the same id rewords or narrows: what it denies stays denied.
    pub within: Option<Box<Role>>,
}

macro_rules! tools {
    ($($name:ident = $text:literal,)*) => {
        /// A tool that roles can be given. Closed: an unknown name in a role file is an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs, reason = "described for models in `tools`")]
        pub enum Tool { $($name,)* }

        impl Tool {
            /// Every tool.
            pub const ALL: &'static [Tool] = &[$(Tool::$name),*];
            /// Its name in role files and to models.
            pub fn name(self) -> &'static str {
                match self { $(Tool::$name => $text,)* }
            }
        }
    };
}

tools! {
    ListFiles = "list_files",
    ReadFile = "read_file",
    Search = "search",
    ReadDiff = "read_diff",
    EditFile = "edit_file",
    WriteFile = "write_file",
    DeleteFile = "delete_file",
    ApplyEdits = "apply_edits",
    RunCheck = "run_check",
    SubmitSpec = "submit_spec",
    SubmitReview = "submit_review",
    Remember = "remember",
    Recall = "recall",
}

impl Tool {
    /// The tool of that name.
    pub fn named(name: &str) -> Option<Tool> {
        Tool::ALL.iter().copied().find(|tool| tool.name() == name)
    }
    /// Whether it changes files.
    pub fn writes(self) -> bool {
        matches!(self, Tool::EditFile | Tool::WriteFile | Tool::DeleteFile | Tool::ApplyEdits)
    }
}

/// What a role must bring for its step to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deliverable {
    /// Requirements.
    Spec,
    /// A changed tree.
    Change,
    /// A judgement.
    Review,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    id: String,
    title: String,
    badge: String,
    hue: u16,
    persona: String,
    tools: Vec<Tool>,
    delivers: Deliverable,
    limits: Limits,
    model: Model,
    #[serde(default)]
    examples: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    turns: u32,
    #[serde(default)]
    write: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    ask: Vec<Tool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    min_context: u32,
    #[serde(default)]
    prefer: Vec<String>,
    #[serde(default)]
    edits: Option<String>,
    #[serde(default)]
    material: Material,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Example {
    Allow(ExampleCall),
    Deny(ExampleCall),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleCall {
    tool: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// Reads and checks one role file.
pub fn read(file: &str, text: &str) -> Result<Role, YamlError> {
    let parsed: File = yaml::read(file, text)?;
    let wrong = |needle: &str, message: String| YamlError {
        file: file.to_owned(),
        line: yaml::line_of(text, needle),
        column: 0,
        message,
    };
    if parsed.id.is_empty() || !parsed.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(wrong("id:", format!("`id: {}` must be lower-case letters, digits and `_`", parsed.id)));
    }
    if parsed.hue > 359 {
        return Err(wrong("hue:", format!("`hue: {}` is not between 0 and 359 degrees", parsed.hue)));
    }
    if parsed.badge.chars().count() != 1 {
        return Err(wrong("badge:", format!("`badge: {}` must be one letter", parsed.badge)));
    }
    if parsed.limits.turns == 0 {
        return Err(wrong("turns:", "`turns: 0` lets the role say nothing".to_owned()));
    }
    let delivering = match parsed.delivers {
        Deliverable::Spec => parsed.tools.contains(&Tool::SubmitSpec),
        Deliverable::Review => parsed.tools.contains(&Tool::SubmitReview),
        Deliverable::Change => parsed.tools.iter().any(|tool| tool.writes()),
    };
    if !delivering {
        return Err(wrong("delivers:", "no tool in `tools` can deliver what `delivers` asks for".to_owned()));
    }
    let edits = match parsed.model.edits.as_deref().map(str::parse::<Format>).transpose() {
        Ok(None) => None,
        Ok(_) if !parsed.tools.contains(&Tool::ApplyEdits) => {
            let message = "`edits` says how edits are written in answers, but `tools` does not list `apply_edits`";
            return Err(wrong("edits:", message.to_owned()));
        }
        Ok(format) => format,
        Err(unknown) => return Err(wrong("edits:", unknown.to_string())),
    };
    let role = Role {
        id: RoleId::new(parsed.id),
        title: parsed.title,
        badge: parsed.badge,
        hue: parsed.hue,
        persona: parsed.persona.trim().to_owned(),
        tools: parsed.tools,
        delivers: parsed.delivers,
        turns: parsed.limits.turns,
        min_context: parsed.model.min_context,
        prefer: parsed.model.prefer,
        edits,
        material: parsed.model.material,
        write: globs(&parsed.limits.write).map_err(|(glob, why)| wrong(&glob, why))?,
        never: globs(&parsed.limits.never).map_err(|(glob, why)| wrong(&glob, why))?,
        ask: parsed.limits.ask,
        within: None,
    };
    for example in &parsed.examples {
        check_example(&role, example).map_err(|(needle, message)| wrong(&needle, message))?;
    }
    Ok(role)
}

fn globs(patterns: &[String]) -> Result<GlobSet, (String, String)> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|e| (pattern.clone(), format!("`{pattern}` is not a path pattern: {e}")))?);
    }
    set.build().map_err(|e| (String::new(), e.to_string()))
}

fn check_example(role: &Role, example: &Example) -> Result<(), (String, String)> {
    let (call, wanted) = match example {
        Example::Allow(call) => (call, true),
        Example::Deny(call) => (call, false),
    };
    let verdict = policy::decide(role, &Call { tool: &call.tool, path: call.path.as_deref() });
    let denied = matches!(verdict, Verdict::Deny { .. });
    if denied == wanted {
        let said = if wanted { "allow" } else { "deny" };
        let what = [Some(call.tool.as_str()), call.path.as_deref(), call.name.as_deref()];
        let what: Vec<&str> = what.into_iter().flatten().collect();
        let needle = format!("{said}: {{ tool: {}", call.tool);
        return Err((
            needle,
            format!("the example says {said} `{}`, but the rules say otherwise: {verdict:?}", what.join(" ")),
        ));
    }
    Ok(())
}

/// The roles of a project: the shipped ones, and those of `<project>/.atelier/roles` over them.
/// The shipped files are handed in, since this crate embeds nothing.
pub fn load(shipped: &[(&str, &str)], project: Option<&Path>) -> Result<Vec<Role>, Problem> {
    over(shipped, &project.map(files).transpose()?.unwrap_or_default())
}

/// The role files of a project, in order: name and text.
pub(crate) fn files(project: &Path) -> Result<Vec<(String, String)>, Problem> {
    let mut files = Vec::new();
    for path in yaml_files(&project.join(".atelier/roles")) {
        let name = format!(".atelier/roles/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Problem::new(Code::RoleInvalid, format!("{name} cannot be read: {e}"), "Mend or remove the file.")
        })?;
        files.push((name, text));
    }
    Ok(files)
}

/// The shipped roles, and a project's over them.
pub(crate) fn over(shipped: &[(&str, &str)], own: &[(String, String)]) -> Result<Vec<Role>, Problem> {
    let mut roles: Vec<Role> = Vec::new();
    for (file, text) in shipped {
        roles.push(read(file, text).map_err(|e| problem(&e))?);
    }
    for (name, text) in own {
        let role = read(name, text).map_err(|e| problem(&e))?;
        // A project's role may narrow or reword a shipped one, never give it tools the shipped one lacks.
        if let Some(own) = roles.iter_mut().find(|r| r.id == role.id) {
            if let Some(extra) = role.tools.iter().find(|tool| !own.tools.contains(tool)) {
                return Err(Problem::new(
                    Code::RoleInvalid,
                    format!("{name}: the role `{}` may not gain the tool `{}`", role.id, extra.name()),
                    "Give it another id, or leave the tool out.",
                ));
            }
            let material = role.material.max(own.material);
            *own = Role { within: Some(Box::new(own.clone())), material, ..role };
        } else {
            roles.push(role);
        }
    }
    Ok(roles)
}

/// The YAML files of a folder, in order of their names.
pub(crate) fn yaml_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    files.sort();
    files
}

/// The problem that a wrong role file is.
pub fn problem(error: &YamlError) -> Problem {
    Problem::new(
        Code::RoleInvalid,
        format!("The role file is wrong: {error}"),
        "Mend the line and run `atelier roles check`.",
    )
}

impl Role {
    /// The role as the screen needs it.
    pub fn view(&self) -> RoleView {
        RoleView { id: self.id.clone(), title: self.title.clone(), badge: self.badge.clone(), hue: self.hue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../../../roles/developer.yaml");

    #[test]
    fn every_shipped_role_loads_and_keeps_its_own_examples() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../roles");
        let files = yaml_files(&folder);
        let ids: Vec<String> = files
            .iter()
            .map(|path| read(&path.to_string_lossy(), &std::fs::read_to_string(path).unwrap()).unwrap().id.to_string())
            .collect();
        assert_eq!(ids, ["architect", "business_analyst", "developer", "project_manager", "qa_tester"]);
    }

    #[test]
    fn a_bad_key_is_named_with_file_line_and_key() {
        let text = GOOD.replace("  turns: 40", "  turms: 40");
        let error = read("roles/developer.yaml", &text).unwrap_err();
        assert_eq!(error.file, "roles/developer.yaml");
        assert_eq!(text.lines().nth(error.line as usize - 1).unwrap().trim(), "turms: 40");
        assert!(error.message.contains("turms"), "{error}");
    }

    #[test]
    fn an_unknown_tool_and_a_bad_pattern_are_named() {
        let error = read("d.yaml", &GOOD.replace("search, edit_file", "search, format_disk")).unwrap_err();
        assert!(error.message.contains("format_disk") && error.line > 1, "{error}");
        let error = read("d.yaml", &GOOD.replace("write: [\"**\"]", "write: [\"a[\"]")).unwrap_err();
        assert!(error.message.contains("`a[` is not a path pattern") && error.line > 1, "{error}");
    }

    #[test]
    fn an_example_that_the_rules_contradict_is_refused() {
        let text = GOOD.replace("- deny: { tool: submit_review }", "- allow: { tool: submit_review }");
        let error = read("d.yaml", &text).unwrap_err();
        assert!(error.message.starts_with("the example says allow `submit_review`"), "{error}");
        assert!(error.line > 20, "{error}");
    }

    #[test]
    fn a_projects_role_file_never_gains_a_tool() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(".atelier/roles");
        std::fs::create_dir_all(&folder).unwrap();
        let greedy =
            include_str!("../../../../roles/qa_tester.yaml").replace("[list_files,", "[write_file, list_files,");
        std::fs::write(folder.join("qa_tester.yaml"), greedy.split("examples:").next().unwrap()).unwrap();
        let shipped = [("qa_tester.yaml", include_str!("../../../../roles/qa_tester.yaml"))];
        let problem = load(&shipped, Some(project.path())).unwrap_err();
        assert_eq!(problem.code, Code::RoleInvalid);
        assert!(problem.message.contains("may not gain the tool `write_file`"), "{problem}");
    }

    #[test]
    fn a_projects_role_file_stays_within_the_shipped_one() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(".atelier/roles");
        std::fs::create_dir_all(&folder).unwrap();
        let open = GOOD.replace("  never: [\".git/**\", \".atelier/**\"]\n", "");
        std::fs::write(folder.join("developer.yaml"), open.split("examples:").next().unwrap()).unwrap();
        let roles = load(&[("developer.yaml", GOOD)], Some(project.path())).unwrap();
        let verdict = policy::decide(&roles[0], &Call { tool: "write_file", path: Some(".atelier/project.yaml") });
        assert!(matches!(verdict, Verdict::Deny { .. }), "{verdict:?}");
        let verdict = policy::decide(&roles[0], &Call { tool: "write_file", path: Some("src/lib.rs") });
        assert!(matches!(verdict, Verdict::Allow { .. }), "{verdict:?}");
    }
}
