//! Events as a run makes them, each with a payload of about 500 bytes.

use atelier_protocol::event::{
    Amount, AskKind, Base, FlowRef, Grants, NewEvent, Outcome, Output, Priority, PromptPart, PromptRecord, Route,
    StepPhase, StepResult, Stop, ToolCall, Usage, Verdict,
};
use atelier_protocol::{CallId, Class, Event, Hash, RoleId, RunId, StepId};

/// The events of one run without end: a start, then steps of calls and tools.
pub struct Story {
    pub run: RunId,
    next: u64,
}

/// Events of a step between its start and its end: ten turns of four.
const STEP: u64 = 42;

fn text(bytes: usize) -> String {
    "the quick brown fox jumps over the lazy dog and reads another line of the file "
        .chars()
        .cycle()
        .take(bytes)
        .collect()
}

impl Story {
    pub fn new(number: u64) -> Self {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        Self { run: RunId::new(number, random), next: 0 }
    }

    /// The next event.
    pub fn next(&mut self) -> NewEvent {
        let number = self.next;
        self.next += 1;
        let Some(at) = number.checked_sub(1) else { return NewEvent::of_run(&self.run, None, start()) };
        let step = StepId::of("build", u32::try_from(at / STEP + 1).unwrap());
        let event = match at % STEP {
            0 => Event::StepStarted {
                role: Some(RoleId::new("developer")),
                title: "Change the parser".into(),
                brief: text(340),
                phase: StepPhase::Working,
                undo: None,
            },
            41 => Event::StepFinished { result: StepResult::SentBack { reason: text(450) } },
            turn => self.turn(turn / 4, turn % 4),
        };
        NewEvent::of_run(&self.run, Some(&step), event)
    }

    fn turn(&self, turn: u64, part: u64) -> Event {
        let (call, id) = (CallId::new(turn, [7; 10]), format!("call-{turn}"));
        match part {
            1 => Event::CallStarted {
                call,
                role: RoleId::new("developer"),
                route: Route {
                    provider: "ollama".into(),
                    model: "a-model:14b".into(),
                    local: true,
                    context: Some(16_384),
                    reason: "the only local model that was measured".into(),
                    ..Route::default()
                },
                prompt: PromptRecord {
                    hash: Hash::of(b"prompt"),
                    parts: vec![PromptPart { name: "system".into(), bytes: 4_000, hash: Hash::of(b"part") }],
                },
                attempt: 1,
                reserved: Amount::default(),
            },
            2 => Event::CallFinished {
                call,
                text: text(180),
                thinking: String::new(),
                tool_calls: vec![ToolCall {
                    id,
                    name: "read_file".into(),
                    arguments: serde_json::json!({"path": "src/parser/expression.rs", "from": 1, "to": 80}),
                }],
                usage: Usage {
                    prompt_tokens: Some(4_000),
                    output_tokens: Some(90),
                    total_ms: 2_000,
                    ..Usage::default()
                },
                stop: Stop::Tools,
                cost: None,
            },
            3 => Event::ToolDecided { id, tool: "read_file".into(), verdict: Verdict::Allow { rule: text(380) } },
            _ => Event::ToolReturned {
                id,
                tool: "read_file".into(),
                line: "read src/parser/expression.rs 1-80".into(),
                ok: true,
                output: Output { text: text(340), bytes: 340, full: None },
            },
        }
    }
}

fn start() -> Event {
    Event::RunStarted {
        goal: text(200),
        flow: FlowRef { id: "feature".into(), hash: Hash::of(b"flow") },
        base: Base { commit: "c".repeat(40), branch: Some("main".into()) },
        model: None,
        grants: Grants { approve: vec![AskKind::HandOver], deny_asks: false },
        parent: None,
        forked: None,
        on: None,
        priority: Priority::Normal,
        budget_tokens: None,
    }
}

/// An end of a run, of class full, padded to about 500 bytes.
pub fn end(run: &RunId) -> NewEvent {
    let problem = atelier_protocol::Problem::new(atelier_protocol::Code::TurnLimit, text(400), "");
    let event = Event::RunFinished { outcome: Outcome::Failed { problem } };
    assert_eq!(event.class(), Class::Full);
    NewEvent::of_run(run, None, event)
}
