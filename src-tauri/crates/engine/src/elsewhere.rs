//! Search over the user's other projects: only those that the user shares, each hit with its origin and licence.
//!
//! A project is private until the user says otherwise, and nothing of a private one is opened or read. Each is asked
//! through its owner, so nothing of it is opened twice; one that nobody had open stays open in this process. What could
//! not be asked is named.

use crate::desk::blocking;
use crate::licence;
use crate::workshop::Workshop;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::ProjectId;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Found, FoundElsewhere, Hit, HitKind, KnownProject, OtherProject};
use futures_util::stream::{self, StreamExt};
use std::path::PathBuf;
use std::time::Duration;

/// Projects that are asked at the same time.
const AT_ONCE: usize = 4;
/// How long an answer waits for one of them.
const PATIENCE: Duration = Duration::from_secs(10);

impl Workshop {
    /// Answers one question from the projects that the user shares, but for one of them.
    pub(crate) async fn search_elsewhere(
        &self,
        query: &str,
        limit: u32,
        kinds: &[HitKind],
        except: Option<&ProjectId>,
    ) -> Result<FoundElsewhere, Problem> {
        // The library is not of a project.
        let kinds: Vec<HitKind> = kinds.iter().copied().filter(|kind| *kind != HitKind::Note).collect();
        let others = self.known_projects().await?.into_iter().filter(|known| Some(&known.id) != except);
        let (shared, private): (Vec<KnownProject>, Vec<KnownProject>) = others.partition(|known| known.shared);
        let mut answer =
            FoundElsewhere { private: u32::try_from(private.len()).unwrap_or(u32::MAX), ..Default::default() };
        let mut asked = stream::iter(shared)
            .map(|known| {
                let op = Op::SearchAll { queries: vec![query.to_owned()], limit, kinds: kinds.clone() };
                async move { (known.name.clone(), self.ask_other(known, op).await) }
            })
            .buffered(AT_ONCE);
        let mut of_each: Vec<Vec<Hit>> = Vec::new();
        while let Some((name, answered)) = asked.next().await {
            match answered {
                Ok((other, found)) => {
                    answer.missing |= !found.missing.is_empty();
                    answer.unpacked = answer.unpacked.into_iter().chain(found.unpacked).reduce(|a, b| a + b);
                    let of = |hit: Hit| Hit { project: Some(other.clone()), ..hit };
                    of_each.push(found.hits.into_iter().map(of).collect());
                    answer.searched.push(other);
                }
                // The question itself is wrong: that is the same everywhere.
                Err(problem) if problem.code == Code::QueryInvalid => return Err(problem),
                Err(problem) => answer.left_out.push((name, problem)),
            }
        }
        answer.hits = in_turn(of_each, usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(answer)
    }

    async fn ask_other(&self, known: KnownProject, op: Op) -> Result<(OtherProject, Found), Problem> {
        let KnownProject { id, path, name, .. } = known;
        let root = PathBuf::from(&path);
        let asked = async {
            let reply = self.at(&id, root.clone()).await?.submit(op).await?;
            let Reply::Found(mut found) = reply else {
                return Err(Problem::new(Code::Internal, "It did not answer with hits.", "Please report this."));
            };
            let licence = blocking(move || Ok(licence::of(&root))).await?;
            Ok((OtherProject { id: id.clone(), name, path, licence }, found.pop().unwrap_or_default()))
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            let message = format!("It did not answer within {} seconds.", PATIENCE.as_secs());
            Err(Problem::new(Code::WrongState, message, "Ask again; its index is being made meanwhile."))
        })
    }
}

/// The first of each, then the second of each, and so on: scores compare only within one project.
fn in_turn(of_each: Vec<Vec<Hit>>, limit: usize) -> Vec<Hit> {
    let mut ranked: Vec<(usize, Hit)> = of_each.into_iter().flat_map(|hits| hits.into_iter().enumerate()).collect();
    ranked.sort_by_key(|(at, _)| *at); // stable: of the same place, the project that was used last comes first
    ranked.into_iter().map(|(_, hit)| hit).take(limit).collect()
}
