//! Entries in the system's log.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tempfile::TempDir;
use waxseal_audit_log::{Operation, Target, Trail, verify};

use super::{KEY, OTHER_KEY, actor, chain_key, settings, write_error};

fn trail(directory: &TempDir, key: &'static str) -> Trail<String> {
    let target = Target::Syslog {
        socket: directory.path().join("log.socket"),
        state: directory.path().join("state").join("audit-log.state"),
    };
    Trail::new(Some(settings(target, key)), actor())
}

#[test]
fn the_systems_log_gets_one_message_for_each_entry() {
    let directory = TempDir::new().unwrap();
    let operation = Operation::new("get", "wa:#00000001");
    let trail_ = trail(&directory, KEY);
    let error = write_error(trail_.record(&operation).unwrap_err());
    assert!(
        error.starts_with("the audit log cannot be written: "),
        "{error}"
    );
    let log = UnixDatagram::bind(directory.path().join("log.socket")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for _ in 0..2 {
        trail_.record(&operation).unwrap();
    }
    let mut text = String::new();
    for _ in 0..3 {
        let mut bytes = [0; 4096];
        let length = log.recv(&mut bytes).unwrap();
        let line = std::str::from_utf8(&bytes[..length]).unwrap();
        assert!(line.starts_with("<86>1 - "), "{line}");
        assert!(line.contains(" audit - {\"seq\":"), "{line}");
        text.push_str(&format!(
            "{line}\nNov 28 05:15:24 host cron[1]: another program\n"
        ));
    }
    let files = [directory.path().join("messages")];
    fs::write(&files[0], &text).unwrap();
    let verdict = verify(&files, &chain_key(KEY), true, &[]).unwrap();
    assert_eq!((verdict.whole, verdict.entries), (true, 3));
    fs::write(&files[0], text.replacen("\"get\"", "\"put\"", 1)).unwrap();
    assert!(!verify(&files, &chain_key(KEY), true, &[]).unwrap().whole);
    // The state of another key is not overwritten.
    let error = write_error(trail(&directory, OTHER_KEY).record(&operation).unwrap_err());
    assert!(
        error.ends_with("audit-log.state does not verify under this key"),
        "{error}"
    );
}
