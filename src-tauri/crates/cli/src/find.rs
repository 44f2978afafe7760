//! `atelier index` and `atelier search`: makes the index and asks it.
//!
//! An answer says what it had to do without. `search` does not wait for parts that take long in a large project;
//! `index` does.

use crate::args::Args;
use crate::choices::Cut;
use crate::out::{End, Finished, Out, counted, unexpected};
use crate::session;
use atelier_engine::{Project, Workshop};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Found, Hit, HitKind, IndexPart, IndexView, Origin, OtherProject, WatchView};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

/// Questions that are asked at once.
const AT_ONCE: usize = 100;
/// Bytes of questions that are read at once.
const READ_AT_ONCE: usize = 64 << 10;
/// Lines of a hit that are shown to people.
const SHOWN: usize = 3;

#[derive(clap::Args, Debug)]
pub struct SearchArgs {
    /// Words or identifiers; words in quotes must follow each other.
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    pub query: Option<String>,
    /// At most so many hits.
    #[arg(short = 'k', long = "limit", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// What hits may be cut from; may be given more than once. Without it: files.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<Cut>,
    /// Search your other projects instead, those that you share; each hit says whose it is and under which licence.
    #[arg(long, conflicts_with = "batch")]
    pub elsewhere: bool,
    /// Answer many questions: reads lines `{"id":ANY,"query":TEXT}` and prints for each a line
    /// `{"id","hits":[{"path","lines","score","hash"}]}`, in the same order.
    #[arg(long)]
    pub batch: bool,
}

pub async fn index(args: &Args, status: bool, meaning: Option<&str>, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    if let Some(meaning) = meaning {
        let model = (meaning != "off").then(|| args.model_choice(meaning));
        let mut settings = workshop.saved_settings().await?;
        settings.search.meaning = model;
        workshop.submit(Op::ChangeSettings { settings }).await?;
    }
    let index = if status { shown(&project).await } else { made(&project, out).await };
    workshop.close().await;
    let index = index?;
    out.say(format!(
        "{} in the index, {} new or changed, {} removed, {} left out, {}, {}, {} ms",
        counted(index.files, "file"),
        index.updated,
        index.removed,
        index.skipped.len(),
        counted(index.commits, "commit"),
        counted(index.documents, "document"),
        index.ms
    ));
    for (path, why) in &index.skipped {
        out.say(format!("  left out {path}: {why}"));
    }
    if status {
        out.say(followed(&index.watch));
    }
    if let Some(meaning) = &index.meaning {
        let of = u64::from(meaning.known) + u64::from(meaning.wanting);
        out.say(format!("{} of {of} passages have vectors by {}", meaning.known, meaning.model.model));
        if meaning.beyond > 0 {
            out.say(format!("{} passages more are found by their words alone", meaning.beyond));
        }
        if let Some(problem) = &meaning.problem {
            out.say(format!("no more of them now: {problem}"));
        }
    }
    say_missing(&index.missing, out);
    say_unpacked(index.unpacked, out);
    Ok(Finished::done(json!({"index": index})))
}

/// How often it is looked what became of the index.
const LOOK: Duration = Duration::from_millis(500);

/// Follows the folder until Ctrl-C.
pub async fn watch(args: &Args, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let ended = watched(&project, out).await;
    workshop.close().await;
    ended
}

async fn watched(project: &Project, out: &Out) -> End {
    let Reply::Index(mut known) = project.submit(Op::WatchIndex).await? else { return Err(unexpected()) };
    out.line("progress", &known);
    out.say(format!("{} in the index; {}", counted(known.files, "file"), followed(&known.watch)));
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Finished::done(json!({"index": known}))),
        }
        let now = shown(project).await?;
        if now.pending == 0 && now != known {
            out.line("progress", &now);
            if now.watch != known.watch {
                out.say(followed(&now.watch));
            }
            if (now.files, now.updated, now.removed) != (known.files, known.updated, known.removed) {
                out.say(format!(
                    "{}, {} new or changed, {} removed",
                    counted(now.files, "file"),
                    now.updated,
                    now.removed
                ));
            }
            say_missing(&now.missing, out);
            known = now;
        }
    }
}

fn followed(watch: &WatchView) -> String {
    match watch {
        WatchView::Off => "changes are not followed; each search looks around first".to_owned(),
        WatchView::Watching { folders } => format!("following {folders} folders"),
        WatchView::Polling { every_ms, reason } => format!("looking around every {every_ms} ms: {reason}"),
        WatchView::Gone => "the folder is not there; waiting for it".to_owned(),
    }
}

