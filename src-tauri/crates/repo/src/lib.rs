//! Private run trees, checkpoints, diff, hand-over, accept and export.
