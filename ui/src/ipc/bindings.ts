// The words of Atelier for the page. Generated from the `protocol` crate by `cargo xtask bindings`; do not edit.

export type RunId = string;

export type ProjectId = string;

export type ApprovalId = string;

export type CallId = string;

export type RoleId = string;

export type StepId = string;

export type StoreId = string;

export type Seq = number;

export type Hash = string;

export type Code = "checks_failed" | "review_rejected" | "nothing_changed" | "wrong_state" | "accept_conflict" | "accept_dirty" | "hook_refused" | "signing_failed" | "turn_limit" | "looping" | "empty_goal" | "bad_argument" | "no_folder" | "not_a_repository" | "no_commit" | "unsupported_repository" | "repository_busy" | "role_invalid" | "flow_invalid" | "script_invalid" | "project_file_invalid" | "unknown_run" | "unknown_approval" | "edit_unreadable" | "edit_not_found" | "edit_ambiguous" | "unknown_message" | "guarantee_weaker" | "unknown_job" | "object_invalid" | "object_changed" | "object_cycle" | "fork_point" | "too_deep" | "child_failed" | "stopped" | "query_invalid" | "document_unknown" | "document_encrypted" | "document_damaged" | "document_too_large" | "needs_approval" | "budget_reached" | "budget_near" | "cloud_paused" | "cancelled" | "rejected" | "model_server_down" | "model_missing" | "no_model" | "model_server_error" | "model_timeout" | "account_exhausted" | "key_refused" | "context_mismatch" | "context_overflow" | "not_confined" | "program_missing" | "store_failed" | "disk_full" | "store_damaged" | "store_newer" | "owner_lost" | "io" | "git_failed" | "interrupted" | "indeterminate" | "internal" | "answer_empty" | "answer_invalid" | "answer_incomplete" | "denied" | "local_only" | "not_permitted" | "keys_locked" | "outside_project";

export type ExitClass = "done" | "work_not_done" | "usage" | "needs_answer" | "budget" | "cancelled" | "environment" | "bad_answer" | "refused";

export type Problem = { 
/**
 * What kind of failure.
 */
code: Code, 
/**
 * What could not be done, and why. One or two sentences.
 */
message: string, 
/**
 * What the user can do next.
 */
hint: string, 
/**
 * Paths, candidates or raw text that belong to it.
 */
details?: Array<string>, };

export type Settings = { 
/**
 * Never open a socket to another machine.
 */
local_only: boolean, 
/**
 * Model servers, in order of preference.
 */
providers: Array<ProviderSettings>, 
/**
 * The model that runs use unless told otherwise; `None` lets the first usable one be taken.
 */
model: ModelChoice | null, 
/**
 * How models are chosen, and how fast they may be asked.
 */
routing: Routing, 
/**
 * What a search goes by besides words.
 */
search: SearchSettings, 
/**
 * What roles remember of their conversations.
 */
memory: MemorySettings, 
/**
 * When what is kept of projects is packed.
 */
packing: PackingSettings, 
/**
 * How the window looks.
 */
theme: Theme, 
/**
 * How many runs of all projects may be at work at the same time; others wait for their turn.
 */
active_runs: number, 
/**
 * How long an unanswered approval waits before it is rejected, in milliseconds.
 */
approval_timeout_ms: number, };

export type ProviderSettings = { 
/**
 * The name it is chosen by.
 */
id: string, 
/**
 * The wire format.
 */
kind: ProviderKind, 
/**
 * Scheme, host, port and optional path, without a trailing slash.
 */
base_url: string, };

export type ProviderKind = "ollama" | "open_ai" | "anthropic";

export type ModelChoice = { 
/**
 * The provider's id in the settings.
 */
provider: string, 
/**
 * The model's name as the server knows it.
 */
model: string, };

export type Theme = "system" | "dark" | "light";

export type Routing = { 
/**
 * The policy; `None` takes models of this machine first and none of another machine by itself.
 */
policy: RoutingPolicy | null, 
/**
 * Two policies tried side by side.
 */
experiment: Experiment | null, 
/**
 * Shares of providers that serve the same model, by provider id; without one it is 1. 0 is taken only where nothing
 * else is left.
 */
weights: { [key in string]: number }, 
/**
 * Limits on how fast models are asked.
 */
rates: Array<RateLimit>, 
/**
 * Which answers are kept for the same question of another program.
 */
kept: KeptAnswers, };

export type Experiment = { 
/**
 * Its name. Runs are split by it and their id, so that the split stays the same.
 */
name: string, 
/**
 * The policy of the first arm.
 */
a: RoutingPolicy, 
/**
 * The policy of the second arm.
 */
b: RoutingPolicy, 
/**
 * How many of a hundred runs are in the second arm.
 */
percent_b: number, };

export type RateLimit = { 
/**
 * Whose calls are counted.
 */
of: RateScope, 
/**
 * The provider's or role's id; `None` is each for itself.
 */
id: string | null, 
/**
 * Calls a minute.
 */
calls: number | null, 
/**
 * Tokens of prompt and answer a minute.
 */
tokens: number | null, };

export type RateScope = "provider" | "role" | "run";

export type KeptAnswers = { 
/**
 * Whether any are.
 */
on: boolean, 
/**
 * For how long, in seconds.
 */
for_s: number, 
/**
 * Gives an answer to a like question too; `None` to the same one only.
 */
like: LikeQuestions | null, };

export type LikeQuestions = { 
/**
 * The model that makes their vectors.
 */
by: ModelChoice, 
/**
 * The cosine of their vectors is at least this, in thousandths.
 */
floor: number, };

export type RoutingPolicy = "local_only" | "cost" | "performance" | "balanced";

export type Material = "public" | "project" | "secret";

export type RouteInputs = { 
/**
 * The policy.
 */
policy: RoutingPolicy, 
/**
 * Whether the settings forbid other machines.
 */
local_only: boolean, 
/**
 * How far the material may travel.
 */
material: Material, 
/**
 * The role that asks; `None` where no role does.
 */
role: RoleId | null, 
/**
 * What the user asked for, with the run or in the settings. Nothing else is taken then.
 */
asked: ModelChoice | null, 
/**
 * Whether it was asked for in the settings, not with the run.
 */
in_settings: boolean, 
/**
 * Models the role prefers, best first, as `provider/model` or a model's name.
 */
prefer: Array<string>, 
/**
 * Whether tools must be called.
 */
tools: boolean, 
/**
 * Tokens that must fit: prompt and answer.
 */
need: number, 
/**
 * Tokens of the prompt, for the estimate of the cost.
 */
prompt: number, 
/**
 * Tokens of answer that are expected at most, for the estimate of the cost.
 */
output: number, 
/**
 * What may still be spent, in millionths of the currency; `None` is no limit.
 */
budget: number | null, 
/**
 * Whether unusual spending paused calls to other machines.
 */
paused: boolean, 
/**
 * Models that failed in this turn's place and are left out, as `provider/model`.
 */
failed: Array<string>, 
/**
 * Decides among equals, so that the same inputs give the same choice.
 */
seed: number, 
/**
 * The arm of an experiment that set the policy, as `experiment/arm`.
 */
arm: string | null, };

export type Candidate = { 
/**
 * The provider's id.
 */
provider: string, 
/**
 * The model's name.
 */
model: string, 
/**
 * The wire format of its server.
 */
kind: ProviderKind | null, 
/**
 * Whether it runs on this machine; a server of this machine may pass some names on to a cloud.
 */
local: boolean, 
/**
 * Whether it can call tools; `None` where the server does not say.
 */
tools: boolean | null, 
/**
 * The longest context, in tokens.
 */
context: number | null, 
/**
 * What it costs; `None` is unknown. Models of this machine cost time, not money.
 */
price: Price | null, 
/**
 * What was measured on this machine.
 */
card: CardShort | null, 
/**
 * Whether the user agreed that material of this project goes there.
 */
consented: boolean, 
/**
 * Its share among equals.
 */
weight: number, 
/**
 * Calls under way on its server.
 */
load: number, 
/**
 * Whether its circuit breaker lets calls through.
 */
health: Health, 
/**
 * Size of its files, in bytes.
 */
bytes: number | null, 
/**
 * Why its server cannot be used at all; empty where it can.
 */
down: string, };

export type CardShort = { 
/**
 * Share of tool tasks it did right.
 */
tools: number, 
/**
 * Share of edits it got right in its best format.
 */
edits: number, 
/**
 * Its best edit format; `None` where it got none right.
 */
format: string | null, 
/**
 * Context it was seen to use, in tokens.
 */
context: number | null, 
/**
 * Tokens of answer a second.
 */
speed: number | null, };

export type Health = { "health": "closed" } | { "health": "open", 
/**
 * Milliseconds since 1970 UTC.
 */
until_ms: number, } | { "health": "half_open" };

export type Unfit = "not_asked" | "local_only" | "secret" | "no_consent" | "down" | "failed" | "resting" | "tools" | "context" | "budget" | "price_unknown" | "paused";

export type Alternative = { 
/**
 * The candidate.
 */
candidate: Candidate, 
/**
 * What the call is expected to cost there; `None` is unknown.
 */
cost: number | null, 
/**
 * Why it may not be taken; `None` where it may.
 */
unfit: Unfit | null, };

export type RouteDecision = { 
/**
 * What it was made from.
 */
inputs: RouteInputs, 
/**
 * What was chosen; `None` where nothing may be taken.
 */
route: Route | null, 
/**
 * All candidates, the chosen one among them, in the order of the providers.
 */
alternatives: Array<Alternative>, };

export type FailureClass = "retry_same" | "fail_over" | "ask" | "fix_configuration";

export type Hold = { "hold": "backoff", 
/**
 * The attempt that follows.
 */
attempt: number, } | { "hold": "retry_after", 
/**
 * The attempt that follows.
 */
attempt: number, } | { "hold": "rate", 
/**
 * Whose, such as `provider openai`.
 */
of: string, } | { "hold": "batch", 
/**
 * The model that is at work.
 */
model: string, };

export type ContextMismatch = { 
/**
 * What does not agree.
 */
kind: MismatchKind, 
/**
 * Context length that was asked for.
 */
asked: number | null, 
/**
 * Context length the server says it has loaded.
 */
loaded: number | null, 
/**
 * The least tokens that the prompt can have been, by our own count.
 */
counted: number, 
/**
 * Prompt tokens the server says it evaluated.
 */
evaluated: number | null, };

export type MismatchKind = "prompt_cut" | "shorter_context";

export type Compaction = { 
/**
 * Messages that are only named now.
 */
left_out: Array<LeftOut>, 
/**
 * Tokens before, by our own count.
 */
before: number, 
/**
 * Tokens after.
 */
after: number, 
/**
 * The whole of what was left out, as a blob.
 */
blob: Hash, };

export type Summary = { 
/**
 * The call that was to make it; `None` where no model was asked.
 */
call: CallId | null, 
/**
 * Who made it.
 */
by: SummaryBy, 
/**
 * The text, without the sentence before it by which a prompt says what it is.
 */
text: string, 
/**
 * The messages that it stands for, the first after the brief, each with its size and hash.
 */
parts: Array<PromptPart>, 
/**
 * Tokens that the conversation may have, by our own count.
 */
quota: number, 
/**
 * Tokens that it had before, the brief aside.
 */
before: number, 
/**
 * Tokens that it has now.
 */
after: number, 
/**
 * The messages to the letter, as a blob: a JSON array.
 */
blob: Hash, 
/**
 * What the server said about the call; `None` where it did not come to an end.
 */
usage: Usage | null, 
/**
 * What the call used.
 */
used: Amount, };

export type SummaryBy = { "who": "model", 
/**
 * Its provider.
 */
provider: string, 
/**
 * Its name.
 */
model: string, } | { "who": "digest", 
/**
 * Why no model's was taken.
 */
problem: Problem, };

export type LeftOut = { 
/**
 * Its place in the conversation after the brief.
 */
at: number, 
/**
 * What it was, with its size and hash.
 */
part: PromptPart, };

export type Score = { 
/**
 * How often it was right.
 */
right: number, 
/**
 * How often it was tried.
 */
of: number, };

export type ModelCard = { 
/**
 * The digest of the model's files; where the server has none, its address and name.
 */
digest: string, 
/**
 * The provider it was measured at.
 */
provider: string, 
/**
 * Its name there.
 */
model: string, 
/**
 * When, milliseconds since 1970 UTC.
 */
at_ms: number, 
/**
 * Tool calls that could be read.
 */
well_formed: Score, 
/**
 * Calls of the tool that the task needs.
 */
right_tool: Score, 
/**
 * Answers that use what the tool returned.
 */
uses_result: Score, 
/**
 * Turns that end when the work is done.
 */
stops: Score, 
/**
 * Edits by format.
 */
edits: Array<[string, Score]>, 
/**
 * The longest prompt whose beginning and end it still knew, in tokens.
 */
context: number | null, 
/**
 * Tokens of prompt a second.
 */
prompt_speed: number | null, 
/**
 * Tokens of answer a second.
 */
speed: number | null, 
/**
 * Memory while loaded, in bytes.
 */
memory: number | null, 
/**
 * The context it was measured with, in tokens.
 */
measured_context: number | null, };

export type ModelTask = "pull" | "probe";

export type ModelWork = { 
/**
 * Its number in this process.
 */
id: number, 
/**
 * What is done.
 */
task: ModelTask, 
/**
 * The server.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, 
/**
 * How much is done: bytes of a pull, parts of a measuring.
 */
done: number, 
/**
 * Of how much; 0 while that is not known.
 */
of: number, 
/**
 * What goes on at the moment, in a few words.
 */
what: string, 
/**
 * How it stands.
 */
state: ModelWorkState, };

