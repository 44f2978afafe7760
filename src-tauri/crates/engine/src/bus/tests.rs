//! Guards what each topic promises, across a process that dies at any of its appends; and letters, votes and jobs.
//!
//! Mutants that turn it red: a place that is recorded before an at-least-once message is handled, or after one of at most
//! once; an exactly-once message without its key (`deliver`); a letter that is taken out of its order, or apart from what
//! comes of it (`mail`); silence that is no alarm (`barrier`); a job's end apart from what it brings, or of a job that
//! somebody else has by then (`jobs`).

use super::barrier::{Voter, ask};
use super::deliver::{Dispatcher, replay};
use super::jobs::{Worker, step};
use super::reaction::{Consumer, Delivery, Reaction, Reacts};
use super::*;
use crate::objects::tests::{Hands, Room};
use atelier_journal::{Owned, Projections};
use atelier_protocol::event::{BarrierVerdict, Guarantee, Job, Message, NewEvent, Priority, Vote};
use atelier_protocol::ids::Seq;
use atelier_protocol::view::JobState;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex as Locked;
use std::sync::atomic::{AtomicBool, Ordering};

async fn open(room: &Room) -> (Owned, Core) {
    let (owned, objects) = room.open().await;
    let projections = Projections::open(&owned.journal, models::all()).await.unwrap();
    let core = Core::new(owned.journal.clone(), projections, room.clock.clone(), objects);
    (owned, core)
}

/// The same core in a process that dies at its `n`-th append.
fn dying(core: &Core, n: u64, after: bool) -> Core {
    Core { pen: core.pen.clone().dying(n, after), ..core.clone() }
}

fn message(topic: &str, guarantee: Guarantee, from: &str, body: Value) -> Message {
    let (topic, from) = (topic.to_owned(), from.to_owned());
    Message { topic, guarantee, from, to: None, key: None, reply_to: None, correlation: None, body }
}

/// Begins to listen before anything is posted.
async fn listen(core: &Core, consumers: Vec<Consumer>) -> Dispatcher {
    Dispatcher::begin(core.clone(), consumers).await.unwrap()
}

/// How often each message was handed to the handler, and how often what it does is recorded.
type Counts = Arc<Locked<BTreeMap<u64, u32>>>;

/// Records a note about each message.
fn noter(listens: &str, handled: &Counts) -> Consumer {
    let handled = handled.clone();
    let code = move |delivery: &Delivery| {
        *handled.lock().unwrap().entry(delivery.seq.0).or_default() += 1;
        let note = message("note/test", Guarantee::ExactlyOnce, "noter", json!(delivery.seq));
        let event = NewEvent::of_store(Event::MessagePosted { message: note });
        Ok(Reaction { events: vec![event], ..Reaction::default() })
    };
    Consumer {
        id: "noter".to_owned(),
        listens: vec![listens.to_owned()],
        attempts: 3,
        reacts: Reacts::Code(Arc::new(code)),
    }
}

async fn notes(core: &Core) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for note in core.read("note/test", Seq::ZERO, 1000).await.unwrap() {
        *counts.entry(note.message.body.as_u64().unwrap()).or_default() += 1;
    }
    counts
}

/// Plays five messages to a consumer whose process dies at its `n`-th append, and to another process after it. Answers
/// the counts of handling and of records for each message; `None` once the process outlives its work.
async fn killed(topic: &str, guarantee: Guarantee, n: u64, after: bool) -> Option<(Vec<u32>, Vec<u32>)> {
    let room = Room::new();
    let handled = Counts::default();
    let mut posted = Vec::new();
    let died = {
        let (_owned, core) = open(&room).await;
        drop(listen(&core, vec![noter(topic, &handled)]).await);
        for at in 0..5 {
            posted.push(core.post(message(topic, guarantee, "user", json!(at))).await.unwrap().0);
        }
        let mut doomed = listen(&dying(&core, n, after), vec![noter(topic, &handled)]).await;
        doomed.drain().await.is_err()
    };
    let (_owned, core) = open(&room).await;
    let mut next = listen(&core, vec![noter(topic, &handled)]).await;
    next.drain().await.unwrap();
    next.drain().await.unwrap();
    let recorded = notes(&core).await;
    let of = |counts: &BTreeMap<u64, u32>| posted.iter().map(|seq| counts.get(seq).copied().unwrap_or(0)).collect();
    let counts = (of(&handled.lock().unwrap()), of(&recorded));
    died.then_some(counts)
}

