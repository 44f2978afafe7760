//! The search index of a project.
