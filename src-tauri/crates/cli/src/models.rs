//! `atelier models`: what there is, how one is chosen and was chosen, what was used and may be.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::words::{age, amount, money};
use crate::{cache, doctor, model_work, session};
use atelier_engine::models::{PRESETS, Preset, unfit_words};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Alternative, Amount, BudgetLimits, BudgetNode, BudgetUnit, BudgetView, RouteDecision, RouteEntry, RoutingPolicy,
};
use atelier_protocol::ids::RoleId;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{Experiment, Settings};
use atelier_protocol::view::{RunState, RunView};
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Subcommand, Debug)]
pub enum ModelsVerb {
    /// The model servers and their models.
    List,
    /// How a model would be chosen now.
    Route {
        /// Tell every candidate and why it may not be taken.
        #[arg(long)]
        explain: bool,
        /// The role that would ask.
        #[arg(long)]
        role: Option<String>,
    },
    /// The recorded choices, each made again from its record.
    Log {
        /// Only of this run: its id, or `last`.
        #[arg(long)]
        run: Option<String>,
        /// At most so many, the last ones.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Tell every candidate and why it was not taken.
        #[arg(long)]
        explain: bool,
    },
    /// What calls used, and what they may.
    Budget {
        #[command(subcommand)]
        verb: Option<BudgetVerb>,
        /// The goal, run and steps of this run as well: its id, or `last`.
        #[arg(long)]
        run: Option<String>,
    },
    /// How models are chosen. Without a policy: what is in force.
    Policy {
        /// The policy; `default` is `balanced`: models of this machine first, another's where you gave leave.
        policy: Option<Policy>,
    },
    /// Try two policies side by side. Without arguments: what came of it so far.
    Experiment {
        /// Its name.
        #[arg(requires = "b")]
        name: Option<String>,
        /// The policy of the first arm.
        #[arg(long, default_value = "balanced")]
        a: Policy,
        /// The policy of the second arm.
        #[arg(long)]
        b: Option<Policy>,
        /// How many of a hundred runs are in the second arm.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
        percent_b: u32,
        /// End it.
        #[arg(long, conflicts_with = "name")]
        stop: bool,
    },
    /// What a role remembers of its conversation before the older part is summed up. Without an argument: what is in force.
    Memory {
        /// Tokens, at least 1024; `default` is three quarters of the model's context.
        tokens: Option<String>,
    },
    /// Fetch a model with an Ollama server. Broken off, the same command goes on where it was.
    Pull {
        /// The model, such as `qwen3:8b`.
        model: String,
        /// The server's name in the settings; without it the first Ollama server.
        // Not called `server`: that is a flag of every verb.
        #[arg(long, value_name = "SERVER")]
        on: Option<String>,
    },
    /// Measure a model on this machine: tool calls, edits, context, speed, memory.
    Probe {
        /// The model's name.
        model: String,
        /// The server's name in the settings; without it the first that has the model.
        // Not called `server`: that is a flag of every verb.
        #[arg(long, value_name = "SERVER")]
        on: Option<String>,
        /// The context to load it with, in tokens; without it 16,384 where it holds that and memory allows.
        #[arg(long, value_parser = clap::value_parser!(u32).range(2048..))]
        context: Option<u32>,
    },
    /// Answers that are kept for other programs (`atelier serve`): how many, and how often they are given again.
    Cache(cache::CacheArgs),
    /// Pulls that were left before they were done.
    Work,
    /// Well-known model servers. With a name: add it to the settings.
    Presets {
        /// The preset's name.
        add: Option<String>,
    },
}

#[derive(Subcommand, Debug)]
pub enum BudgetVerb {
    /// Limit what may be used; a limit that is not given is taken away.
    Set {
        /// Whose: `project`, `door` (other programs, through `atelier serve`), `goal`, `run` or `step`.
        #[arg(default_value = "project")]
        node: Node,
        /// The run of a goal, run or step: its id, or `last`.
        #[arg(long)]
        of: Option<String>,
        /// The step, such as `build.1`.
        #[arg(long)]
        step: Option<String>,
        /// Money, such as `2.50`.
        #[arg(long)]
        money: Option<String>,
        /// Tokens of prompt and answer.
        #[arg(long)]
        tokens: Option<u64>,
        /// Seconds on this machine's models.
        #[arg(long)]
        local_seconds: Option<u64>,
    },
    /// Ask other machines again, after unusual spending paused that.
    Resume,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Project,
    Door,
    Goal,
    Run,
    Step,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Default,
    LocalOnly,
    Cost,
    Performance,
    Balanced,
}