export type ModelWorkState = { "state": "running" } | { "state": "done" } | { "state": "stopped" } | { "state": "interrupted" } | { "state": "failed", 
/**
 * Why, and what to do.
 */
problem: Problem, };

export type Price = { 
/**
 * Prompt.
 */
input: number, 
/**
 * Answer.
 */
output: number, 
/**
 * Prompt read from the server's cache; `None` is as `input`.
 */
cached: number | null, 
/**
 * The currency.
 */
currency: string, 
/**
 * The day it was looked up.
 */
as_of: string, };

export type Amount = { 
/**
 * Money in millionths of the currency; `None` is unknown, never zero.
 */
micros: number | null, 
/**
 * Tokens of prompt and answer.
 */
tokens: number, 
/**
 * Time on this machine's models, in milliseconds.
 */
local_ms: number, };

export type ServedCall = { 
/**
 * The call.
 */
call: CallId, 
/**
 * The provider's id.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, 
/**
 * Whether it ran on this machine.
 */
local: boolean, 
/**
 * What it used, as far as that is known.
 */
used: Amount, 
/**
 * Why it brought no answer; `None` where it did.
 */
failed: Code | null, 
/**
 * Whether the answer was kept from an earlier call, so that no model was asked.
 */
kept: boolean, };

export type LeavingCall = { 
/**
 * The call.
 */
call: CallId, 
/**
 * The provider's id.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, };

export type Allowance = { 
/**
 * Money, in millionths of the currency.
 */
micros: number | null, 
/**
 * Tokens of prompt and answer.
 */
tokens: number | null, 
/**
 * So many calls.
 */
calls: number, };

export type BudgetLimits = { 
/**
 * Money in millionths of the currency.
 */
micros: number | null, 
/**
 * Tokens of prompt and answer.
 */
tokens: number | null, 
/**
 * Seconds on this machine's models.
 */
local_s: number | null, };

export type BudgetUnit = "micros" | "tokens" | "local_seconds";

export type BudgetNode = { "node": "project" } | { "node": "door", } | { "node": "goal", 
/**
 * The run at the top.
 */
run: RunId, } | { "node": "run", 
/**
 * The run.
 */
run: RunId, } | { "node": "step", 
/**
 * The run.
 */
run: RunId, 
/**
 * The step.
 */
step: string, } | { "node": "attempt", 
/**
 * The call.
 */
call: CallId, };

export type BudgetView = { 
/**
 * The node.
 */
node: BudgetNode, 
/**
 * What it may use.
 */
limits: BudgetLimits, 
/**
 * What was used.
 */
spent: Amount, 
/**
 * What calls that are under way may use at most.
 */
reserved: Amount, 
/**
 * Requests that were settled.
 */
calls: number, };

export type RouteEntry = { 
/**
 * The event.
 */
seq: Seq, 
/**
 * When, milliseconds since 1970 UTC.
 */
at_ms: number, 
/**
 * The run.
 */
run: RunId | null, 
/**
 * The choice.
 */
decision: RouteDecision, 
/**
 * Whether the same inputs give the same choice today.
 */
replays: boolean, };

export type Envelope = { 
/**
 * Its number in the store.
 */
seq: Seq, 
/**
 * The store it belongs to.
 */
store: StoreId, 
/**
 * When it was appended, milliseconds since 1970 UTC.
 */
at_ms: number, 
/**
 * The version of the payload's shape.
 */
v: number, 
/**
 * The run it belongs to.
 */
run: RunId | null, 
/**
 * The step it belongs to.
 */
step: StepId | null, 
/**
 * The event that led to it.
 */
cause: Seq | null, 
/**
 * A label that ties events of one outside request together.
 */
trace: string | null, 
/**
 * Hash of the payload's bytes as stored.
 */
payload_hash: Hash, 
/**
 * Hash of the envelope before this one.
 */
prev_hash: Hash, } & ({ "kind": "owner_changed", "payload": { 
/**
 * Rises by one with each owner.
 */
epoch: number, 
/**
 * The owner's process id.
 */
pid: number, 
/**
 * Which program it is, such as `window` or `cli`.
 */
door: string, } } | { "kind": "project_opened", "payload": { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Its folder.
 */
path: string, 
/**
 * Its display name.
 */
name: string, 
/**
 * Canonical path of the common git directory.
 */
common_dir: string, 
/**
 * The first commit of the history, where there is one.
 */
root_commit: string | null, } } | { "kind": "settings_changed", "payload": { 
/**
 * All settings.
 */
settings: Settings, } } | { "kind": "egress_recorded", "payload": { 
/**
 * The request.
 */
entry: EgressEntry, } } | { "kind": "egress_ended", "payload": { 
/**
 * How.
 */
end: EgressEnd, } } | { "kind": "cloud_permitted", "payload": { 
/**
 * The permission.
 */
permission: CloudPermission, } } | { "kind": "project_shared", "payload": { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Whether it is found.
 */
shared: boolean, } } | { "kind": "note_kept", "payload": { 
/**
 * The note.
 */
note: LibraryNote, } } | { "kind": "note_dropped", "payload": { 
/**
 * Its id.
 */
id: string, } } | { "kind": "cloud_revoked", "payload": { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The model server's id, or `commands`.
 */
provider: string, 
/**
 * The host; `None` is all of them. A program that does not know of this field takes all back.
 */
host?: string, } } | { "kind": "run_started", "payload": { 
/**
 * What the user typed.
 */
goal: string, 
/**
 * The flow it follows.
 */
flow: FlowRef, 
/**
 * The user's state it starts from.
 */
base: Base, 
/**
 * The model asked for; `None` takes the settings' choice or the first usable one.
 */
model: ModelChoice | null, 
/**
 * Grants given with the start.
 */
grants: Grants, 
/**
 * The run it works for; `None` for one the user started.
 */
parent: Parent | null, 
/**
 * The run it continues another way.
 */
forked: Fork | null, 
/**
 * How urgent it is.
 */
priority: Priority, 
/**
 * Tokens it may use before it asks for more; `None` is no limit.
 */
budget_tokens: number | null, 
/**
 * The run it stands on.
 */
on?: Stacked, } } | { "kind": "slot_awaited", "payload": { 
/**
 * Runs before it in the queue.
 */
ahead: number, } } | { "kind": "slot_given", "payload": Record<symbol, never> } | { "kind": "child_started", "payload": { 
/**
 * The child.
 */
child: RunId, 
/**
 * What it was told to do.
 */
goal: string, } } | { "kind": "child_ended", "payload": { 
/**
 * The child.
 */
child: RunId, 
/**
 * How it ended.
 */
outcome: Outcome, } } | { "kind": "stall_noticed", "payload": { 
/**
 * Model turns since the last accepted artefact.
 */
turns: number, 
/**
 * Time since then, in milliseconds.
 */
ms: number, 
/**
 * What the last accepted artefact was.
 */
last: string, } } | { "kind": "compensation_started", "payload": { 
/**
 * Why it failed; reported again when everything is undone.
 */
problem: Problem, } } | { "kind": "step_undone", "payload": { 
/**
 * The step.
 */
undone: StepId, 
/**
 * How, in a few words.
 */
how: string, } } | { "kind": "run_interrupted", "payload": { 
/**
 * The epoch of the owner that noticed.
 */
epoch: number, } } | { "kind": "run_parked", "payload": { 
/**
 * What is wrong and what to do.
 */
problem: Problem, } } | { "kind": "run_resumed", "payload": { 
/**
 * Who asked.
 */
by: Actor, 
/**
 * The epoch of the owner that works on it.
 */
epoch: number, } } | { "kind": "run_finished", "payload": { 
/**
 * How it ended.
 */
outcome: Outcome, } } | { "kind": "step_started", "payload": { 
/**
 * The role that performs it, for agent steps.
 */
role: RoleId | null, 
/**
 * What it is for, in a few words.
 */
title: string, 
/**
 * What the role is told at the start, whole; empty for steps without a role.
 */
brief: string, 
/**
 * Whether it plans or works.
 */
phase: StepPhase, 
/**
 * How what it does is undone when a later step fails; `None` where that is not declared.
 */
undo: string | null, } } | { "kind": "step_finished", "payload": { 
/**
 * How.
 */
result: StepResult, } } | { "kind": "route_decided", "payload": { 
/**
 * The choice with all it was made from.
 */
decision: RouteDecision, } } | { "kind": "call_held", "payload": { 
/**
 * What for.
 */
hold: Hold, 
/**
 * Until when at most, milliseconds since 1970 UTC.
 */
until_ms: number, } } | { "kind": "prompt_compacted", "payload": { 
/**
 * What.
 */
compaction: Compaction, } } | { "kind": "summary_asked", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * The role.
 */
role: RoleId, 
/**
 * The model.
 */
route: Route, 
/**
 * What was sent.
 */
prompt: PromptRecord, 
/**
 * What it may use at most, set aside until the summary is recorded.
 */
reserved: Amount, } } | { "kind": "memory_summarised", "payload": { 
/**
 * How, and what it stands for.
 */
summary: Summary, } } | { "kind": "call_started", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * The role that speaks.
 */
role: RoleId, 
/**
 * The model and why it was chosen.
 */
route: Route, 
/**
 * What was sent.
 */
prompt: PromptRecord, 
/**
 * Which attempt at the same turn, from 1.
 */
attempt: number, 
/**
 * What it may use at most, set aside until it has ended.
 */
reserved: Amount, } } | { "kind": "call_finished", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * The answer's text.
 */
text: string, 
/**
 * What the model thought aloud.
 */
thinking: string, 
/**
 * The tools it asked for.
 */
tool_calls: Array<ToolCall>, 
/**
 * Tokens and times.
 */
usage: Usage, 
/**
 * Why it stopped.
 */
stop: Stop, 
/**
 * What it cost in millionths of the currency; `None` is unknown. Models of this machine cost none.
 */
cost: number | null, } } | { "kind": "context_mismatched", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * What does not agree.
 */
mismatch: ContextMismatch, } } | { "kind": "call_failed", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * What happened.
 */
problem: Problem, 
/**
 * Text that had arrived, kept for the reader and never acted on.
 */
partial: string, 
/**
 * What is to be done about it; `None` in histories that do not say.
 */
class: FailureClass | null, 
/**
 * What it used all the same, as far as that is known.
 */
used: Amount, } } | { "kind": "tool_decided", "payload": { 
/**
 * The tool call's id.
 */
id: string, 
/**
 * The tool.
 */
tool: string, 
/**
 * Allowed, to be asked, or denied.
 */
verdict: Verdict, } } | { "kind": "tool_returned", "payload": { 
/**
 * The tool call's id.
 */
id: string, 
/**
 * The tool.
 */
tool: string, 
/**
 * One line for people, such as `read src/lib.rs 1-80`.
 */
line: string, 
/**
 * Whether it did what was asked.
 */
ok: boolean, 
/**
 * What the model is told.
 */
output: Output, } } | { "kind": "turn_corrected", "payload": { 
/**
 * What the model is told.
 */
message: string, } } | { "kind": "approval_requested", "payload": { 
/**
 * The question.
 */
approval: ApprovalId, 
/**
 * What is asked.
 */
ask: Ask, 
/**
 * When silence counts as a rejection, milliseconds since 1970 UTC.
 */
expires_at_ms: number, } } | { "kind": "approval_settled", "payload": { 
/**
 * The question.
 */
approval: ApprovalId, 
/**
 * The answer.
 */
answer: Answer, 
/**
 * Who answered.
 */
by: Actor, 
/**
 * What the user wrote with it.
 */
note: string, } } | { "kind": "effect_intended", "payload": { 
/**
 * The same effect has the same key, however often it is tried.
 */
key: string, 
/**
 * What is about to be done.
 */
effect: Effect, } } | { "kind": "effect_settled", "payload": { 
/**
 * The effect.
 */
key: string, 
/**
 * What the world says.
 */
outcome: EffectOutcome, } } | { "kind": "spec_written", "payload": { 
/**
 * The spec.
 */
spec: Spec, } } | { "kind": "checkpoint_made", "payload": { 
/**
 * The checkpoint.
 */
checkpoint: Checkpoint, } } | { "kind": "commands_allowed", "payload": { 
/**
 * Hash of all of it.
 */
hash: Hash, } } | { "kind": "commands_forbidden", "payload": { 
/**
 * Hash of all of it.
 */
hash: Hash, } } | { "kind": "check_recorded", "payload": { 
/**
 * The evidence.
 */
check: Check, } } | { "kind": "checks_missing", "payload": { 
/**
 * What was looked for.
 */
looked_for: Array<string>, } } | { "kind": "review_recorded", "payload": { 
/**
 * The review.
 */
review: Review, } } | { "kind": "comment_made", "payload": { 
/**
 * On what, and what.
 */
comment: Comment, } } | { "kind": "handed_over", "payload": { 
/**
 * The branch.
 */
branch: string, 
/**
 * The commits, oldest first.
 */
commits: Array<Commit>, } } | { "kind": "run_accepted", "payload": { 
/**
 * The user's branch, or `HEAD` where it is detached.
 */
branch: string, 
/**
 * The commit the branch is at now.
 */
commit: string, 
/**
 * How.
 */
mode: AcceptMode, } } | { "kind": "run_discarded", "payload": Record<symbol, never> } | { "kind": "operation_undone", "payload": { 
/**
 * Which, and what changed.
 */
undo: Undo, } } | { "kind": "run_rebased", "payload": { 
/**
 * From where to where, and what came of it.
 */
rebase: Rebase, } } | { "kind": "rebase_held", "payload": { 
/**
 * Where to, and why not.
 */
held: HeldBase, } } | { "kind": "noticed", "payload": { 
/**
 * What.
 */
problem: Problem, } } | { "kind": "card_measured", "payload": { 
/**
 * What was found.
 */
card: ModelCard, } } | { "kind": "pull_started", "payload": { 
/**
 * The server.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, } } | { "kind": "pull_ended", "payload": { 
/**
 * The server.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, 
/**
 * Whether it is here.
 */
done: boolean, } } | { "kind": "budget_set", "payload": { 
/**
 * Whose.
 */
node: BudgetNode, 
/**
 * The limits.
 */
limits: BudgetLimits, } } | { "kind": "call_admitted", "payload": { 
/**
 * The call.
 */
call: LeavingCall, 
/**
 * What it may use at most, set aside until it has ended.
 */
reserved: Amount, } } | { "kind": "calls_served", "payload": { 
/**
 * The calls.
 */
calls: Array<ServedCall>, } } | { "kind": "cloud_paused", "payload": { 
/**
 * What was seen.
 */
reason: string, } } | { "kind": "cloud_resumed", "payload": Record<symbol, never> } | { "kind": "message_posted", "payload": { 
/**
 * The message.
 */
message: Message, } } | { "kind": "message_dead", "payload": { 
/**
 * The consumer.
 */
consumer: string, 
/**
 * The message's number.
 */
message: Seq, 
/**
 * Why.
 */
reason: string, 
/**
 * How often it was tried.
 */
attempts: number, } } | { "kind": "dead_replayed", "payload": { 
/**
 * The consumer.
 */
consumer: string, 
/**
 * The message's number.
 */
message: Seq, } } | { "kind": "barrier_opened", "payload": { 
/**
 * The barrier.
 */
barrier: string, 
/**
 * What is about to happen.
 */
act: string, 
/**
 * Who must vote.
 */
voters: Array<string>, 
/**
 * Silence until then stops the act, milliseconds since 1970 UTC.
 */
until_ms: number, } } | { "kind": "vote_cast", "payload": { 
/**
 * The barrier.
 */
barrier: string, 
/**
 * Who.
 */
voter: string, 
/**
 * The vote.
 */
vote: Vote, } } | { "kind": "barrier_closed", "payload": { 
/**
 * The barrier.
 */
barrier: string, 
/**
 * Which of both.
 */
verdict: BarrierVerdict, } } | { "kind": "job_queued", "payload": { 
/**
 * The work.
 */
job: Job, } } | { "kind": "job_leased", "payload": { 
/**
 * The job's id.
 */
job: string, 
/**
 * Who took it.
 */
worker: string, 
/**
 * After this it is free again, milliseconds since 1970 UTC.
 */
until_ms: number, 
/**
 * Which attempt, from 1.
 */
attempt: number, } } | { "kind": "job_ended", "payload": { 
/**
 * The job's id.
 */
job: string, 
/**
 * Which attempt, from 1; 0 where it was taken back before the first.
 */
attempt: number, 
/**
 * How.
 */
end: JobEnd, } } | { "kind": "object_made", "payload": { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * Hash of the template's text.
 */
template: Hash, 
/**
 * Version of the state's schema.
 */
schema: number, 
/**
 * Its first state.
 */
state: unknown, } } | { "kind": "object_changed", "payload": { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * Its version after it, from 2.
 */
version: number, 
/**
 * The handler that ran; empty for a move to a newer template.
 */
handler: string, 
/**
 * What it was told.
 */
arguments: unknown, 
/**
 * Who asked: a door, a role, another object.
 */
by: string, 
/**
 * Hash of the template's text.
 */
template: Hash, 
/**
 * Version of the state's schema.
 */
schema: number, 
/**
 * Its state now.
 */
state: unknown, 
/**
 * What it answered.
 */
answer: unknown, } } | { "kind": "object_passed", "payload": { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * The point.
 */
life: Lifecycle, } });

