//! The only door off the machine.
