//! A run told to a person, a line or two an event.

use atelier_protocol::event::{
    Answer, Ask, ChecksVerdict, Cost, Event, FileChange, FileStatus, Mechanism, Outcome, Reviewer, Sensitive,
    StepResult, Summary, SummaryBy,
};
use atelier_protocol::view::{Disposition, Item, RunState, RunView};

/// What is said about an event; `None` where it is of no interest to a person.
pub fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunStarted { goal, base, .. } => {
            format!("goal: {goal}\nbase: {} {}", base.branch.as_deref().unwrap_or("(detached)"), short(&base.commit))
        }
        Event::RunInterrupted { .. } => "— interrupted: the process that worked on it ended".to_owned(),
        Event::RunResumed { .. } => "— going on".to_owned(),
        Event::StepStarted { role, title, .. } => match role {
            Some(role) => format!("\n{title} ({role})"),
            None => format!("\n{title}"),
        },
        Event::StepFinished { result: StepResult::SentBack { reason } } => {
            format!("  ↩ sent back: {}", first_line(reason))
        }
        Event::CallFinished { text, tool_calls, .. } if !text.trim().is_empty() => {
            let mark = if tool_calls.is_empty() { "»" } else { "›" };
            format!("  {mark} {}", text.trim().replace('\n', "\n    "))
        }
        Event::CallFailed { problem, .. } => format!("  ! {}", problem.message),
        Event::ToolReturned { line, ok, .. } => format!("  {} {line}", if *ok { "·" } else { "✗" }),
        Event::CallHeld { hold, until_ms: _ } => format!("  … waits: {}", crate::words::hold(hold)),
        Event::PromptCompacted { compaction } => format!(
            "  ✂ prompt made shorter, from {} to {} tokens: {} earlier messages shortened",
            compaction.before,
            compaction.after,
            compaction.left_out.len()
        ),
        Event::MemorySummarised { summary } => format!("  ✂ {}", memory(summary)),
        Event::ContextMismatched { mismatch, .. } => {
            format!("  ! CONTEXT MISMATCH: {}", crate::words::mismatch(mismatch))
        }
        Event::RouteDecided { decision } => match &decision.route {
            Some(route) => format!("  → {}/{}: {}", route.provider, route.model, route.reason),
            None => "  → no model may be taken".to_owned(),
        },
        Event::TurnCorrected { message } => format!("  ! told the model: {}", first_line(message)),
        Event::SpecWritten { spec } => {
            let items: Vec<String> = spec.requirements.iter().map(|r| format!("    {} {}", r.id, r.text)).collect();
            format!("  specification: {}\n{}", spec.title, items.join("\n"))
        }
        Event::CheckpointMade { checkpoint } if !checkpoint.files.is_empty() => {
            format!("  ▪ checkpoint {}: {}", short(&checkpoint.commit), files(&checkpoint.files))
        }
        Event::CheckRecorded { check } => {
            let how = match (check.exit_code, check.timed_out) {
                (_, true) => "stopped at its time limit".to_owned(),
                (Some(code), _) => format!("exit code {code}"),
                (None, _) => "ended by a signal".to_owned(),
            };
            let confined = match check.mechanism {
                Mechanism::Bubblewrap => "bubblewrap",
                Mechanism::Landlock => "Landlock",
                Mechanism::None => "NOT SANDBOXED",
            };
            let mut line = format!(
                "  {} {}: {} → {how} ({:.1} s, {confined})",
                if check.passed() { "✓" } else { "✗" },
                check.name,
                check.argv.join(" "),
                seconds(check.ms)
            );
            if let Some(tests) = &check.tests {
                line.push_str(&format!(
                    "\n    tests: {} passed, {} failed, {} left out",
                    tests.passed, tests.failed, tests.skipped
                ));
            }
            match &check.compared {
                Some(_) if check.is_of_base() => line.push_str("\n    on the base, to tell which failures are new"),
                Some(compared) if compared.new.is_empty() => {
                    line.push_str(&format!("\n    all {} failures were there before", compared.old));
                }
                Some(compared) => line.push_str(&format!(
                    "\n    {} failures were there before; new: {}",
                    compared.old,
                    compared.new.join(", ")
                )),
                None => {}
            }
            for reached in &check.reached {
                line.push_str(&format!("\n    {}", crate::words::reached(reached)));
            }
            line
        }
        Event::ChecksMissing { .. } => "  ! no checks are declared or found; the result is unchecked".to_owned(),
        Event::ReviewRecorded { review } => {
            let who = match &review.by {
                Reviewer::Role { role } => role.to_string(),
                Reviewer::User => "you".to_owned(),
            };
            let said = if review.answer == Answer::Approve { "approves" } else { "rejects" };
            format!("  {who} {said}: {}", first_line(&review.notes))
        }
        Event::ApprovalRequested { approval, ask, .. } => format!("  ? {}\n    id {approval}", question(ask)),
        Event::ApprovalSettled { answer, note, .. } => {
            let said = if *answer == Answer::Approve { "approved" } else { "rejected" };
            if note.is_empty() { format!("  {said}") } else { format!("  {said}: {note}") }
        }
        Event::HandedOver { branch, commits } => {
            let list: Vec<String> = commits.iter().map(|c| format!("    {} {}", short(&c.id), c.subject)).collect();
            format!("  handed over as {branch}\n{}", list.join("\n"))
        }
        Event::RunAccepted { branch, commit, .. } => format!("accepted: {branch} is at {}", short(commit)),
        Event::RunRebased { rebase } => format!("  ⇡ stands on {} now", short(&rebase.to)),
        Event::RebaseHeld { held } => format!("  ! {}", held.problem.message),
        Event::RunDiscarded {} => "discarded".to_owned(),
        Event::OperationUndone { undo } => format!("operation {} taken back", undo.operation),
        Event::CommentMade { comment } => {
            format!("  ✎ {}:{}: {}", comment.path, comment.line, first_line(&comment.text))
        }
        Event::RunFinished { outcome } => match outcome {
            Outcome::Done => "\ndone".to_owned(),
            Outcome::Failed { problem } => format!("\nfailed: {}", problem.message),
            Outcome::Cancelled { problem } => format!("\ncancelled: {}", problem.message),
        },
        Event::Noticed { problem } => format!("  ! {}", problem.message),
        Event::SlotAwaited { ahead } => format!("— waits for its turn, {ahead} before it"),
        Event::ChildStarted { child, goal } => format!("  ⇢ child run {child}: {}", first_line(goal)),
        Event::ChildEnded { child, outcome } => match outcome {
            Outcome::Done => format!("  ⇠ child run {child} is done"),
            Outcome::Failed { problem } => format!("  ⇠ child run {child} failed: {}", problem.message),
            Outcome::Cancelled { problem } => format!("  ⇠ child run {child} was stopped: {}", problem.message),
        },
        Event::StallNoticed { turns, ms, last } => {
            format!("  ! {}", stuck(*turns, *ms, last))
        }
        Event::CompensationStarted { problem } => format!("\nfailed: {}\nundoing what was done", problem.message),
        Event::StepUndone { undone, how } => format!("  ↺ {undone}: {how}"),
        Event::RunParked { .. }
        | Event::OwnerChanged { .. }
        | Event::ProjectOpened { .. }
        | Event::SettingsChanged { .. }
        | Event::EgressRecorded { .. }
        | Event::EgressEnded { .. }
        | Event::CloudPermitted { .. }
        | Event::CloudRevoked { .. }
        | Event::ProjectShared { .. }
        | Event::NoteKept { .. }
        | Event::NoteDropped { .. }
        | Event::StepFinished { .. }
        | Event::SummaryAsked { .. }
        | Event::CallStarted { .. }
        | Event::CallFinished { .. }
        | Event::ToolDecided { .. }
        | Event::EffectIntended { .. }
        | Event::EffectSettled { .. }
        | Event::CheckpointMade { .. }
        | Event::SlotGiven {}
        | Event::MessagePosted { .. }
        | Event::MessageDead { .. }
        | Event::DeadReplayed { .. }
        | Event::BarrierOpened { .. }
        | Event::VoteCast { .. }
        | Event::BarrierClosed { .. }
        | Event::JobQueued { .. }
        | Event::JobLeased { .. }
        | Event::JobEnded { .. }
        | Event::ObjectMade { .. }
        | Event::ObjectChanged { .. }
        | Event::ObjectPassed { .. }
        | Event::CardMeasured { .. }
        | Event::PullStarted { .. }
        | Event::PullEnded { .. }
        | Event::BudgetSet { .. }
        | Event::CallAdmitted { .. }
        | Event::CallsServed { .. }
        | Event::CloudPaused { .. }
        | Event::CloudResumed {}
        | Event::CommandsAllowed { .. }
        | Event::CommandsForbidden { .. } => return None,
    })
}

