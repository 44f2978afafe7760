//! Roles, flows and what the project says of itself, as their files say, read once and kept while the files are as they
//! were.
//!
//! A cache by content: a file that changed is read anew at the next look, so what is kept never decides anything that
//! the files do not. Thousands of runs of the same flow share one copy.

use crate::declared::{self, Declared};
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
    /// The content of the project's own file, and what it says.
    declared: Option<(Hash, Arc<Declared>)>,
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
        let mut pages = self.pages();
        pages.roles = Some((content, roles.clone()));
        pages.flows.clear();
        Ok(roles)
    }

    /// What the project in `root` says of itself.
    pub fn declared(&self, root: &Path) -> Result<Arc<Declared>, Problem> {
        let Some(text) = declared::text(root)? else { return Ok(Arc::default()) };
        let content = Hash::of(text.as_bytes());
        if let Some((_, declared)) = self.pages().declared.as_ref().filter(|(known, _)| *known == content) {
            return Ok(declared.clone());
        }
        let declared = Arc::new(declared::parse(&text)?);
        self.pages().declared = Some((content, declared.clone()));
        Ok(declared)
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
    #[test]
    fn what_a_project_says_of_itself_is_read_anew_when_its_file_is_another() {
        let project = tempfile::tempdir().unwrap();
        let (book, root) = (Rulebook::default(), project.path());
        assert_eq!(*book.declared(root).unwrap(), Declared::default());
        std::fs::create_dir(root.join(".atelier")).unwrap();
        let says = |text: &str| std::fs::write(root.join(declared::FILE), text).unwrap();
        says("schema: 1\nchecks:\n  - {name: a, argv: [x]}\n");
        let first = book.declared(root).unwrap();
        assert!(Arc::ptr_eq(&first, &book.declared(root).unwrap()));
        // As long as before, and within the same tick of the file system's clock.
        says("schema: 1\nchecks:\n  - {name: b, argv: [x]}\n");
        assert_eq!(book.declared(root).unwrap().checks.as_ref().unwrap()[0].name, "b");
        says("schema: 1\nchecks: 3\n");
        assert!(book.declared(root).is_err());
        std::fs::remove_file(root.join(declared::FILE)).unwrap();
        assert_eq!(*book.declared(root).unwrap(), Declared::default());
    }
}
