//! The connection: what a client says that it can do.

use smallvec::SmallVec;

use crate::argument::is;
use crate::decision::{Action, ReplyShape, RequestChange, Transform};

/// What stands for a capability that is left out: no server knows it, and servers ignore those that
/// they do not know.
const NO_CAPABILITY: &str = "none";

/// `CLIENT CAPA capability…`: a client that can be redirected would be led to the server itself.
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
