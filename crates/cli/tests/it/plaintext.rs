//! A proxy that seals nothing: it starts only where its operator chose mode off, and keeps saying so.

use waxseal_testing::RedisServer;

use crate::metrics::metrics;
use crate::program::Program;
use crate::proxy::Proxy;
use crate::status_page::Page;

const NEITHER: &str = "error: no encryption key is configured, and ENABLE_REDIS_ENCRYPTION is not set to false: \
                       values would be stored in plaintext";

#[test]
fn a_proxy_without_a_key_does_not_start_unless_plaintext_is_chosen() {
    let server = RedisServer::start();
    let program = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    let words = ["proxy", "--protect", "wa:*", "--listen", "127.0.0.1:0"];
    let output = program.run(&words).failed(64, NEITHER);
    for remedy in [
        "waxseal key generate",
        "ENABLE_REDIS_ENCRYPTION=false",
        "mode = \"off\"",
    ] {
        assert!(output.stderr.contains(remedy), "{}", output.stderr);
    }
    // An empty variable hides the key of a .env.
    let key = crate::program::KEY;
    let blank = program
        .clone()
        .env("REDIS_ENCRYPTION_KEY", " ")
        .file(".env", &format!("REDIS_ENCRYPTION_KEY={key}\n"));
    let text = "configured (REDIS_ENCRYPTION_KEY is set to nothing), and ENABLE_REDIS_ENCRYPTION is not set";
    blank.run(&words).failed(64, text);
    let server_is_empty = server.cli(&["DBSIZE"]);
    assert_eq!(server_is_empty.trim(), "0");
}

#[test]
fn mode_off_is_reported_at_the_start_in_the_metrics_and_on_the_page() {
    let server = RedisServer::start();
    let program = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    let by_variable = program.clone().env("ENABLE_REDIS_ENCRYPTION", "FALSE");
    let proxy = Proxy::start_as(&by_variable, &server, &["--protect", "wa:*"]);
    let warning =
        "warning: the mode is off: new values of protected records are stored in plaintext";
    assert!(proxy.said().contains(warning), "{}", proxy.said());
    let mode = |word| metrics(proxy.admin_port()).sum("waxseal_mode", &[("mode", word)]);
    assert_eq!([mode("off"), mode("on"), mode("required")], [1.0, 0.0, 0.0]);
    let page = Page::of(proxy.admin_port());
    assert!(page.warns("WaxsealModeOff"));
    assert_ne!(page.level(), "ok");
    proxy.stop();

    let by_file = program.file("waxseal.toml", "mode = \"off\"\n");
    let proxy = Proxy::start_as(&by_file, &server, &["--protect", "wa:*"]);
    assert!(proxy.said().contains(warning), "{}", proxy.said());
    proxy.stop();
}