export type Event = { "kind": "owner_changed", "payload": { 
/**
 * Rises by one with each owner.
 */
epoch: number, 
/**
 * The owner's process id.
 */
pid: number, 
/**
 * Which program it is, such as `window` or `cli`.
 */
door: string, } } | { "kind": "project_opened", "payload": { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Its folder.
 */
path: string, 
/**
 * Its display name.
 */
name: string, 
/**
 * Canonical path of the common git directory.
 */
common_dir: string, 
/**
 * The first commit of the history, where there is one.
 */
root_commit: string | null, } } | { "kind": "settings_changed", "payload": { 
/**
 * All settings.
 */
settings: Settings, } } | { "kind": "egress_recorded", "payload": { 
/**
 * The request.
 */
entry: EgressEntry, } } | { "kind": "egress_ended", "payload": { 
/**
 * How.
 */
end: EgressEnd, } } | { "kind": "cloud_permitted", "payload": { 
/**
 * The permission.
 */
permission: CloudPermission, } } | { "kind": "project_shared", "payload": { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Whether it is found.
 */
shared: boolean, } } | { "kind": "note_kept", "payload": { 
/**
 * The note.
 */
note: LibraryNote, } } | { "kind": "note_dropped", "payload": { 
/**
 * Its id.
 */
id: string, } } | { "kind": "cloud_revoked", "payload": { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The model server's id, or `commands`.
 */
provider: string, 
/**
 * The host; `None` is all of them. A program that does not know of this field takes all back.
 */
host?: string, } } | { "kind": "run_started", "payload": { 
/**
 * What the user typed.
 */
goal: string, 
/**
 * The flow it follows.
 */
flow: FlowRef, 
/**
 * The user's state it starts from.
 */
base: Base, 
/**
 * The model asked for; `None` takes the settings' choice or the first usable one.
 */
model: ModelChoice | null, 
/**
 * Grants given with the start.
 */
grants: Grants, 
/**
 * The run it works for; `None` for one the user started.
 */
parent: Parent | null, 
/**
 * The run it continues another way.
 */
forked: Fork | null, 
/**
 * How urgent it is.
 */
priority: Priority, 
/**
 * Tokens it may use before it asks for more; `None` is no limit.
 */
budget_tokens: number | null, 
/**
 * The run it stands on.
 */
on?: Stacked, } } | { "kind": "slot_awaited", "payload": { 
/**
 * Runs before it in the queue.
 */
ahead: number, } } | { "kind": "slot_given", "payload": Record<symbol, never> } | { "kind": "child_started", "payload": { 
/**
 * The child.
 */
child: RunId, 
/**
 * What it was told to do.
 */
goal: string, } } | { "kind": "child_ended", "payload": { 
/**
 * The child.
 */
child: RunId, 
/**
 * How it ended.
 */
outcome: Outcome, } } | { "kind": "stall_noticed", "payload": { 
/**
 * Model turns since the last accepted artefact.
 */
turns: number, 
/**
 * Time since then, in milliseconds.
 */
ms: number, 
/**
 * What the last accepted artefact was.
 */
last: string, } } | { "kind": "compensation_started", "payload": { 
/**
 * Why it failed; reported again when everything is undone.
 */
problem: Problem, } } | { "kind": "step_undone", "payload": { 
/**
 * The step.
 */
undone: StepId, 
/**
 * How, in a few words.
 */
how: string, } } | { "kind": "run_interrupted", "payload": { 
/**
 * The epoch of the owner that noticed.
 */
epoch: number, } } | { "kind": "run_parked", "payload": { 
/**
 * What is wrong and what to do.
 */
problem: Problem, } } | { "kind": "run_resumed", "payload": { 
/**
 * Who asked.
 */
by: Actor, 
/**
 * The epoch of the owner that works on it.
 */
epoch: number, } } | { "kind": "run_finished", "payload": { 
/**
 * How it ended.
 */
outcome: Outcome, } } | { "kind": "step_started", "payload": { 
/**
 * The role that performs it, for agent steps.
 */
role: RoleId | null, 
/**
 * What it is for, in a few words.
 */
title: string, 
/**
 * What the role is told at the start, whole; empty for steps without a role.
 */
brief: string, 
/**
 * Whether it plans or works.
 */
phase: StepPhase, 
/**
 * How what it does is undone when a later step fails; `None` where that is not declared.
 */
undo: string | null, } } | { "kind": "step_finished", "payload": { 
/**
 * How.
 */
result: StepResult, } } | { "kind": "route_decided", "payload": { 
/**
 * The choice with all it was made from.
 */
decision: RouteDecision, } } | { "kind": "call_held", "payload": { 
/**
 * What for.
 */
hold: Hold, 
/**
 * Until when at most, milliseconds since 1970 UTC.
 */
until_ms: number, } } | { "kind": "prompt_compacted", "payload": { 
/**
 * What.
 */
compaction: Compaction, } } | { "kind": "summary_asked", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * The role.
 */
role: RoleId, 
/**
 * The model.
 */
route: Route, 
/**
 * What was sent.
 */
prompt: PromptRecord, 
/**
 * What it may use at most, set aside until the summary is recorded.
 */
reserved: Amount, } } | { "kind": "memory_summarised", "payload": { 
/**
 * How, and what it stands for.
 */
summary: Summary, } } | { "kind": "call_started", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * The role that speaks.
 */
role: RoleId, 
/**
 * The model and why it was chosen.
 */
route: Route, 
/**
 * What was sent.
 */
prompt: PromptRecord, 
/**
 * Which attempt at the same turn, from 1.
 */
attempt: number, 
/**
 * What it may use at most, set aside until it has ended.
 */
reserved: Amount, } } | { "kind": "call_finished", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * The answer's text.
 */
text: string, 
/**
 * What the model thought aloud.
 */
thinking: string, 
/**
 * The tools it asked for.
 */
tool_calls: Array<ToolCall>, 
/**
 * Tokens and times.
 */
usage: Usage, 
/**
 * Why it stopped.
 */
stop: Stop, 
/**
 * What it cost in millionths of the currency; `None` is unknown. Models of this machine cost none.
 */
cost: number | null, } } | { "kind": "context_mismatched", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * What does not agree.
 */
mismatch: ContextMismatch, } } | { "kind": "call_failed", "payload": { 
/**
 * The call.
 */
call: CallId, 
/**
 * What happened.
 */
problem: Problem, 
/**
 * Text that had arrived, kept for the reader and never acted on.
 */
partial: string, 
/**
 * What is to be done about it; `None` in histories that do not say.
 */
class: FailureClass | null, 
/**
 * What it used all the same, as far as that is known.
 */
used: Amount, } } | { "kind": "tool_decided", "payload": { 
/**
 * The tool call's id.
 */
id: string, 
/**
 * The tool.
 */
tool: string, 
/**
 * Allowed, to be asked, or denied.
 */
verdict: Verdict, } } | { "kind": "tool_returned", "payload": { 
/**
 * The tool call's id.
 */
id: string, 
/**
 * The tool.
 */
tool: string, 
/**
 * One line for people, such as `read src/lib.rs 1-80`.
 */
line: string, 
/**
 * Whether it did what was asked.
 */
ok: boolean, 
/**
 * What the model is told.
 */
output: Output, } } | { "kind": "turn_corrected", "payload": { 
/**
 * What the model is told.
 */
message: string, } } | { "kind": "approval_requested", "payload": { 
/**
 * The question.
 */
approval: ApprovalId, 
/**
 * What is asked.
 */
ask: Ask, 
/**
 * When silence counts as a rejection, milliseconds since 1970 UTC.
 */
expires_at_ms: number, } } | { "kind": "approval_settled", "payload": { 
/**
 * The question.
 */
approval: ApprovalId, 
/**
 * The answer.
 */
answer: Answer, 
/**
 * Who answered.
 */
by: Actor, 
/**
 * What the user wrote with it.
 */
note: string, } } | { "kind": "effect_intended", "payload": { 
/**
 * The same effect has the same key, however often it is tried.
 */
key: string, 
/**
 * What is about to be done.
 */
effect: Effect, } } | { "kind": "effect_settled", "payload": { 
/**
 * The effect.
 */
key: string, 
/**
 * What the world says.
 */
outcome: EffectOutcome, } } | { "kind": "spec_written", "payload": { 
/**
 * The spec.
 */
spec: Spec, } } | { "kind": "checkpoint_made", "payload": { 
/**
 * The checkpoint.
 */
checkpoint: Checkpoint, } } | { "kind": "commands_allowed", "payload": { 
/**
 * Hash of all of it.
 */
hash: Hash, } } | { "kind": "commands_forbidden", "payload": { 
/**
 * Hash of all of it.
 */
hash: Hash, } } | { "kind": "check_recorded", "payload": { 
/**
 * The evidence.
 */
check: Check, } } | { "kind": "checks_missing", "payload": { 
/**
 * What was looked for.
 */
looked_for: Array<string>, } } | { "kind": "review_recorded", "payload": { 
/**
 * The review.
 */
review: Review, } } | { "kind": "comment_made", "payload": { 
/**
 * On what, and what.
 */
comment: Comment, } } | { "kind": "handed_over", "payload": { 
/**
 * The branch.
 */
branch: string, 
/**
 * The commits, oldest first.
 */
commits: Array<Commit>, } } | { "kind": "run_accepted", "payload": { 
/**
 * The user's branch, or `HEAD` where it is detached.
 */
branch: string, 
/**
 * The commit the branch is at now.
 */
commit: string, 
/**
 * How.
 */
mode: AcceptMode, } } | { "kind": "run_discarded", "payload": Record<symbol, never> } | { "kind": "operation_undone", "payload": { 
/**
 * Which, and what changed.
 */
undo: Undo, } } | { "kind": "run_rebased", "payload": { 
/**
 * From where to where, and what came of it.
 */
rebase: Rebase, } } | { "kind": "rebase_held", "payload": { 
/**
 * Where to, and why not.
 */
held: HeldBase, } } | { "kind": "noticed", "payload": { 
/**
 * What.
 */
problem: Problem, } } | { "kind": "card_measured", "payload": { 
/**
 * What was found.
 */
card: ModelCard, } } | { "kind": "pull_started", "payload": { 
/**
 * The server.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, } } | { "kind": "pull_ended", "payload": { 
/**
 * The server.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, 
/**
 * Whether it is here.
 */
done: boolean, } } | { "kind": "budget_set", "payload": { 
/**
 * Whose.
 */
node: BudgetNode, 
/**
 * The limits.
 */
limits: BudgetLimits, } } | { "kind": "call_admitted", "payload": { 
/**
 * The call.
 */
call: LeavingCall, 
/**
 * What it may use at most, set aside until it has ended.
 */
reserved: Amount, } } | { "kind": "calls_served", "payload": { 
/**
 * The calls.
 */
calls: Array<ServedCall>, } } | { "kind": "cloud_paused", "payload": { 
/**
 * What was seen.
 */
reason: string, } } | { "kind": "cloud_resumed", "payload": Record<symbol, never> } | { "kind": "message_posted", "payload": { 
/**
 * The message.
 */
message: Message, } } | { "kind": "message_dead", "payload": { 
/**
 * The consumer.
 */
consumer: string, 
/**
 * The message's number.
 */
message: Seq, 
/**
 * Why.
 */
reason: string, 
/**
 * How often it was tried.
 */
attempts: number, } } | { "kind": "dead_replayed", "payload": { 
/**
 * The consumer.
 */
consumer: string, 
/**
 * The message's number.
 */
message: Seq, } } | { "kind": "barrier_opened", "payload": { 
/**
 * The barrier.
 */
barrier: string, 
/**
 * What is about to happen.
 */
act: string, 
/**
 * Who must vote.
 */
voters: Array<string>, 
/**
 * Silence until then stops the act, milliseconds since 1970 UTC.
 */
until_ms: number, } } | { "kind": "vote_cast", "payload": { 
/**
 * The barrier.
 */
barrier: string, 
/**
 * Who.
 */
voter: string, 
/**
 * The vote.
 */
vote: Vote, } } | { "kind": "barrier_closed", "payload": { 
/**
 * The barrier.
 */
barrier: string, 
/**
 * Which of both.
 */
verdict: BarrierVerdict, } } | { "kind": "job_queued", "payload": { 
/**
 * The work.
 */
job: Job, } } | { "kind": "job_leased", "payload": { 
/**
 * The job's id.
 */
job: string, 
/**
 * Who took it.
 */
worker: string, 
/**
 * After this it is free again, milliseconds since 1970 UTC.
 */
until_ms: number, 
/**
 * Which attempt, from 1.
 */
attempt: number, } } | { "kind": "job_ended", "payload": { 
/**
 * The job's id.
 */
job: string, 
/**
 * Which attempt, from 1; 0 where it was taken back before the first.
 */
attempt: number, 
/**
 * How.
 */
end: JobEnd, } } | { "kind": "object_made", "payload": { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * Hash of the template's text.
 */
template: Hash, 
/**
 * Version of the state's schema.
 */
schema: number, 
/**
 * Its first state.
 */
state: unknown, } } | { "kind": "object_changed", "payload": { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * Its version after it, from 2.
 */
version: number, 
/**
 * The handler that ran; empty for a move to a newer template.
 */
handler: string, 
/**
 * What it was told.
 */
arguments: unknown, 
/**
 * Who asked: a door, a role, another object.
 */
by: string, 
/**
 * Hash of the template's text.
 */
template: Hash, 
/**
 * Version of the state's schema.
 */
schema: number, 
/**
 * Its state now.
 */
state: unknown, 
/**
 * What it answered.
 */
answer: unknown, } } | { "kind": "object_passed", "payload": { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * The point.
 */
life: Lifecycle, } };

