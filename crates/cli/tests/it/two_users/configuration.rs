//! Settings that are found in the working directory: another user's must not count, and those that run
//! code or send secrets only where the file was named.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Location, OTHER, USER, link, program, write};
use crate::program::{KEY, OTHER_KEY, Output};

/// Settings with a mistake that every reader reports.
const MARKS: [(&str, &str, &str); 2] = [
    ("waxseal.toml", "stroe = \"file:x\"\n", "unknown key stroe"),
    (
        ".env",
        "ENABLE_REDIS_ENCRYPTION=perhaps\n",
        "the mode is one of",
    ),
];
const REFUSED: &str = "was not named and";

/// A library that leaves a file behind when it is loaded.
#[track_caller]
fn module(place: &Location) -> (PathBuf, PathBuf) {
    let (source, library, mark) = (place.path("m.c"), place.path("m.so"), place.path("loaded"));
    let code = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) static void run(void) \
         {{ open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        mark.display()
    );
    fs::write(&source, code).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.expect("run cc, the C compiler").success());
    (library, mark)
}

#[test]
fn what_another_user_can_write_does_not_count() {
    // Owner and mode of the directory, owner and mode of the file, and whether it counts for USER.
    let cases = [
        (USER, 0o755, USER, 0o600, true),
        (USER, 0o755, USER, 0o644, true),
        (USER, 0o755, 0, 0o644, true),
        (0, 0o755, USER, 0o644, true),
        (0, 0o1777, USER, 0o644, true),
        (0, 0o1777, 0, 0o644, true),
        (USER, 0o755, OTHER, 0o644, false),
        (USER, 0o755, USER, 0o666, false),
        (USER, 0o755, USER, 0o664, false),
        (USER, 0o775, USER, 0o644, false),
        (USER, 0o777, USER, 0o644, false),
        (OTHER, 0o755, USER, 0o644, false),
        (OTHER, 0o755, OTHER, 0o644, false),
        (OTHER, 0o1777, USER, 0o644, false),
        (0, 0o1777, OTHER, 0o644, false),
        (0, 0o777, USER, 0o644, false),
    ];
    for (name, text, mark) in MARKS {
        for (owner, mode, file_owner, file_mode, counts) in cases {
            let place = Location::new();
            let directory = place.directory("work", owner, mode);
            write(&directory.join(name), text, file_owner, file_mode);
            let user = program(USER, &directory).env("REDIS_ENCRYPTION_KEY", KEY);
            let output = user.run(&["audit", "--store", "file:none"]).with_status(64);
            let case = format!("{name} {owner} {mode:o} {file_owner} {file_mode:o}");
            assert_eq!(
                output.stderr.contains(mark),
                counts,
                "{case}: {}",
                output.stderr
            );
            assert_eq!(
                output.stderr.contains(REFUSED),
                !counts,
                "{case}: {}",
                output.stderr
            );
            // Naming it is the remedy, and the hint says so.
            let flag = if name == ".env" {
                "--env-file"
            } else {
                "--config"
            };
            let told = format!("name it: {flag} {name}");
            assert_eq!(
                output.stderr.contains(&told),
                !counts,
                "{case}: {}",
                output.stderr
            );
            let named = user.run(&["audit", "--store", "file:none", flag, name]);
            named.failed(64, mark);
        }
    }
}

#[test]
fn links_count_only_where_no_one_else_can_make_one() {
    for (name, text, mark) in MARKS {
        let place = Location::new();
        let (own, shared) = (
            place.directory("own", USER, 0o755),
            place.directory("tmp", 0, 0o1777),
        );
        // As with a link of one's own to a file beside it.
        write(&own.join("real"), text, USER, 0o600);
        let run = |directory: &Path| -> Output {
            let user = program(USER, directory).env("REDIS_ENCRYPTION_KEY", KEY);
            user.run(&["audit", "--store", "file:none"])
        };
        link(Path::new("real"), &own.join(name), USER);
        run(&own).failed(64, mark);
        link(&own.join("real"), &shared.join(name), OTHER);
        run(&shared).failed(64, "is a link in a directory that others can write");
        fs::remove_file(shared.join(name)).unwrap();
        fs::hard_link(own.join("real"), shared.join(name)).unwrap();
        run(&shared).failed(64, "is a link in a directory that others can write");
        // A link of one's own into a directory of another user.
        write(
            &place.directory("theirs", OTHER, 0o755).join("real"),
            text,
            USER,
            0o644,
        );
        link(&place.path("theirs/real"), &own.join(name), USER);
        run(&own).failed(64, "its directory belongs to another user");
        // A pipe does not block.
        fs::remove_file(own.join(name)).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(own.join(name))
                .status()
                .unwrap()
                .success()
        );
        chown(own.join(name), Some(USER), Some(USER)).unwrap();
        run(&own).failed(64, "is not a regular file");
    }
}

