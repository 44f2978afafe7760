//! A ledger in memory, which each test reads in its own words.

use atelier_egress::{Ledger, Room};
use atelier_protocol::event::EgressNote;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};

#[derive(Default, Clone)]
pub struct Kept {
    notes: Arc<Mutex<Vec<EgressNote>>>,
    /// Whether it cannot be written.
    full: bool,
}

impl Kept {
    pub fn that_is_full() -> Kept {
        Kept { full: true, ..Kept::default() }
    }

    /// What was kept, a line for each note that one is made of.
    pub fn lines(&self, line: impl Fn(&EgressNote) -> Option<String>) -> Vec<String> {
        self.notes.lock().unwrap().iter().filter_map(line).collect()
    }
}

impl Ledger for Kept {
    fn keep(&self, note: EgressNote) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if self.full {
                return Err("the disk is full".to_owned());
            }
            self.notes.lock().unwrap().push(note);
            Ok(())
        })
    }

    fn room(&self) -> BoxFuture<'_, Room> {
        let notes = self.notes.clone();
        Box::pin(async move { Box::new(move |more| notes.lock().unwrap().extend(more)) as Room })
    }
}
