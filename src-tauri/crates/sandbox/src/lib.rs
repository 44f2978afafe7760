//! Runs commands confined and kills whole process trees.
