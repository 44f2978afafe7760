//! Model servers behind one stream of typed events.