async fn every_death(topic: &str, guarantee: Guarantee, holds: impl Fn(&[u32], &[u32]) -> bool) {
    let mut deaths = 0;
    for after in [false, true] {
        for n in 1.. {
            let Some((handled, recorded)) = killed(topic, guarantee, n, after).await else { break };
            deaths += 1;
            assert!(
                holds(&handled, &recorded),
                "append {n}, after {after}: handled {handled:?}, recorded {recorded:?}"
            );
        }
    }
    assert!(deaths >= 10, "only {deaths} deaths were tried");
}

#[tokio::test]
async fn at_most_once_is_never_twice_and_loses_no_more_than_what_was_at_hand() {
    every_death("signal/x", Guarantee::AtMostOnce, |handled, recorded| {
        let lost = recorded.iter().filter(|count| **count == 0).count();
        handled.iter().all(|count| *count <= 1) && recorded.iter().all(|count| *count <= 1) && lost <= 1
    })
    .await;
}

#[tokio::test]
async fn at_least_once_loses_nothing() {
    every_death("task/x", Guarantee::AtLeastOnce, |handled, recorded| {
        handled.iter().all(|count| (1..=2).contains(count)) && recorded.iter().all(|count| *count >= 1)
    })
    .await;
}

#[tokio::test]
async fn exactly_once_is_recorded_exactly_once() {
    every_death("note/x", Guarantee::ExactlyOnce, |_, recorded| recorded.iter().all(|count| *count == 1)).await;
}

#[tokio::test]
async fn a_replay_tells_what_would_be_done_and_never_doubles_what_is_promised_once() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    let handled = Counts::default();
    let consumers = vec![noter("*/x", &handled)];
    let mut dispatcher = listen(&core, consumers.clone()).await;
    let once = core.post(message("note/x", Guarantee::ExactlyOnce, "user", json!(1))).await.unwrap();
    let least = core.post(message("task/x", Guarantee::AtLeastOnce, "user", json!(2))).await.unwrap();
    dispatcher.drain().await.unwrap();
    let end = core.journal.last_seq();
    let told = replay(&core, &consumers[0], Seq::ZERO, end, false).await.unwrap();
    assert_eq!(told.iter().map(|t| (t.message, t.applied)).collect::<Vec<_>>(), [(once, false), (least, false)]);
    assert_eq!(told[0].does, ["record message_posted"]);
    assert_eq!(core.journal.last_seq(), end, "nothing is recorded");
    let told = replay(&core, &consumers[0], Seq::ZERO, end, true).await.unwrap();
    assert_eq!(told.iter().map(|t| (t.message, t.applied)).collect::<Vec<_>>(), [(once, false), (least, true)]);
    assert_eq!(notes(&core).await, [(once.0, 1), (least.0, 2)].into());
}