/// A question as a person reads it.
pub fn question(ask: &Ask) -> String {
    match ask {
        Ask::HandOver { files: changed, checks, reviewed, cost: spent, keys, .. } => format!(
            "hand over these changes as a branch?\n    {}{}\n    checks: {}; review: {}\n    {}",
            files(changed),
            match keys.as_slice() {
                [] => String::new(),
                keys => format!(
                    "\n    THEY ADD WHAT LOOKS LIKE A KEY: {}\n    reject and start again without it; approve only if it is none, or opens nothing",
                    keys.join(", ")
                ),
            },
            match checks {
                ChecksVerdict::Passed => "passed",
                ChecksVerdict::Failed => "FAILED",
                ChecksVerdict::NoneDeclared => "NONE — unchecked",
            },
            if *reviewed { "approved by a role" } else { "yours" },
            cost(spent)
        ),
        Ask::ProjectCommands { commands, .. } => {
            let told: Vec<String> = commands.iter().map(|one| format!("\n    {}", one.told())).collect();
            format!("may what this project brings along run, now and later, until it changes?{}", told.concat())
        }
        Ask::Command { argv, reason, .. } => format!("run `{}`?\n    {reason}", argv.join(" ")),
        Ask::Tool { role, call, rule } => {
            format!("may {role} call `{}`?\n    {rule}\n    {}", call.name, call.arguments)
        }
        Ask::Question { question, default } => format!("{question}\n    without an answer: {default}"),
        Ask::Budget { spent, limit, more, unit, .. } => {
            let amount = |n: &u64| crate::words::amount(*n, *unit);
            format!("{} of {} are used; go on with {} more?", amount(spent), amount(limit), amount(more))
        }
        Ask::Cloud { provider, host, model, leaving, masked, text } => {
            let mut said = format!("send this to `{model}` of {provider} at {host}, on another machine?");
            for part in leaving {
                said.push_str(&format!("\n    {} ({} bytes)", part.name, part.bytes));
            }
            let masked: Vec<String> = masked.iter().map(|m| format!("{} {}", m.count, sensitive(m.kind))).collect();
            let masked = if masked.is_empty() { "nothing was found to mask".to_owned() } else { masked.join(", ") };
            said.push_str(&format!("\n    masked: {masked}"));
            said.push_str(&format!("\n    all of it, as it would leave: atelier egress text {text}"));
            said.push_str("\n    a yes counts for this project until you take it back (`atelier egress revoke`)");
            said
        }
    }
}