/// What would be put before a model.
pub async fn context(args: &Args, goal: &str, budget: u32, out: &Out) -> End {
    let op = Op::ShowContext { goal: goal.to_owned(), budget };
    let Reply::Context(context) = session::ask(args, op).await? else { return Err(unexpected()) };
    for span in &context.spans {
        let [first, last] = span.lines;
        out.say(format!("{}:{first}-{last}  {} tokens, {}, {}", span.path, span.tokens, span.why, span.hash));
    }
    out.say(context.text());
    for left in &context.left_out {
        let [first, last] = left.lines;
        out.say(format!("left out {}:{first}-{last}: {}", left.path, left.reason));
    }
    out.say(format!("about {} of {} tokens", context.tokens, context.budget));
    say_missing(&context.missing, out);
    Ok(Finished::done(json!({ "text": context.text(), "context": context })))
}

async fn shown(project: &Project) -> Result<IndexView, Problem> {
    match project.submit(Op::ShowIndex).await? {
        Reply::Index(index) => Ok(index),
        _ => Err(unexpected()),
    }
}

/// Goes on until nothing is missing, or nothing more comes.
async fn made(project: &Project, out: &Out) -> Result<IndexView, Problem> {
    let mut first: Option<IndexView> = None;
    loop {
        let Reply::Index(index) = project.submit(Op::RefreshIndex).await? else { return Err(unexpected()) };
        // What the first refresh took is what is told at the end.
        let (updated, removed, ms) = first
            .as_ref()
            .map_or((index.updated, index.removed, index.ms), |first| (first.updated, first.removed, first.ms));
        let told = IndexView { updated, removed, ms, ..index };
        if told.missing.is_empty() {
            return Ok(told);
        }
        out.line("progress", &told);
        if first.is_none() {
            out.say(format!("{} can be searched; {} to come", counted(told.files, "file"), names(&told.missing)));
        }
        first = Some(told);
    }
}

pub async fn search(args: &Args, search: &SearchArgs, out: &Out) -> End {
    let kinds: Vec<HitKind> = search.kinds.iter().map(|kind| (*kind).into()).collect();
    if let Some(query) = search.query.as_ref().filter(|_| search.elsewhere) {
        let workshop = session::workshop(args).await?;
        let ended = elsewhere(&workshop, &args.project, query, search.limit, kinds, out).await;
        workshop.close().await;
        return ended;
    }
    let (workshop, project) = session::project(args).await?;
    let ended = match &search.query {
        Some(query) => one(&project, query, search.limit, kinds, out).await,
        None => batch(&project, search.limit, &kinds, out).await,
    };
    workshop.close().await;
    ended
}

/// What the projects that the user shares have to say, but for the one in `here`.
async fn elsewhere(workshop: &Workshop, here: &Path, query: &str, limit: u32, kinds: Vec<HitKind>, out: &Out) -> End {
    // A folder that is no project yet is none of the others either.
    let except = workshop.known(here).await.ok().map(|known| known.id);
    let op = Op::SearchElsewhere { query: query.to_owned(), limit, kinds, except };
    let Reply::Elsewhere(found) = workshop.submit(op).await? else { return Err(unexpected()) };
    if found.searched.is_empty() && found.left_out.is_empty() {
        out.say("no other project is shared; `atelier projects share DIR` shares one");
    } else if found.hits.is_empty() {
        out.say("nothing found; try other words");
    }
    for hit in &found.hits {
        if let Some(project) = &hit.project {
            out.say(format!("{} ({}), {}", project.name, licence(project), project.path));
        }
        say_hit(hit, out);
    }
    for (name, problem) in &found.left_out {
        out.say(format!("left out {name}: {} {}", problem.message, problem.hint));
    }
    if found.private > 0 {
        out.say(format!("not asked, because private: {}", counted(found.private, "project")));
    }
    if found.missing {
        out.say("some of them do not have all of their index yet; ask again for more");
    }
    say_unpacked(found.unpacked, out);
    Ok(Finished::done(json!(found)))
}

fn licence(project: &OtherProject) -> String {
    match &project.licence {
        Some(licence) => format!("{} by {}", licence.name, licence.from),
        None => "licence unknown".to_owned(),
    }
}

/// The one line in which a packed project differs from another.
fn say_unpacked(bytes: Option<u64>, out: &Out) {
    if let Some(bytes) = bytes {
        out.say(format!("it was packed, because nobody worked on it; {} KiB were unpacked", bytes.div_ceil(1024)));
    }
}

async fn one(project: &Project, query: &str, limit: u32, kinds: Vec<HitKind>, out: &Out) -> End {
    let found = ask(project, vec![query.to_owned()], limit, kinds).await?.remove(0);
    if found.hits.is_empty() {
        out.say("nothing found; try other words");
    }
    for hit in &found.hits {
        say_hit(hit, out);
    }
    if let Some(problem) = &found.without_meaning {
        out.say(format!("by words alone: {problem}"));
    }
    say_missing(&found.missing, out);
    say_unpacked(found.unpacked, out);
    Ok(Finished::done(json!(found)))
}

fn say_hit(hit: &Hit, out: &Out) {
    let called = hit.title.as_ref().or(hit.symbol.as_ref()).map(|name| format!("  {name}")).unwrap_or_default();
    out.say(format!("{}  {:.2}{called}", place(hit), hit.score));
    for line in hit.snippet.lines().filter(|line| !line.trim().is_empty()).take(SHOWN) {
        out.say(format!("    {line}"));
    }
}

