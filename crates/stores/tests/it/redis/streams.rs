//! Rewriting a stream while others act on it, and on its copy.

use async_trait::async_trait;
use waxseal_stores::{RecordName, RecordStore, StreamEntry, StreamRewrite, StreamRewriter};
use waxseal_testing::{Flavor, RedisServer, Reply};

use super::{connect, server};

const NAME: &str = "wa:stream";
const ENTRIES: usize = 700;

/// Copies values as they are, and sends a command after the first page. `COPY` stands for the copy's name.
struct Disturbing<'a> {
    server: &'a RedisServer,
    command: Option<&'a [&'a str]>,
    pages: usize,
}

/// The names of copies.
fn copies(server: &RedisServer) -> Vec<String> {
    let names = server.client().cmd(&["KEYS", "waxseal:stream:*"]).array();
    let names = names.into_iter().filter_map(Reply::bytes);
    names.map(|it| String::from_utf8(it).unwrap()).collect()
}

#[async_trait]
impl StreamRewriter for Disturbing<'_> {
    async fn rewrite(&mut self, _entries: &mut [StreamEntry]) -> bool {
        self.pages += 1;
        if self.pages == 2 {
            let copy = copies(self.server).pop().expect("the first page is copied");
            let expires = self.server.client().cmd(&["PTTL", &copy]).int();
            assert!((1..=600_000).contains(&expires), "the copy expires");
            if let Some(command) = self.command.take() {
                let words = command
                    .iter()
                    .map(|it| if *it == "COPY" { &*copy } else { it });
                let words: Vec<_> = words.collect();
                assert_eq!(self.server.client().cmd(&words).error(), None);
            }
        }
        true
    }
}

#[tokio::test]
async fn a_stream_is_not_replaced_after_what_others_do_meanwhile() {
    let cases: [(&[&str], StreamRewrite); 6] = [
        (&["PING"], StreamRewrite::Done),
        (&["DEL", "COPY"], StreamRewrite::Changed),
        (&["XTRIM", "COPY", "MAXLEN", "1"], StreamRewrite::Changed),
        (&["XADD", NAME, "*", "f", "v"], StreamRewrite::Changed),
        (&["PEXPIRE", NAME, "600000"], StreamRewrite::Changed),
        (
            &["XGROUP", "CREATE", NAME, "workers", "0"],
            StreamRewrite::HasGroups,
        ),
    ];
    for flavor in Flavor::ALL {
        for (command, expected) in cases {
            let server = server(flavor);
            let store = connect(&server).await;
            let fill = (1..=ENTRIES).map(|n| {
                let id = format!("{n}-1");
                ["XADD", NAME, &id, "f", "v"].map(|it| it.as_bytes().to_vec())
            });
            let fill: Vec<Vec<Vec<u8>>> = fill.map(Vec::from).collect();
            for reply in server.client().pipeline(&fill) {
                assert_eq!(reply.error(), None);
            }
            let name = RecordName::from(NAME.to_owned());
            let mut rewriter = Disturbing {
                server: &server,
                command: Some(command),
                pages: 0,
            };
            let collections = store.collections().expect("a server has streams");
            let rewritten = collections.rewrite_stream(&name, &mut rewriter).await;
            assert_eq!(rewritten, Ok(expected), "{flavor:?} {command:?}");
            let added = i64::from(command[0] == "XADD");
            let len = server.client().cmd(&["XLEN", NAME]).int();
            assert_eq!(len, i64::try_from(ENTRIES).unwrap() + added, "{command:?}");
            assert_eq!(copies(&server).len(), 0, "{flavor:?} {command:?}");
        }
    }
}
