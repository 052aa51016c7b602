//! `CLIENT LIST`, `INFO` and `KILL`, and what a client calls its connection: answered for the proxy's clients, with
//! the server's permission. A name never goes onto a lane, where it would be that of all clients of the lane.

use waxseal_policy::is;
use waxseal_resp::{write_bulk, write_request_head};

use super::Talk;
use crate::clients::kill::Kill;
use crate::clients::list;
use crate::pending::{Label, LabelKind, Pending, Shape};
use crate::seal::Request;

/// The longest label that is remembered.
pub(super) const MAX_LABEL: usize = 1024;

impl Talk {
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
        self.expect(Pending::ClientList { ids });
    }

    /// `CLIENT KILL`, outside a transaction.
    #[cold]
    pub(super) fn kill_clients(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        upstream: &mut Vec<u8>,
    ) {
        self.use_own_connection();
        let kill = match &self.registration {
            Some(registration) => registration.clients.kill(request.arguments),
            None => Kill::Forward,
        };
        match kill {
            Kill::Forward => upstream.extend_from_slice(request.raw),
            Kill::Readdressed { argument, address } => {
                write_request_head(upstream, request.arguments.len());
                for (index, word) in request.arguments.iter().enumerate() {
                    match index == argument {
                        true => write_bulk(upstream, address.as_bytes()),
                        false => write_bulk(upstream, word),
                    }
                }
            }
            Kill::Here { request, targets } => {
                write_request_head(upstream, request.len());
                for word in request {
                    write_bulk(upstream, &word);
                }
                return self.expect(Pending::Kill(Box::new(targets)));
            }
        }
        self.sent(command, Shape::AsItIs);
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
        if self.shared && is_acceptable(&label.word) {
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
        let mut arguments = request.arguments.to_vec();
        if let Some(container) = arguments.first_mut() {
            *container = super::OWN_CLIENT;
        }
        let mut out = Vec::with_capacity(request.raw.len());
        write_label(&arguments, word, &mut out);
        out.into_boxed_slice()
    };
    Label {
        kind,
        request: short.then(again),
        word: word.into(),
    }
}
