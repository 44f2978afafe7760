//! What is played in a campaign: the ways through the house that a crash could cut off.

use crate::job::{Job, SAGA};
use crate::world::World;

/// A flow and what is done with its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// The project's flow; its result is taken, or thrown away.
    Feature,
    /// A flow whose result is judged by a child run.
    Reviewed,
    /// A flow that fails late, so that all it did is undone.
    Undone,
    /// A fork of a finished run, from its middle.
    Forked,
    /// A run whose developer writes all edits in its answer.
    Answered,
    /// Two runs, the second of which stands on the first and follows it.
    Stacked,
}

impl Course {
    /// All of them.
    pub const ALL: [Course; 6] =
        [Course::Feature, Course::Reviewed, Course::Undone, Course::Forked, Course::Answered, Course::Stacked];

    /// Its name on a command line and in a record.
    pub fn name(self) -> &'static str {
        match self {
            Course::Feature => "feature",
            Course::Reviewed => "reviewed",
            Course::Undone => "undone",
            Course::Forked => "forked",
            Course::Answered => "answered",
            Course::Stacked => "stacked",
        }
    }

    /// The course of that name.
    pub fn named(name: &str) -> Option<Course> {
        Self::ALL.into_iter().find(|course| course.name() == name)
    }

    /// The flow that its runs follow; `None` is the project's.
    pub fn flow(self) -> Option<&'static str> {
        match self {
            Course::Feature | Course::Forked | Course::Answered | Course::Stacked => None,
            Course::Reviewed => Some("reviewed"),
            Course::Undone => Some("undone"),
        }
    }

    /// The goal of its runs; `None` is the tour's.
    pub fn goal(self) -> Option<&'static str> {
        (self == Course::Answered).then_some("Write it in your answer.")
    }

    /// What is done with its runs; the first most often.
    pub fn jobs(self) -> &'static [Job] {
        match self {
            Course::Feature | Course::Reviewed | Course::Answered => &[Job::Accept, Job::Discard],
            Course::Undone => &[Job::Undo],
            Course::Forked => &[Job::Fork],
            Course::Stacked => &[Job::Stack],
        }
    }

    /// Puts into a project what the course needs.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub(super) fn prepare(self, world: &World) {
        if self == Course::Undone {
            let folder = world.project().join(".atelier/flows");
            let head = "schema: 1\nid: undone\ntitle: Undone\nrounds: 2\nsteps:\n";
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            std::fs::write(folder.join("undone.yaml"), format!("{head}{SAGA}")).expect("a flow can be written");
        }
    }
}
