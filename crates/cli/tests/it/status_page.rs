//! The status page: its figures equal those of the metrics and of the audit, it warns of problems, and it is shown only to
//! those who have access. `browser` tests its appearance.

mod access;
mod browser;
mod checks;
mod warnings;

use waxseal_core::Format;
use waxseal_testing::RedisServer;

use crate::metrics::exposition::Exposition;
use crate::metrics::{admin_as, metrics};
use crate::program::{KEY, Program, shows_phone, wait_until};
use crate::proxy::{PROTECTED_MARKER, Proxy};
use crate::records::{put, sealed};

/// A page as it was served.
pub(crate) struct Page(String);

impl Page {
    #[track_caller]
    pub(crate) fn of(port: u16) -> Self {
        let (head, body) = admin_as(port, "/", "Host: localhost\r\n");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        // A nonce is random, and may hold any digits.
        let (_, nonce) = head.split_once("'nonce-").unwrap();
        let text = body.replace(&nonce[..32], "").replace(&own_id(), "");
        for secret in [PROTECTED_MARKER, KEY, &KEY[..8]] {
            assert!(!text.contains(secret), "{secret} shows in\n{body}");
        }
        assert!(!shows_phone(&text), "a record name shows in\n{body}");
        Self(body)
    }

    /// The text right behind the first place that is marked so, from some place on.
    pub(crate) fn text(&self, from: &str, mark: &str) -> String {
        let (_, rest) = self
            .0
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from} in {}", self.0));
        let (_, rest) = rest
            .split_once(mark)
            .unwrap_or_else(|| panic!("no {mark} in {rest}"));
        let text = rest.split_once('>').unwrap().1.split('<').next().unwrap();
        text.trim().to_owned()
    }

    /// A figure by its name, as a number.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        number(&self.text("<main", &format!("data-figure=\"{name}\"")))
    }

    /// How many values of a pattern lie so, once they were counted.
    pub(crate) fn coverage(&self, pattern: &str, form: &str) -> f64 {
        let pattern = format!("data-pattern=\"{pattern}\"");
        number(&self.text(&pattern, &format!("data-form=\"{form}\"")))
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.0.contains("data-pattern=")
    }

    pub(crate) fn warns(&self, alert: &str) -> bool {
        self.0.contains(&format!("data-alert=\"{alert}\""))
    }

    /// `ok`, `warning` or `critical`.
    pub(crate) fn level(&self) -> &str {
        let (_, rest) = self.0.split_once("data-level=\"").unwrap();
        rest.split('"').next().unwrap()
    }

    /// How many entries of the list of what needs attention have this mark.
    pub(crate) fn issues(&self, severity: &str) -> usize {
        let (_, rest) = self.0.split_once("<div id=\"attention\">").unwrap();
        let (list, _) = rest.split_once("</section>").unwrap();
        list.matches(&format!(">{severity}</span>")).count()
    }

    /// What the doctor found wrong in this check.
    pub(crate) fn finds(&self, check: &str, grade: &str) -> bool {
        self.0
            .contains(&format!("data-check=\"{check}\" data-grade=\"{grade}\""))
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

fn number(text: &str) -> f64 {
    let digits = text.replace(',', "");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{text} is no number"))
}

/// The id of the usual key, which pages of processes without a keyring tell.
fn own_id() -> String {
    let key = waxseal_core::SecretKey::from_hex(KEY).unwrap();
    key.id().to_string()
}

/// Records of every form under `wa:`.
pub(crate) fn mixed(server: &RedisServer) {
    let value = format!("{{\"v\":\"{PROTECTED_MARKER}\"}}");
    let envelope = |format, name: &str| sealed(KEY, format, name, value.as_bytes());
    for number in 0..7 {
        let name = format!("wa:52155000{number}");
        put(server, &name, &envelope(Format::Sealed, &name));
    }
    for number in 0..5 {
        let name = format!("wa:52155001{number}");
        put(server, &name, &envelope(Format::Classic, &name));
    }
    for number in 0..3 {
        put(server, &format!("wa:52155002{number}"), value.as_bytes());
    }
    put(
        server,
        "wa:moved",
        &envelope(Format::Sealed, "wa:521550000"),
    );
    put(server, "wa:empty", b"");
    server.client().cmd(&["SADD", "wa:set", &value]);
    server.client().cmd(&["HSET", "wa:hash", "a", &value]);
}

/// The page tells of records what metrics and an audit tell.
#[track_caller]
fn compare_with_audit(page: &Page, counted: &Exposition, program: &Program) {
    let audit = program
        .run(&["audit", "--deep", "--protect", "wa:*", "--json"])
        .with_status(1)
        .json();
    let audited = &audit["patterns"][0];
    let of = |form: &str| page.coverage("wa:*", form);
    let told = |form: &str| counted.sum("waxseal_coverage_values", &[("form", form)]);
    for (form, word) in [("plain", "plain"), ("unreadable", "unopenable")] {
        assert_eq!(of(form), audited[word].as_f64().unwrap(), "{form}");
        assert_eq!(of(form), told(form), "{form}");
    }
    // What an audit calls sealed is in either format.
    assert_eq!(
        of("sealed") + of("classic"),
        audited["sealed"].as_f64().unwrap()
    );
    assert_eq!(
        (of("sealed"), of("classic")),
        (told("sealed"), told("classic"))
    );
    assert_eq!(of("other"), told("empty") + told("erased"));
    assert_eq!(audited["other_types"], serde_json::json!({}));
    assert_eq!(
        [
            "sealed",
            "classic",
            "plain",
            "unreadable",
            "other",
            "other_types"
        ]
        .map(of),
        [27.0, 5.0, 5.0, 1.0, 1.0, 0.0]
    );
}

#[test]
fn the_figures_of_the_page_are_those_of_the_metrics_and_of_the_audit() {
    let redis = RedisServer::start();
    mixed(&redis);
    let program = Program::at(&redis);
    let flags = [
        "--protect",
        "wa:*",
        "--format",
        "sealed",
        "--count-every",
        "1",
    ];
    let proxy = Proxy::start_as(&program, &redis, &flags);
    let mut client = proxy.client();
    let value = format!("{{\"v\":\"{PROTECTED_MARKER}\"}}");
    for number in 0..20 {
        let name = format!("wa:52155003{number}");
        assert_eq!(client.cmd(&["SET", &name, &value]).to_text(), "OK");
        assert_eq!(client.cmd(&["GET", &name]).to_text(), value);
    }
    client.cmd(&["GET", "wa:521550020"]);
    client.cmd(&["GET", "wa:moved"]);
    client.cmd(&["INCREX", "wa:521550020"]);
    let port = proxy.admin_port();
    wait_until(|| {
        let page = Page::of(port);
        page.is_counted() && page.coverage("wa:*", "sealed") == 27.0
    });
    let (page, counted) = (Page::of(port), metrics(port));
    let sum = |name: &str, labels: &[(&str, &str)]| counted.sum(&format!("waxseal_{name}"), labels);
    assert_eq!(
        page.figure("sealed"),
        sum("seals_total", &[("result", "ok")])
    );
    let plain = sum("opens_total", &[("result", "ok"), ("format", "plain")]);
    let fine = sum("opens_total", &[("result", "ok")]);
    assert_eq!((page.figure("opened"), plain), (fine - plain, 1.0));
    assert_eq!(page.figure("not_opened"), sum("opens_total", &[]) - fine);
    assert_eq!(page.figure("refused"), sum("refused_commands_total", &[]));
    assert_eq!(page.figure("clients"), sum("client_connections", &[]));
    assert_eq!(
        (page.figure("sealed"), page.figure("not_opened")),
        (20.0, 1.0)
    );
    assert!(page.has("INCREX") && page.has("computes on value"));

    compare_with_audit(&page, &counted, &program);
    let key = format!("data-key=\"{}\"", own_id());
    assert_eq!(page.text(&key, "data-is=\"state\""), "sealing");
    assert_eq!(page.text(&key, "data-is=\"values\""), "32");
    assert!(page.warns("WaxsealPlainInStore") && page.warns("WaxsealValuesDoNotOpen"));
    proxy.stop();
}

#[test]
fn a_process_that_does_not_count_says_so() {
    let redis = RedisServer::start();
    mixed(&redis);
    let proxy = Proxy::start(&redis, &["--protect", "wa:*", "--count-every", "0"]);
    let page = Page::of(proxy.admin_port());
    assert!(page.has("This process does not count") && !page.is_counted());
    wait_until(|| Page::of(proxy.admin_port()).has("data-check=\"canary\""));
    assert!(
        redis
            .command_counts()
            .get("scan")
            .is_none_or(|scans| *scans < 10)
    );
    proxy.stop();
}

#[test]
fn patterns_that_share_a_name_are_counted_together_in_metrics_and_each_on_the_page() {
    let redis = RedisServer::start();
    for name in ["wa:1", "wa:2", "sess:1"] {
        put(&redis, name, b"{}");
    }
    let config = "[[protect]]\nname = \"States\"\nrecords = \"wa:*\"\n\
                  [[protect]]\nname = \"States\"\nrecords = \"sess:*\"\n";
    let program = Program::at(&redis).file("waxseal.toml", config);
    let proxy = Proxy::start_as(&program, &redis, &["--count-every", "1"]);
    let port = proxy.admin_port();
    wait_until(|| Page::of(port).is_counted());
    let page = Page::of(port);
    assert_eq!(
        ["wa:*", "sess:*"].map(|it| page.coverage(it, "plain")),
        [2.0, 1.0]
    );
    let plain = [("pattern", "States"), ("form", "plain")];
    assert_eq!(metrics(port).sum("waxseal_coverage_values", &plain), 3.0);
    proxy.stop();
}
