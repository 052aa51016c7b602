//! `CLIENT LIST`, `INFO` and `KILL`, and the labels of connections: answered for the proxy's clients, with the server's
//! permission. A label is never set on a lane, where all clients would have it.

use waxseal_policy::{Effect, is};
use waxseal_resp::{write_bulk, write_request_head};

use super::handshake::OWN_CLIENT;
use super::state::{Affinity, ConnectionState};
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
    /// True for a request that is sent alone: it can take long to answer, and its meaning is decided when all earlier
    /// requests have their replies.
    pub(super) fn is_sent_alone(&self, effect: Effect) -> bool {
        matches!(effect, Effect::ListClients | Effect::KillClients) && !self.transaction.is_open()
    }

    /// `CLIENT LIST` and `CLIENT INFO`, outside a transaction.
    #[cold]
    pub(super) fn list_clients(&mut self, request: &Request<'_>, upstream: &mut Vec<u8>) {
        self.affinity.pin();
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
        let kill = match &self.client.registration {
            Some(registration) => registration.clients.kill(request.arguments),
            None => Kill::Forward,
        };
        match kill {
            Kill::Refuse(filter) => {
                let (command, reason) = (Some(command), OwnReason::SharedConnections);
                self.record_own_refusal(command, reason, request.arguments, false);
                self.refuse(&answers::matches_shared_connections(filter), client);
            }
            Kill::Forward => {
                self.affinity.pin();
                upstream.extend_from_slice(request.raw);
                self.sent(command, Shape::VERBATIM);
            }
            Kill::Readdressed(request) => {
                self.affinity.pin();
                write_request(&request, upstream);
                self.sent(command, Shape::VERBATIM);
            }
            Kill::Here { request, kill } => {
                self.affinity.pin();
                write_request(&request, upstream);
                self.await_reply();
                self.expect(Pending::Kill(Box::new(kill)));
            }
        }
    }

    /// The reply that decides whether clients may be killed here.
    #[cold]
    pub(super) fn kill_reply(&mut self, kill: &KillHere, reply: &Reply<'_>, client: &mut Vec<u8>) {
        self.end_await();
        let Some(Registration {
            clients,
            client: asking,
        }) = &self.client.registration
        else {
            return;
        };
        if !reply.is_ok {
            return;
        }
        let before = client.len();
        if kill.kill(clients, asking, reply.whole, client) {
            self.close();
        }
        if reply.is_muted {
            client.truncate(before);
        }
    }

    /// Writes the list of clients that the client gets for the server's.
    #[cold]
    pub(super) fn client_list(&self, reply: &[u8], ids: Option<&[u64]>, client: &mut Vec<u8>) {
        match &self.client.registration {
            Some(registration) => registration.clients.list(reply, ids, client),
            None => client.extend_from_slice(reply),
        }
    }

    /// `CLIENT SETNAME` and `CLIENT SETINFO`. On a lane they are sent with an empty text, which every server accepts if the
    /// user may set labels, unless the text is one that it refuses.
    #[inline(never)]
    pub(super) fn label(&mut self, request: &Request<'_>, upstream: &mut Vec<u8>) {
        let label = label_of(request);
        if label.request.is_none() {
            // It cannot be repeated on another connection.
            self.affinity.pin();
        }
        let text = request.arguments.last().copied().unwrap_or_default();
        if self.affinity == Affinity::Shared && is_acceptable(text) {
            write_label(request.arguments, b"", upstream);
        } else {
            upstream.extend_from_slice(request.raw);
        }
        self.expect(Pending::Label(Box::new(label)));
    }

    /// The server has accepted a label.
    pub(super) fn set_label(&mut self, label: Label) {
        if let Some(registration) = &self.client.registration {
            registration.client.set_label(label.kind, &label.text);
        }
        self.client.labels.set(label);
    }
}

fn write_request(words: &[Vec<u8>], out: &mut Vec<u8>) {
    write_request_head(out, words.len());
    for word in words {
        write_bulk(out, word);
    }
}

/// True if servers accept this text in a label: it has only printable characters, and no spaces.
fn is_acceptable(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'!'..=b'~'))
}

/// Writes a request that sets a label to this text.
fn write_label(arguments: &[&[u8]], text: &[u8], out: &mut Vec<u8>) {
    write_request_head(out, arguments.len());
    if let Some((_, before)) = arguments.split_last() {
        for argument in before {
            write_bulk(out, argument);
        }
    }
    write_bulk(out, text);
}

fn label_of(request: &Request<'_>) -> Label {
    let kind = if is(request.arguments, 1, "SETNAME") {
        LabelKind::Name
    } else if is(request.arguments, 2, "LIB-NAME") {
        LabelKind::Library
    } else {
        LabelKind::Version
    };
    let text = request.arguments.last().copied().unwrap_or_default();
    let is_short = request.raw.len() <= MAX_LABEL;
    let repeated = || {
        let words: &[&[u8]] = match kind {
            LabelKind::Name => &[OWN_CLIENT, b"SETNAME", text],
            LabelKind::Library => &[OWN_CLIENT, b"SETINFO", b"LIB-NAME", text],
            LabelKind::Version => &[OWN_CLIENT, b"SETINFO", b"LIB-VER", text],
        };
        let mut out = Vec::with_capacity(request.raw.len());
        write_label(words, text, &mut out);
        out.into_boxed_slice()
    };
    Label {
        kind,
        request: is_short.then(repeated),
        text: match is_short {
            true => text.into(),
            false => Box::default(),
        },
    }
}
