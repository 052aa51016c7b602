//! `CLIENT LIST`, `INFO` and `KILL`, and what a client calls its connection: answered for the proxy's clients, with
//! the server's permission. A name never goes onto a lane, where it would be that of all clients of the lane.

use waxseal_policy::{Effect, is};
use waxseal_resp::{write_bulk, write_request_head};

use super::ConnectionState;
use super::transaction::Reply;
use crate::answers;
use crate::clients::kill::{Kill, KillHere};
use crate::clients::{Registration, list};
use crate::pending::{Label, LabelKind, Pending, Shape};
use crate::refusals::OwnReason;
use crate::seal::Request;

/// The longest label that is remembered.
pub(super) const MAX_LABEL: usize = 1024;

impl ConnectionState {
    /// Whether a request is one of those that are sent alone: it can take long to answer, and what it means is
    /// decided when it is its turn.
    pub(super) fn is_sent_alone(&self, effect: Effect) -> bool {
        matches!(effect, Effect::ListClients | Effect::KillClients) && self.transaction.is_none()
    }

    /// `CLIENT LIST` and `CLIENT INFO`, outside a transaction.
    #[cold]
    pub(super) fn list_clients(&mut self, request: &Request<'_>, upstream: &mut Vec<u8>) {
        self.use_own_connection();
        let ids = list::asked_ids(request.arguments);
        upstream.extend_from_slice(match ids {
            Some(_) => list::LIST,
            None => request.raw,
        });
        let ids = ids.map(Vec::into_boxed_slice);
        self.await_reply();
        self.expect(Pending::ClientList { ids });
    }

    /// `CLIENT KILL`, outside a transaction.
    #[cold]
    pub(super) fn kill_clients(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        let kill = match &self.registration {
            Some(registration) => registration.clients.kill(request.arguments),
            None => Kill::Forward,
        };
        match kill {
            Kill::Refuse(filter) => {
                let (command, reason) = (Some(command), OwnReason::SharedConnections);
                self.record_own_refusal(command, reason, request.arguments, false);
                self.refuse(&answers::means_shared_connections(filter), client);
            }
            Kill::Forward => {
                self.use_own_connection();
                upstream.extend_from_slice(request.raw);
                self.sent(command, Shape::Verbatim);
            }
            Kill::Readdressed(request) => {
                self.use_own_connection();
                write_request(&request, upstream);
                self.sent(command, Shape::Verbatim);
            }
            Kill::Here { request, kill } => {
                self.use_own_connection();
                write_request(&request, upstream);
                self.await_reply();
                self.expect(Pending::Kill(Box::new(kill)));
            }
        }
    }

    /// The server has said whether clients may be killed here.
    #[cold]
    pub(super) fn kill_reply(&mut self, kill: &KillHere, reply: &Reply<'_>, client: &mut Vec<u8>) {
        self.barrier = false;
        let Some(Registration {
            clients,
            client: asking,
        }) = &self.registration
        else {
            return;
        };
        if !reply.fine {
            return;
        }
        let before = client.len();
        self.closing |= kill.kill(clients, asking, reply.whole, client);
        if reply.muted {
            client.truncate(before);
        }
    }

    /// A request went out that concerns the upstream connection as such.
    pub(super) fn use_own_connection(&mut self) {
        self.pinned = true;
        self.traces = true;
    }

    /// The list of the server's clients has come.
    #[cold]
    pub(super) fn client_list(&self, reply: &[u8], ids: Option<&[u64]>, client: &mut Vec<u8>) {
        match &self.registration {
            Some(registration) => registration.clients.list(reply, ids, client),
            None => client.extend_from_slice(reply),
        }
    }

    /// `CLIENT SETNAME` and `CLIENT SETINFO`. On a lane the server is asked with an empty word, which every
    /// server accepts of those who may, unless the word is one that it refuses.
    #[inline(never)]
    pub(super) fn label(&mut self, request: &Request<'_>, upstream: &mut Vec<u8>) {
        let label = label_of(request);
        // One that is too long to be said again must stay where it was said.
        self.pinned |= label.request.is_none();
        let word = request.arguments.last().copied().unwrap_or_default();
        if self.shared && is_acceptable(word) {
            write_label(request.arguments, b"", upstream);
        } else {
            upstream.extend_from_slice(request.raw);
        }
        self.expect(Pending::Label(Box::new(label)));
    }

    /// The server has accepted a label.
    pub(super) fn set_label(&mut self, label: Label) {
        if let Some(registration) = &self.registration {
            registration.client.set_label(label.kind, &label.word);
        }
        self.labels.set(label);
    }
}

fn write_request(words: &[Vec<u8>], out: &mut Vec<u8>) {
    write_request_head(out, words.len());
    for word in words {
        write_bulk(out, word);
    }
}

/// Whether servers accept this word in a label: it holds no spaces and nothing that cannot be seen.
fn is_acceptable(word: &[u8]) -> bool {
    word.iter().all(|byte| matches!(byte, b'!'..=b'~'))
}

/// Writes the request that gives this label.
fn write_label(arguments: &[&[u8]], word: &[u8], out: &mut Vec<u8>) {
    write_request_head(out, arguments.len());
    if let Some((_, before)) = arguments.split_last() {
        for argument in before {
            write_bulk(out, argument);
        }
    }
    write_bulk(out, word);
}

fn label_of(request: &Request<'_>) -> Label {
    let kind = if is(request.arguments, 1, "SETNAME") {
        LabelKind::Name
    } else if is(request.arguments, 2, "LIB-NAME") {
        LabelKind::Library
    } else {
        LabelKind::Version
    };
    let word = request.arguments.last().copied().unwrap_or_default();
    let short = request.raw.len() <= MAX_LABEL;
    let again = || {
        let words: &[&[u8]] = match kind {
            LabelKind::Name => &[super::OWN_CLIENT, b"SETNAME", word],
            LabelKind::Library => &[super::OWN_CLIENT, b"SETINFO", b"LIB-NAME", word],
            LabelKind::Version => &[super::OWN_CLIENT, b"SETINFO", b"LIB-VER", word],
        };
        let mut out = Vec::with_capacity(request.raw.len());
        write_label(words, word, &mut out);
        out.into_boxed_slice()
    };
    Label {
        kind,
        request: short.then(again),
        word: if short { word.into() } else { Box::default() },
    }
}