#[test]
fn another_users_directory_runs_none_of_that_users_code() {
    let place = Location::new();
    let (module, mark) = module(&place);
    let trap = place.directory("trap", OTHER, 0o755);
    let config = format!(
        "keyring = \"file:ring.json\"\n\
         custodian = \"pkcs11:token=t;object=k?module-path={}\"\n",
        module.display()
    );
    write(&trap.join("waxseal.toml"), &config, OTHER, 0o644);
    let root = program(0, &trap).env("PKCS11_PIN", "1234");
    let output = root.run(&["keyring", "init", "--fresh"]).with_status(64);
    assert!(!mark.exists(), "their code ran: {}", output.stderr);
    assert!(output.stderr.contains(REFUSED), "{}", output.stderr);
    // Also in a directory of one's own: it may have come with an archive.
    let own = place.directory("own", 0, 0o755);
    write(&own.join("waxseal.toml"), &config, 0, 0o644);
    let root = program(0, &own).env("PKCS11_PIN", "1234");
    let output = root.run(&["keyring", "init", "--fresh"]).with_status(64);
    assert!(!mark.exists(), "their code ran: {}", output.stderr);
    let told = "only counts in a file that was named";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    let env = format!("PKCS11_MODULE_PATH={}\nPKCS11_PIN=1234\n", module.display());
    write(&own.join(".env"), &env, 0, 0o600);
    let config = "keyring = \"file:ring.json\"\ncustodian = \"pkcs11:token=t;object=k\"\n";
    write(&own.join("waxseal.toml"), config, 0, 0o644);
    let root = program(0, &own);
    let output = root.run(&["keyring", "init", "--fresh"]).with_status(64);
    assert!(!mark.exists(), "their code ran: {}", output.stderr);
    let told = "PKCS11_MODULE_PATH is set in .env, which was not named";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    // Also not by way of another file.
    write(&own.join("m"), &module.display().to_string(), 0, 0o600);
    let by_file = "PKCS11_MODULE_PATH_FILE=m\nPKCS11_PIN=1234\n";
    write(&own.join(".env"), by_file, 0, 0o600);
    let output = root.run(&["keyring", "init", "--fresh"]).with_status(64);
    assert!(!mark.exists(), "their code ran: {}", output.stderr);
    let told = "PKCS11_MODULE_PATH_FILE is set in .env, which was not named";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    // What was named counts.
    write(&own.join(".env"), &env, 0, 0o600);
    root.run(&["keyring", "init", "--fresh", "--env-file", ".env"]);
    assert!(mark.exists());
}

#[test]
fn lines_of_an_application_stop_nothing() {
    let place = Location::new();
    // Where a group writes, as with the umask 002, nothing of the file counts, and only ours is missed.
    let shared = place.directory("shared", USER, 0o775);
    write(
        &shared.join(".env"),
        "PORT=8080\nSTRIPE_KEY=x\n",
        USER,
        0o664,
    );
    let user = program(USER, &shared).env("REDIS_ENCRYPTION_KEY", KEY);
    let store = "file:../store/states.waxseal";
    place.directory("store", USER, 0o755);
    user.run_with(&["put", "wa:1", "--store", store], b"{}")
        .done();
    // The collector of an application is not that of Waxseal, unless the file was named.
    let own = place.directory("own", USER, 0o755);
    let lines = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9\n";
    write(&own.join(".env"), lines, USER, 0o600);
    let server = waxseal_testing::RedisServer::start();
    let user = program(USER, &own).env("REDIS_ENCRYPTION_KEY", KEY);
    let url = server.url();
    let words = [
        "proxy",
        "--protect",
        "wa:*",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
    ];
    let mut proxy = user.start(&words);
    crate::program::wait_until(|| proxy.said().contains("listening on") || proxy.has_ended());
    assert!(!proxy.has_ended(), "{}", proxy.said());
    let told = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT in .env sets nothing";
    let other = "OTEL_EXPORTER_OTLP_ENDPOINT in .env sets nothing";
    let said = proxy.said();
    assert!(said.contains(told) || said.contains(other), "{said}");
}