/// A kind of what is masked, in words.
pub fn sensitive(kind: Sensitive) -> &'static str {
    match kind {
        Sensitive::PrivateKey => "private keys",
        Sensitive::ApiKey => "keys of services",
        Sensitive::Password => "passwords",
        Sensitive::Token => "random texts that look like keys",
        Sensitive::Email => "e-mail addresses",
        Sensitive::Phone => "telephone numbers",
        Sensitive::Iban => "bank accounts",
        Sensitive::Card => "payment cards",
    }
}

fn stuck(turns: u32, ms: u64, last: &str) -> String {
    format!("stuck: {turns} turns and {:.0} s since the last accepted result ({last})", seconds(ms))
}

/// What a run cost.
pub fn cost(cost: &Cost) -> String {
    let tokens = |n: Option<u32>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let money = match cost.micros {
        Some(0) => "no money".to_owned(),
        Some(micros) => format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
        None => "money unknown".to_owned(),
    };
    format!(
        "cost: {} calls, {} + {} tokens, {:.1} s on this machine, {money}",
        cost.calls,
        tokens(cost.prompt_tokens),
        tokens(cost.output_tokens),
        seconds(cost.local_ms)
    )
}

/// A run as a person reads it in a list.
pub fn state(state: RunState, disposition: &Disposition) -> &'static str {
    match (disposition, state) {
        (Disposition::Accepted { .. }, _) => "accepted",
        (Disposition::Discarded, _) => "discarded",
        (Disposition::Pending, RunState::Created) => "beginning",
        (Disposition::Pending, RunState::Planning) => "planning",
        (Disposition::Pending, RunState::Running) => "running",
        (Disposition::Pending, RunState::WaitsForApproval) => "waits for you",
        (Disposition::Pending, RunState::WaitsForAnswer) => "waits for your answer",
        (Disposition::Pending, RunState::WaitsForBudget) => "waits for more budget",
        (Disposition::Pending, RunState::WaitsForSlot) => "waits for its turn",
        (Disposition::Pending, RunState::WaitsForChild) => "waits for a child run",
        (Disposition::Pending, RunState::Indeterminate) => "cannot be known",
        (Disposition::Pending, RunState::Compensating) => "undoing",
        (Disposition::Pending, RunState::Parked) => "parked",
        (Disposition::Pending, RunState::Interrupted) => "interrupted",
        (Disposition::Pending, RunState::Done) => "ready to review",
        (Disposition::Pending, RunState::Failed) => "failed",
        (Disposition::Pending, RunState::Cancelled) => "cancelled",
    }
}

