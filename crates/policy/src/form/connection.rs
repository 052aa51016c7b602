//! The capabilities that a client announces for its connection.

use smallvec::SmallVec;

use crate::argument::is;
use crate::decision::{Action, RequestChange, Transform};
use crate::location::ReplyShape;

/// Replaces a capability that is left out: no server knows it, and servers ignore those that they do not know.
const NO_CAPABILITY: &str = "none";

/// `CLIENT CAPA capability…`: a client that can be redirected would be sent past the proxy to the server.
pub(crate) fn without_redirect(arguments: &[&[u8]]) -> Action {
    let redirect = (2..arguments.len()).filter(|at| is(arguments, *at, "REDIRECT"));
    let redirect: SmallVec<[usize; 2]> = redirect.collect();
    if redirect.is_empty() {
        return Action::Forward;
    }
    Action::Transform(Transform {
        request: RequestChange::Reword {
            arguments: redirect,
            word: NO_CAPABILITY,
        },
        reply: ReplyShape::Verbatim,
    })
}