export type FlowRef = { 
/**
 * The flow's id.
 */
id: string, 
/**
 * Hash of the definition's text.
 */
hash: Hash, };

export type Base = { 
/**
 * The commit.
 */
commit: string, 
/**
 * The branch that was checked out; `None` where HEAD was detached.
 */
branch: string | null, };

export type Grants = { 
/**
 * Kinds of questions answered yes beforehand.
 */
approve: Array<AskKind>, 
/**
 * Every other question is answered no.
 */
deny_asks: boolean, };

export type Actor = "user" | "grant" | "timeout" | "owner";

export type Outcome = { "outcome": "done" } | { "outcome": "failed", 
/**
 * Why, and what to do next.
 */
problem: Problem, } | { "outcome": "cancelled", 
/**
 * Why.
 */
problem: Problem, };

export type StepResult = { "result": "done" } | { "result": "sent_back", 
/**
 * What that step is told.
 */
reason: string, } | { "result": "failed", 
/**
 * Why.
 */
problem: Problem, };

export type Route = { 
/**
 * The provider's id.
 */
provider: string, 
/**
 * The model's name.
 */
model: string, 
/**
 * Whether it runs on this machine.
 */
local: boolean, 
/**
 * Context length asked for, in tokens.
 */
context: number | null, 
/**
 * Why this one.
 */
reason: string, 
/**
 * What the call is expected to cost, in millionths of the currency; `None` where no price is known.
 */
cost: number | null, 
/**
 * At most so many tools are offered; `None` is all of them.
 */
most_tools: number | null, 
/**
 * The edit format the model was measured to get right; `None` is the usual one.
 */
edits: string | null, 
/**
 * Whether the answer is held to a schema, for models that seldom write a readable tool call by themselves.
 */
constrained: boolean, };

export type PromptRecord = { 
/**
 * Hash of the whole request's messages and tools.
 */
hash: Hash, 
/**
 * What it is made of.
 */
parts: Array<PromptPart>, };

export type PromptPart = { 
/**
 * What it is, such as `system`, `goal`, `file src/lib.rs`.
 */
name: string, 
/**
 * Its size in bytes.
 */
bytes: number, 
/**
 * Its hash.
 */
hash: Hash, };

export type ToolCall = { 
/**
 * The id, from the server or made by us; unique within the run.
 */
id: string, 
/**
 * The tool.
 */
name: string, 
/**
 * The arguments, an object.
 */
arguments: unknown, };

export type Usage = { 
/**
 * Prompt tokens the server evaluated.
 */
prompt_tokens: number | null, 
/**
 * Tokens the server made.
 */
output_tokens: number | null, 
/**
 * Time to load the model, in milliseconds.
 */
load_ms: number | null, 
/**
 * Time until the first piece arrived, in milliseconds.
 */
first_ms: number | null, 
/**
 * Whole time of the call, in milliseconds.
 */
total_ms: number, };

export type Stop = "end" | "tools" | "length" | "filter" | "other";

export type Verdict = { "verdict": "allow", 
/**
 * The rule that allows it.
 */
rule: string, } | { "verdict": "ask", 
/**
 * The rule that asks.
 */
rule: string, } | { "verdict": "deny", 
/**
 * The rule that denies it.
 */
rule: string, };

export type Output = { 
/**
 * The text, or its first and last part with a line that says what is left out.
 */
text: string, 
/**
 * Bytes of the whole.
 */
bytes: number, 
/**
 * The whole as a blob, where `text` is not all of it.
 */
full: Hash | null, };

export type AskKind = "hand_over" | "project_commands" | "command" | "tool" | "question" | "budget" | "cloud";

export type Ask = { "ask": "hand_over", 
/**
 * The files changed.
 */
files: Array<FileChange>, 
/**
 * The checks of this tree.
 */
checks: ChecksVerdict, 
/**
 * Whether a reviewing role approved this tree.
 */
reviewed: boolean, 
/**
 * What it cost so far.
 */
cost: Cost, 
/**
 * The tree that is asked about.
 */
tree: string, 
/**
 * Where the changes add what looks like a key, as `path:line what`. No grant answers such a question.
 */
keys?: Array<string>, } | { "ask": "project_commands", 
/**
 * Hash of all of it; the answer is kept by this.
 */
hash: Hash, 
/**
 * Each thing.
 */
commands: Array<ProjectCommand>, } | { "ask": "command", 
/**
 * The effect it is about; an answer counts for this one only.
 */
key: string, 
/**
 * The check's name.
 */
name: string, 
/**
 * Program and arguments.
 */
argv: Array<string>, 
/**
 * Why it is asked.
 */
reason: string, 
/**
 * Hosts that it may reach with a yes, and with it all commands of the project; empty where it is not about that.
 */
hosts?: Array<string>, } | { "ask": "tool", 
/**
 * The role.
 */
role: RoleId, 
/**
 * The call.
 */
call: ToolCall, 
/**
 * The rule that asks.
 */
rule: string, } | { "ask": "question", 
/**
 * The question.
 */
question: string, 
/**
 * What is taken where nobody answers.
 */
default: string, } | { "ask": "budget", 
/**
 * What was used so far.
 */
spent: number, 
/**
 * What it was given so far.
 */
limit: number, 
/**
 * What it would be given more.
 */
more: number, 
/**
 * Whose limit it is; `None` is the run's own.
 */
node: BudgetNode | null, 
/**
 * What `spent`, `limit` and `more` count.
 */
unit: BudgetUnit, } | { "ask": "cloud", 
/**
 * The model server's id in the settings.
 */
provider: string, 
/**
 * Its host and port.
 */
host: string, 
/**
 * The model.
 */
model: string, 
/**
 * The files and snippets that would leave now.
 */
leaving: Array<Leaving>, 
/**
 * What is masked in them.
 */
masked: Array<Masked>, 
/**
 * Exactly what would leave, masked, as a text.
 */
text: Hash, };

export type ProjectCommand = { "brings": "copy", 
/**
 * Its path in the project.
 */
path: string, } | { "brings": "link", 
/**
 * Its path in the project.
 */
path: string, } | { "brings": "set_up", 
/**
 * Program and arguments.
 */
argv: Array<string>, 
/**
 * Hosts that it asks to reach, which is a question of its own.
 */
network: Array<string>, } | { "brings": "check", 
/**
 * Its name.
 */
name: string, 
/**
 * Program and arguments.
 */
argv: Array<string>, 
/**
 * Hosts that it asks to reach, which is a question of its own.
 */
network: Array<string>, 
/**
 * The file that it is read off.
 */
source: string, };

export type CommandsView = { 
/**
 * Hash of all of it; an answer is kept by this.
 */
hash: Hash, 
/**
 * Each thing, in the order in which it is needed.
 */
commands: Array<ProjectCommand>, 
/**
 * Whether the user allowed it. Nothing at all needs no leave.
 */
allowed: boolean, };

export type Answer = "approve" | "reject";

export type ChecksVerdict = "passed" | "failed" | "none_declared";

export type Cost = { 
/**
 * Requests to models.
 */
calls: number, 
/**
 * Prompt tokens; `None` where a server did not say.
 */
prompt_tokens: number | null, 
/**
 * Output tokens; `None` where a server did not say.
 */
output_tokens: number | null, 
/**
 * Time on local models, in milliseconds.
 */
local_ms: number, 
/**
 * Money in millionths of the currency; `None` where a price is unknown. Local models cost time, not money.
 */
micros: number | null, };

export type FileChange = { 
/**
 * Its path in the project, with `/`.
 */
path: string, 
/**
 * The path it had before, for renames.
 */
old_path: string | null, 
/**
 * What happened to it.
 */
status: FileStatus, 
/**
 * Lines added; `None` for binary files.
 */
insertions: number | null, 
/**
 * Lines removed; `None` for binary files.
 */
deletions: number | null, };

export type FileStatus = "added" | "modified" | "deleted" | "renamed";

export type Effect = { "effect": "make_tree", 
/**
 * The commit it starts at.
 */
base: string, } | { "effect": "write_file", 
/**
 * Its path.
 */
path: string, 
/**
 * The content before; `None` where there is no file.
 */
before: Hash | null, 
/**
 * The content after; `None` deletes it.
 */
after: Hash | null, } | { "effect": "run_command", 
/**
 * The check's name.
 */
name: string, 
/**
 * Program and arguments.
 */
argv: Array<string>, 
/**
 * The tree it runs on.
 */
tree: string, } | { "effect": "hand_over", 
/**
 * The branch.
 */
branch: string, 
/**
 * The commit it will be at.
 */
tip: string, } | { "effect": "accept", 
/**
 * The branch; `HEAD` where it is detached.
 */
branch: string, 
/**
 * Where it is.
 */
from: string, 
/**
 * Where it will be.
 */
to: string, 
/**
 * How.
 */
mode: AcceptMode, } | { "effect": "discard", 
/**
 * The branch, where it was handed over.
 */
branch: string | null, 
/**
 * The commit it must be at to be removed.
 */
tip: string | null, } | { "effect": "undo", 
/**
 * Which, and what is to change.
 */
undo: Undo, } | { "effect": "rebase", 
/**
 * From where to where.
 */
rebase: Rebase, } | { "effect": "push", 
/**
 * The remote.
 */
remote: string, 
/**
 * Its address, without a password.
 */
url: string, 
/**
 * The branch there.
 */
to: string, 
/**
 * The commit.
 */
tip: string, } | { "effect": "restore_tree", 
/**
 * The checkpoint's commit.
 */
commit: string, } | { "effect": "remove_branch", 
/**
 * The branch.
 */
branch: string, 
/**
 * The commit it must be at to be removed.
 */
tip: string, } | { "effect": "start_process", 
/**
 * Its name in the flow.
 */
name: string, 
/**
 * Program and arguments.
 */
argv: Array<string>, } | { "effect": "end_process", 
/**
 * Its name in the flow.
 */
name: string, } | { "effect": "fork_tree", 
/**
 * The run it is taken from.
 */
from: RunId, 
/**
 * The checkpoint's commit in that run's tree.
 */
commit: string, };