/// Where a hit can be looked up.
fn place(hit: &Hit) -> String {
    let [first, last] = hit.lines;
    match &hit.origin {
        None => format!("{}:{first}-{last}", hit.path),
        Some(Origin::Event { run, step, seq, .. }) => {
            let step = step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
            format!("run {run}{step} event {seq}")
        }
        Some(Origin::Part { anchor }) => format!("{} {anchor}", hit.path),
        Some(Origin::Library { id }) => format!("library {id}"),
    }
}

/// Answers questions as they come, as long as there are some; a line that is no question is answered with an error.
async fn batch(project: &Project, limit: u32, kinds: &[HitKind], out: &Out) -> End {
    let mut lines = BufReader::with_capacity(READ_AT_ONCE, std::io::stdin().lock());
    let (mut answered, mut refused) = (0u64, 0u64);
    loop {
        let read = waiting(&mut lines)
            .map_err(|e| crate::out::environment(&format!("The questions could not be read: {e}")))?;
        if read.is_empty() {
            break;
        }
        let questions = read.iter().filter(|line| !line.trim().is_empty()).map(|line| question(line)).collect();
        for (id, answer) in answers(project, questions, limit, kinds).await? {
            match answer {
                Ok(found) => {
                    answered += 1;
                    out.data(&json!({
                        "v": 1, "type": "event", "id": id,
                        "hits": found.hits, "scanned": found.scanned, "missing": found.missing, "by": found.by,
                    }));
                }
                Err(problem) => {
                    refused += 1;
                    out.data(&json!({"v": 1, "type": "event", "id": id, "hits": [], "error": problem}));
                }
            }
        }
    }
    Ok(Finished::done(json!({"answered": answered, "refused": refused})))
}

/// The lines that are there, at least one, at most so many as are asked at once; none at the end. Who asks one question
/// and waits for its answer gets it.
fn waiting(lines: &mut BufReader<impl Read>) -> std::io::Result<Vec<String>> {
    let mut read = Vec::new();
    while read.len() < AT_ONCE && (read.is_empty() || lines.buffer().contains(&b'\n')) {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            break;
        }
        read.push(line);
    }
    Ok(read)
}

type Question = (Value, Result<String, Problem>);

fn question(line: &str) -> Question {
    let wrong = |why: &str| {
        Problem::new(
            Code::BadArgument,
            format!("A line is not a question: {why}."),
            "Write one line for each, such as {\"id\": 1, \"query\": \"parse header\"}.",
        )
    };
    match serde_json::from_str::<Value>(line) {
        Err(error) => (Value::Null, Err(wrong(&error.to_string()))),
        Ok(question) => {
            let query = question["query"].as_str().map(str::to_owned);
            (question["id"].clone(), query.ok_or_else(|| wrong("it has no text `query`")))
        }
    }
}

async fn answers(
    project: &Project,
    questions: Vec<Question>,
    limit: u32,
    kinds: &[HitKind],
) -> Result<Vec<(Value, Result<Found, Problem>)>, Problem> {
    let queries: Vec<String> = questions.iter().filter_map(|(_, query)| query.clone().ok()).collect();
    let mut together = match ask(project, queries, limit, kinds.to_vec()).await {
        Ok(found) => found.into_iter().map(Ok).collect(),
        // One of them cannot be answered; the others can.
        Err(problem) if problem.code == Code::QueryInvalid => Vec::new(),
        Err(problem) => return Err(problem),
    }
    .into_iter();
    let mut answers = Vec::with_capacity(questions.len());
    for (id, query) in questions {
        let answer = match query {
            Err(problem) => Err(problem),
            Ok(query) => match together.next() {
                Some(answer) => answer,
                None => ask(project, vec![query], limit, kinds.to_vec()).await.map(|mut found| found.remove(0)),
            },
        };
        answers.push((id, answer));
    }
    Ok(answers)
}

async fn ask(project: &Project, queries: Vec<String>, limit: u32, kinds: Vec<HitKind>) -> Result<Vec<Found>, Problem> {
    let asked = queries.len();
    match project.submit(Op::SearchAll { queries, limit, kinds }).await? {
        Reply::Found(found) if found.len() == asked => Ok(found),
        _ => Err(unexpected()),
    }
}

fn say_missing(missing: &[IndexPart], out: &Out) {
    if !missing.is_empty() {
        out.say(format!("still missing: {}; `atelier index` waits for it", names(missing)));
    }
}

fn names(missing: &[IndexPart]) -> String {
    let name = |part: &IndexPart| match part {
        IndexPart::Symbols => "definitions",
        IndexPart::History => "what earlier commits say",
        IndexPart::Records => "what was said in runs",
        IndexPart::Documents => "documents",
        IndexPart::Meaning => "what passages mean",
    };
    missing.iter().map(name).collect::<Vec<_>>().join(" and ")
}