#[tokio::test]
async fn what_fails_is_tried_with_pauses_laid_aside_with_the_reason_and_delivered_again() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    let mended = Arc::new(AtomicBool::new(false));
    let handled = Counts::default();
    let Reacts::Code(note) = noter("task/*", &handled).reacts else { unreachable!() };
    let (broken, seen) = (mended.clone(), handled.clone());
    let code = move |delivery: &Delivery| {
        if delivery.message.body == json!("bad") && !broken.load(Ordering::SeqCst) {
            *seen.lock().unwrap().entry(delivery.seq.0).or_default() += 1;
            return Err(format!("try {} failed", delivery.attempt));
        }
        note(delivery)
    };
    let consumer = Consumer { reacts: Reacts::Code(Arc::new(code)), ..noter("task/*", &handled) };
    let mut dispatcher = listen(&core, vec![consumer]).await;
    let bad = core.post(message("task/x", Guarantee::AtLeastOnce, "user", json!("bad"))).await.unwrap();
    let good = core.post(message("task/x", Guarantee::AtLeastOnce, "user", json!("good"))).await.unwrap();
    dispatcher.drain().await.unwrap();
    assert_eq!(dispatcher.pause(), Some(Duration::from_millis(200)));
    dispatcher.drain().await.unwrap();
    assert_eq!(handled.lock().unwrap()[&bad.0], 1, "not before the pause is over");
    room.clock.0.store(200, Ordering::SeqCst);
    dispatcher.drain().await.unwrap();
    assert_eq!(dispatcher.pause(), Some(Duration::from_millis(400)));
    assert!(core.dead().await.unwrap().is_empty() && notes(&core).await.is_empty(), "the order is kept");
    room.clock.0.store(600, Ordering::SeqCst);
    dispatcher.drain().await.unwrap();
    let dead = core.dead().await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].message.seq, dead[0].attempts, dead[0].reason.as_str()),
        (1, bad, 3, "try 3 failed")
    );
    assert_eq!(notes(&core).await, [(good.0, 1)].into(), "the consumer goes on");

    mended.store(true, Ordering::SeqCst);
    core.record(vec![Event::DeadReplayed { consumer: "noter".to_owned(), message: bad }]).await.unwrap();
    dispatcher.drain().await.unwrap();
    assert!(core.dead().await.unwrap().is_empty());
    assert_eq!(notes(&core).await, [(bad.0, 1), (good.0, 1)].into());
}

