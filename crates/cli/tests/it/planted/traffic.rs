//! The processes that stay: a proxy with clients that do everything right and everything wrong, and a
//! keeper. Their logs, their admin addresses and what the system shows of them are searched.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use waxseal_testing::Client;

use super::records::{plant, server, url, value, wa};
use super::secrets::{
    ELEMENT, FIELD, LETTERS, LITTLE_PASSWORD, MAIN_PASSWORD, NUMBER, OUTSIDE, PASSWORD, SESSION,
    Search, TYPED, VALUE,
};
use super::{Watch, records, ring};
use crate::metrics::admin_as;
use crate::program::{Output, Program, wait_until};
use crate::proxy::Proxy;

/// What the admin address answers, and what it does not.
const PATHS: [&str; 6] = ["/", "/healthz", "/readyz", "/metrics", "/no", "/%00"];
/// The links of a page are followed so far.
const MAX_PAGES: usize = 100;

/// Everything that an admin address gives: its paths, and what its pages link to.
fn pages(port: u16) -> Vec<(String, String)> {
    let mut paths: Vec<String> = PATHS.map(str::to_owned).to_vec();
    paths.push(format!("/{TYPED}?{NUMBER}"));
    let mut pages = Vec::new();
    while let Some(path) = paths.get(pages.len()).cloned() {
        let (head, body) = admin_as(port, &path, "Host: localhost\r\n");
        for link in ["href=\"", "src=\"", "href='", "src='"] {
            let quote = link.chars().last().unwrap();
            let links = body.split(link).skip(1);
            let links = links.filter_map(|remaining| remaining.split_once(quote));
            let found: Vec<String> = links
                .map(|(link, _)| format!("/{}", link.trim_start_matches(['.', '/'])))
                .filter(|link| !link.contains("://") && !link.contains('#'))
                .filter(|link| !paths.contains(link))
                .collect();
            paths.extend(found);
        }
        pages.push((path, format!("{head}\n{body}")));
        assert!(pages.len() < MAX_PAGES, "{paths:?}");
    }
    pages
}

/// Waits until the status page has something in every part.
#[track_caller]
fn wait_for_page(port: u16) {
    wait_until(|| {
        let (head, page) = admin_as(port, "/", "Host: localhost\r\n");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        ["data-check=", "data-pattern=", "data-key="]
            .iter()
            .all(|part| page.contains(part))
    });
}

#[track_caller]
fn search_admin(search: &Search, port: u16) {
    for (path, page) in pages(port) {
        if let Some(what) = search.found_in(&page) {
            panic!("{what} shows at {path}: {page}");
        }
    }
}

/// The line of `ps` about a process, and the names of its threads.
#[track_caller]
fn search_process(search: &Search, pid: u32) {
    let process = format!("/proc/{pid}");
    let mut texts = vec![fs::read(format!("{process}/cmdline")).unwrap()];
    for task in fs::read_dir(format!("{process}/task")).unwrap() {
        texts.extend(fs::read(task.unwrap().path().join("comm")));
    }
    for text in texts {
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        if let Some(what) = search.found_in(&text) {
            panic!("{what} shows in {process}: {text}");
        }
    }
}

/// One conversation; what comes back is the client's own business.
fn talk(port: u16, commands: &[&[&str]]) {
    let mut client = Client::connect(port).unwrap();
    for command in commands {
        if client.try_cmd(command).is_err() {
            return;
        }
    }
}

/// Reads, writes, refusals and errors on records of every kind.
fn clients(port: u16) {
    let (number, letters, value) = (wa(NUMBER), wa(LETTERS), value());
    let (hash, outside) = (format!("sess:{SESSION}"), format!("pw:{OUTSIDE}"));
    let list = format!("{hash}:list");
    let broken = ["damaged", "moved", "foreign", "classic"].map(|kind| format!("{letters}:{kind}"));
    let mut reads: Vec<[&str; 2]> = vec![["GET", &number], ["GET", &letters], ["GET", &outside]];
    reads.extend(broken.iter().map(|name| ["GET", name.as_str()]));
    let reads: Vec<&[&str]> = reads.iter().map(|it| &it[..]).collect();
    talk(port, &reads);
    talk(
        port,
        &[
            &["SET", &number, &value],
            &["MGET", &number, &letters, &broken[0], &broken[1]],
            &["HSET", &hash, "a", FIELD],
            &["HGETALL", &hash],
            &["RPUSH", &list, ELEMENT],
            &["LRANGE", &list, "0", "-1"],
            &["SET", &outside, &value],
            &["HGET", &number, "a"],
            &["LPUSH", &number, &value],
            &["SADD", &format!("{hash}:set"), &value],
        ],
    );
    refused(port);
    logins(port);
    transactions(port);
    garbage(port);
}