/// A whole run in a few lines.
pub fn summary(view: &RunView) -> String {
    let mut text = format!("run {}: {}\ngoal: {}\n", view.id, state(view.state, &view.disposition), view.goal);
    if let Some(parent) = &view.parent {
        text.push_str(&format!("works for: {} of run {}\n", parent.step, parent.run));
    }
    if let Some(fork) = &view.forked {
        text.push_str(&format!("continues: run {} after event {}\n", fork.run, fork.at));
    }
    if let Some(on) = &view.on {
        text.push_str(&format!("stands on: run {} at {}\n", on.run, short(&view.base.commit)));
        if let Some(held) = &on.held {
            text.push_str(&format!("  ! {}\n    {}\n", held.problem.message, held.problem.hint));
        }
    }
    if let Some(spec) = &view.spec {
        text.push_str(&format!("spec: {}\n", spec.title));
        for requirement in &spec.requirements {
            text.push_str(&format!("  {} {}\n", requirement.id, requirement.text));
        }
    }
    for step in &view.steps {
        let how = match &step.result {
            None if view.state.is_at_work() => "under way",
            None => "not finished",
            Some(StepResult::Done) => "done",
            Some(StepResult::SentBack { .. }) => "sent back",
            Some(StepResult::Failed { .. }) => "failed",
        };
        let undone = step.undone.as_ref().map(|how| format!(", undone: {how}")).unwrap_or_default();
        text.push_str(&format!("step {}: {} — {how}{undone}\n", step.id, step.title));
        for item in &step.items {
            if let Item::Summarised { summary } = item {
                text.push_str(&format!("  {}\n", memory(summary)));
            }
        }
    }
    for child in &view.children {
        let how = match &child.outcome {
            None => "open; see `atelier runs show` with its id".to_owned(),
            Some(Outcome::Done) => "done".to_owned(),
            Some(Outcome::Failed { problem } | Outcome::Cancelled { problem }) => problem.message.clone(),
        };
        text.push_str(&format!("child run {} for {}: {how}\n", child.run, child.step));
    }
    if let Some(stall) = &view.stalled {
        text.push_str(&format!("{}\n", stuck(stall.turns, stall.ms, &stall.last)));
    }
    if let Some(problem) = view.compensating.as_ref().filter(|_| !view.state.is_final()) {
        text.push_str(&format!("what its steps did is being undone, because it failed: {}\n", problem.message));
    }
    for asked in view.approvals.iter().filter(|asked| asked.answer.is_none() && !view.state.is_final()) {
        text.push_str(&format!("waits for you: {}\n  id {}\n", question(&asked.ask), asked.id));
    }
    if let Some(point) = &view.checkpoint {
        for file in &point.files {
            text.push_str(&format!("  {}\n", changed(file)));
        }
    }
    for check in &view.checks {
        let how = check.exit_code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        text.push_str(&format!("check {} on {}: {how}\n", check.name, short(&check.tree)));
    }
    if let Some(branch) = &view.branch {
        text.push_str(&format!("branch: {branch}\n"));
    }
    for commit in &view.commits {
        text.push_str(&format!("  {} {}\n", short(&commit.id), commit.subject));
    }
    text.push_str(&cost(&view.cost));
    text
}

/// What became of the older part of a conversation, in one line.
fn memory(summary: &Summary) -> String {
    let by = match &summary.by {
        SummaryBy::Model { model, .. } => format!("summed up by {model}"),
        SummaryBy::Digest { problem } => format!("in a digest by rule, because no summary came: {}", problem.message),
    };
    format!(
        "{} earlier messages {by}: {} tokens before, {} after, {} allowed; `atelier runs memory` shows all of them",
        summary.parts.len(),
        summary.before,
        summary.after,
        summary.quota
    )
}

/// A changed file in one line.
pub fn changed(file: &FileChange) -> String {
    let mark = match file.status {
        FileStatus::Added => "A",
        FileStatus::Modified => "M",
        FileStatus::Deleted => "D",
        FileStatus::Renamed => "R",
    };
    match (file.insertions, file.deletions) {
        (Some(plus), Some(minus)) => format!("{mark} {} +{plus} -{minus}", file.path),
        _ => format!("{mark} {} (binary)", file.path),
    }
}

fn files(files: &[FileChange]) -> String {
    files.iter().map(changed).collect::<Vec<_>>().join(", ")
}

/// A commit id as people write it.
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
