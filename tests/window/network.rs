//! A command that wants the network, as a person sees it: the question, what it reached and was refused, taking it back;
//! and the limit on spending that is nearest, in the title.

use crate::journeys::{begin, open, set_up};
use crate::window::program;
use atelier_engine::Workshop;
use atelier_protocol::event::{BudgetLimits, BudgetNode};
use atelier_protocol::op::Op;
use atelier_sandbox::Sandbox;
use atelier_tests::{World, steady};
use fantoccini::key::Key;
use std::io::{Read, Write};
use std::net::TcpListener;

const CHECK: &str = "exec 3<>/dev/tcp/127.0.0.1/PORT && echo hello >&3 && head -n 1 <&3\n\
    exec 4<>/dev/tcp/127.0.0.1/3128 && printf 'CONNECT elsewhere.invalid:443 HTTP/1.1\\r\\n\\r\\n' >&4 && head -n 1 <&4\n";

/// A server that answers what it is told.
fn listens() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut said = [0u8; 64];
            if let Ok(n) = stream.read(&mut said) {
                let _ = stream.write_all(&said[..n]);
            }
        }
    });
    port
}

async fn world() -> World {
    let world = World::with_script("short.yaml").await;
    let port = listens();
    let write = |path: &str, text: &str| {
        let file = world.project().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("net.sh", &CHECK.replace("PORT", &port.to_string()));
    let network = format!("[\"127.0.0.1:{port}\", registry.npmjs.org]");
    let project = format!("schema: 1\nchecks:\n  - {{name: test, argv: [bash, net.sh], network: {network}}}\n");
    write(".atelier/project.yaml", &project);
    set_up(&world).await;
    let workshop = Workshop::open(world.options(steady::sources(1))).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let limits = BudgetLimits { micros: None, tokens: Some(40_000), local_s: None };
    project.submit(Op::SetBudget { node: BudgetNode::Project, limits }).await.unwrap();
    workshop.close().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_a_command_reach_its_hosts_sees_what_it_did_and_takes_it_back() {
    let Some(program) = program() else { return };
    if Sandbox::detect().has_way_out().is_err() {
        eprintln!("left out: nothing here can give a command a way out");
        return;
    }
    let world = world().await;
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.press(&(Key::Control + &Key::Enter)).await;

    window.until("approval.card", "data-ask", "command").await;
    let card = window.text("approval.card").await;
    assert!(card.contains("Let “test” reach 127.0.0.1:") && card.contains("project.yaml"), "{card}");
    assert!(!card.contains("without a sandbox"), "{card}");
    window.keep_picture("network-asked").await;
    window.click("approval.approve").await;
    window.until("approval.card", "data-ask", "hand_over").await;
    let refused = "String(document.querySelector(\"[data-test^='thread.refused.']\") !== null)";
    window.until_page(refused, "true").await;
    window.css("[data-test^='thread.check.'] summary").await.click().await.unwrap();
    let told = window.css("[data-test^='thread.reached.']").await.text().await.unwrap();
    assert!(told.contains("6 B out, 6 B in") && told.contains("refused elsewhere.invalid:443"), "{told}");
    window.part("title.budget").await;
    window.keep_picture("network-used").await;

    window.click("settings.open").await;
    window.part("settings.outgoing.revoke.commands").await;
    let told = window.text("settings.outgoing").await;
    assert!(told.contains("commands of greet may reach"), "{told}");
    window.look("document.querySelector('[data-test=\"settings.outgoing\"]').scrollIntoView();").await;
    window.css("[data-test='settings.outgoing'] summary").await.click().await.unwrap();
    window.part("settings.outgoing.row").await;
    window.keep_picture("network-recorded").await;
    window.click("settings.outgoing.revoke.commands").await;
    window.part("settings.outgoing.none").await;
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}