/// Requests that a proxy refuses, or does not know.
fn refused(port: u16) {
    let (number, letters) = (wa(NUMBER), wa(LETTERS));
    let (outside, list) = (format!("pw:{OUTSIDE}"), format!("sess:{SESSION}:list"));
    talk(
        port,
        &[
            &["APPEND", &number, VALUE],
            &["SETRANGE", &letters, "3", VALUE],
            &["COPY", &number, &letters],
            &["RENAME", &number, &outside],
            &["SORT", &list, "BY", &number],
            &[
                "EVAL",
                "return redis.call('GET', KEYS[1])",
                "1",
                &number,
                VALUE,
            ],
            &["DUMP", &number],
            &["RESTORE", &number, "0", VALUE],
            &[
                "MIGRATE",
                "127.0.0.1",
                "1",
                &number,
                "0",
                "10",
                "AUTH",
                PASSWORD,
            ],
            &["OBJECT", "ENCODING", &number],
            &["DEBUG", "OBJECT", &number],
            &[TYPED, &number, VALUE],
            &[VALUE, &letters],
            &["SET", &number],
            &["SET", &number, VALUE, TYPED],
            &["CLIENT", "SETNAME", LETTERS],
            &["CONFIG", "SET", "requirepass", MAIN_PASSWORD],
            &["SCAN", "0", "MATCH", &number],
            &["KEYS", &number],
            &["MONITOR"],
        ],
    );
}

/// Passwords, right and wrong.
fn logins(port: u16) {
    let (number, letters, value) = (wa(NUMBER), wa(LETTERS), value());
    let damaged = format!("{letters}:damaged");
    for auth in [
        &["AUTH", MAIN_PASSWORD][..],
        &["AUTH", TYPED],
        &["AUTH", "little", LITTLE_PASSWORD],
        &["AUTH", LETTERS, PASSWORD],
        &[
            "HELLO", "3", "AUTH", "waxseal", PASSWORD, "SETNAME", LETTERS,
        ],
        &["HELLO", "3", "AUTH", "waxseal", TYPED],
        &["HELLO", TYPED],
    ] {
        talk(
            port,
            &[
                auth,
                &["SET", &number, &value],
                &["GET", &letters],
                &["GET", &damaged],
            ],
        );
    }
}

/// Transactions, subscriptions, and what is too large.
fn transactions(port: u16) {
    let (number, letters, value) = (wa(NUMBER), wa(LETTERS), value());
    let [damaged, moved] = ["damaged", "moved"].map(|kind| format!("{letters}:{kind}"));
    let list = format!("sess:{SESSION}:list");
    talk(
        port,
        &[
            &["MULTI"],
            &["SET", &number, &value],
            &["APPEND", &number, VALUE],
            &["GET", &damaged],
            &["EXEC"],
            &["MULTI"],
            &["SET", &number, &value],
            &["GET", &moved],
            &["EXEC"],
            &["WATCH", &number],
            &["PUBLISH", &number, &value],
            &["BLPOP", &list, "0.01"],
            &["SUBSCRIBE", &number, LETTERS],
            &["PSUBSCRIBE", &letters],
            &["GET", &number],
        ],
    );
    let large = value.repeat(5000);
    talk(port, &[&["SET", &number, &large], &["GET", &number]]);
}

