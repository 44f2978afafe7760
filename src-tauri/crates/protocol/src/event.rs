//! What happened: the events of a journal.
//!
//! Events are past tense and carry everything a later reader needs; nothing is looked up elsewhere. One list, as long as
//! there are things that happen: the plain values in them have files of their own, which are re-exported here, the
//! envelope around each is `envelope`, and how durable each is says `class`.

pub use crate::ask::*;
pub use crate::bus::*;
pub use crate::call::*;
pub use crate::class::Class;
pub use crate::consent::*;
pub use crate::effect::*;
pub use crate::egress::*;
pub use crate::envelope::*;
use crate::error::Problem;
pub use crate::evidence::*;
pub use crate::fact::*;
use crate::hash::Hash;
use crate::ids::{ApprovalId, CallId, ProjectId, RoleId, RunId, Seq, StepId};
pub use crate::library::*;
pub use crate::memory::*;
pub use crate::model_work::*;
pub use crate::push::*;
pub use crate::results::*;
pub use crate::review::*;
pub use crate::routing::*;
pub use crate::served::*;
use crate::settings::{ModelChoice, Settings};
pub use crate::stack::*;
pub use crate::undo::*;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What happened. `kind` and `payload` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum Event {
    /// A process became the owner of the store.
    OwnerChanged {
        /// Rises by one with each owner.
        epoch: u32,
        /// The owner's process id.
        pid: u32,
        /// Which program it is, such as `window` or `cli`.
        door: String,
    },
    /// A folder was opened for the first time, or found again at another place. Home store.
    ProjectOpened {
        /// The project.
        project: ProjectId,
        /// Its folder.
        path: String,
        /// Its display name.
        name: String,
        /// Canonical path of the common git directory.
        common_dir: String,
        /// The first commit of the history, where there is one.
        root_commit: Option<String>,
    },
    /// The settings were changed to these. Home store.
    SettingsChanged {
        /// All settings.
        settings: Settings,
    },
    /// A request was let through, or refused. Home store.
    EgressRecorded {
        /// The request.
        entry: EgressEntry,
    },
    /// A request that was let through ended. Home store.
    EgressEnded {
        /// How.
        end: EgressEnd,
    },
    /// The user permits a project's material to leave for a model server. Home store.
    CloudPermitted {
        /// The permission.
        permission: CloudPermission,
    },
    /// A project is found by searches from the user's other projects from now on, or is not any more. Home store.
    ProjectShared {
        /// The project.
        project: ProjectId,
        /// Whether it is found.
        shared: bool,
    },
    /// A note was put into the library. Home store.
    NoteKept {
        /// The note.
        note: LibraryNote,
    },
    /// A note was taken out of the library. Home store.
    NoteDropped {
        /// Its id.
        id: String,
    },
    /// The user took a permission back. Home store.
    CloudRevoked {
        /// The project.
        project: ProjectId,
        /// The model server's id, or `commands`.
        provider: String,
        /// The host; `None` is all of them. A program that does not know of this field takes all back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        host: Option<String>,
    },

    /// A run began.
    RunStarted {
        /// What the user typed.
        goal: String,
        /// The flow it follows.
        flow: FlowRef,
        /// The user's state it starts from.
        base: Base,
        /// The model asked for; `None` takes the settings' choice or the first usable one.
        model: Option<ModelChoice>,
        /// Grants given with the start.
        grants: Grants,
        /// The run it works for; `None` for one the user started.
        parent: Option<Parent>,
        /// The run it continues another way.
        forked: Option<Fork>,
        /// How urgent it is.
        priority: Priority,
        /// Tokens it may use before it asks for more; `None` is no limit.
        budget_tokens: Option<u64>,
        /// The run it stands on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        on: Option<Box<Stacked>>,
    },
    /// As many runs as may be at work are at work; this one waits for its turn.
    SlotAwaited {
        /// Runs before it in the queue.
        ahead: u32,
    },
    /// Its turn came.
    SlotGiven {},
    /// A child run was started for the step. Appended together with the child's own start.
    ChildStarted {
        /// The child.
        child: RunId,
        /// What it was told to do.
        goal: String,
    },
    /// A child run came to its end. Appended together with the child's own end.
    ChildEnded {
        /// The child.
        child: RunId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The run is active but nothing it made was accepted for long.
    StallNoticed {
        /// Model turns since the last accepted artefact.
        turns: u32,
        /// Time since then, in milliseconds.
        ms: u64,
        /// What the last accepted artefact was.
        last: String,
    },
    /// The run failed, and what its steps did is undone in reverse order.
    CompensationStarted {
        /// Why it failed; reported again when everything is undone.
        problem: Problem,
    },
    /// What a step did is undone.
    StepUndone {
        /// The step.
        undone: StepId,
        /// How, in a few words.
        how: String,
    },
    /// The process that worked on the run ended before the run did.
    RunInterrupted {
        /// The epoch of the owner that noticed.
        epoch: u32,
    },
    /// The run cannot go on until something outside is mended; resuming goes on from here.
    RunParked {
        /// What is wrong and what to do.
        problem: Problem,
    },
    /// Work on the run goes on.
    RunResumed {
        /// Who asked.
        by: Actor,
        /// The epoch of the owner that works on it.
        epoch: u32,
    },
    /// The run reached its end.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
    },

    /// A step began.
    StepStarted {
        /// The role that performs it, for agent steps.
        role: Option<RoleId>,
        /// What it is for, in a few words.
        title: String,
        /// What the role is told at the start, whole; empty for steps without a role.
        brief: String,
        /// Whether it plans or works.
        phase: StepPhase,
        /// How what it does is undone when a later step fails; `None` where that is not declared.
        undo: Option<String>,
    },
    /// A step ended.
    StepFinished {
        /// How.
        result: StepResult,
    },

    /// The model for the next calls was chosen.
    RouteDecided {
        /// The choice with all it was made from.
        decision: Box<RouteDecision>,
    },
    /// The next call waits.
    CallHeld {
        /// What for.
        hold: Hold,
        /// Until when at most, milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// Something was left out of the next prompt so that it fits.
    PromptCompacted {
        /// What.
        compaction: Compaction,
    },
    /// A role's model was asked to sum up the older part of its conversation.
    SummaryAsked {
        /// The call.
        call: CallId,
        /// The role.
        role: RoleId,
        /// The model.
        route: Route,
        /// What was sent.
        prompt: PromptRecord,
        /// What it may use at most, set aside until the summary is recorded.
        reserved: Amount,
    },
    /// The older part of a conversation is told in short from now on.
    MemorySummarised {
        /// How, and what it stands for.
        summary: Box<Summary>,
    },
    /// A model was asked.
    CallStarted {
        /// The call.
        call: CallId,
        /// The role that speaks.
        role: RoleId,
        /// The model and why it was chosen.
        route: Route,
        /// What was sent.
        prompt: PromptRecord,
        /// Which attempt at the same turn, from 1.
        attempt: u32,
        /// What it may use at most, set aside until it has ended.
        #[serde(default)]
        reserved: Amount,
    },
    /// The model's complete turn.
    CallFinished {
        /// The call.
        call: CallId,
        /// The answer's text.
        text: String,
        /// What the model thought aloud.
        thinking: String,
        /// The tools it asked for.
        tool_calls: Vec<ToolCall>,
        /// Tokens and times.
        usage: Usage,
        /// Why it stopped.
        stop: Stop,
        /// What it cost in millionths of the currency; `None` is unknown. Models of this machine cost none.
        #[serde(default)]
        cost: Option<u64>,
    },
    /// The server's context is not what this side believes, so the turn cannot be relied on.
    ContextMismatched {
        /// The call.
        call: CallId,
        /// What does not agree.
        mismatch: ContextMismatch,
    },
    /// The call brought no usable turn.
    CallFailed {
        /// The call.
        call: CallId,
        /// What happened.
        problem: Problem,
        /// Text that had arrived, kept for the reader and never acted on.
        partial: String,
        /// What is to be done about it; `None` in histories that do not say.
        #[serde(default)]
        class: Option<FailureClass>,
        /// What it used all the same, as far as that is known.
        #[serde(default)]
        used: Amount,
    },

    /// The policy decided about a tool call.
    ToolDecided {
        /// The tool call's id.
        id: String,
        /// The tool.
        tool: String,
        /// Allowed, to be asked, or denied.
        verdict: Verdict,
    },
    /// A tool call was answered.
    ToolReturned {
        /// The tool call's id.
        id: String,
        /// The tool.
        tool: String,
        /// One line for people, such as `read src/lib.rs 1-80`.
        line: String,
        /// Whether it did what was asked.
        ok: bool,
        /// What the model is told.
        output: Output,
    },
    /// The model was told that its turn could not be used, and why.
    TurnCorrected {
        /// What the model is told.
        message: String,
    },

    /// The user is asked.
    ApprovalRequested {
        /// The question.
        approval: ApprovalId,
        /// What is asked.
        ask: Ask,
        /// When silence counts as a rejection, milliseconds since 1970 UTC.
        expires_at_ms: u64,
    },
    /// The question is answered.
    ApprovalSettled {
        /// The question.
        approval: ApprovalId,
        /// The answer.
        answer: Answer,
        /// Who answered.
        by: Actor,
        /// What the user wrote with it.
        note: String,
    },

    /// An effect on the world is about to be performed.
    EffectIntended {
        /// The same effect has the same key, however often it is tried.
        key: String,
        /// What is about to be done.
        effect: Effect,
    },
    /// The effect was performed, or is known not to have been.
    EffectSettled {
        /// The effect.
        key: String,
        /// What the world says.
        outcome: EffectOutcome,
    },

    /// The requirements made from the goal.
    SpecWritten {
        /// The spec.
        spec: Spec,
    },
    /// The state of the tree after a step.
    CheckpointMade {
        /// The checkpoint.
        checkpoint: Checkpoint,
    },
    /// What the project brings along may run, until it is something else.
    CommandsAllowed {
        /// Hash of all of it.
        hash: Hash,
    },
    /// It may not any more; whoever needs it asks.
    CommandsForbidden {
        /// Hash of all of it.
        hash: Hash,
    },
    /// A check was run.
    CheckRecorded {
        /// The evidence.
        check: Check,
    },
    /// No check is declared or detected, so nothing can be proved by one.
    ChecksMissing {
        /// What was looked for.
        looked_for: Vec<String>,
    },
    /// A reviewer spoke about a tree.
    ReviewRecorded {
        /// The review.
        review: Review,
    },
    /// The user remarked on lines of the result.
    CommentMade {
        /// On what, and what.
        comment: Comment,
    },
    /// The run's commits are on a branch of the user's repository.
    HandedOver {
        /// The branch.
        branch: String,
        /// The commits, oldest first.
        commits: Vec<Commit>,
    },
    /// The commits are on the user's branch.
    RunAccepted {
        /// The user's branch, or `HEAD` where it is detached.
        branch: String,
        /// The commit the branch is at now.
        commit: String,
        /// How.
        mode: AcceptMode,
    },
    /// The run's branch and tree are gone.
    RunDiscarded {},
    /// An operation was taken back. This is an operation too, and taking it back does the first one again.
    OperationUndone {
        /// Which, and what changed.
        undo: Undo,
    },
    /// The run stands on what the run below is now.
    RunRebased {
        /// From where to where, and what came of it.
        rebase: Box<Rebase>,
    },
    /// The run below moved and this one could not follow. Told once for each commit.
    RebaseHeld {
        /// Where to, and why not.
        held: Box<HeldBase>,
    },
    /// Something the user should know that stops nothing.
    Noticed {
        /// What.
        problem: Problem,
    },

    /// A model was measured. Home store.
    CardMeasured {
        /// What was found.
        card: Box<ModelCard>,
    },
    /// Fetching a model began. Home store.
    PullStarted {
        /// The server.
        provider: String,
        /// The model's name there.
        model: String,
    },
    /// It is here, or the user gave it up. Home store.
    PullEnded {
        /// The server.
        provider: String,
        /// The model's name there.
        model: String,
        /// Whether it is here.
        done: bool,
    },
    /// A limit on what may be used was set.
    BudgetSet {
        /// Whose.
        node: BudgetNode,
        /// The limits.
        limits: BudgetLimits,
    },
    /// A call of another program is about to leave this machine.
    CallAdmitted {
        /// The call.
        call: LeavingCall,
        /// What it may use at most, set aside until it has ended.
        reserved: Amount,
    },
    /// Calls of other programs ended.
    CallsServed {
        /// The calls.
        calls: Vec<ServedCall>,
    },
    /// More was spent on other machines in a short time than the past explains; none is asked until the user says so.
    CloudPaused {
        /// What was seen.
        reason: String,
    },
    /// Other machines may be asked again.
    CloudResumed {},

    /// A message was posted.
    MessagePosted {
        /// The message.
        message: Message,
    },
    /// A consumer could not handle a message and laid it aside.
    MessageDead {
        /// The consumer.
        consumer: String,
        /// The message's number.
        message: Seq,
        /// Why.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A message that was laid aside is delivered to the consumer again.
    DeadReplayed {
        /// The consumer.
        consumer: String,
        /// The message's number.
        message: Seq,
    },
    /// A dangerous act asks everyone concerned.
    BarrierOpened {
        /// The barrier.
        barrier: String,
        /// What is about to happen.
        act: String,
        /// Who must vote.
        voters: Vec<String>,
        /// Silence until then stops the act, milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// Somebody voted.
    VoteCast {
        /// The barrier.
        barrier: String,
        /// Who.
        voter: String,
        /// The vote.
        vote: Vote,
    },
    /// The act may happen, or not.
    BarrierClosed {
        /// The barrier.
        barrier: String,
        /// Which of both.
        verdict: BarrierVerdict,
    },
    /// Work was put into a queue.
    JobQueued {
        /// The work.
        job: Job,
    },
    /// A worker took a job for a time.
    JobLeased {
        /// The job's id.
        job: String,
        /// Who took it.
        worker: String,
        /// After this it is free again, milliseconds since 1970 UTC.
        until_ms: u64,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt at a job ended.
    JobEnded {
        /// The job's id.
        job: String,
        /// Which attempt, from 1; 0 where it was taken back before the first.
        attempt: u32,
        /// How.
        end: JobEnd,
    },
    /// An object was made.
    ObjectMade {
        /// The object, as `kind/name`.
        object: String,
        /// Hash of the template's text.
        template: Hash,
        /// Version of the state's schema.
        schema: u32,
        /// Its first state.
        #[ts(type = "unknown")]
        state: serde_json::Value,
    },
    /// An object handled a message; or moved to a newer template.
    ObjectChanged {
        /// The object, as `kind/name`.
        object: String,
        /// Its version after it, from 2.
        version: u64,
        /// The handler that ran; empty for a move to a newer template.
        handler: String,
        /// What it was told.
        #[ts(type = "unknown")]
        arguments: serde_json::Value,
        /// Who asked: a door, a role, another object.
        by: String,
        /// Hash of the template's text.
        template: Hash,
        /// Version of the state's schema.
        schema: u32,
        /// Its state now.
        #[ts(type = "unknown")]
        state: serde_json::Value,
        /// What it answered.
        #[ts(type = "unknown")]
        answer: serde_json::Value,
    },
    /// An object came to another point of its life.
    ObjectPassed {
        /// The object, as `kind/name`.
        object: String,
        /// The point.
        life: Lifecycle,
    },
}
