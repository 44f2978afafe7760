//! Decides whether a role may make a tool call.
//!
//! Pure: same role and call, same verdict. Anything unclear is denied.
//! Asking the user is the caller's job (`run`).

use crate::role::{Role, Tool};
use atelier_protocol::event::Verdict;

/// A tool call as the policy sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The tool's name as the model wrote it.
    pub tool: &'a str,
    /// The path it is about, where it is about one.
    pub path: Option<&'a str>,
}

/// The verdict about `call` by `role`.
pub fn decide(role: &Role, call: &Call<'_>) -> Verdict {
    let deny = |rule: String| Verdict::Deny { rule };
    let Some(tool) = Tool::named(call.tool) else {
        return deny(format!("there is no tool `{}`", call.tool));
    };
    if !role.tools.contains(&tool) {
        return deny(format!("the role `{}` does not list `{}`", role.id, tool.name()));
    }
    if let Some(path) = call.path
        && let Some(why) = leaves_project(path)
    {
        return deny(why);
    }
    if call.path.is_some_and(is_git) {
        return deny("`.git` is not part of the project's files".to_owned());
    }
    if let Some(path) = call.path.filter(|path| atelier_sensitive::is_for_keys(path)) {
        return deny(format!("`{path}` is a file for keys, which are the user's alone"));
    }
    if tool.writes() {
        let Some(path) = call.path else {
            return deny(format!("`{}` names no path", tool.name()));
        };
        let path = clean(path);
        if role.never.is_match(&path) {
            return deny(format!("the role `{}` may never write `{path}`", role.id));
        }
        if !role.write.is_match(&path) {
            return deny(format!("`{path}` is not among the paths the role `{}` may write", role.id));
        }
    }
    if let Some(shipped) = &role.within {
        match decide(shipped, call) {
            Verdict::Allow { .. } => {}
            narrower => return narrower,
        }
    }
    if role.ask.contains(&tool) {
        return Verdict::Ask { rule: format!("the role `{}` asks before each `{}`", role.id, tool.name()) };
    }
    Verdict::Allow { rule: format!("the role `{}` lists `{}`", role.id, tool.name()) }
}

/// The verdict about a call of `tool` that is about several paths: the narrowest of those about each. One that is about
/// none touches nothing.
pub fn decide_all<'a>(role: &Role, tool: Tool, paths: impl IntoIterator<Item = &'a str>) -> Verdict {
    let mut verdict = match role.tools.contains(&tool) {
        true => Verdict::Allow { rule: format!("the role `{}` lists `{}`", role.id, tool.name()) },
        false => return decide(role, &Call { tool: tool.name(), path: None }),
    };
    for path in paths {
        match decide(role, &Call { tool: tool.name(), path: Some(path) }) {
            denied @ Verdict::Deny { .. } => return denied,
            ask @ Verdict::Ask { .. } => verdict = ask,
            Verdict::Allow { .. } => {}
        }
    }
    verdict
}

/// Why a path is not one inside the project; `None` where it is.
pub fn leaves_project(path: &str) -> Option<String> {
    let drive = path.len() >= 2 && path.as_bytes()[1] == b':';
    if path.starts_with('/') || path.starts_with('\\') || path.starts_with('~') || drive {
        return Some(format!("`{path}` is not relative to the project"));
    }
    if path.contains('\0') {
        return Some("the path holds a NUL byte".to_owned());
    }
    if path.split(['/', '\\']).any(|part| part == "..") {
        return Some(format!("`{path}` leaves the project"));
    }
    None
}

/// A relative path without `./` and doubled slashes.
pub fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// Whether any part of the path is a git directory, in any letter case: some file systems do not tell them apart. Nothing
/// in it is written, and nothing read: its config may hold the token of a remote.
pub fn is_git(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part.trim_end_matches(['.', ' ']).eq_ignore_ascii_case(".git"))
}

#[cfg(test)]
mod tests {
    //! Mutants that turn it red: `decide` that lets through `.git`, a file for keys, a path with `..`, a tool that the role
    //! does not list or a path that it may not write; `decide_all` that passes over a path that is denied.

    use super::*;
    use crate::role;
    use proptest::prelude::*;

