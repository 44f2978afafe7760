//! The real window, driven by clicks and keys.
