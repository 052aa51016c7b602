//! A relay between a program and an HTTP server that can fail in every way a network and a service
//! can: it forwards requests, swallows them, returns garbage or an error of its own. One exchange
//! per connection, so that a new behaviour applies from the next request on. No TLS.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{Message, Unframed, exchange};

/// The interval between two checks whether an unanswered connection may be closed.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The treatment of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Each is forwarded, and its response returned.
    Pass,
    /// Connections are closed at once.
    Down,
    /// Requests are read and never answered; their connections stay open, even when the behaviour
    /// changes.
    Stall,
    /// Success, with a body that is not JSON.
    Garbage,
    /// A response that is not HTTP.
    NotHttp,
    /// Always this response.
    Status {
        /// The status.
        code: u16,
        /// Headers, such as `("Retry-After", "1")`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// This response to requests that contain a text in their head or body; others are forwarded.
    Matching {
        /// The text, for example `TrentService.Encrypt` or `/transit/encrypt/`.
        needle: String,
        /// The status.
        code: u16,
        /// The body.
        body: String,
    },
}

/// A running relay. Dropping it stops it.
#[derive(Debug)]
pub struct HttpRelay {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    state: Mutex<State>,
    ending: AtomicBool,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    requests: usize,
    answered: usize,
}

impl HttpRelay {
    /// Starts a relay in front of the server on this port of 127.0.0.1, which forwards everything.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    #[must_use]
    pub fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::new(State {
                behaviour: Behaviour::Pass,
                requests: 0,
                answered: 0,
            }),
            ending: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &theirs));
        Self {
            port,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the behaviour from the next request on, and resets the counters.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.shared.state() = State {
            behaviour,
            requests: 0,
            answered: 0,
        };
    }

    /// Requests since the behaviour was set; for [`Behaviour::Down`], connections.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// The number of [`HttpRelay::requests`] that were not forwarded.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.shared.state().answered
    }
}

impl Behaviour {
    /// [`Behaviour::Status`] without extra headers.
    #[must_use]
    pub fn status(code: u16, body: &str) -> Self {
        Self::Status {
            code,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    /// [`Behaviour::Matching`].
    #[must_use]
    pub fn matching(needle: &str, code: u16, body: &str) -> Self {
        Self::Matching {
            needle: needle.to_owned(),
            code,
            body: body.to_owned(),
        }
    }
}

impl Drop for HttpRelay {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Counts a request and returns its treatment.
    fn next_behaviour(&self, request: &Message) -> Behaviour {
        let mut state = self.state();
        state.requests += 1;
        let behaviour = match &state.behaviour {
            Behaviour::Matching { needle, .. } if !contains(request, needle) => Behaviour::Pass,
            other => other.clone(),
        };
        if behaviour != Behaviour::Pass {
            state.answered += 1;
        }
        behaviour
    }

    /// True if a new connection is closed unread.
    fn is_down(&self) -> bool {
        let mut state = self.state();
        let down = state.behaviour == Behaviour::Down;
        if down {
            state.requests += 1;
            state.answered += 1;
        }
        down
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_ending() {
            return;
        }
        let Ok(stream) = stream else { continue };
        if !shared.is_down() {
            let shared = Arc::clone(shared);
            // A client that waits for a response sees the connection end.
            thread::spawn(move || serve(stream, &shared));
        }
    }
}

/// Serves one exchange.
fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let request = Message::read(&mut reader, Unframed::Empty).ok()??;
    let answer = match shared.next_behaviour(&request) {
        Behaviour::Pass => exchange(shared.upstream, &request).ok()?,
        Behaviour::Down => return None,
        Behaviour::Stall => return hold_open(&mut stream, shared),
        Behaviour::Garbage => answer(200, &[], "<html>this is no JSON"),
        Behaviour::NotHttp => {
            stream
                .write_all(b"\x15\x03\x01\x00\x02\x02\x46 no HTTP\r\n\r\n")
                .ok()?;
            return Some(());
        }
        Behaviour::Status {
            code,
            headers,
            body,
        } => answer(code, &headers, &body),
        Behaviour::Matching { code, body, .. } => answer(code, &[], &body),
    };
    answer.write(&mut stream).ok()
}

/// Holds a connection until the client or the relay ends.
fn hold_open(stream: &mut TcpStream, shared: &Shared) -> Option<()> {
    stream.set_read_timeout(Some(CHECK_INTERVAL)).ok()?;
    while !shared.is_ending() {
        match stream.read(&mut [0; 64]) {
            Ok(0) => break,
            Err(error) if !is_timeout(error.kind()) => break,
            _ => {}
        }
    }
    Some(())
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn answer(code: u16, headers: &[(String, String)], body: &str) -> Message {
    let json = ("Content-Type".to_owned(), "application/json".to_owned());
    Message {
        start: format!("HTTP/1.1 {code} Relay"),
        headers: std::iter::once(json)
            .chain(headers.iter().cloned())
            .collect(),
        body: body.into(),
    }
}

fn contains(request: &Message, needle: &str) -> bool {
    let in_headers = |(name, value): &(String, String)| format!("{name}: {value}").contains(needle);
    request.start.contains(needle)
        || request.headers.iter().any(in_headers)
        || String::from_utf8_lossy(&request.body).contains(needle)
}