export type EffectOutcome = { "outcome": "landed" } | { "outcome": "not_landed", 
/**
 * Why not; `None` where it was interrupted before it began.
 */
problem: Problem | null, } | { "outcome": "unknown", 
/**
 * What was found.
 */
found: string, };

export type Spec = { 
/**
 * What is to be done, in one line.
 */
title: string, 
/**
 * What it means, in a few sentences.
 */
summary: string, 
/**
 * The requirements.
 */
requirements: Array<Requirement>, };

export type Requirement = { 
/**
 * Its id, `R1`, `R2`, ...
 */
id: string, 
/**
 * What must hold.
 */
text: string, };

export type Checkpoint = { 
/**
 * The commit in the run's private repository.
 */
commit: string, 
/**
 * The tree of that commit.
 */
tree: string, 
/**
 * Files that differ from the base.
 */
files: Array<FileChange>, };

export type Check = { 
/**
 * Its name.
 */
name: string, 
/**
 * Program and arguments.
 */
argv: Array<string>, 
/**
 * The tree it ran on; empty for the command of a script step, which proves nothing about a tree.
 */
tree: string, 
/**
 * The exit code; `None` where a signal or the time limit ended it.
 */
exit_code: number | null, 
/**
 * Whether the time limit ended it.
 */
timed_out: boolean, 
/**
 * How long it took, in milliseconds.
 */
ms: number, 
/**
 * Standard output and error, in the order they came.
 */
output: Output, 
/**
 * What confined it.
 */
mechanism: Mechanism, 
/**
 * What it said of its tests, where that could be read.
 */
tests?: TestResults, 
/**
 * The same check on the base, where it failed on both. Of the check on the base itself: its own tree.
 */
compared?: Compared, 
/**
 * What it reached through its way to the network, and what it was refused there.
 */
reached?: Array<Reached>, };

export type TestResults = { 
/**
 * How many passed, as far as the output says.
 */
passed: number, 
/**
 * How many failed.
 */
failed: number, 
/**
 * How many were left out.
 */
skipped: number, 
/**
 * The names of those that failed, sorted; fewer than `failed` where the output does not name all.
 */
failures: Array<string>, };

export type Compared = { 
/**
 * The tree of the base.
 */
tree: string, 
/**
 * How many of the failures were there before.
 */
old: number, 
/**
 * The names of those that were not.
 */
new: Array<string>, };

export type Mechanism = "bubblewrap" | "landlock" | "none";

export type Review = { 
/**
 * Who.
 */
by: Reviewer, 
/**
 * Approve or reject.
 */
answer: Answer, 
/**
 * What was found.
 */
notes: string, 
/**
 * The tree that was looked at.
 */
tree: string, };

export type Reviewer = { "by": "role", 
/**
 * Which.
 */
role: RoleId, } | { "by": "user" };

export type Commit = { 
/**
 * Its id.
 */
id: string, 
/**
 * Its first line.
 */
subject: string, };

export type AcceptMode = "fast_forward" | "merge" | "squash" | "back" | "revert";

export type Change = { "place": "tree", 
/**
 * The commit before, in the run's private repository.
 */
from: string, 
/**
 * The commit after.
 */
to: string, } | { "place": "published", 
/**
 * The branch.
 */
branch: string, 
/**
 * Where it was; `None` where there was none.
 */
from: string | null, 
/**
 * Where it is; `None` where there is none.
 */
to: string | null, } | { "place": "branch", 
/**
 * The branch; `HEAD` where it is detached.
 */
branch: string, 
/**
 * The commit it was at.
 */
from: string, 
/**
 * The commit it is at.
 */
to: string, 
/**
 * How it got there.
 */
mode: AcceptMode, } | { "place": "traces", 
/**
 * The commit its branch is at while it is there; `None` where it was not handed over.
 */
tip: string | null, 
/**
 * Whether they are gone after it.
 */
gone: boolean, };

export type Undo = { 
/**
 * The operation.
 */
operation: Seq, 
/**
 * What is changed for it.
 */
change: Change, 
/**
 * The files that it changes, in the run's tree or in the user's work tree.
 */
files: Array<FileChange>, 
/**
 * The commit by which the run is on the user's branch after it; `None` where it is not.
 */
accepted: string | null, };

export type OperationKind = "step" | "hand_over" | "accept" | "discard" | "undo";

export type OperationView = { 
/**
 * Its number: that of the event that tells of it.
 */
operation: Seq, 
/**
 * The run.
 */
run: RunId, 
/**
 * When, milliseconds since 1970 UTC.
 */
at_ms: number, 
/**
 * Its kind.
 */
kind: OperationKind, 
/**
 * What it did, in a few words.
 */
title: string, 
/**
 * What it changed.
 */
change: Change, 
/**
 * The operation that it took back.
 */
undoes: Seq | null, 
/**
 * The operation that took it back and is in force.
 */
undone_by: Seq | null, 
/**
 * What taking it back would do now; only where that was asked for.
 */
preview: UndoPreview | null, };

export type UndoPreview = { "preview": "possible", 
/**
 * What would change.
 */
change: Change, 
/**
 * Exactly these files change; nothing else does.
 */
files: Array<FileChange>, } | { "preview": "refused", 
/**
 * Why, and what can be done.
 */
problem: Problem, };

export type Comment = { 
/**
 * The file.
 */
path: string, 
/**
 * The lines that are meant, as they were; empty for the file as a whole.
 */
quote: Array<string>, 
/**
 * The number of the first of them when it was said.
 */
line: number, 
/**
 * What is said.
 */
text: string, };

export type CommentView = { 
/**
 * The event that tells of it.
 */
seq: Seq, 
/**
 * What was said, of what.
 */
comment: Comment, 
/**
 * Whether it went back to the author.
 */
sent: boolean, };

export type Acceptance = { 
/**
 * The way; `None` is a fast-forward where that is possible, else a merge.
 */
way: AcceptMode | null, 
/**
 * Only these parts, as one commit; `None` is everything.
 */
only: Array<Part> | null, 
/**
 * How places are settled that your branch and the run both changed.
 */
resolved: Array<Resolution>, 
/**
 * The message of a squashed, merged or partial commit; `None` takes what the run says of itself.
 */
message: string | null, 
/**
 * The user's git hooks are not asked.
 */
skip_hooks: boolean, 
/**
 * The run that it stands on is accepted first, the same way, where it is not yet.
 */
with_base: boolean, 
/**
 * The commits are not signed, also where the user's git configuration asks for it.
 */
skip_signing: boolean, };

export type Part = { 
/**
 * The file, by its present path.
 */
path: string, 
/**
 * Which hunk of the file's diff, from 0; `None` is the whole file.
 */
hunk: number | null, };

export type Resolution = { 
/**
 * The file.
 */
path: string, 
/**
 * What is taken.
 */
take: Take, };

export type Take = { "take": "yours" } | { "take": "run" } | { "take": "text", 
/**
 * The whole file.
 */
text: string, };

export type ConflictView = { 
/**
 * The file.
 */
path: string, 
/**
 * The file where both began; `None` where there was none. Bytes that are not UTF-8 are shown as U+FFFD.
 */
base: string | null, 
/**
 * As your branch has it; `None` where it was removed.
 */
yours: string | null, 
/**
 * As the run has it; `None` where it was removed.
 */
run: string | null, 
/**
 * Both with conflict markers; `None` where they cannot be put into one text.
 */
merged: string | null, };

export type Push = { 
/**
 * The remote, as the user's git configuration names it.
 */
remote: string, 
/**
 * Its address, without a password.
 */
url: string, 
/**
 * Host and port, where it is another machine.
 */
host: string | null, 
/**
 * The branch there.
 */
to: string, 
/**
 * The commit.
 */
tip: string, 
/**
 * The commits that the remote is not known to have, oldest first.
 */
commits: Array<Commit>, 
/**
 * The files in which they differ from what the remote is known to have, or from nothing.
 */
files: Array<FileChange>, };

export type PushView = { 
/**
 * Where it adds what looks like a key or personal data: path, line, kind.
 */
keys: Array<string>, 
/**
 * The remote, as the user's git configuration names it.
 */
remote: string, 
/**
 * Its address, without a password.
 */
url: string, 
/**
 * Host and port, where it is another machine.
 */
host: string | null, 
/**
 * The branch there.
 */
to: string, 
/**
 * The commit.
 */
tip: string, 
/**
 * The commits that the remote is not known to have, oldest first.
 */
commits: Array<Commit>, 
/**
 * The files in which they differ from what the remote is known to have, or from nothing.
 */
files: Array<FileChange>, };

export type Parent = { 
/**
 * The run that waits for it.
 */
run: RunId, 
/**
 * The step that called it.
 */
step: StepId, 
/**
 * The run at the top, whose tree all of them work in.
 */
root: RunId, 
/**
 * How deep it is: 1 for a child of a run that the user started.
 */
depth: number, };

export type Fork = { 
/**
 * The run.
 */
run: RunId, 
/**
 * The last event that both have in common.
 */
at: Seq, };

export type Stacked = { 
/**
 * The run below.
 */
run: RunId, 
/**
 * Paths that are others in the base than in the user's folder, because runs below change them.
 */
paths: Array<string>, 
/**
 * Why it does not stand on what the run below is now.
 */
held: HeldBase | null, };

export type HeldBase = { 
/**
 * The commit that the run below is at.
 */
to: string, 
/**
 * Why not; the details are the files where both changed the same places.
 */
problem: Problem, };

export type Rebase = { 
/**
 * The commit it stood on.
 */
from: string, 
/**
 * The commit it stands on.
 */
to: string, 
/**
 * Paths that are others in the base than in the user's folder.
 */
paths: Array<string>, 
/**
 * The state of its tree on the new base; `None` where it has no tree yet.
 */
checkpoint: Checkpoint | null, 
/**
 * The commit its branch was at; `None` where it is not handed over.
 */
was: string | null, 
/**
 * Its commits on the new base, oldest first; none where it is not handed over.
 */
commits: Array<Commit>, };

export type StepPhase = "planning" | "working";

export type Guarantee = "at_most_once" | "at_least_once" | "exactly_once";

export type Message = { 
/**
 * The topic, such as `run/failed`: names separated by `/`.
 */
topic: string, 
/**
 * What the topic promises.
 */
guarantee: Guarantee, 
/**
 * The sender: a role, a door, an object.
 */
from: string, 
/**
 * The only receiver meant; `None` is everyone who listens.
 */
to: string | null, 
/**
 * Messages with the same key and topic are the same message, posted once.
 */
key: string | null, 
/**
 * The message it answers.
 */
reply_to: Seq | null, 
/**
 * Ties a question and its answers together.
 */
correlation: string | null, 
/**
 * What it says.
 */
body: unknown, };

export type Priority = "low" | "normal" | "high";

export type Job = { 
/**
 * Its id.
 */
id: string, 
/**
 * The queue, which says who works on it.
 */
queue: string, 
/**
 * How urgent it is.
 */
priority: Priority, 
/**
 * Not before this time, milliseconds since 1970 UTC.
 */
due_ms: number, 
/**
 * Queued again so long after each end; `None` is once.
 */
every_ms: number | null, 
/**
 * Attempts before it is laid aside as dead.
 */
most_attempts: number, 
/**
 * What is to be done.
 */
body: unknown, };

export type JobEnd = { "end": "done" } | { "end": "again", 
/**
 * Why not.
 */
reason: string, 
/**
 * When, milliseconds since 1970 UTC.
 */
due_ms: number, } | { "end": "dead", 
/**
 * Why.
 */
reason: string, } | { "end": "cancelled" };

export type Vote = { "vote": "clear" } | { "vote": "alarm", 
/**
 * Why.
 */
reason: string, };

export type BarrierVerdict = { "verdict": "open" } | { "verdict": "stopped", 
/**
 * By whom, or by whose silence.
 */
by: string, 
/**
 * Why.
 */
reason: string, };

export type Lifecycle = "created" | "initialising" | "active" | "idle" | "hibernating" | "waking" | "updating" | "terminating";

export type EgressEntry = { 
/**
 * What ties it to its end; unique in the store.
 */
id: string, 
/**
 * Why it was made, such as `chat` or `models`; for a program of a run, what the program is for.
 */
purpose: string, 
/**
 * The role on whose behalf it was made.
 */
role: RoleId | null, 
/**
 * The run it was made for.
 */
run: RunId | null, 
/**
 * The project whose material it may carry.
 */
project: ProjectId | null, 
/**
 * The model server's id in the settings.
 */
provider: string | null, 
/**
 * The host and port.
 */
host: string, 
/**
 * Whether everything stays on this machine. False also where a server here passes it on to another one.
 */
local: boolean, 
/**
 * Why it was refused; `None` where it was let through.
 */
refused: string | null, 
/**
 * Bytes of its body; 0 for a refused request.
 */
bytes_out: number, };

export type EgressEnd = { 
/**
 * The request.
 */
id: string, 
/**
 * The HTTP status; `None` where no answer came, and for a tunnel, whose inside is not read.
 */
status: number | null, 
/**
 * Bytes of the answer's body that arrived.
 */
bytes_in: number, 
/**
 * Bytes that a tunnel carried out, beyond what was known when it began.
 */
more_out: number, 
/**
 * From sending until the last byte, or until it was given up, in milliseconds.
 */
ms: number, };

export type EgressNote = { "note": "begun", 
/**
 * The request.
 */
entry: EgressEntry, } | { "note": "ended", 
/**
 * How.
 */
end: EgressEnd, };

export type EgressRow = { 
/**
 * When it was recorded, milliseconds since 1970 UTC.
 */
at_ms: number, 
/**
 * The request.
 */
entry: EgressEntry, 
/**
 * How it ended; `None` while it is open, for a refused one, and where its process was killed.
 */
end: EgressEnd | null, };

