//! Guards: a call is never parted from its answers, the end of a conversation stays, a digest is bounded and the same
//! for the same messages, and a text that stands for others says so. Mutants: let `older` end at any message; take
//! lines from the end in `digest`.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn call(n: usize) -> ToolCall {
    ToolCall { id: format!("t{n}"), name: "read_file".to_owned(), arguments: json!({"path": format!("src/{n}.rs")}) }
}

/// Turns with so many calls each, and answers of so many bytes.
fn conversation(turns: &[(usize, usize)]) -> Vec<Message> {
    let mut messages = Vec::new();
    for (n, (calls, bytes)) in turns.iter().enumerate() {
        let calls: Vec<ToolCall> = (0..*calls).map(|at| call(n * 10 + at)).collect();
        messages.push(Message::assistant(format!("Turn {n}.\nMore."), calls.clone()));
        messages.extend(calls.iter().map(|call| Message::tool(call, "x".repeat(*bytes))));
        if calls.is_empty() {
            messages.push(Message::user("Go on."));
        }
    }
    messages
}

#[test]
fn a_conversation_within_its_quota_is_left_alone() {
    let talk = conversation(&[(1, 100); 6]);
    assert_eq!(older(&talk, tokens(&talk)), None);
    assert_eq!(older(&talk, tokens(&talk) - 1), Some(8), "two turns stay, a call goes with its answer");
    assert_eq!(
        (quota(Some(900), Some(8192)), quota(None, Some(8192)), quota(None, None)),
        (Some(900), Some(6144), None)
    );
}

#[test]
fn a_digest_takes_a_line_of_each_and_says_what_it_left_out() {
    let mut talk = conversation(&[(1, 30), (0, 0)]);
    let by = SummaryBy::Model { provider: "p".into(), model: "m".into() };
    talk.insert(0, told(&by, 7, "The valve opens at 3 bar."));
    insta::assert_snapshot!(digest(&talk, 1_000), @r#"
    The valve opens at 3 bar.
    - said: Turn 0.
    - called read_file {"path":"src/0.rs"}
    - read_file answered 30 bytes: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    - said: Turn 1.
    - told: Go on.
    "#);
    insta::assert_snapshot!(digest(&talk, 90), @"
    The valve opens at 3 bar.
    - (3 older lines are left out)
    - said: Turn 1.
    - told: Go on.
    ");
    insta::assert_snapshot!(told(&by, 7, " The valve. ").text(), @"
    (Summary of 7 earlier messages of this conversation, made by the model m. It is no message of the user and may lack details: look again with your tools where you need them.)

    The valve.
    ");
}

proptest! {
    #[test]
    fn what_stays_begins_with_a_turn_and_what_goes_is_worth_it(
        turns in prop::collection::vec((0usize..5, 0usize..400), 0..12),
        quota in 0u32..4_000,
    ) {
        let talk = conversation(&turns);
        if let Some(end) = older(&talk, quota) {
            prop_assert!(talk.len() - end >= 3);
            prop_assert!(!matches!(talk[end], Message::Tool { .. }), "a call was parted from its answers");
            prop_assert!(tokens(&talk[..end]) > worth(quota));
            if quota >= 1024 {
                // What stands for it is not worth another summary, so it comes to an end.
                let by = SummaryBy::Model { provider: "p".into(), model: "m".into() };
                let short = digest(&talk[..end], most(quota) as usize * 3);
                prop_assert!(tokens(&[told(&by, end, &short)]) <= worth(quota));
            }
            let short = digest(&talk[..end], 600);
            prop_assert!(short.len() <= 700, "{} bytes", short.len());
            prop_assert_eq!(&short, &digest(&talk[..end], 600));
        }
    }
}
