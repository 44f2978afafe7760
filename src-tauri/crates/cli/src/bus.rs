//! `atelier bus`: posts and reads messages and letters, and looks after those that were laid aside.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_engine::Project;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Guarantee, Message};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{MessageView, TopicView};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

#[derive(Subcommand, Debug)]
pub enum BusVerb {
    /// The topics, what each promises, and who listens.
    Topics,
    /// Post a message.
    Post {
        /// The topic, such as `task/index` or `mail/architect/developer`.
        topic: String,
        /// What it says: JSON, or else text.
        body: String,
        /// The sender; a letter's is the one named second in its topic.
        #[arg(long, default_value = "user")]
        from: String,
        /// A message with the same key and topic is posted once.
        #[arg(long)]
        key: Option<String>,
        /// What it is promised; the topic's where it is left out.
        #[arg(long, value_name = "PROMISE")]
        guarantee: Option<Promise>,
    },
    /// Read the messages of topics that fit a pattern.
    Read {
        /// The pattern, such as `run/*`; `*` stands for one name.
        #[arg(default_value = "*/*")]
        topic: String,
        /// Only after this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// At most so many.
        #[arg(short = 'k', long = "limit", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// The next letter to a role.
    Mail {
        /// The role.
        to: String,
        /// Take it, so that the next one of its sender is next.
        #[arg(long)]
        take: bool,
    },
    /// The messages that a consumer laid aside, and why.
    Dead,
    /// Deliver a message that was laid aside again, or let a consumer handle a range of messages once more.
    Replay {
        /// The consumer.
        consumer: String,
        /// The number of the message that was laid aside.
        #[arg(required_unless_present = "upto", conflicts_with_all = ["after", "upto", "apply"])]
        message: Option<u64>,
        /// Only messages after this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Only messages up to this number.
        #[arg(long)]
        upto: Option<u64>,
        /// Record what the consumer does about them; without it that is only told.
        #[arg(long)]
        apply: bool,
    },
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names of the promises are those of the topics")]
pub enum Promise {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl From<Promise> for Guarantee {
    fn from(promise: Promise) -> Self {
        match promise {
            Promise::AtMostOnce => Guarantee::AtMostOnce,
            Promise::AtLeastOnce => Guarantee::AtLeastOnce,
            Promise::ExactlyOnce => Guarantee::ExactlyOnce,
        }
    }
}

pub async fn bus(args: &Args, verb: &BusVerb, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let end = perform(&project, verb, out).await;
    workshop.close().await;
    end
}

async fn perform(project: &Project, verb: &BusVerb, out: &Out) -> End {
    match verb {
        BusVerb::Topics => {
            let topics = topics(project).await?;
            for topic in &topics {
                let who: Vec<String> = topic.consumers.iter().map(|(id, at)| format!("{id} (at {at})")).collect();
                out.say(format!("{:<14} {:<14} {}", topic.topic, words(topic.guarantee), who.join(", ")));
            }
            Ok(Finished::done(json!({"topics": topics})))
        }
        BusVerb::Post { topic, body, from, key, guarantee } => {
            let guarantee = match guarantee {
                Some(promise) => (*promise).into(),
                None => promised(project, topic).await?,
            };
            let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
            let message = Message {
                topic: topic.clone(),
                guarantee,
                from: from.clone(),
                to: None,
                key: key.clone(),
                reply_to: None,
                correlation: None,
                body,
            };
            let Reply::Posted(seq) = project.submit(Op::PostMessage { message }).await? else {
                return Err(unexpected());
            };
            out.say(format!("posted as {seq}"));
            Ok(Finished::done(json!({"message": seq})))
        }
        BusVerb::Read { topic, after, limit } => {
            let op = Op::ReadMessages { topic: topic.clone(), after: Seq(*after), limit: *limit };
            let Reply::Messages(messages) = project.submit(op).await? else { return Err(unexpected()) };
            if messages.is_empty() {
                out.say("no messages");
            }
            messages.iter().for_each(|message| out.say(line(message)));
            Ok(Finished::done(json!({"messages": messages})))
        }
        BusVerb::Mail { to, take } => {
            let Reply::Messages(letters) = project.submit(Op::NextLetter { to: to.clone() }).await? else {
                return Err(unexpected());
            };
            let Some(letter) = letters.first() else {
                out.say(format!("no letter waits for {to}"));
                return Ok(Finished::done(json!({"letter": null})));
            };
            out.say(line(letter));
            if *take {
                project.submit(Op::TakeLetter { letter: letter.seq }).await?;
                out.say("taken");
            }
            Ok(Finished::done(json!({"letter": letter, "taken": take})))
        }
        BusVerb::Dead => {
            let Reply::Dead(dead) = project.submit(Op::ListDead).await? else { return Err(unexpected()) };
            if dead.is_empty() {
                out.say("no message was laid aside");
            }
            for one in &dead {
                out.say(format!(
                    "{}\n  {} tried {} times: {}",
                    line(&one.message),
                    one.consumer,
                    one.attempts,
                    one.reason
                ));
                out.say(format!("  → atelier bus replay {} {}", one.consumer, one.message.seq));
            }
            Ok(Finished::done(json!({"dead": dead})))
        }
        BusVerb::Replay { consumer, message: Some(message), .. } => {
            let op = Op::ReplayDead { consumer: consumer.clone(), message: Seq(*message) };
            let Reply::Dead(left) = project.submit(op).await? else { return Err(unexpected()) };
            let again = left.iter().any(|one| one.consumer == *consumer && one.message.seq.0 == *message);
            out.say(if again { "it failed again; see `atelier bus dead`" } else { "delivered again" });
            Ok(Finished::done(json!({"message": message, "dead": left})))
        }
        BusVerb::Replay { consumer, after, upto, apply, .. } => {
            let upto = Seq(upto.unwrap_or(u64::MAX));
            let op = Op::ReplayRange { consumer: consumer.clone(), after: Seq(*after), upto, apply: *apply };
            let Reply::Replayed(told) = project.submit(op).await? else { return Err(unexpected()) };
            if told.is_empty() {
                out.say(format!("no message there is for {consumer}"));
            }
            for one in &told {
                let said = match (one.does.is_empty(), one.applied, apply) {
                    (true, _, _) => "nothing to do".to_owned(),
                    (false, true, _) => format!("recorded: {}", one.does.join("; ")),
                    (false, false, true) => "was recorded before".to_owned(),
                    (false, false, false) => format!("would {}", one.does.join("; ")),
                };
                out.say(format!("{:>6} {:<16} {said}", one.message, one.topic));
            }
            Ok(Finished::done(json!({"replayed": told})))
        }
    }
}

async fn topics(project: &Project) -> Result<Vec<TopicView>, Problem> {
    match project.submit(Op::ListTopics).await? {
        Reply::Topics(topics) => Ok(topics),
        _ => Err(unexpected()),
    }
}

/// What the declared topic promises that this one is of; the owner says what is wrong with one that is none.
async fn promised(project: &Project, topic: &str) -> Result<Guarantee, Problem> {
    let fits = |pattern: &str| {
        let (mut a, mut b) = (pattern.split('/'), topic.split('/'));
        a.by_ref().zip(b.by_ref()).all(|(p, t)| p == "*" || p == t)
            && pattern.matches('/').count() == topic.matches('/').count()
    };
    let declared = topics(project).await?.into_iter().find(|declared| fits(&declared.topic));
    Ok(declared.map_or(Guarantee::AtMostOnce, |declared| declared.guarantee))
}

fn line(view: &MessageView) -> String {
    let Message { topic, from, body, .. } = &view.message;
    format!("{:>6} {topic:<20} {from}: {body}", view.seq)
}

fn words(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::AtMostOnce => "at most once",
        Guarantee::AtLeastOnce => "at least once",
        Guarantee::ExactlyOnce => "exactly once",
    }
}

/// A number of milliseconds from text such as `90s`, `15m`, `2h` or `1d`.
pub fn duration_ms(text: &str) -> Result<u64, Problem> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).filter(|_| factor > 0);
    number.ok_or_else(|| {
        Problem::new(
            Code::BadArgument,
            format!("`{text}` is no time."),
            "Write a number with s, m, h or d, such as 15m.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        assert_eq!(duration_ms("90s").unwrap(), 90_000);
        assert_eq!(duration_ms("2h").unwrap(), 7_200_000);
        assert!(
            duration_ms("soon").is_err() && duration_ms("5y").is_err() && duration_ms("99999999999999999d").is_err()
        );
    }
}