    fn roles() -> &'static [Role] {
        static ROLES: std::sync::LazyLock<Vec<Role>> = std::sync::LazyLock::new(read_roles);
        &ROLES
    }

    fn read_roles() -> Vec<Role> {
        [
            include_str!("../../../../roles/business_analyst.yaml"),
            include_str!("../../../../roles/architect.yaml"),
            include_str!("../../../../roles/developer.yaml"),
            include_str!("../../../../roles/qa_tester.yaml"),
            include_str!("../../../../roles/project_manager.yaml"),
        ]
        .map(|text| role::read("role.yaml", text).unwrap())
        .to_vec()
    }

    fn allowed(role: &Role, tool: &str, path: Option<&str>) -> bool {
        !matches!(decide(role, &Call { tool, path }), Verdict::Deny { .. })
    }

    #[test]
    fn git_folders_are_closed_in_every_spelling() {
        let developer = &roles()[2];
        for path in
            [".git/config", "./.git/config", "a/.GIT/hooks/x", ".git", ".git./config", "sub//.Git/x", ".git /config"]
        {
            assert!(!allowed(developer, "write_file", Some(path)), "{path}");
            assert!(!allowed(developer, "read_file", Some(path)), "{path}");
        }
        assert!(allowed(developer, "write_file", Some(".gitignore")));
        assert!(allowed(developer, "write_file", Some("src/.github/x")));
    }

    #[test]
    fn a_role_writes_where_it_may_and_reads_elsewhere() {
        let text = include_str!("../../../../roles/developer.yaml").replace("write: [\"**\"]", "write: [\"docs/**\"]");
        let (text, _) = text.split_once("examples:").unwrap(); // they are of another role
        let writer = role::read("role.yaml", text).unwrap();
        for tool in ["edit_file", "write_file", "delete_file", "apply_edits"] {
            assert!(
                allowed(&writer, tool, Some("docs/a.md")) && allowed(&writer, tool, Some("./docs//b/c.md")),
                "{tool}"
            );
            for path in ["src/lib.rs", "doc/a.md", "a/docs/b.md", "docs", ""] {
                assert!(!allowed(&writer, tool, Some(path)), "{tool} {path}");
            }
        }
        assert!(allowed(&writer, "read_file", Some("src/lib.rs")));
    }

    #[test]
    fn files_for_keys_are_closed_and_their_examples_are_not() {
        for role in roles() {
            for tool in Tool::ALL {
                assert!(!allowed(role, tool.name(), Some("app/.env")), "{} {}", role.id, tool.name());
            }
        }
        assert!(allowed(&roles()[2], "read_file", Some(".env.example")));
    }

    proptest! {
        #[test]
        fn nothing_outside_the_project_is_ever_touched(
            role in 0usize..5,
            tool in prop::sample::select(Tool::ALL.to_vec()),
            head in prop::sample::select(vec!["/", "../", "a/../../", "..\\", "C:/", "~/", "\\\\host\\"]),
            tail in "[a-z/]{0,12}",
        ) {
            let path = format!("{head}{tail}");
            prop_assert!(!allowed(&roles()[role], tool.name(), Some(&path)));
        }

        #[test]
        fn a_role_never_gains_a_tool_it_does_not_list(role in 0usize..5, name in "[a-z_]{1,16}", path in "[a-z./]{0,16}") {
            let role = &roles()[role];
            if !role.tools.iter().any(|tool| tool.name() == name) {
                prop_assert!(!allowed(role, &name, Some(&path)));
            }
        }

        #[test]
        fn same_call_same_verdict(role in 0usize..5, tool in prop::sample::select(Tool::ALL.to_vec()), path in ".{0,24}") {
            let role = &roles()[role];
            let call = Call { tool: tool.name(), path: Some(&path) };
            prop_assert_eq!(decide(role, &call), decide(role, &call));
        }

        #[test]
        fn one_denied_path_denies_a_call_about_many(mut paths in prop::collection::vec("[a-z]{1,8}", 0..6), at in 0usize..6) {
            let denied = |role: &Role, paths: &[String]| {
                matches!(decide_all(role, Tool::ApplyEdits, paths.iter().map(String::as_str)), Verdict::Deny { .. })
            };
            prop_assert!(!denied(&roles()[2], &paths));
            prop_assert!(denied(&roles()[3], &paths));
            paths.insert(at.min(paths.len()), ".atelier/project.yaml".to_owned());
            prop_assert!(denied(&roles()[2], &paths));
        }

        #[test]
        fn only_the_developer_writes(role in 0usize..5, path in "[a-z]{1,8}(/[a-z]{1,8}){0,3}") {
            for tool in ["edit_file", "write_file", "delete_file", "apply_edits"] {
                prop_assert_eq!(allowed(&roles()[role], tool, Some(&path)), role == 2);
            }
        }
    }
}
