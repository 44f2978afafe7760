//! Model-made edits to exact byte changes; pure.