#[tokio::test]
async fn a_message_with_a_key_is_posted_once() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    let keyed = Message { key: Some("k".to_owned()), ..message("task/x", Guarantee::AtLeastOnce, "user", json!(1)) };
    let first = core.post(keyed.clone()).await.unwrap();
    assert_eq!(core.post(keyed.clone()).await.unwrap(), first);
    let other = Message { topic: "task/y".to_owned(), ..keyed };
    assert!(core.post(other).await.unwrap() > first);
    assert_eq!(core.read("task/*", Seq::ZERO, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_run_that_failed_is_put_on_the_teams_board_once() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    let consumers = reaction::load(room.folder.path()).unwrap();
    let mut dispatcher = listen(&core, consumers.clone()).await;
    let run = atelier_protocol::RunId::new(1, [1; 10]);
    let problem = Problem::new(Code::ChecksFailed, "the tests fail", "look");
    let finished = Event::RunFinished { outcome: atelier_protocol::event::Outcome::Failed { problem } };
    core.journal.append(vec![NewEvent::of_run(&run, None, finished)]).await.unwrap();
    dispatcher.drain().await.unwrap();
    let mut again = listen(&core, consumers).await;
    again.drain().await.unwrap();
    let board = core.objects.show("board/team", None).await.unwrap();
    assert_eq!(board.state["tasks"]["t1"]["title"], json!(format!("Look at run {run} (run/failed): the tests fail")));
    assert_eq!((board.state["next"].clone(), board.version), (json!(2), 2));
}

/// A small generator, so that a seed gives the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn a_thousand_letters_among_five_roles_arrive_once_and_in_order_across_deaths() {
    const ROLES: [&str; 5] = ["business_analyst", "architect", "developer", "qa_tester", "project_manager"];
    let room = Room::new();
    let mut dice = Dice(7);
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    let (mut left, mut deaths, mut unsure) = (1000u32, 0u32, None::<Message>);
    'lives: loop {
        let (_owned, core) = open(&room).await;
        let core = dying(&core, 20 + dice.roll(300), dice.roll(2) == 0);
        loop {
            let posting = left > 0 && dice.roll(5) < 3;
            let ended = if let Some(letter) = unsure.clone() {
                // Whether it was posted is not known: it is posted again, with the same key.
                core.post(letter).await.map(|_| unsure = None)
            } else if posting {
                let (from, to) = (ROLES[dice.roll(5) as usize], ROLES[dice.roll(5) as usize]);
                let topic = format!("mail/{from}/{to}");
                let n = sent.entry(topic.clone()).or_default();
                *n += 1;
                left -= 1;
                let body = json!({"pair": topic, "n": *n});
                let letter =
                    Message { key: Some(n.to_string()), ..message(&topic, Guarantee::ExactlyOnce, from, body) };
                unsure = Some(letter.clone());
                core.post(letter).await.map(|_| unsure = None)
            } else {
                let to = ROLES[dice.roll(5) as usize];
                match core.mail().next(to).await.unwrap() {
                    Some(letter) => {
                        let note = message("note/taken", Guarantee::ExactlyOnce, to, letter.message.body.clone());
                        let events = vec![NewEvent::of_store(Event::MessagePosted { message: note })];
                        core.mail().take(&letter, events).await.map(|_| ())
                    }
                    None => Ok(()),
                }
            };
            if ended.is_err() {
                assert!(core.pen.is_dead(), "{ended:?}");
                deaths += 1;
                continue 'lives;
            }
            let mut waiting = false;
            if left == 0 && unsure.is_none() && dice.roll(20) == 0 {
                for role in ROLES {
                    waiting |= core.mail().next(role).await.unwrap().is_some();
                }
                if !waiting {
                    break 'lives;
                }
            }
        }
    }
    let (_owned, core) = open(&room).await;
    let mut taken: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let notes = core.journal.read_kinds(&["message_posted"], Seq::ZERO, 10_000).await.unwrap();
    for event in notes {
        if let Event::MessagePosted { message } = event.event
            && message.topic == "note/taken"
        {
            let pair = message.body["pair"].as_str().unwrap().to_owned();
            taken.entry(pair).or_default().push(message.body["n"].as_u64().unwrap());
        }
    }
    let wanted: BTreeMap<String, Vec<u64>> = sent.into_iter().map(|(pair, n)| (pair, (1..=n).collect())).collect();
    assert_eq!(taken, wanted);
    assert_eq!(wanted.values().map(Vec::len).sum::<usize>(), 1000);
    assert!(deaths >= 5, "only {deaths} deaths");
}

#[tokio::test]
async fn a_letter_out_of_its_order_is_not_taken() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    for n in 0..2 {
        core.post(message("mail/a/b", Guarantee::ExactlyOnce, "a", json!(n))).await.unwrap();
    }
    let letters = core.read("mail/*/*", Seq::ZERO, 10).await.unwrap();
    let problem = core.mail().take(&letters[1], Vec::new()).await.unwrap_err();
    assert!(problem.message.contains("is not the oldest"), "{problem}");
    assert!(core.mail().take(&letters[0], Vec::new()).await.unwrap());
    assert!(!core.mail().take(&letters[0], Vec::new()).await.unwrap(), "twice is once");
    assert_eq!(core.mail().next("b").await.unwrap().unwrap().seq, letters[1].seq);
    assert_eq!(core.mail().next("a").await.unwrap(), None);
}

/// Time that passes at once.
struct Hurry(Hands);

impl Clock for Hurry {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

async fn story(core: &Core) -> Vec<String> {
    let kinds = ["barrier_opened", "vote_cast", "barrier_closed"];
    let events = core.journal.read_kinds(&kinds, Seq::ZERO, 100).await.unwrap();
    let told = events.into_iter().map(|event| match event.event {
        Event::BarrierOpened { act, voters, .. } => format!("{act}? {}", voters.join(" ")),
        Event::VoteCast { voter, vote: Vote::Clear, .. } => format!("{voter}: clear"),
        Event::VoteCast { voter, vote: Vote::Alarm { reason }, .. } => format!("{voter}: {reason}"),
        Event::BarrierClosed { verdict: BarrierVerdict::Open, .. } => "open".to_owned(),
        Event::BarrierClosed { verdict: BarrierVerdict::Stopped { by, reason }, .. } => {
            format!("stopped by {by}: {reason}")
        }
        _ => String::new(),
    });
    told.collect()
}

#[tokio::test]
async fn one_alarm_or_silence_stops_a_dangerous_act() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    let clear = |name| Voter::new(name, async { Vote::Clear });
    let time = Duration::from_secs(2);
    let verdict = ask(&core, "wipe", vec![clear("a"), clear("b")], time).await.unwrap();
    assert_eq!(verdict, BarrierVerdict::Open);