impl From<Policy> for Option<RoutingPolicy> {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Default => None,
            Policy::LocalOnly => Some(RoutingPolicy::LocalOnly),
            Policy::Cost => Some(RoutingPolicy::Cost),
            Policy::Performance => Some(RoutingPolicy::Performance),
            Policy::Balanced => Some(RoutingPolicy::Balanced),
        }
    }
}

pub async fn models(args: &Args, verb: &ModelsVerb, out: &Out) -> End {
    match verb {
        ModelsVerb::List => doctor::models(args, out).await,
        ModelsVerb::Route { explain, role } => {
            let role = role.as_deref().map(RoleId::new);
            let Reply::Route(decision) = session::ask(args, Op::ExplainRoute { role }).await? else {
                return Err(unexpected());
            };
            tell(&decision, *explain, out);
            Ok(Finished::done(json!({"decision": decision})))
        }
        ModelsVerb::Log { run, limit, explain } => log(args, run.as_deref(), *limit, *explain, out).await,
        ModelsVerb::Budget { verb, run } => budget(args, verb.as_ref(), run.as_deref(), out).await,
        ModelsVerb::Policy { policy } => {
            let settings = changed(|settings| {
                if let Some(policy) = policy {
                    settings.routing.policy = (*policy).into();
                }
                Ok(())
            });
            let routing = settings.await?.routing;
            out.say(match routing.policy {
                Some(policy) => format!("policy        {}", name(policy)),
                None => "policy        default: models of this machine; one of another where you gave leave, or are asked for it".to_owned(),
            });
            Ok(Finished::done(json!({"policy": routing.policy})))
        }
        ModelsVerb::Experiment { name: Some(named), a, b: Some(b), percent_b, .. } => {
            let policy = |policy: Policy| Option::<RoutingPolicy>::from(policy).unwrap_or_default();
            let experiment = Experiment { name: named.clone(), a: policy(*a), b: policy(*b), percent_b: *percent_b };
            let settings = changed(|settings| {
                settings.routing.experiment = Some(experiment);
                Ok(())
            });
            let experiment = settings.await?.routing.experiment;
            out.say(format!("`{named}` begins with the next run"));
            Ok(Finished::done(json!({"experiment": experiment})))
        }
        ModelsVerb::Experiment { stop: true, .. } => {
            changed(|settings| {
                settings.routing.experiment = None;
                Ok(())
            })
            .await?;
            out.say("no experiment");
            Ok(Finished::done(json!({"experiment": null})))
        }
        ModelsVerb::Experiment { .. } => readout(args, out).await,
        ModelsVerb::Memory { tokens } => crate::memory::quota(tokens.as_deref(), out).await,
        ModelsVerb::Pull { model, on } => model_work::pull(args, model, on.as_deref(), out).await,
        ModelsVerb::Probe { model, on, context } => model_work::probe(args, model, on.as_deref(), *context, out).await,
        ModelsVerb::Cache(asked) => cache::cache(args, asked, out).await,
        ModelsVerb::Work => model_work::list(args, out).await,
        ModelsVerb::Presets { add } => presets(add.as_deref(), out).await,
    }
}

async fn log(args: &Args, run: Option<&str>, limit: u32, explain: bool, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let asked = async {
        let run = match run {
            Some(run) => Some(session::run_id(&project, run).await?),
            None => None,
        };
        project.submit(Op::ListRoutes { run, limit }).await
    };
    let reply = asked.await;
    workshop.close().await;
    let Reply::Routes(entries) = reply? else { return Err(unexpected()) };
    if entries.is_empty() {
        out.say("no model was chosen yet");
    }
    for entry in &entries {
        let role = entry.decision.inputs.role.as_ref().map_or("", |role| role.as_str());
        let run = entry.run.as_ref().map_or("", |run| run.as_str());
        let again = if entry.replays { "the same again" } else { "NOT THE SAME when it is made again" };
        out.say(format!("event {} run {run} {role} ({again})", entry.seq));
        tell(&entry.decision, explain, out);
    }
    Ok(Finished::done(json!({"routes": entries})))
}

/// A choice as a person reads it.
fn tell(decision: &RouteDecision, explain: bool, out: &Out) {
    match &decision.route {
        Some(route) => out.say(format!(
            "  → {}/{}: {} (expected cost {})",
            route.provider,
            route.model,
            route.reason,
            cost(route.cost)
        )),
        None => out.say("  → nothing may be taken"),
    }
    if !explain {
        return;
    }
    let inputs = &decision.inputs;
    out.say(format!(
        "    policy {}, {} tokens are needed, {:?} material{}{}",
        name(inputs.policy),
        inputs.need,
        inputs.material,
        if inputs.local_only { ", this machine only" } else { "" },
        inputs.budget.map_or_else(String::new, |left| format!(", {} of money left", money(left))),
    ));
    for one in &decision.alternatives {
        out.say(format!("    {}", alternative(one)));
    }
}

