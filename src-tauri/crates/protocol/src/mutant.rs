//! Rules broken on purpose, so that the crash campaigns can show that they notice.
//!
//! A campaign that finds nothing is worth something only if it finds what is wrong: for each rule it guards there is a
//! mutant here, and the code that keeps the rule asks [`is`] whether to break it. Without the feature `mutants`, which
//! only the tests' package has and no program is built with, the answer is a constant and the code is gone.

/// A rule that is broken, named after how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// An append is answered before its group is committed.
    AckBeforeCommit,
    /// Followers are told of events of class full before the log is synced.
    ToldBeforeSync,
    /// An event names a blob that is written only after it.
    BlobAfterEvent,
    /// An accept is performed before it is recorded that it is intended.
    EffectBeforeIntent,
    /// That a file was written is recorded before it is.
    OutcomeBeforeEffect,
    /// After a crash an effect without outcome is done again without asking the world.
    EffectNotAsked,
    /// A step counts as undone before it is.
    UndoneBeforeUndo,
    /// A child's end and its parent's record of it are two appends.
    ChildEndAlone,
    /// What a command started outlives the process that started it.
    OrphanLeft,
    /// A branch is on the disk before the commits that it points at.
    RefBeforeObjects,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 10] = [
        Mutant::AckBeforeCommit,
        Mutant::ToldBeforeSync,
        Mutant::BlobAfterEvent,
        Mutant::EffectBeforeIntent,
        Mutant::OutcomeBeforeEffect,
        Mutant::EffectNotAsked,
        Mutant::UndoneBeforeUndo,
        Mutant::ChildEndAlone,
        Mutant::OrphanLeft,
        Mutant::RefBeforeObjects,
    ];
}

#[cfg(feature = "mutants")]
static CHOSEN: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();

/// Breaks a rule in this process from now on; only the first choice counts.
#[cfg(feature = "mutants")]
pub fn choose(mutant: Mutant) {
    let _ = CHOSEN.set(mutant);
}

/// Whether this process breaks the rule.
#[cfg(feature = "mutants")]
pub fn is(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(&mutant)
}

/// Whether this process breaks the rule: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn is(_: Mutant) -> bool {
    false
}