    let alarm = Voter::new("b", async { Vote::Alarm { reason: "in use".to_owned() } });
    let never = Voter::new("c", std::future::pending());
    let verdict = ask(&core, "wipe", vec![alarm, never], time).await.unwrap();
    let problem = barrier::open(verdict, "Wiping", "Close it first.").unwrap_err();
    assert_eq!((problem.code, problem.message.as_str()), (Code::Stopped, "Wiping was stopped by `b`: in use."));

    let hurried = Core { clock: Arc::new(Hurry(Hands::default())), ..core.clone() };
    let never = Voter::new("c", std::future::pending());
    let verdict = ask(&hurried, "wipe", vec![clear("a"), never], time).await.unwrap();
    assert!(matches!(verdict, BarrierVerdict::Stopped { ref by, .. } if by == "c"), "{verdict:?}");

    // A process that dies before everyone voted: the next owner closes the barrier as stopped.
    let doomed = dying(&core, 2, false);
    ask(&doomed, "wipe", vec![clear("a")], time).await.unwrap_err();
    barrier::recover(&core).await.unwrap();
    barrier::recover(&core).await.unwrap();
    assert_eq!(
        story(&core).await,
        [
            "wipe? a b",
            "a: clear",
            "b: clear",
            "open",
            "wipe? b c",
            "b: in use",
            "stopped by b: in use",
            "wipe? a c",
            "a: clear",
            "stopped by c: said nothing within 2 s",
            "wipe? a",
            "stopped by owner: the process ended before everyone had voted",
        ]
    );
}

/// Notes each job it does; fails where the job says so.
struct Clerk;

impl Worker for Clerk {
    fn queue(&self) -> &'static str {
        "test"
    }
    fn lease(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn work(&self, job: Job) -> BoxFuture<'_, Result<Vec<NewEvent>, String>> {
        Box::pin(async move {
            if job.body["fails"] == json!(true) {
                return Err("it cannot be done".to_owned());
            }
            let note = message("note/done", Guarantee::ExactlyOnce, "clerk", json!(job.id));
            Ok(vec![NewEvent::of_store(Event::MessagePosted { message: note })])
        })
    }
}

fn clerk() -> Arc<dyn Worker> {
    Arc::new(Clerk)
}

fn job(id: &str) -> Job {
    let (id, queue) = (id.to_owned(), "test".to_owned());
    Job { id, queue, priority: Priority::Normal, due_ms: 0, every_ms: None, most_attempts: 3, body: json!({}) }
}

/// Gives a job to a worker of which nothing more is heard.
async fn lease(core: &Core, job: &str, attempt: u32, until_ms: u64) {
    let worker = format!("owner-{}/test", core.journal.epoch());
    core.record(vec![Event::JobLeased { job: job.to_owned(), worker, until_ms, attempt }]).await.unwrap();
}

/// Does its jobs like the clerk, but loses each meanwhile: to the user who takes it back, or to another worker.
struct Late {
    core: Core,
}

impl Worker for Late {
    fn queue(&self) -> &'static str {
        Clerk.queue()
    }
    fn lease(&self) -> Duration {
        Clerk.lease()
    }
    fn work(&self, job: Job) -> BoxFuture<'_, Result<Vec<NewEvent>, String>> {
        Box::pin(async move {
            if job.id == "unwanted" {
                self.core.cancel(&job.id).await.unwrap();
            } else {
                lease(&self.core, &job.id, 2, 9_000).await;
            }
            Clerk.work(job).await
        })
    }
}

