//! What a history consists of. A history from which steps are removed is a history.

use std::fmt;

use super::request::Request;

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// One client sends these in one write and reads their replies.
    Exchange {
        client: usize,
        requests: Vec<Request>,
    },
    /// A client asks for all pages of a scan. The request's `{cursor}` is filled in.
    Scan { client: usize, request: Request },
    /// A client takes or shows members that the server chooses: the direct server is then asked to
    /// remove what was taken, or whether it has what was shown.
    Chosen { client: usize, request: Request },
    /// A client waits with this request until another has sent the second one.
    Blocked {
        client: usize,
        request: Request,
        other: usize,
        waking: Request,
    },
    /// A client is replaced by one that has a new connection.
    Reconnect { client: usize },
    /// A new subscriber gets what a client publishes.
    Message {
        subscription: Request,
        client: usize,
        publication: Request,
    },
    /// A record is written in another form.
    Earlier { request: Request },
}

impl Step {
    /// The requests that can be removed one by one.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Exchange { requests, .. } => requests.len(),
            _ => 1,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange { client, requests } => {
                write!(f, "client {client}: ")?;
                for (number, request) in requests.iter().enumerate() {
                    let separator = if number == 0 { "" } else { " ; " };
                    write!(f, "{separator}{request}")?;
                }
                Ok(())
            }
            Self::Scan { client, request } => write!(f, "client {client}, all pages: {request}"),
            Self::Chosen { client, request } => write!(f, "client {client}, any: {request}"),
            Self::Blocked {
                client,
                request,
                other,
                waking,
            } => write!(
                f,
                "client {client} waits: {request}; client {other}: {waking}"
            ),
            Self::Reconnect { client } => write!(f, "client {client} connects again"),
            Self::Message {
                subscription,
                client,
                publication,
            } => write!(
                f,
                "a subscriber: {subscription}; client {client}: {publication}"
            ),
            Self::Earlier { request } => write!(f, "in another form: {request}"),
        }
    }
}
