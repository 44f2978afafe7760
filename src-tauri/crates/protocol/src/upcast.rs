//! Older shapes of events, brought to today's.
//!
//! Pure: a payload of version `v` becomes one of version `v + 1`, step by step, until it is what this build writes.
//! A shape is never changed without raising its version and adding its step here; recorded histories are kept as
//! fixtures that must go on to fold to what they always did.

use serde_json::{Map, Value};

/// The version of an event kind's shape that this build writes.
pub fn newest(kind: &str) -> u32 {
    match kind {
        "run_started" | "step_started" | "egress_recorded" => 2,
        _ => 1,
    }
}

/// The payload of an event of `kind` written with version `v`, as this build writes it.
pub fn upcast(kind: &str, v: u32, mut payload: Value) -> Value {
    if let Value::Object(fields) = &mut payload {
        match (kind, v) {
            ("run_started", 1) => run_started_1(fields),
            ("step_started", 1) => step_started_1(fields),
            ("egress_recorded", 1) => egress_recorded_1(fields),
            _ => {}
        }
    }
    payload
}

/// Runs had no parents, forks, priorities or limits.
fn run_started_1(fields: &mut Map<String, Value>) {
    for (name, value) in [
        ("parent", Value::Null),
        ("forked", Value::Null),
        ("priority", "normal".into()),
        ("budget_tokens", Value::Null),
    ] {
        fields.entry(name).or_insert(value);
    }
}

/// A step did not say whether it plans, nor how it is undone.
fn step_started_1(fields: &mut Map<String, Value>) {
    fields.entry("phase").or_insert_with(|| "working".into());
    fields.entry("undo").or_insert(Value::Null);
}

/// Only requests to other machines were kept, without their ends.
fn egress_recorded_1(fields: &mut Map<String, Value>) {
    let mut entry = std::mem::take(fields);
    let allowed = entry.remove("allowed").and_then(|allowed| allowed.as_bool()).unwrap_or_default();
    let refused = if allowed { Value::Null } else { "it was refused".into() };
    entry.insert("refused".to_owned(), refused);
    entry.insert("id".to_owned(), "".into());
    entry.insert("local".to_owned(), false.into());
    for name in ["role", "run", "project", "provider"] {
        entry.insert(name.to_owned(), Value::Null);
    }
    fields.insert("entry".to_owned(), entry.into());
}

#[cfg(test)]
mod tests {
    use super::upcast;
    use crate::event::Event;
    use serde_json::json;

    #[test]
    fn events_of_the_first_version_still_read() {
        let hash = "blake3:0000000000000000000000000000000000000000000000000000000000000000";
        let started = json!({
            "goal": "g", "flow": {"id": "feature", "hash": hash}, "base": {"commit": "c", "branch": null},
            "model": null, "grants": {"approve": [], "deny_asks": false}
        });
        let step = json!({"role": null, "title": "t", "brief": ""});
        let egress = json!({"purpose": "chat", "host": "example.org:443", "allowed": false, "bytes_out": 0});
        for (kind, payload) in [("run_started", started), ("step_started", step), ("egress_recorded", egress)] {
            let event = json!({"kind": kind, "payload": upcast(kind, 1, payload)});
            let event: Event = serde_json::from_value(event).unwrap();
            assert_eq!(event.version(), 2, "{event:?}");
        }
    }

    #[test]
    fn a_shape_of_today_is_left_as_it_is() {
        let payload = json!({"anything": 1});
        assert_eq!(upcast("run_started", 2, payload.clone()), payload);
    }
}