async fn done(core: &Core) -> Vec<String> {
    let notes = core.read("note/done", Seq::ZERO, 1000).await.unwrap();
    notes.into_iter().map(|note| note.message.body.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn two_hundred_jobs_end_once_each_though_their_process_dies() {
    let room = Room::new();
    for (n, after) in [(100, false), (101, true), (77, true), (u64::MAX, false)] {
        let (_owned, core) = open(&room).await;
        let worker = clerk();
        if n == 100 {
            for at in 0..200 {
                core.queue(job(&format!("j{at:03}")), &["test"]).await.unwrap();
            }
        }
        let doomed = dying(&core, n, after);
        while let Ok(true) = step(&doomed, &worker).await {}
    }
    let (_owned, core) = open(&room).await;
    let mut names = done(&core).await;
    names.sort();
    assert_eq!(names, (0..200).map(|at| format!("j{at:03}")).collect::<Vec<_>>());
    let jobs = core.jobs().await.unwrap();
    assert!(jobs.len() == 200 && jobs.iter().all(|job| job.state == JobState::Done));
}

#[tokio::test]
async fn jobs_go_by_urgency_time_and_order_wait_repeat_fail_and_are_taken_back() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    let worker = clerk();
    let put = async |job| core.queue(job, &["test"]).await;
    put(job("second")).await.unwrap();
    put(Job { due_ms: 5_000, ..job("later") }).await.unwrap();
    put(Job { priority: Priority::High, ..job("first") }).await.unwrap();
    put(Job { priority: Priority::Low, every_ms: Some(10_000), ..job("often") }).await.unwrap();
    put(Job { most_attempts: 2, body: json!({"fails": true}), ..job("bad") }).await.unwrap();
    put(job("unwanted")).await.unwrap();
    core.cancel("unwanted").await.unwrap();
    assert_eq!(core.cancel("unwanted").await.unwrap_err().code, Code::UnknownJob);
    assert_eq!(put(job("first")).await.unwrap_err().code, Code::BadArgument);
    let stray = Job { queue: "nobody".to_owned(), ..job("x") };
    assert!(put(stray).await.unwrap_err().message.contains("Nobody works on the queue `nobody`; there are test"));
    while step(&core, &worker).await.unwrap() {}
    assert_eq!(done(&core).await, ["first", "second", "often"]);
    room.clock.0.store(5_000, Ordering::SeqCst);
    while step(&core, &worker).await.unwrap() {}
    room.clock.0.store(10_000, Ordering::SeqCst);
    while step(&core, &worker).await.unwrap() {}
    assert_eq!(done(&core).await, ["first", "second", "often", "later", "often"]);
    let jobs = core.jobs().await.unwrap();
    let told: Vec<String> =
        jobs.iter().map(|j| format!("{} {:?} {} {}", j.job.id, j.state, j.attempts, j.ends)).collect();
    assert_eq!(
        told,
        [
            "often Waiting 0 2",
            "unwanted Cancelled 0 0",
            "bad Dead 2 0",
            "first Done 1 1",
            "later Done 1 1",
            "second Done 1 1",
        ]
    );
    assert_eq!(jobs[2].reason.as_deref(), Some("it cannot be done"));
}

#[tokio::test]
async fn what_was_taken_from_its_worker_meanwhile_records_nothing() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    for id in ["unwanted", "another's"] {
        core.queue(job(id), &["test"]).await.unwrap();
    }
    let worker: Arc<dyn Worker> = Arc::new(Late { core: core.clone() });
    while step(&core, &worker).await.unwrap() {}
    assert!(done(&core).await.is_empty());
    let jobs = core.jobs().await.unwrap();
    let told: Vec<_> = jobs.iter().map(|job| (job.job.id.as_str(), job.state, job.attempts)).collect();
    assert_eq!(told, [("another's", JobState::Leased, 2), ("unwanted", JobState::Cancelled, 1)]);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_free_and_a_worker_that_never_comes_back_is_given_up() {
    let room = Room::new();
    let (_owned, core) = open(&room).await;
    core.queue(Job { most_attempts: 2, ..job("j") }, &["test"]).await.unwrap();
    lease(&core, "j", 1, 1_000).await;
    let worker = clerk();
    assert!(!step(&core, &worker).await.unwrap(), "somebody has it");
    room.clock.0.store(1_000, Ordering::SeqCst);
    lease(&core, "j", 2, 2_000).await;
    assert!(!step(&core, &worker).await.unwrap(), "somebody has it again");
    room.clock.0.store(2_000, Ordering::SeqCst);
    while step(&core, &worker).await.unwrap() {}
    let jobs = core.jobs().await.unwrap();
    assert_eq!(
        (jobs[0].state, jobs[0].reason.as_deref()),
        (JobState::Dead, Some("its worker ended 2 times without a word"))
    );
    assert!(done(&core).await.is_empty());
}

#[tokio::test]
async fn what_the_bus_is_asked_is_the_same_made_anew_from_the_history() {
    let room = Room::new();
    let (owned, core) = open(&room).await;
    let fails = |_: &Delivery| Err("it is broken".to_owned());
    let consumer = |id: &str| Consumer {
        id: id.to_owned(),
        listens: vec!["task/*".to_owned()],
        attempts: 1,
        reacts: Reacts::Code(Arc::new(fails)),
    };
    let mut dispatcher = listen(&core, vec![consumer("one"), consumer("two")]).await;
    for n in 0..3 {
        core.post(message("task/x", Guarantee::AtLeastOnce, "user", json!(n))).await.unwrap();
        core.post(message("mail/a/b", Guarantee::ExactlyOnce, "a", json!(n))).await.unwrap();
        core.post(message("mail/a-1/b", Guarantee::ExactlyOnce, "a-1", json!(n))).await.unwrap();
    }
    dispatcher.drain().await.unwrap();
    let dead = core.dead().await.unwrap();
    let replayed = Event::DeadReplayed { consumer: "one".to_owned(), message: dead[0].message.seq };
    core.record(vec![replayed]).await.unwrap();
    let letter = core.mail().next("b").await.unwrap().unwrap();
    core.mail().take(&letter, Vec::new()).await.unwrap();
    core.queue(Job { every_ms: Some(5_000), ..job("often") }, &["test"]).await.unwrap();
    core.queue(job("once"), &["test"]).await.unwrap();
    core.queue(Job { due_ms: 9_000, ..job("later") }, &["test"]).await.unwrap();
    let worker = clerk();
    while step(&core, &worker).await.unwrap() {}
    let doomed = dying(&core, 2, false);
    ask(&doomed, "wipe", vec![Voter::new("a", async { Vote::Clear })], Duration::from_secs(2)).await.unwrap_err();

    let told = async || {
        let jobs = core.jobs().await.unwrap();
        let next = core.mail().next("b").await.unwrap().map(|letter| letter.seq);
        let read = core.read("*/*", Seq::ZERO, 5).await.unwrap();
        let letters = core.read("mail/*/b", Seq::ZERO, 100).await.unwrap();
        (jobs, next, read, letters, core.dead().await.unwrap(), core.open_barriers().await.unwrap())
    };
    let before = told().await;
    assert_eq!((before.0.len(), before.3.len(), before.4.len(), before.5.len()), (3, 6, 5, 1));
    assert!(before.2.len() == 5 && before.2.is_sorted_by_key(|message| message.seq));
    let mut hashes = Vec::new();
    for name in core.projections.names() {
        hashes.push(core.projections.hash(name).await.unwrap());
        core.projections.rebuild(name).await.unwrap();
    }
    for (name, hash) in core.projections.names().into_iter().zip(hashes) {
        assert!(hash.rows > 0, "{name}");
        assert_eq!(core.projections.hash(name).await.unwrap(), hash);
    }
    assert_eq!(told().await, before);
    owned.close().await;
}