#[test]
fn a_file_that_can_be_read_only_once_is_read_once() {
    let place = Location::new();
    let own = place.directory("own", 0, 0o755);
    let server = waxseal_testing::RedisServer::start();
    // As `--env-file <(sops -d secrets.env)` gives it.
    let lines = format!("REDIS_ENCRYPTION_KEY={KEY}\nWAXSEAL_ADMIN_TOKEN=0123456789abcdef-token\n");
    write(&own.join("plain.env"), &lines, 0, 0o600);
    let pipe = own.join("pipe.env");
    assert!(
        Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let writer = {
        let (from, to) = (own.join("plain.env"), pipe.clone());
        std::thread::spawn(move || {
            let bytes = fs::read(from).unwrap();
            fs::write(to, bytes).unwrap();
        })
    };
    let url = server.url();
    let words = [
        "proxy",
        "--protect",
        "wa:*",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--store",
        &url,
        "--env-file",
        "pipe.env",
    ];
    let mut proxy = program(0, &own).start(&words);
    crate::program::wait_until(|| proxy.said().contains("listening on") || proxy.has_ended());
    writer.join().unwrap();
    assert!(!proxy.has_ended(), "{}", proxy.said());
    let said = proxy.said();
    let admin = said.split("admin on 127.0.0.1:").nth(1).unwrap();
    let port = admin.split_whitespace().next().unwrap().parse().unwrap();
    let (status, _) = crate::metrics::admin(port, "/");
    assert!(status.contains("401") || status.contains("403"), "{status}");
}

#[test]
fn a_token_goes_to_no_address_that_was_merely_found() {
    let place = Location::new();
    for name in ["VAULT_ADDR", "BAO_ADDR"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let own = place.directory(name, 0, 0o755);
        let config = "keyring = \"file:ring.json\"\ncustodian = \"vault:transit/k\"\n";
        write(&own.join("waxseal.toml"), config, 0, 0o644);
        write(&own.join(".env"), &format!("{name}={address}\n"), 0, 0o644);
        let root = program(0, &own).env("VAULT_TOKEN", "hvs.s3cret");
        let output = root.run(&["keyring", "init", "--fresh"]).with_status(64);
        assert!(
            listener.accept().is_err(),
            "something was sent: {}",
            output.stderr
        );
        let told = format!("{name} is set in .env, which was not named");
        assert!(output.stderr.contains(&told), "{}", output.stderr);
        let mut named = root.start(&["keyring", "init", "--fresh", "--env-file", ".env"]);
        crate::program::wait_until(|| listener.accept().is_ok() || named.has_ended());
        assert!(!named.has_ended(), "{}", named.said());
    }
}

#[test]
fn logs_and_copies_go_to_no_path_that_was_merely_found() {
    let place = Location::new();
    let own = place.directory("own", 0, 0o755);
    let (log, copy) = (place.path("audit.jsonl"), place.path("copy.json"));
    let trail = "audit_log_key = \"env:TRAIL_KEY\"\n";
    let audit_log = format!("audit_log = \"file:{}\"\n{trail}", log.display());
    let syslog = format!(
        "audit_log = \"syslog:{}\"\n{trail}",
        place.path("log").display()
    );
    let keyring = format!(
        "keyring = \"file:ring.json\"\nkeyring_copy = \"{}\"\n",
        copy.display()
    );
    let above = "keyring = \"file:ring.json\"\nkeyring_copy = \"../copy.json\"\n".to_owned();
    let root = program(0, &own)
        .env("REDIS_URL", "file:states.waxseal")
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("TRAIL_KEY", OTHER_KEY);
    for config in [&audit_log, &syslog, &keyring, &above] {
        write(&own.join("waxseal.toml"), config, 0, 0o644);
        let output = root.run_with(&["put", "wa:1"], b"{}").with_status(64);
        let told = "only counts in a file that was named";
        assert!(output.stderr.contains(told), "{config}: {}", output.stderr);
        assert!(
            output
                .stderr
                .contains("hint: if the file is yours, name it: --config")
        );
    }
    assert!(!log.exists() && !copy.exists());
    write(&own.join("waxseal.toml"), &audit_log, 0, 0o644);
    let words = ["put", "wa:1", "--config", "waxseal.toml"];
    root.run_with(&words, b"{}").done();
    assert!(log.exists());
}