fn alternative(one: &Alternative) -> String {
    let candidate = &one.candidate;
    let place = if candidate.local { "this machine" } else { "another machine" };
    let card = candidate
        .card
        .as_ref()
        .map_or_else(|| "not measured".to_owned(), |card| format!("tools {} ‰, edits {} ‰", card.tools, card.edits));
    let why = one.unfit.map_or("could be taken", unfit_words);
    let priced = candidate.price.as_ref().map_or_else(String::new, |price| format!(" by prices of {}", price.as_of));
    format!("{}/{} ({place}, cost {}{priced}, {card}): {why}", candidate.provider, candidate.model, cost(one.cost))
}

fn cost(micros: Option<u64>) -> String {
    micros.map_or_else(|| "unknown".to_owned(), |micros| if micros == 0 { "none".to_owned() } else { money(micros) })
}

fn name(policy: RoutingPolicy) -> &'static str {
    match policy {
        RoutingPolicy::LocalOnly => "local-only",
        RoutingPolicy::Cost => "cost",
        RoutingPolicy::Performance => "performance",
        RoutingPolicy::Balanced => "balanced",
    }
}

async fn budget(args: &Args, verb: Option<&BudgetVerb>, run: Option<&str>, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let asked = async {
        let run_of = async |text: Option<&str>| match text {
            Some(text) => session::run_id(&project, text).await.map(Some),
            None => Ok(None),
        };
        let op = match verb {
            None => Op::ShowBudget { run: run_of(run).await? },
            Some(BudgetVerb::Resume) => Op::ResumeCloud,
            Some(BudgetVerb::Set { node, of, step, money, tokens, local_seconds }) => {
                let of = run_of(of.as_deref()).await?;
                let needs = |what: &str| {
                    Problem::new(
                        Code::BadArgument,
                        format!("Say which {what} is meant."),
                        "Name it with --of or --step.",
                    )
                };
                let node = match (node, of, step) {
                    (Node::Project, _, _) => BudgetNode::Project,
                    (Node::Door, _, _) => BudgetNode::Door {},
                    (Node::Goal, Some(run), _) => BudgetNode::Goal { run },
                    (Node::Run, Some(run), _) => BudgetNode::Run { run },
                    (Node::Step, Some(run), Some(step)) => BudgetNode::Step { run, step: step.clone() },
                    (Node::Step, Some(_), None) => return Err(needs("step")),
                    (Node::Goal | Node::Run | Node::Step, None, _) => return Err(needs("run")),
                };
                let micros = money.as_deref().map(micros).transpose()?;
                Op::SetBudget { node, limits: BudgetLimits { micros, tokens: *tokens, local_s: *local_seconds } }
            }
        };
        let reply = project.submit(op).await?;
        Ok::<_, Problem>((reply, project.submit(Op::ShowProject).await?))
    };
    let replies = asked.await;
    workshop.close().await;
    let (Reply::Budget { nodes, paused }, Reply::Project(view)) = replies? else { return Err(unexpected()) };
    nodes.iter().for_each(|node| out.say(line(node)));
    for list in &view.prices {
        out.say(format!("money is counted by {}, {}", list.file, age(list)));
    }
    if let Some(reason) = &paused {
        out.say(format!("PAUSED: {reason}\n  → `atelier models budget resume` asks other machines again"));
    }
    Ok(Finished::done(json!({"nodes": nodes, "paused": paused, "prices": view.prices})))
}

/// Money as it is written, in millionths.
fn micros(text: &str) -> Result<u64, Problem> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let read = || {
        let part: u64 = format!("{part:0<6}").parse().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
    };
    let right = digits(whole) && digits(part) && !whole.is_empty() && part.len() <= 6;
    right.then(read).flatten().ok_or_else(|| {
        Problem::new(Code::BadArgument, format!("`{text}` is no sum of money."), "Write it like `2.50`.")
    })
}