export type EgressTotal = { 
/**
 * The host and port.
 */
host: string, 
/**
 * Whether they stayed on this machine.
 */
local: boolean, 
/**
 * Requests that were let through.
 */
requests: number, 
/**
 * Requests that were refused.
 */
refused: number, 
/**
 * Bytes that went out.
 */
bytes_out: number, 
/**
 * Bytes that came back.
 */
bytes_in: number, };

export type Reached = { 
/**
 * The host and port.
 */
host: string, 
/**
 * Why it was refused; `None` where it was let through.
 */
refused: string | null, 
/**
 * Connections, or attempts.
 */
times: number, 
/**
 * Bytes that went out.
 */
bytes_out: number, 
/**
 * Bytes that came back.
 */
bytes_in: number, };

export type EgressView = { 
/**
 * Requests, newest first, as far as they were asked for.
 */
rows: Array<EgressRow>, 
/**
 * All there ever was, by host.
 */
totals: Array<EgressTotal>, };

export type CloudPermission = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The model server's id in the settings, or `commands`.
 */
provider: string, 
/**
 * Its host and port. A server that moves to another host needs a permission anew.
 */
host: string, 
/**
 * The question that was answered yes; `None` where the user gave it without being asked.
 */
approval: ApprovalId | null, };

export type Sensitive = "private_key" | "api_key" | "password" | "token" | "email" | "phone" | "iban" | "card";

export type Masked = { 
/**
 * The kind.
 */
kind: Sensitive, 
/**
 * How many different ones.
 */
count: number, };

export type Leaving = { 
/**
 * What it is, such as `src/lib.rs lines 1-80` or `goal and rules`.
 */
name: string, 
/**
 * Its size in bytes, before masking.
 */
bytes: number, };

export type RunState = "created" | "planning" | "running" | "waits_for_approval" | "waits_for_answer" | "waits_for_budget" | "waits_for_slot" | "waits_for_child" | "indeterminate" | "parked" | "interrupted" | "compensating" | "done" | "failed" | "cancelled";

export type Disposition = { "disposition": "pending" } | { "disposition": "accepted", 
/**
 * The commit the branch moved to.
 */
commit: string, } | { "disposition": "discarded" };

export type RunView = { 
/**
 * The run.
 */
id: RunId, 
/**
 * What the user typed.
 */
goal: string, 
/**
 * The flow it follows.
 */
flow: FlowRef, 
/**
 * The user's state it started from.
 */
base: Base, 
/**
 * The run it works for.
 */
parent: Parent | null, 
/**
 * The run it continues another way.
 */
forked: Fork | null, 
/**
 * The run it stands on.
 */
on: Stacked | null, 
/**
 * How urgent it is.
 */
priority: Priority, 
/**
 * Where it is.
 */
state: RunState, 
/**
 * What became of its result.
 */
disposition: Disposition, 
/**
 * When it began, milliseconds since 1970 UTC.
 */
started_at_ms: number, 
/**
 * When something last happened.
 */
updated_at_ms: number, 
/**
 * The number of its last event.
 */
last_seq: Seq, 
/**
 * Runs that work or worked for it, in the order they began.
 */
children: Array<ChildView>, 
/**
 * Since when nothing it made was accepted, where that was noticed.
 */
stalled: Stall | null, 
/**
 * Why it failed, while what its steps did is being undone.
 */
compensating: Problem | null, 
/**
 * The requirements.
 */
spec: Spec | null, 
/**
 * Its steps in the order they began.
 */
steps: Array<StepView>, 
/**
 * Every question, in order.
 */
approvals: Array<ApprovalView>, 
/**
 * Every check, in order.
 */
checks: Array<Check>, 
/**
 * Whether it was found that there is nothing to check with.
 */
checks_missing: boolean, 
/**
 * The reviews, in order.
 */
reviews: Array<Review>, 
/**
 * The last recorded state of its tree.
 */
checkpoint: Checkpoint | null, 
/**
 * The branch in the user's repository.
 */
branch: string | null, 
/**
 * The commits on it, oldest first.
 */
commits: Array<Commit>, 
/**
 * What it cost so far.
 */
cost: Cost, 
/**
 * What is wrong, where it is parked, failed or cancelled.
 */
problem: Problem | null, 
/**
 * Things to know that stop nothing.
 */
notices: Array<Problem>, 
/**
 * What the user remarked on its changes.
 */
comments: Array<CommentView>, };

export type StepView = { 
/**
 * Its id, name and round.
 */
id: StepId, 
/**
 * The role that performs it.
 */
role: RoleId | null, 
/**
 * What it is for.
 */
title: string, 
/**
 * What the role is told at the start.
 */
brief: string, 
/**
 * Whether it plans or works.
 */
phase: StepPhase, 
/**
 * How what it does is undone when a later step fails.
 */
undo: string | null, 
/**
 * How it was undone.
 */
undone: string | null, 
/**
 * How it ended; `None` while it is under way.
 */
result: StepResult | null, 
/**
 * When it began.
 */
started_at_ms: number, 
/**
 * When it ended.
 */
ended_at_ms: number | null, 
/**
 * What was said and done, in order.
 */
items: Array<Item>, };

export type Item = { "item": "turn", 
/**
 * The call.
 */
call: CallId, 
/**
 * The role that speaks.
 */
role: RoleId, 
/**
 * The model and why.
 */
route: Route, 
/**
 * When it was asked.
 */
at_ms: number, 
/**
 * How it stands.
 */
state: TurnState, 
/**
 * The answer.
 */
text: string, 
/**
 * What it thought aloud.
 */
thinking: string, 
/**
 * Tokens and times, when it is done.
 */
usage: Usage | null, 
/**
 * What went wrong, when it failed.
 */
problem: Problem | null, } | { "item": "tool", 
/**
 * The call.
 */
call: ToolCall, 
/**
 * The policy's decision.
 */
verdict: Verdict | null, 
/**
 * One line for people, when it is answered.
 */
line: string | null, 
/**
 * Whether it worked.
 */
ok: boolean | null, 
/**
 * What the model was told.
 */
output: Output | null, } | { "item": "corrected", 
/**
 * What it was told.
 */
message: string, } | { "item": "held", 
/**
 * What for.
 */
hold: Hold, 
/**
 * Until when at most, milliseconds since 1970 UTC.
 */
until_ms: number, } | { "item": "compacted", 
/**
 * What.
 */
compaction: Compaction, } | { "item": "summarised", 
/**
 * How, and what it stands for.
 */
summary: Summary, } | { "item": "mismatched", 
/**
 * The call.
 */
call: CallId, 
/**
 * What does not agree.
 */
mismatch: ContextMismatch, } | { "item": "asked", 
/**
 * The question, found in `approvals`.
 */
approval: ApprovalId, } | { "item": "checked", 
/**
 * Its place in `checks`.
 */
index: number, } | { "item": "called", 
/**
 * The child.
 */
run: RunId, } | { "item": "resumed", 
/**
 * When.
 */
at_ms: number, };

export type TurnState = "open" | "done" | "failed";

export type ApprovalView = { 
/**
 * The question.
 */
id: ApprovalId, 
/**
 * The run it holds up.
 */
run: RunId, 
/**
 * What is asked.
 */
ask: Ask, 
/**
 * When it was asked.
 */
asked_at_ms: number, 
/**
 * When silence counts as a rejection.
 */
expires_at_ms: number, 
/**
 * The answer.
 */
answer: Answer | null, 
/**
 * What was written with it.
 */
note: string, };

export type RunSummary = { 
/**
 * The run.
 */
id: RunId, 
/**
 * What the user typed.
 */
goal: string, 
/**
 * Where it is.
 */
state: RunState, 
/**
 * What became of its result.
 */
disposition: Disposition, 
/**
 * When it began.
 */
started_at_ms: number, 
/**
 * When something last happened.
 */
updated_at_ms: number, 
/**
 * The number of its last event: what a reader of the list knows of it.
 */
last_seq: Seq, 
/**
 * Files changed so far.
 */
files: number, 
/**
 * The run it works for.
 */
parent: RunId | null, 
/**
 * How urgent it is.
 */
priority: Priority, 
/**
 * Questions that wait for the user.
 */
questions: number, 
/**
 * Whether it was noticed that it gets nowhere.
 */
stalled: boolean, 
/**
 * The run it stands on.
 */
on: RunId | null, 
/**
 * Whether that one moved and this one could not follow.
 */
behind: boolean, };

export type DiffView = { 
/**
 * The commit it is against.
 */
base: string, 
/**
 * The commit or tree it shows.
 */
tip: string, 
/**
 * The files, by path.
 */
files: Array<FileDiff>, };

export type FileDiff = { 
/**
 * The change as a whole.
 */
change: FileChange, 
/**
 * Whether it is binary, so that there are no hunks.
 */
binary: boolean, 
/**
 * Whether hunks were left out because the file's diff is very large.
 */
cut: boolean, 
/**
 * Its hunks.
 */
hunks: Array<Hunk>, };

export type Hunk = { 
/**
 * First line in the old file, from 1.
 */
old_start: number, 
/**
 * First line in the new file, from 1.
 */
new_start: number, 
/**
 * Text after the second `@@`, usually the enclosing function.
 */
header: string, 
/**
 * The lines.
 */
lines: Array<DiffLine>, };

export type DiffLine = { 
/**
 * Which side it is on.
 */
side: Side, 
/**
 * Its number in the old file.
 */
old: number | null, 
/**
 * Its number in the new file.
 */
new: number | null, 
/**
 * Its text without the line end. Bytes that are not UTF-8 are shown as U+FFFD.
 */
text: string, 
/**
 * Whether the file ends here without a line end.
 */
no_newline: boolean, };

export type Side = "context" | "added" | "removed";

export type Hit = { 
/**
 * What it is cut from.
 */
kind: HitKind, 
/**
 * Path in the project; of a commit its id.
 */
path: string, 
/**
 * First and last line, 1-based and inclusive.
 */
lines: [number, number], 
/**
 * Higher is better; only comparable within one answer.
 */
score: number, 
/**
 * The lines' text.
 */
snippet: string, 
/**
 * Hash of the whole file, or message, that the lines were cut from.
 */
hash: Hash, 
/**
 * The innermost definition that holds the lines, or the first in them, where the index knows it.
 */
symbol: string | null, 
/**
 * What it is called, where its path does not say that.
 */
title?: string, 
/**
 * Where it can be looked up, where that is no line of a file.
 */
origin?: Origin, 
/**
 * The project that it is of, where that is another.
 */
project?: OtherProject, };

export type HitKind = "code" | "doc" | "commit" | "chat" | "spec" | "decision" | "document" | "note";

export type Origin = { "from": "event", 
/**
 * The run.
 */
run: RunId, 
/**
 * Its step, where it has one.
 */
step: StepId | null, 
/**
 * The event.
 */
seq: Seq, 
/**
 * When, milliseconds since 1970 UTC.
 */
at_ms: number, } | { "from": "part", 
/**
 * Which.
 */
anchor: Anchor, } | { "from": "library", 
/**
 * Its id.
 */
id: string, };

export type OtherProject = { 
/**
 * The project.
 */
id: ProjectId, 
/**
 * Its name.
 */
name: string, 
/**
 * Its folder.
 */
path: string, 
/**
 * Its licence, as far as its files tell; `None` where they do not.
 */
licence: Licence | null, };

export type Licence = { 
/**
 * An SPDX expression (<https://spdx.org/licenses>), or the words of the manifest.
 */
name: string, 
/**
 * The file that says so.
 */
from: string, };

export type Found = { 
/**
 * Best first.
 */
hits: Array<Hit>, 
/**
 * Files that were changed after they were indexed and were read for this answer.
 */
scanned: number, 
/**
 * What the answer had to do without, because it is not in the index yet.
 */
missing: Array<IndexPart>, 
/**
 * What files were found by.
 */
by: Array<FoundBy>, 
/**
 * Why meaning was left out, where the settings name a model for it.
 */
without_meaning?: Problem, 
/**
 * Bytes of the project that were packed and were unpacked for this answer, where there were any.
 */
unpacked?: number, };

export type Anchor = { "at": "whole" } | { "at": "page", 
/**
 * Its number.
 */
n: number, } | { "at": "slide", 
/**
 * Its number.
 */
n: number, } | { "at": "section", 
/**
 * Its number.
 */
n: number, } | { "at": "sheet", 
/**
 * Its name.
 */
name: string, } | { "at": "message", 
/**
 * Its number.
 */
n: number, } | { "at": "cell", 
/**
 * Its number.
 */
n: number, } | { "at": "lines", 
/**
 * First and last.
 */
lines: [number, number], };

export type FoundBy = "words" | "meaning";

export type FoundElsewhere = { 
/**
 * The first of each project, then the second of each, and so on; each with its project.
 */
hits: Array<Hit>, 
/**
 * The projects that were asked.
 */
searched: Array<OtherProject>, 
/**
 * Shared projects that could not be asked, and why.
 */
left_out: Array<[string, Problem]>, 
/**
 * How many projects are private and were not asked.
 */
private: number, 
/**
 * Whether some of them do not have all parts of their index yet.
 */
missing: boolean, 
/**
 * Bytes that were packed and were unpacked for this answer, where there were any.
 */
unpacked?: number, };

export type LibraryNote = { 
/**
 * Its id.
 */
id: string, 
/**
 * What it is called.
 */
title: string, 
/**
 * Its text.
 */
text: string, 
/**
 * When it was kept, milliseconds since 1970 UTC.
 */
at_ms: number, };

