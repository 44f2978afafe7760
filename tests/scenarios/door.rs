//! What calls of other programs cost, what becomes of their failures, and which answers they are given again.
//!
//! Guards: every call through the door is charged to its project once, to the token, and none is asked beyond a limit;
//! a failure before the first piece is met and leaves one outcome; a kept answer is given to the same question alone.
//! Turned red by an allowance that is never asked for, by a `Line` that is not recorded when it is dropped, and by a key
//! of kept answers without the messages.

use crate::serving::{chat, open, world};
use atelier_tests::{Cli, Door};
use serde_json::{Value, json};

const ANSWERS: &str = "schema: 1
models: [{name: plain, context: 32768}]
turns:
  - {when: {last_user_contains: once more}, say: [{fault: {kind: refuse, status: 503, times: 1}}, {text: Now.}]}
  - {when: {last_user_contains: never}, say: [{fault: {kind: refuse, status: 500}}]}
  - {when: {last_user_contains: nothing}, say: []}
  - {say: [{text: Four words are enough.}]}
";

fn asked(door: &Door, body: &Value) -> (u16, String) {
    door.with_token("POST", "/v1/chat/completions", Some(body))
}

fn question(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

/// The node of the door, as the command line tells it.
fn of_the_door(cli: &Cli) -> Value {
    let said = cli.run(&["models", "budget"]);
    let nodes = said.last()["result"]["nodes"].as_array().unwrap_or_else(|| panic!("{said:?}")).clone();
    nodes.into_iter().find(|node| node["node"]["node"] == "door").unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_charged_to_the_token_and_a_limit_stops_them() {
    let (world, cli) = world(Some(ANSWERS)).await;
    let door = open(&world, &cli);
    assert_eq!(asked(&door, &question("go")).0, 200);
    let (status, body) = asked(&door, &json!({"stream": true, "messages": [{"role": "user", "content": "go on"}]}));
    assert!(status == 200 && body.contains("data: [DONE]"), "{body}");
    door.close();
    let (read, written) = world.stage.bill().told();
    let node = of_the_door(&cli);
    assert_eq!((&node["calls"], &node["spent"]["tokens"]), (&json!(2), &json!(read + written)), "{node}");
    assert_eq!(node["reserved"]["tokens"], 0, "nothing is left set aside: {node}");

    // No room for a call: it is not asked.
    let said = cli.run(&["models", "budget", "set", "door", "--tokens", "200"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let door = open(&world, &cli);
    let before = world.stage.chats().len();
    let (status, body) = asked(&door, &question("go"));
    assert!(status == 402 && body.contains("budget_reached") && body.contains("models budget set"), "{status} {body}");
    let small = json!({"max_tokens": 8, "messages": [{"role": "user", "content": "go"}]});
    assert_eq!(asked(&door, &small).0, 200, "a call that fits is let through");
    assert_eq!(world.stage.chats().len(), before + 1);
    door.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_of_the_projects_own_list_counts() {
    let script = ANSWERS.replace("context: 32768", "context: 32768, remote: true");
    let (world, cli) = world(Some(&script)).await;
    let list = "schema: 1\nas_of: 2026-11-01\ncurrency: USD\nprices: [{provider: server, model: plain*, input: 2, output: 10}]\n";
    std::fs::create_dir_all(world.project().join(".atelier")).unwrap();
    std::fs::write(world.project().join(".atelier/prices.yaml"), list).unwrap();
    for words in [["egress", "local-only", "off"], ["egress", "allow", "server"]] {
        let said = cli.run(&words);
        assert_eq!(said.exit, 0, "{said:?}");
    }
    let door = open(&world, &cli);
    assert_eq!(asked(&door, &question("go")).0, 200);
    door.close();
    let (read, written) = world.stage.bill().told();
    let node = of_the_door(&cli);
    assert_eq!(node["spent"]["micros"], json!(2 * read + 10 * written), "{node}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_the_first_piece_is_met_and_counted() {
    let (world, cli) = world(Some(ANSWERS)).await;
    let door = open(&world, &cli);
    let (status, body) = asked(&door, &question("once more"));
    assert!(status == 200 && body.contains("Now."), "{status} {body}");
    let (status, body) = asked(&door, &question("nothing"));
    assert!(status == 502 && body.contains("answer_empty"), "an empty turn is no answer: {status} {body}");
    let (status, body) = asked(&door, &question("never"));
    assert!(status == 502 && body.contains("model_server_error"), "{status} {body}");
    door.close();
    // Two attempts, three, three: each is one call with one end.
    assert_eq!(of_the_door(&cli)["calls"], json!(8), "{}", of_the_door(&cli));
    assert_eq!(world.stage.chats().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drops_a_part_of_a_prompt_is_found_out() {
    let script = "schema: 1\nmodels: [{name: short, context: 512}]\noverflow: drop_oldest\n\
                  turns: [{say: [{text: Four words are enough.}]}]";
    let (world, cli) = world(Some(script)).await;
    let door = open(&world, &cli);
    let words = "many different words ".repeat(400);
    let body = json!({"messages": [{"role": "user", "content": words}, {"role": "user", "content": "go"}]});
    let (status, body) = asked(&door, &body);
    assert!(status == 502 && body.contains("context_mismatch"), "{status} {body}");
    door.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_has_the_same_answer_without_a_model() {
    let (world, cli) = world(Some(ANSWERS)).await;
    let door = open(&world, &cli);
    let body = |text: &str, files: &[&str]| json!({"temperature": 0, "files": files, "messages": [{"role": "user", "content": text}]});
    let chats = || world.stage.chats().len();
    let first = asked(&door, &body("go", &[]));
    let again = asked(&door, &body("go", &[]));
    let content = |answer: &(u16, String)| serde_json::from_str::<Value>(&answer.1).unwrap()["choices"].clone();
    assert_eq!((first.0, again.0, content(&first), chats()), (200, 200, content(&again), 1));
    asked(&door, &body("go elsewhere", &[]));
    asked(&door, &question("go"));
    asked(&door, &question("go"));
    assert_eq!(chats(), 4, "another question, and those whose answer may be another each time, are asked");

    let held = body("what is in it?", &["README.md"]);
    asked(&door, &held);
    asked(&door, &held);
    assert_eq!(chats(), 5);
    std::fs::write(world.project().join("README.md"), "other words\n").unwrap();
    asked(&door, &held);
    assert_eq!(chats(), 6, "a file that the question holds has changed");
    assert_eq!(asked(&door, &body("x", &["../outside"])).0, 400);
    door.close();

    let node = of_the_door(&cli);
    let (read, written) = world.stage.bill().told();
    assert_eq!((&node["calls"], &node["spent"]["tokens"]), (&json!(8), &json!(read + written)), "{node}");
    let said = cli.run(&["models", "cache"]);
    let counts = &said.last()["result"]["kept"]["counts"];
    assert_eq!((&counts["asked"], &counts["same"], &counts["stale"]), (&json!(6), &json!(2), &json!(1)), "{said:?}");
    let said = cli.run(&["models", "cache", "--clear"]);
    assert_eq!(said.last()["result"]["kept"]["answers"], 0, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_reaches_the_server() {
    let (world, cli) = world(Some(ANSWERS)).await;
    let door = open(&world, &cli);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let mut body = chat(false);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    assert_eq!(asked(&door, &body).0, 200);
    let sent = world.stage.chats().pop().unwrap().body;
    assert_eq!((&sent["format"], &sent["think"]), (&schema, &json!(false)));
    door.close();
}
