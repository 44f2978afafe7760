//! `atelier models cache`: the answers that are kept for other programs, and which are.

use crate::args::Args;
use crate::out::{End, Finished, Out, counted};
use crate::session;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::Op;
use atelier_protocol::settings::{LikeQuestions, ModelChoice};
use serde_json::json;

#[derive(clap::Args, Debug)]
pub struct CacheArgs {
    /// Remove what is kept for this project.
    #[arg(long)]
    pub clear: bool,
    /// Keep no answers from now on.
    #[arg(long, conflicts_with = "on")]
    pub off: bool,
    /// Keep them again.
    #[arg(long)]
    pub on: bool,
    /// For how many seconds an answer counts.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,
    /// Give an answer to a like question too: the model that makes vectors, as SERVER/MODEL; `none` ends that.
    #[arg(long, value_name = "SERVER/MODEL")]
    pub like: Option<String>,
    /// How like a question must be: the cosine of the vectors, from 0.5 to 1.
    #[arg(long)]
    pub floor: Option<f32>,
}

pub async fn cache(args: &Args, asked: &CacheArgs, out: &Out) -> End {
    let workshop = session::workshop(args).await?;
    let done = async {
        let project = workshop.open_project(&args.project).await.ok().map(|project| project.id().clone());
        let mut settings = workshop.saved_settings().await?;
        let before = settings.routing.kept.clone();
        let kept = &mut settings.routing.kept;
        kept.on = (kept.on || asked.on) && !asked.off;
        kept.for_s = asked.seconds.unwrap_or(kept.for_s);
        match asked.like.as_deref() {
            Some("none") => kept.like = None,
            Some(name) => {
                let (provider, model) = name.split_once('/').ok_or_else(|| bad(name, "name it as SERVER/MODEL"))?;
                let by = ModelChoice { provider: provider.to_owned(), model: model.to_owned() };
                let floor = kept.like.as_ref().map_or(950, |like| like.floor);
                kept.like = Some(Box::new(LikeQuestions { by, floor }));
            }
            None => {}
        }
        if let Some(floor) = asked.floor {
            if !(0.5..=1.0).contains(&floor) {
                return Err(bad(&floor.to_string(), "take a number from 0.5 to 1"));
            }
            let like = kept.like.as_mut().ok_or_else(|| bad("--floor", "say with --like which model compares"))?;
            like.floor = (floor * 1000.0).round() as u32;
        }
        if settings.routing.kept != before {
            workshop.submit(Op::ChangeSettings { settings: settings.clone() }).await?;
        }
        if asked.clear {
            workshop.clear_kept(project.as_ref())?;
        }
        Ok((settings.routing.kept, workshop.kept(project.as_ref()).1))
    };
    let done = done.await;
    workshop.close().await;
    let (settings, view) = done?;
    let like = settings.like.as_ref().map_or_else(
        || "the same question only".to_owned(),
        |like| {
            format!(
                "like questions too, from {:.3} on by {}/{}",
                f64::from(like.floor) / 1000.0,
                like.by.provider,
                like.by.model
            )
        },
    );
    out.say(match settings.on {
        true => format!("answers are kept for {} s; {like}", settings.for_s),
        false => "no answers are kept".to_owned(),
    });
    let counts = view.counts;
    let rate = |hits: u64| if counts.asked == 0 { 0.0 } else { hits as f64 * 100.0 / counts.asked as f64 };
    out.say(format!("{}, {} bytes", counted(view.answers, "answer"), view.bytes));
    out.say(format!(
        "looked for {} times: {:.1} % the same question, {:.1} % a like one, {} stale",
        counts.asked,
        rate(counts.same),
        rate(counts.like),
        counts.stale
    ));
    Ok(Finished::done(json!({"settings": settings, "kept": view})))
}

fn bad(what: &str, hint: &str) -> Problem {
    Problem::new(Code::BadArgument, format!("`{what}` cannot be used here."), format!("Please {hint}."))
}