fn line(view: &BudgetView) -> String {
    let node = match &view.node {
        BudgetNode::Project => "project".to_owned(),
        BudgetNode::Door {} => "door".to_owned(),
        BudgetNode::Goal { run } => format!("goal {run}"),
        BudgetNode::Run { run } => format!("run {run}"),
        BudgetNode::Step { step, .. } => format!("step {step}"),
        BudgetNode::Attempt { call } => format!("call {call}"),
    };
    let of = |used: String, limit: Option<u64>, unit| match limit {
        Some(limit) => format!("{used} of {}", amount(limit, unit)),
        None => used,
    };
    let Amount { micros, tokens, local_ms } = view.spent;
    let parts = [
        of(format!("{tokens} tokens"), view.limits.tokens, BudgetUnit::Tokens),
        of(format!("money {}", cost(micros)), view.limits.micros, BudgetUnit::Micros),
        of(format!("{} s on this machine", local_ms / 1000), view.limits.local_s, BudgetUnit::LocalSeconds),
    ];
    let reserved = match view.reserved.tokens {
        0 => String::new(),
        tokens => format!(", {tokens} tokens set aside"),
    };
    format!("{node:<14} {} calls: {}{reserved}", view.calls, parts.join(", "))
}

/// What came of the arms of experiments: runs, how they ended, what they used.
async fn readout(args: &Args, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let asked = async {
        let Reply::Routes(entries) = project.submit(Op::ListRoutes { run: None, limit: 10_000 }).await? else {
            return Err(unexpected());
        };
        let mut arms: BTreeMap<String, Vec<RunView>> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for RouteEntry { run, decision, .. } in entries {
            let (Some(run), Some(arm)) = (run, decision.inputs.arm) else { continue };
            if !seen.insert(run.clone()) {
                continue;
            }
            if let Reply::RunView(view) = project.submit(Op::ShowRun { run, at: None }).await? {
                arms.entry(arm).or_default().push(*view);
            }
        }
        Ok(arms)
    };
    let arms = asked.await;
    workshop.close().await;
    let mut told = Vec::new();
    for (arm, runs) in arms? {
        let done = runs.iter().filter(|run| run.state == RunState::Done).count();
        let failed = runs.iter().filter(|run| run.state == RunState::Failed).count();
        let calls: u32 = runs.iter().map(|run| run.cost.calls).sum();
        let micros = runs.iter().try_fold(0u64, |sum, run| Some(sum + run.cost.micros?));
        let local_ms: u64 = runs.iter().map(|run| run.cost.local_ms).sum();
        out.say(format!(
            "{arm:<20} {} runs: {done} done, {failed} failed; {calls} calls, cost {}, {} s on this machine",
            runs.len(),
            cost(micros),
            local_ms / 1000
        ));
        told.push(json!({"arm": arm, "runs": runs.len(), "done": done, "failed": failed, "calls": calls,
                         "micros": micros, "local_ms": local_ms}));
    }
    if told.is_empty() {
        out.say("no run belongs to an experiment yet");
    }
    Ok(Finished::done(json!({"arms": told})))
}

async fn presets(add: Option<&str>, out: &Out) -> End {
    let Some(add) = add else {
        let line = |preset: &Preset| out.say(format!("{:<14} {:<46} {}", preset.id, preset.title, preset.base_url));
        PRESETS.iter().for_each(line);
        let all: Vec<_> = PRESETS.iter().map(Preset::settings).collect();
        return Ok(Finished::done(json!({"presets": all})));
    };
    let Some(preset) = Preset::named(add) else {
        return Err(Problem::new(
            Code::BadArgument,
            format!("There is no preset `{add}`."),
            "List them with `atelier models presets`.",
        ));
    };
    let settings = changed(|settings| {
        if settings.providers.iter().any(|provider| provider.id == preset.id) {
            return Err(Problem::new(
                Code::BadArgument,
                format!("The settings know `{}` already.", preset.id),
                "Change its address in the settings.",
            ));
        }
        settings.providers.push(preset.settings());
        Ok(())
    });
    let settings = settings.await?;
    out.say(format!("{} is in the settings at {}", preset.title, preset.base_url));
    Ok(Finished::done(json!({"providers": settings.providers})))
}

/// The settings after a change; nothing is written where nothing changed.
pub async fn changed(change: impl FnOnce(&mut Settings) -> Result<(), Problem>) -> Result<Settings, Problem> {
    let workshop = session::workshop_with(None).await?;
    let done = async {
        let before = workshop.settings();
        let mut settings = before.clone();
        change(&mut settings)?;
        if settings != before {
            workshop.submit(Op::ChangeSettings { settings: settings.clone() }).await?;
        }
        Ok(settings)
    };
    let settings = done.await;
    workshop.close().await;
    settings
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn money_is_read_to_the_millionth_or_refused() {
        assert_eq!(micros("2.5").unwrap(), 2_500_000);
        assert_eq!(micros("0.000001").unwrap(), 1);
        assert_eq!(micros("7").unwrap(), 7_000_000);
        for wrong in ["", ".5", "-1", "1.2345678", "1e3", "99999999999999999999"] {
            assert!(micros(wrong).is_err(), "{wrong}");
        }
    }
}