export type MeaningView = { 
/**
 * The model that makes them.
 */
model: ModelChoice, 
/**
 * Passages that have one.
 */
known: number, 
/**
 * Passages that have none yet.
 */
wanting: number, 
/**
 * Passages that get none, because there are too many.
 */
beyond: number, 
/**
 * Why the model could not be asked the last time.
 */
problem: Problem | null, };

export type SearchSettings = { 
/**
 * The model that makes vectors of passages, so that what means the same is found too; `None` goes by words alone.
 */
meaning: ModelChoice | null, };

export type MemorySettings = { 
/**
 * Tokens that a role's conversation may have before its older part is told in short; `None` is three quarters of the
 * context.
 */
tokens: number | null, };

export type PackingSettings = { 
/**
 * A window packs by itself what nobody has opened for so many days, at least 1; `None` never.
 */
after_days: number | null, };

export type IndexPart = "symbols" | "history" | "records" | "documents" | "meaning";

export type IndexView = { 
/**
 * Files in it.
 */
files: number, 
/**
 * Files that were new or changed in the last refresh.
 */
updated: number, 
/**
 * Files that were removed in the last refresh.
 */
removed: number, 
/**
 * Files left out, and why: path and reason.
 */
skipped: Array<[string, string]>, 
/**
 * How long the last refresh took, in milliseconds.
 */
ms: number, 
/**
 * Changed files that are not in the index yet; a search reads them.
 */
pending: number, 
/**
 * Earlier commits that are known.
 */
commits: number, 
/**
 * The commit up to which the history is known.
 */
head: string | null, 
/**
 * Files of other formats that can be found.
 */
documents: number, 
/**
 * How much of it has vectors; `None` where the settings name no model for that.
 */
meaning: MeaningView | null, 
/**
 * Parts that are not complete yet.
 */
missing: Array<IndexPart>, 
/**
 * How it learns of changes.
 */
watch: WatchView, 
/**
 * Bytes that were packed and were unpacked for this, where there were any.
 */
unpacked?: number, };

export type ProjectView = { 
/**
 * The project.
 */
id: ProjectId, 
/**
 * Its folder.
 */
path: string, 
/**
 * Its name.
 */
name: string, 
/**
 * The branch that is checked out; `None` where HEAD is detached.
 */
branch: string | null, 
/**
 * What confines commands here.
 */
mechanism: Mechanism, 
/**
 * The roles that load.
 */
roles: Array<RoleView>, 
/**
 * The checks that will run, with where they come from.
 */
checks: Array<DeclaredCheck>, 
/**
 * The flows that a goal can be given to, by id.
 */
flows: Array<FlowView>, 
/**
 * The price lists by which money is counted, the first that knows a model counts.
 */
prices?: Array<PriceList>, };

export type PriceList = { 
/**
 * Its file.
 */
file: string, 
/**
 * The day its prices were looked up, as `2026-11-28`.
 */
as_of: string, 
/**
 * The currency.
 */
currency: string, };

export type RoleView = { 
/**
 * The role.
 */
id: RoleId, 
/**
 * Its name on screen.
 */
title: string, 
/**
 * Its one-letter badge.
 */
badge: string, 
/**
 * Its hue, 0-359 degrees.
 */
hue: number, };

export type DeclaredCheck = { 
/**
 * Its name.
 */
name: string, 
/**
 * Program and arguments.
 */
argv: Array<string>, 
/**
 * Time limit in milliseconds.
 */
timeout_ms: number, 
/**
 * The file it was found in, such as `Cargo.toml`.
 */
source: string, 
/**
 * Whether only failures that the base does not have block a change. Else all do.
 */
only_new?: boolean, 
/**
 * Hosts that it may reach once the user permits them; empty for no network.
 */
network?: Array<string>, };

export type FlowView = { 
/**
 * Its id.
 */
id: string, 
/**
 * Its name on screen.
 */
title: string, };

export type ProviderView = { 
/**
 * Its id in the settings.
 */
id: string, 
/**
 * The wire format.
 */
kind: ProviderKind, 
/**
 * Its address.
 */
base_url: string, 
/**
 * Whether its address is this machine.
 */
local: boolean, 
/**
 * The server's version, where it tells.
 */
version: string | null, 
/**
 * Its models.
 */
models: Array<ModelView>, 
/**
 * Models that make vectors and do not chat, where the server tells.
 */
embedders: Array<string>, 
/**
 * Why it cannot be used now.
 */
problem: Problem | null, };

export type ModelView = { 
/**
 * Its name.
 */
name: string, 
/**
 * Whether it runs on this machine; a server may pass some names on to a cloud.
 */
local: boolean, 
/**
 * Whether it can call tools; `None` where the server does not say.
 */
tools: boolean | null, 
/**
 * Whether it thinks aloud; `None` where the server does not say.
 */
thinking: boolean | null, 
/**
 * The longest context it was made for, in tokens.
 */
context: number | null, 
/**
 * Size on disk in bytes.
 */
bytes: number | null, 
/**
 * Digest of its files, where the server tells.
 */
digest: string | null, 
/**
 * What was measured about it on this machine.
 */
card: ModelCard | null, };

export type KnownProject = { 
/**
 * The project.
 */
id: ProjectId, 
/**
 * Its folder.
 */
path: string, 
/**
 * Its name.
 */
name: string, 
/**
 * Whether searches from other projects find what is in it. The user says so; a project is private until then.
 */
shared: boolean, };

export type ChildView = { 
/**
 * The child.
 */
run: RunId, 
/**
 * The step it works for.
 */
step: StepId, 
/**
 * What it was told to do.
 */
goal: string, 
/**
 * How it ended; `None` while it is open.
 */
outcome: Outcome | null, };

export type Stall = { 
/**
 * Model turns since the last accepted artefact.
 */
turns: number, 
/**
 * Time since then, in milliseconds, when it was noticed.
 */
ms: number, 
/**
 * What the last accepted artefact was.
 */
last: string, };

export type StateView = { 
/**
 * The last event they contain.
 */
seq: Seq, 
/**
 * Hash over the hashes of all of them.
 */
hash: Hash, 
/**
 * Each of them.
 */
projections: Array<ProjectionView>, };

export type ProjectionView = { 
/**
 * Its name.
 */
name: string, 
/**
 * The version of its fold.
 */
version: number, 
/**
 * Its rows.
 */
rows: number, 
/**
 * Hash over its rows, in order of their keys.
 */
hash: Hash, };

export type StoreCheck = { 
/**
 * Events whose chain, payloads and blobs are as they were written.
 */
events: number, 
/**
 * Blobs kept, and their size in bytes.
 */
blobs: number, 
/**
 * Size of the blobs.
 */
blob_bytes: number, 
/**
 * Size of the database.
 */
bytes: number, 
/**
 * What is wrong, in words; empty for a sound store.
 */
findings: Array<string>, };

export type StateFile = { 
/**
 * Where it is.
 */
path: string, 
/**
 * Its size.
 */
bytes: number, 
/**
 * The last event in it.
 */
events: Seq, 
/**
 * Runs whose trees or commits it holds.
 */
runs: number, 
/**
 * The hash of the read models, which must come out the same where it is imported.
 */
hash: Hash, };

export type MessageView = { 
/**
 * Its number.
 */
seq: Seq, 
/**
 * When it was posted.
 */
at_ms: number, 
/**
 * The message.
 */
message: Message, };

export type TopicView = { 
/**
 * Its pattern, such as `run/*`.
 */
topic: string, 
/**
 * What it promises.
 */
guarantee: Guarantee, 
/**
 * Who listens, with the number each has come to.
 */
consumers: Array<[string, Seq]>, };

export type DeadView = { 
/**
 * The consumer that could not handle it.
 */
consumer: string, 
/**
 * Why.
 */
reason: string, 
/**
 * How often it was tried.
 */
attempts: number, 
/**
 * The message.
 */
message: MessageView, };

export type ReplayView = { 
/**
 * The message's number.
 */
message: Seq, 
/**
 * Its topic.
 */
topic: string, 
/**
 * What the consumer does about it, a line for each record it makes.
 */
does: Array<string>, 
/**
 * Whether that was recorded now; it is not where it was recorded before.
 */
applied: boolean, };

export type JobState = "waiting" | "leased" | "done" | "dead" | "cancelled";

export type JobView = { 
/**
 * The job; `due_ms` is when it is tried next.
 */
job: Job, 
/**
 * Where it is.
 */
state: JobState, 
/**
 * Attempts begun.
 */
attempts: number, 
/**
 * Times it came to an end, for one that repeats.
 */
ends: number, 
/**
 * Why the last attempt failed.
 */
reason: string | null, };

export type ObjectView = { 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * Raised by one with each change; 1 for one that was only made.
 */
version: number, 
/**
 * Version of the state's schema.
 */
schema: number, 
/**
 * Where it is in its life.
 */
life: Lifecycle, 
/**
 * Its state.
 */
state: unknown, 
/**
 * What the last message to it answered.
 */
answer: unknown, };

export type WatchView = { "how": "off" } | { "how": "watching", 
/**
 * Folders that are watched.
 */
folders: number, } | { "how": "polling", 
/**
 * How long lies between two rounds, in milliseconds.
 */
every_ms: number, 
/**
 * Why.
 */
reason: string, } | { "how": "gone" };

export type ContextView = { 
/**
 * What may be spent, in tokens.
 */
budget: number, 
/**
 * What is spent, estimated.
 */
tokens: number, 
/**
 * Spans, the most important first.
 */
spans: Array<ContextSpan>, 
/**
 * The map.
 */
map: Array<MapFile>, 
/**
 * What would be next.
 */
left_out: Array<SpanLeftOut>, 
/**
 * Files that were changed after they were indexed and were read for this.
 */
scanned: number, 
/**
 * What it had to do without, because it is not in the index yet.
 */
missing: Array<IndexPart>, };

export type ContextSpan = { 
/**
 * Path in the project.
 */
path: string, 
/**
 * First and last line, 1-based and inclusive.
 */
lines: [number, number], 
/**
 * Hash of the whole file that the lines were cut from.
 */
hash: Hash, 
/**
 * The lines.
 */
text: string, 
/**
 * The definition that they are, or begin with.
 */
symbol: string | null, 
/**
 * What they cost, estimated.
 */
tokens: number, } & ({ "why": "match" } | { "why": "test", 
/**
 * That file.
 */
of: string, } | { "why": "caller", 
/**
 * The definition's name.
 */
of: string, } | { "why": "together", 
/**
 * That file.
 */
with: string, 
/**
 * In how many of a hundred of its changes.
 */
percent: number, });

export type SpanWhy = { "why": "match" } | { "why": "test", 
/**
 * That file.
 */
of: string, } | { "why": "caller", 
/**
 * The definition's name.
 */
of: string, } | { "why": "together", 
/**
 * That file.
 */
with: string, 
/**
 * In how many of a hundred of its changes.
 */
percent: number, };

export type MapFile = { 
/**
 * Path in the project.
 */
path: string, 
/**
 * Its definitions: name and first line.
 */
symbols: Array<[string, number]>, };

export type SpanLeftOut = { 
/**
 * Path in the project.
 */
path: string, 
/**
 * Its lines.
 */
lines: [number, number], 
/**
 * Why not.
 */
reason: string, };

