//! Tests of what a terminal gets of a value: nothing that would control it. A pipe gets the bytes.

use std::process::{Command, Stdio};

use waxseal_testing::RedisServer;

use crate::program::{KEY, Program};
use crate::records::put;

/// Sets the title of the window, moves up, is bright red in C1, turns the text round.
const VALUE: &[u8] =
    b"{\"a\":\"\x1b]0;owned\x07\x1b[2A\xc2\x9b31m\xe2\x80\xae\r\x7f \xc3\xb1\"}\n\t[\x9b1m\xff";

/// The output of a command on a terminal of its own.
#[track_caller]
fn on_a_terminal(program: &Program, words: &str) -> String {
    let command = format!("{} {words}", env!("CARGO_BIN_EXE_waxseal"));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env_clear()
        .envs(program.variables())
        .current_dir(program.directory())
        .stdin(Stdio::null())
        .output()
        .expect("run script (package bsdutils or util-linux)");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}");
    printed
}

#[test]
fn a_value_cannot_control_a_terminal_and_a_pipe_gets_its_bytes() {
    let server = RedisServer::start();
    put(&server, "x:1", VALUE);
    server.client().cmd(&[
        b"HSET".as_slice(),
        b"x:hash",
        b"f\x1b]0;x\x07\xe2\x80\xae",
        b"{}",
    ]);
    let program = Program::at(&server).file("waxseal.toml", "[[protect]]\nrecords = \"x:*\"\n");
    assert_eq!(program.run(&["get", "x:1"]).done().stdout, VALUE);

    let shown = on_a_terminal(&program, "get x:1 --log off");
    let expected = "{\"a\":\"\\u001b]0;owned\\u0007\\u001b[2A\\u009b31m\\u202e\\u000d\\u007f ñ\"}\r\n\
                    \t[\\x9b1m\\xff";
    assert!(shown.contains(expected), "{shown:?}");
    for words in [
        "get x:1 --log off",
        "inspect x:hash --log off",
        "inspect x:hash --json --log off",
    ] {
        let shown = on_a_terminal(&program, words);
        let control = |c: &char| c.is_control() && !"\r\n\t".contains(*c) || *c == '\u{202e}';
        assert_eq!(shown.chars().find(control), None, "{words}: {shown:?}");
        // The terminal's own line ends are all that is left of those.
        assert_eq!(
            shown.replace("\r\n", "").matches('\r').count(),
            0,
            "{words}: {shown:?}"
        );
    }
    // Bytes that are opened from stdin, too.
    let sealed = program.run_with(&["seal"], VALUE).done().stdout;
    std::fs::write(program.path("sealed"), sealed).unwrap();
    let opened = on_a_terminal(&program, "open --log off < sealed");
    assert!(opened.contains(expected), "{opened:?}");
    assert!(!opened.contains('\u{1b}') && !opened.contains(KEY));
}