/// Bytes that are no request, each with something planted in it.
fn garbage(port: u16) {
    let bulk = format!("*2\r\n$3\r\nGET\r\n$-7\r\n{}\r\n", wa(NUMBER));
    for text in [
        bulk,
        format!("*{NUMBER}\r\n"),
        format!("*2\r\n$3\r\nGET\r\n:{NUMBER}\r\n"),
        format!("*1\r\n${TYPED}\r\n"),
        format!("{VALUE}\r\n"),
        format!("SET '{} {VALUE}\r\n", wa(LETTERS)),
        format!("GET {} \"{VALUE}\"{VALUE}\r\n", wa(LETTERS)),
        format!("GET / HTTP/1.1\r\nHost: {LETTERS}\r\nAuthorization: {PASSWORD}\r\n\r\n"),
        format!("*3\r\n$3\r\nSET\r\n${}\r\n{}", wa(NUMBER).len(), wa(NUMBER)),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn no_proxy_tells_what_passes_through_it() {
    let watch = Watch::new();
    for dress in super::DRESSES {
        for upstream in ["shared", "own"] {
            let redis = server();
            plant(&redis);
            let program = records::program(&redis);
            let store = url(&redis, "waxseal", PASSWORD);
            through(
                &watch,
                &program,
                dress,
                &["--upstream", upstream, "--max-value", "64KiB"],
            );
            // The server takes the password no more, and then goes away.
            let wrong = program
                .clone()
                .env("REDIS_URL", &store.replace(PASSWORD, TYPED));
            let words = [&["proxy", "--listen", "127.0.0.1:0"], dress].concat();
            watch.once(&wrong, &words, b"").with_status_of(&[1, 2, 64]);
            watch.search_files(&program);
        }
    }
}

#[test]
fn no_trial_tells_what_passes_through_it() {
    let watch = Watch::new();
    // Without sealed values: a trial does not start before such.
    let redis = server();
    let program = records::program(&redis);
    let flags = [super::DRESSES[0], &["--trial"]].concat();
    let proxy = Proxy::start_configured(&program, &flags);
    clients(proxy.port());
    // There is no key, so the page shows none.
    search_admin(&watch.search, proxy.admin_port());
    search_output(&watch, &proxy.stop());
}

#[test]
fn no_proxy_with_a_keyring_tells_its_users() {
    let watch = Watch::new();
    let redis = server();
    plant(&redis);
    let program = ring::program(&redis);
    watch.once(&program, &["keyring", "init"], b"").done();
    for dress in super::DRESSES {
        through(&watch, &program, dress, &[]);
    }
    watch
        .once(&program, &["forget", LETTERS, "--yes"], b"")
        .done();
    through(&watch, &program, super::DRESSES[0], &[]);
    watch.search_files(&program);
}

/// Starts a proxy, lets clients do everything, and takes the server away in the middle.
#[track_caller]
fn through(watch: &Watch, program: &Program, dress: &[&str], flags: &[&str]) {
    let proxy = Proxy::start_configured(program, &[dress, flags].concat());
    clients(proxy.port());
    search_process(&watch.search, proxy.pid());
    wait_for_page(proxy.admin_port());
    search_admin(&watch.search, proxy.admin_port());
    search_output(watch, &proxy.stop());
}

#[track_caller]
fn search_output(watch: &Watch, output: &Output) {
    assert!(
        output.stderr.contains("#"),
        "masked names show: {}",
        output.stderr
    );
    for text in [&output.text(), &output.stderr] {
        if let Some(what) = watch.search.found_in(text) {
            let lines = text
                .lines()
                .filter(|it| watch.search.found_in(it).is_some());
            let lines: Vec<_> = lines.collect();
            panic!("{what} shows in the log: {lines:#?}");
        }
    }
}

#[test]
fn no_proxy_tells_what_it_did_when_the_server_went_away() {
    let watch = Watch::new();
    let mut redis = server();
    plant(&redis);
    let program = records::program(&redis);
    let proxy = Proxy::start_configured(&program, super::DRESSES[0]);
    clients(proxy.port());
    redis.kill();
    clients(proxy.port());
    search_admin(&watch.search, proxy.admin_port());
    let output = proxy.stop();
    assert_eq!(
        watch.search.found_in(&output.stderr),
        None,
        "{}",
        output.stderr
    );
}

#[test]
fn no_keeper_tells_what_it_keeps() {
    let watch = Watch::new();
    let redis = server();
    plant(&redis);
    let program = ring::program(&redis);
    let init = [
        "keyring",
        "init",
        "--propagation",
        "400ms",
        "--refresh",
        "200ms",
    ];
    watch.once(&program, &init, b"").done();
    let name = wa(LETTERS);
    watch
        .once(&program, &["put", &name], value().as_bytes())
        .done();
    for dress in super::DRESSES {
        let words = ["keeper", "--admin", "127.0.0.1:0"];
        let mut keeper = program.start(&[&words, dress].concat());
        keeper.wait_until_it_says("waxseal: keeping the keyring at");
        let said = keeper.said();
        let line = said
            .lines()
            .find_map(|it| it.strip_prefix("waxseal: admin on "));
        let (_, port) = line.unwrap().rsplit_once(':').unwrap();
        watch.once(&program, &["keyring", "add"], b"");
        let pass = |text: &str| text.contains("sweep") || text.contains("seals");
        keeper.wait_until_stderr(|said| pass(said) || said.lines().count() > 2);
        search_process(&watch.search, keeper.pid());
        wait_for_page(port.parse().unwrap());
        search_admin(&watch.search, port.parse().unwrap());
        keeper.signal("TERM");
        let output = keeper.end().done();
        assert_eq!(
            watch.search.found_in(&output.stderr),
            None,
            "{}",
            output.stderr
        );
    }
    watch.search_files(&program);
}