export type Op = { "op": "start_run", 
/**
 * What the user typed.
 */
goal: string, 
/**
 * The model to use; `None` takes the settings' choice or the first usable one.
 */
model: ModelChoice | null, 
/**
 * Kinds of questions answered yes beforehand.
 */
approve: Array<AskKind>, 
/**
 * Answer every other question no.
 */
deny_asks: boolean, 
/**
 * The flow to follow, by id; `None` is the project's, or `feature`.
 */
flow: string | null, 
/**
 * How urgent it is.
 */
priority: Priority, 
/**
 * Tokens it may use before it asks for more; `None` is no limit.
 */
budget_tokens: number | null, 
/**
 * The run it stands on: it begins with that one's changes and follows them. `None` begins with the user's branch.
 */
on: RunId | null, } | { "op": "fork_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * The last event of it that is kept; `None` is the last one that a fork can go on from.
 */
at: Seq | null, } | { "op": "resume_run", 
/**
 * The run.
 */
run: RunId, } | { "op": "cancel_run", 
/**
 * The run.
 */
run: RunId, } | { "op": "settle_approval", 
/**
 * The question.
 */
approval: ApprovalId, 
/**
 * The answer.
 */
answer: Answer, 
/**
 * A word with it.
 */
note: string, } | { "op": "accept_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * How, and what of it.
 */
how: Acceptance, } | { "op": "show_conflicts", 
/**
 * The run.
 */
run: RunId, } | { "op": "rebase_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * How conflicts are settled; `yours` is the run below.
 */
resolved: Array<Resolution>, } | { "op": "comment_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * On what, and what.
 */
comment: Comment, } | { "op": "show_push", 
/**
 * The run.
 */
run: RunId, 
/**
 * The remote.
 */
remote: string, 
/**
 * The branch there; `None` is the run's own name.
 */
to: string | null, } | { "op": "push_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * The remote.
 */
remote: string, 
/**
 * The branch there.
 */
to: string | null, 
/**
 * The commit that was shown.
 */
tip: string, 
/**
 * Also where it holds what looks like keys or personal data.
 */
anyway: boolean, } | { "op": "discard_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * Also where its tree holds work that no checkpoint recorded.
 */
anyway: boolean, } | { "op": "list_operations", 
/**
 * Only those of this run.
 */
run: RunId | null, 
/**
 * At most so many.
 */
limit: number, } | { "op": "show_operation", 
/**
 * Its number.
 */
operation: Seq, } | { "op": "undo_operation", 
/**
 * Its number.
 */
operation: Seq, } | { "op": "list_runs", 
/**
 * Only runs that are in one of these states; empty is all of them.
 */
states: Array<RunState>, 
/**
 * At most so many; `None` is all of them.
 */
limit: number | null, } | { "op": "show_run", 
/**
 * The run.
 */
run: RunId, 
/**
 * As it was after this event; `None` is now.
 */
at: Seq | null, } | { "op": "read_events", 
/**
 * Only of this run.
 */
run: RunId | null, 
/**
 * Only after this number.
 */
after: Seq, 
/**
 * At most so many; the owner caps it at 10,000.
 */
limit: number, } | { "op": "list_approvals" } | { "op": "show_diff", 
/**
 * The run.
 */
run: RunId, } | { "op": "read_blob", 
/**
 * Its hash.
 */
hash: Hash, } | { "op": "refresh_index" } | { "op": "show_index" } | { "op": "watch_index" } | { "op": "show_context", 
/**
 * The goal, in words.
 */
goal: string, 
/**
 * Tokens that it may cost; at most 200,000.
 */
budget: number, } | { "op": "search", 
/**
 * The words.
 */
query: string, 
/**
 * At most so many hits.
 */
limit: number, } | { "op": "search_all", 
/**
 * The words of each; at most 1,000.
 */
queries: Array<string>, 
/**
 * At most so many hits for each.
 */
limit: number, 
/**
 * What hits may be cut from; empty means files.
 */
kinds: Array<HitKind>, } | { "op": "export", 
/**
 * The run whose result is meant; `None` is the project's HEAD.
 */
run: RunId | null, 
/**
 * The kind of file.
 */
format: ExportFormat, 
/**
 * Where to; must not exist yet.
 */
to: string, } | { "op": "list_models" } | { "op": "explain_route", 
/**
 * The role that would ask; `None` is the developer.
 */
role: RoleId | null, } | { "op": "list_routes", 
/**
 * Only of this run.
 */
run: RunId | null, 
/**
 * At most so many.
 */
limit: number, } | { "op": "show_budget", 
/**
 * The run whose goal, run and steps are told as well; `None` is only the project.
 */
run: RunId | null, } | { "op": "set_budget", 
/**
 * Whose.
 */
node: BudgetNode, 
/**
 * The limits; none of them takes the limit away.
 */
limits: BudgetLimits, } | { "op": "allow_calls", 
/**
 * Which door asks; its earlier allowance ends.
 */
door: string, 
/**
 * What its calls that are under way may still use.
 */
open: Amount, 
/**
 * What the next call may use.
 */
need: Amount, 
/**
 * The call, where it is to leave this machine: it is recorded before that, and allowed alone.
 */
leaving: LeavingCall | null, } | { "op": "record_calls", 
/**
 * Which door.
 */
door: string, 
/**
 * What its calls that are under way, and the rest of its allowance, may still use.
 */
held: Amount, 
/**
 * The calls.
 */
calls: Array<ServedCall>, } | { "op": "resume_cloud" } | { "op": "pull_model", 
/**
 * The server; `None` is the first that can fetch models.
 */
provider: string | null, 
/**
 * The model's name there.
 */
model: string, } | { "op": "probe_model", 
/**
 * The server; `None` is the first that has the model.
 */
provider: string | null, 
/**
 * The model's name there.
 */
model: string, 
/**
 * The context to measure with, in tokens; `None` is what fits.
 */
context: number | null, } | { "op": "list_model_work" } | { "op": "stop_model_work", 
/**
 * Its number.
 */
id: number, } | { "op": "note_pull", 
/**
 * The server.
 */
provider: string, 
/**
 * The model's name there.
 */
model: string, 
/**
 * `None` when it began; whether it is here when it ended.
 */
ended: boolean | null, } | { "op": "list_pulls" } | { "op": "list_cards" } | { "op": "record_card", 
/**
 * The card.
 */
card: ModelCard, } | { "op": "show_project" } | { "op": "show_settings" } | { "op": "change_settings", 
/**
 * All settings.
 */
settings: Settings, } | { "op": "show_commands" } | { "op": "allow_commands", 
/**
 * Hash of what was looked at; refused where it is something else by now.
 */
hash: Hash, 
/**
 * Whether it may run.
 */
allowed: boolean, } | { "op": "enrol_project", 
/**
 * The folder.
 */
path: string, 
/**
 * Its display name.
 */
name: string, 
/**
 * Canonical path of the common git directory.
 */
common_dir: string, 
/**
 * The first commit of the history.
 */
root_commit: string | null, } | { "op": "adopt_project", 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The folder.
 */
path: string, 
/**
 * Its display name.
 */
name: string, 
/**
 * Canonical path of the common git directory.
 */
common_dir: string, 
/**
 * The first commit of the history.
 */
root_commit: string | null, } | { "op": "share_project", 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Whether it is found.
 */
shared: boolean, } | { "op": "search_elsewhere", 
/**
 * The words.
 */
query: string, 
/**
 * At most so many hits.
 */
limit: number, 
/**
 * What hits may be cut from; empty means files.
 */
kinds: Array<HitKind>, 
/**
 * The project that is not asked: where the user is.
 */
except: ProjectId | null, } | { "op": "list_library" } | { "op": "keep_note", 
/**
 * What it is called.
 */
title: string, 
/**
 * Its text.
 */
text: string, } | { "op": "drop_note", 
/**
 * Its id.
 */
id: string, } | { "op": "list_projects" } | { "op": "hash_state", 
/**
 * Make them anew from the first event on first.
 */
rebuild: boolean, } | { "op": "check_store" } | { "op": "back_up_store", 
/**
 * The folder.
 */
to: string, } | { "op": "export_state", 
/**
 * The file.
 */
to: string, } | { "op": "prune_store" } | { "op": "post_message", 
/**
 * The message; its guarantee must be the topic's.
 */
message: Message, } | { "op": "read_messages", 
/**
 * The pattern, such as `run/*`.
 */
topic: string, 
/**
 * Only after this number.
 */
after: Seq, 
/**
 * At most so many.
 */
limit: number, } | { "op": "next_letter", 
/**
 * The role.
 */
to: string, } | { "op": "take_letter", 
/**
 * The letter's number.
 */
letter: Seq, } | { "op": "list_topics" } | { "op": "list_dead" } | { "op": "replay_dead", 
/**
 * The consumer.
 */
consumer: string, 
/**
 * The message's number.
 */
message: Seq, } | { "op": "replay_range", 
/**
 * The consumer.
 */
consumer: string, 
/**
 * Only messages after this number.
 */
after: Seq, 
/**
 * Only messages up to this number.
 */
upto: Seq, 
/**
 * Whether what it does about them is recorded; otherwise it is only told.
 */
apply: boolean, } | { "op": "queue_job", 
/**
 * The work.
 */
job: Job, } | { "op": "list_jobs" } | { "op": "work_off" } | { "op": "cancel_job", 
/**
 * Its id.
 */
job: string, } | { "op": "tell_object", 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * The handler.
 */
handler: string, 
/**
 * What it is told.
 */
arguments: unknown, 
/**
 * Only where the object has this version; `None` is any.
 */
version: number | null, } | { "op": "show_object", 
/**
 * The object, as `kind/name`.
 */
object: string, 
/**
 * As it was after this event; `None` is now.
 */
at: Seq | null, } | { "op": "list_objects" } | { "op": "record_egress", 
/**
 * The lines.
 */
notes: Array<EgressNote>, } | { "op": "show_egress", 
/**
 * At most so many requests, newest first; the owner caps it at 10,000.
 */
limit: number, 
/**
 * Only requests of this run.
 */
run: RunId | null, 
/**
 * Also those that stayed on this machine.
 */
local: boolean, } | { "op": "permit_cloud", 
/**
 * The permission. One that answers a question counts once: after it was taken back it does not come again.
 */
permission: CloudPermission, } | { "op": "revoke_cloud", 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The model server's id, or `commands`.
 */
provider: string, 
/**
 * Only for this host, as the permission names it; `None` is all of them.
 */
host: string | null, } | { "op": "list_permissions" };

export type Reply = { "reply": "done" } | { "reply": "run", "value": RunId } | { "reply": "runs", "value": Array<RunSummary> } | { "reply": "run_view", "value": RunView } | { "reply": "events", "value": Array<Envelope> } | { "reply": "approvals", "value": Array<ApprovalView> } | { "reply": "diff", "value": DiffView } | { "reply": "blob", "value": string } | { "reply": "index", "value": IndexView } | { "reply": "context", "value": ContextView } | { "reply": "hits", "value": Array<Hit> } | { "reply": "found", "value": Array<Found> } | { "reply": "exported", "value": { 
/**
 * Its path.
 */
path: string, 
/**
 * Its size.
 */
bytes: number, } } | { "reply": "accepted", "value": { 
/**
 * The branch.
 */
branch: string, 
/**
 * The commit.
 */
commit: string, 
/**
 * How.
 */
mode: AcceptMode, } } | { "reply": "conflicts", "value": Array<ConflictView> } | { "reply": "push", "value": PushView } | { "reply": "operations", "value": Array<OperationView> } | { "reply": "models", "value": Array<ProviderView> } | { "reply": "route", "value": RouteDecision } | { "reply": "routes", "value": Array<RouteEntry> } | { "reply": "budget", "value": { 
/**
 * The nodes.
 */
nodes: Array<BudgetView>, 
/**
 * Why other machines are not asked at the moment.
 */
paused: string | null, } } | { "reply": "allowed", "value": Allowance } | { "reply": "cards", "value": Array<ModelCard> } | { "reply": "model_work", "value": Array<ModelWork> } | { "reply": "pulls", "value": Array<ModelChoice> } | { "reply": "project", "value": ProjectView } | { "reply": "commands", "value": CommandsView } | { "reply": "settings", "value": Settings } | { "reply": "state", "value": StateView } | { "reply": "store_checked", "value": StoreCheck } | { "reply": "state_file", "value": StateFile } | { "reply": "posted", "value": Seq } | { "reply": "messages", "value": Array<MessageView> } | { "reply": "topics", "value": Array<TopicView> } | { "reply": "dead", "value": Array<DeadView> } | { "reply": "replayed", "value": Array<ReplayView> } | { "reply": "jobs", "value": Array<JobView> } | { "reply": "object", "value": ObjectView } | { "reply": "objects", "value": Array<ObjectView> } | { "reply": "enrolled", "value": ProjectId } | { "reply": "projects", "value": Array<KnownProject> } | { "reply": "elsewhere", "value": FoundElsewhere } | { "reply": "library", "value": Array<LibraryNote> } | { "reply": "egress", "value": EgressView } | { "reply": "permissions", "value": Array<CloudPermission> };

export type ExportFormat = "zip" | "tar_gz" | "folder" | "bundle";

export type Frame = { "frame": "event", "value": Envelope } | { "frame": "draft", "value": Draft } | { "frame": "caught_up", "value": Seq } | { "frame": "owner", "value": { 
/**
 * The owner's epoch.
 */
epoch: number, 
/**
 * Whether this process is the owner.
 */
mine: boolean, } } | { "frame": "lost", "value": Problem };

export type Draft = { 
/**
 * The run.
 */
run: RunId, 
/**
 * The step.
 */
step: StepId, 
/**
 * The call.
 */
call: CallId, 
/**
 * What the model is doing.
 */
phase: Phase, 
/**
 * Text that came since the last draft of this call and phase.
 */
text: string, };

export type Phase = "loading" | "reading" | "thinking" | "answering";

/** What each state of a run means, and where a run may go from there besides staying. */
export const STATES: Readonly<Record<RunState, { final: boolean, at_work: boolean, waits_for_user: boolean, rests: boolean, next: readonly RunState[] }>> = {
  created: { final: false, at_work: true, waits_for_user: false, rests: false, next: ["planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "failed", "cancelled"] },
  planning: { final: false, at_work: true, waits_for_user: false, rests: false, next: ["running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "done", "failed", "cancelled"] },
  running: { final: false, at_work: true, waits_for_user: false, rests: false, next: ["planning", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "done", "failed", "cancelled"] },
  waits_for_approval: { final: false, at_work: false, waits_for_user: true, rests: false, next: ["created", "planning", "running", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "failed", "cancelled"] },
  waits_for_answer: { final: false, at_work: false, waits_for_user: true, rests: false, next: ["created", "planning", "running", "waits_for_approval", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "failed", "cancelled"] },
  waits_for_budget: { final: false, at_work: false, waits_for_user: true, rests: false, next: ["created", "planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "failed", "cancelled"] },
  waits_for_slot: { final: false, at_work: false, waits_for_user: false, rests: false, next: ["created", "planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_child", "indeterminate", "parked", "interrupted", "compensating", "failed", "cancelled"] },
  waits_for_child: { final: false, at_work: false, waits_for_user: false, rests: false, next: ["created", "planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "indeterminate", "parked", "interrupted", "compensating", "failed", "cancelled"] },
  indeterminate: { final: false, at_work: false, waits_for_user: false, rests: true, next: ["created", "planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "parked", "compensating", "failed", "cancelled"] },
  parked: { final: false, at_work: false, waits_for_user: false, rests: true, next: ["created", "planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "compensating", "failed", "cancelled"] },
  interrupted: { final: false, at_work: false, waits_for_user: false, rests: true, next: ["created", "planning", "running", "waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "compensating", "failed", "cancelled"] },
  compensating: { final: false, at_work: true, waits_for_user: false, rests: false, next: ["waits_for_approval", "waits_for_answer", "waits_for_budget", "waits_for_slot", "waits_for_child", "indeterminate", "parked", "interrupted", "failed", "cancelled"] },
  done: { final: true, at_work: false, waits_for_user: false, rests: false, next: [] },
  failed: { final: true, at_work: false, waits_for_user: false, rests: false, next: [] },
  cancelled: { final: true, at_work: false, waits_for_user: false, rests: false, next: [] },
};
