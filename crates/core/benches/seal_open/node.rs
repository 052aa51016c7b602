//! A Node process that seals and opens the classic format with its `crypto` module and measures the time itself, so that
//! the pipe between the processes is not included.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::rounds::Operation;
use crate::state;

/// The process, shared by all cases.
pub(crate) struct Node(pub(crate) Rc<RefCell<Process>>);

pub(crate) struct Process {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// `None`, and a printed line, if Node is not installed.
    pub(crate) fn start(key: &[u8; 32]) -> Option<Self> {
        let started = Command::new("node")
            .args(["-e", include_str!("node.js")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            println!("skipped: there is no Node.js on this machine");
            return None;
        };
        let requests = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut process = Process {
            child,
            requests,
            answers,
        };
        let hex = waxseal_core::hex::encode(key);
        process.ask(&format!("key {hex}"));
        Some(Self(Rc::new(RefCell::new(process))))
    }

    /// Sends Node the value of this length, and passes the result to `check`.
    pub(crate) fn agree(&self, size: usize, check: impl FnOnce(&[u8])) {
        let value = String::from_utf8(state(size)).expect("text");
        let sealed = self.0.borrow_mut().ask(&format!("value {value}"));
        check(sealed.as_bytes());
    }
}

impl Process {
    /// The duration of this many operations in Node, with values as text or as bytes.
    pub(crate) fn measure(
        &mut self,
        operation: Operation,
        text: bool,
        size: usize,
        count: u32,
    ) -> Duration {
        let operation = match (operation, text) {
            (Operation::Seal, true) => "sealText",
            (Operation::Seal, false) => "sealBytes",
            (Operation::Open, true) => "openText",
            (Operation::Open, false) => "openBytes",
        };
        let nanoseconds = self.ask(&format!("{operation} {size} {count}"));
        Duration::from_nanos(nanoseconds.parse().expect("a number"))
    }

    fn ask(&mut self, request: &str) -> String {
        writeln!(self.requests, "{request}").expect("Node reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("Node answers");
        answer.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
