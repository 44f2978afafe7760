//! The answer to a request as it goes out: head, pieces, and how it ends in the transcript.

use crate::answer::Ending;
use crate::body::Move;
use crate::line::Reset;
use crate::transcript::{Ended, OpenExchange};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use std::collections::VecDeque;
use std::io;
use tokio::sync::OwnedSemaphorePermit;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The head of an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn new(status: u16, content_type: Option<&'static str>) -> Self {
        Self { status, content_type, headers: Vec::new() }
    }
    fn of<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let named = self.content_type.map(|value| ("content-type".to_owned(), value.to_owned()));
        for (name, value) in named.iter().chain(&self.headers) {
            if let (Ok(name), Ok(value)) = (name.parse::<hyper::header::HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A whole answer with its length.
pub(crate) fn plain(exchange: OpenExchange, head: &Head, body: String) -> Response<Body> {
    exchange.answers(head.status);
    let full = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let response = head.of(full.boxed_unsync());
    exchange.close(Ended::Answered);
    response
}

/// What a streamed body still has to do. Dropped with its exchange open, the client has hung up.
struct Sending {
    moves: VecDeque<Move>,
    exchange: Option<OpenExchange>,
    reset: Reset,
    /// Is told each chunk that goes out.
    sent: Box<dyn FnMut() + Send>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Sending {
    fn close(&mut self, ended: Ended) {
        if let Some(exchange) = self.exchange.take() {
            exchange.close(ended);
        }
    }
    fn cut(&mut self) -> io::Error {
        self.close(Ended::Cut);
        io::Error::other("the script cuts the connection")
    }
}

/// What a stream is made of, besides its moves.
pub(crate) struct Streamed {
    pub(crate) exchange: OpenExchange,
    pub(crate) head: Head,
    pub(crate) reset: Reset,
    pub(crate) slot: Option<OwnedSemaphorePermit>,
    pub(crate) sent: Box<dyn FnMut() + Send>,
}

/// An answer in pieces. Its head goes out with the first of them, as with a real server, so what comes before that
/// happens before the head. An error closes the connection without a byte.
pub(crate) async fn streamed(parts: Streamed, moves: Vec<Move>) -> Result<Response<Body>, io::Error> {
    let Streamed { exchange, mut head, reset, slot, sent } = parts;
    let mut sending = Sending { moves: moves.into(), exchange: Some(exchange), reset, sent, _slot: slot };
    loop {
        match sending.moves.front() {
            Some(Move::Wait(time)) => {
                let time = *time;
                sending.moves.pop_front();
                tokio::time::sleep(time).await;
            }
            Some(Move::Over(Ending::Stall)) => std::future::pending::<()>().await,
            Some(Move::Over(Ending::Cut)) => return Err(sending.cut()),
            Some(Move::Over(Ending::Reset)) => {
                sending.reset.when_it_closes();
                return Err(sending.cut());
            }
            _ => break,
        }
    }
    if let Some(exchange) = &sending.exchange {
        exchange.answers(head.status);
    }
    if sending.moves.back() == Some(&Move::Over(Ending::Short)) {
        let size = |step: &Move| if let Move::Send(bytes) = step { bytes.len() } else { 0 };
        let more = sending.moves.iter().map(size).sum::<usize>() + 100;
        head.headers.push(("content-length".to_owned(), more.to_string()));
    }
    Ok(head.of(StreamBody::new(stream::unfold(Some(sending), next)).boxed_unsync()))
}

async fn next(sending: Option<Sending>) -> Option<(Result<Frame<Bytes>, io::Error>, Option<Sending>)> {
    let mut sending = sending?;
    loop {
        match sending.moves.pop_front() {
            Some(Move::Head) => {}
            Some(Move::Send(bytes)) => {
                (sending.sent)();
                // A client has all it needs with the last piece and need not wait for the end of the body.
                if sending.moves.is_empty() {
                    sending.close(Ended::Answered);
                }
                return Some((Ok(Frame::data(bytes)), Some(sending)));
            }
            Some(Move::Wait(time)) => tokio::time::sleep(time).await,
            Some(Move::Over(Ending::Stall | Ending::StallAfterHead)) => std::future::pending::<()>().await,
            Some(Move::Over(ending @ (Ending::Cut | Ending::Reset))) => {
                // Lets what was sent before go out first.
                tokio::task::yield_now().await;
                if ending == Ending::Reset {
                    sending.reset.when_it_closes();
                }
                let error = sending.cut();
                return Some((Err(error), None));
            }
            Some(Move::Over(Ending::NoEnd | Ending::Short)) => {
                sending.close(Ended::Cut);
                return None;
            }
            None => {
                sending.close(Ended::Answered);
                return None;
            }
        }
    }
}
