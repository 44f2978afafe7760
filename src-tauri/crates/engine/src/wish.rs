//! What every call of a role to a model has in common before it is made: what it may cost, who asks, and what it asks with.
//!
//! Pure. Whether it may be made now is for the budget, the traffic and the user to say.

use crate::loaded::WHILE_AT_WORK;
use atelier_models::{Caller, ChatRequest, Chosen, Message};
use atelier_protocol::event::Amount;
use atelier_protocol::ids::{CallId, RoleId, RunId};

/// What is set aside for a call of so many tokens.
pub(crate) fn reserved(chosen: &Chosen, tokens: u32) -> Amount {
    Amount {
        micros: if chosen.route.local { Some(0) } else { chosen.route.cost },
        tokens: u64::from(tokens),
        local_ms: 0,
    }
}

/// Who asks, as rates and the load of servers are counted.
pub(crate) fn caller(chosen: &Chosen, role: &RoleId, run: &RunId) -> Caller {
    Caller {
        provider: chosen.provider.id.clone(),
        model: chosen.model.clone(),
        role: role.to_string(),
        run: run.to_string(),
    }
}

/// The request, without tools and limits of its own.
pub(crate) fn request(chosen: &Chosen, call: &CallId, messages: Vec<Message>) -> ChatRequest {
    let mut request = ChatRequest::new(&chosen.model, messages);
    request.context = chosen.route.context;
    request.keep_alive = Some(WHILE_AT_WORK.to_owned());
    request.id_prefix = call.to_string();
    request.passed_on = !chosen.route.local;
    request
}
