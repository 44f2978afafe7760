//! Roles and flows as their files say, read once and kept while the files are as they were.
//!
//! A cache by content: a file that changed is read anew at the next look, so what is kept never decides anything that
//! the files do not. Thousands of runs of the same flow share one copy.

use crate::flow::Flow;
use crate::role::{self, Role};
use crate::sources::ROLES;
use atelier_protocol::error::Problem;
use atelier_protocol::hash::Hash;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Flows that are kept; more than a project has.
const MOST_FLOWS: usize = 64;

/// What was read.
#[derive(Default)]
pub(crate) struct Rulebook(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// The content of the project's role files, and all roles by it.
    roles: Option<(Hash, Arc<Vec<Role>>)>,
    /// By the content of their text, checked against these roles.
    flows: HashMap<Hash, Arc<Flow>>,
}

impl Rulebook {
    /// The roles of the project in `root`: the shipped ones, and its own over them.
    pub fn roles(&self, root: &Path) -> Result<Arc<Vec<Role>>, Problem> {
        let files = role::files(root)?;
        let text: String = files.iter().map(|(name, text)| format!("{name}\0{text}\0")).collect();
        let content = Hash::of(text.as_bytes());
        if let Some((_, roles)) = self.pages().roles.as_ref().filter(|(known, _)| *known == content) {
            return Ok(roles.clone());
        }
        let roles = Arc::new(role::over(ROLES, &files)?);
        *self.pages() = Pages { roles: Some((content, roles.clone())), flows: HashMap::new() };
        Ok(roles)
    }

    /// The flow of that content, where it was read with the roles as they are.
    pub fn flow(&self, content: &Hash) -> Option<Arc<Flow>> {
        self.pages().flows.get(content).cloned()
    }

    /// Keeps a flow.
    pub fn keep(&self, flow: &Arc<Flow>) {
        let mut pages = self.pages();
        if pages.flows.len() >= MOST_FLOWS {
            pages.flows.clear();
        }
        pages.flows.insert(flow.hash.clone(), flow.clone());
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_file_that_changed_is_read_anew_and_one_that_did_not_is_shared() {
        let project = tempfile::tempdir().unwrap();
        let (book, root) = (Rulebook::default(), project.path());
        let first = book.roles(root).unwrap();
        assert!(Arc::ptr_eq(&first, &book.roles(root).unwrap()));
        let folder = root.join(".atelier/roles");
        std::fs::create_dir_all(&folder).unwrap();
        let own = ROLES[0].1.split("examples:").next().unwrap().replace("title: ", "title: Own ");
        std::fs::write(folder.join("own.yaml"), &own).unwrap();
        let second = book.roles(root).unwrap();
        assert!(second.iter().any(|role| role.title.starts_with("Own ")));
        std::fs::write(folder.join("own.yaml"), "schema: 1\n").unwrap();
        assert!(book.roles(root).is_err());
        std::fs::write(folder.join("own.yaml"), own).unwrap();
        assert!(Arc::ptr_eq(&second, &book.roles(root).unwrap()), "a wrong file in between leaves what is right");
    }
}
