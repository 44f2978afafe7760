//! Which run asks a question: one row for each that is open, so that an answer finds its run however many there are.
//!
//! Pure. What is asked stands in the run's history, and when it is over in the run's row.

use atelier_journal::Projection;
use atelier_protocol::Envelope;
use atelier_protocol::event::Event;

/// The name of the projection.
pub const QUESTIONS: &str = "questions";

/// The runs that ask, by question.
pub struct Questions;

impl Projection for Questions {
    fn name(&self) -> &'static str {
        QUESTIONS
    }

    fn version(&self) -> u32 {
        1
    }

    fn keys(&self, event: &Envelope) -> Vec<String> {
        match &event.event {
            Event::ApprovalRequested { approval, .. } | Event::ApprovalSettled { approval, .. } => {
                vec![approval.to_string()]
            }
            _ => Vec::new(),
        }
    }

    fn fold(&self, _: &str, _: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        let asks = matches!(event.event, Event::ApprovalRequested { .. });
        event.run.as_ref().filter(|_| asks).map(|run| run.as_str().as_bytes().to_vec())
    }
}
