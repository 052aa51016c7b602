//! The upgrade of a keyring under load: processes of a former version beside those of this one, document format 1
//! to 2, values in version 2 to 3, and back. No read fails, no acknowledged write is lost, no process puts a
//! keyring back or goes on without following it.
//!
//! Among the tests the former version is this one again; `cargo xtask upgrade` takes a real one.

mod clients;
mod fleet;
mod forced;
mod replaced;

use std::path::PathBuf;

use clients::Clients;
use fleet::{Fleet, Stage};

use crate::program::wait_until;

/// The binary of a former version; `None`: this one again.
fn former_binary() -> Option<PathBuf> {
    std::env::var_os("WAXSEAL_UPGRADE_BEFORE").map(PathBuf::from)
}

/// From processes of the former version alone to those of this one alone, with document format 2 and version 3
/// written, while clients are served. The document is converted only after the former processes have ended.
fn upgraded(stage: &Stage, clients: &mut Clients) -> Fleet {
    let is_refused = former_binary().is_some();
    let former = Fleet::of_former(stage);
    clients.serve_by(former.ports());
    clients.leave_records();
    clients.work();
    let current = Fleet::of_current(stage);
    clients.serve_by([former.ports(), current.ports()].concat());
    clients.work();
    if is_refused {
        // Three are named. Until they report again, those are among them whose reports a former process has written
        // back without what it does not know.
        let mut refused = stage.configure(&["--document-format", "2"]);
        wait_until(|| {
            refused = stage.configure(&["--document-format", "2"]);
            ["proxy", "keeper"]
                .iter()
                .all(|kind| refused.stderr.contains(kind))
        });
        refused.with_status(2);
        assert_eq!(stage.format(), 1);
    }
    clients.serve_by(current.ports());
    let ended = former.ids().clone();
    former.stop();
    if is_refused {
        // Their reports outlive them.
        stage.configure(&["--document-format", "2"]).with_status(2);
        assert_eq!(stage.format(), 1);
    }
    stage.age_reports(&ended);
    stage.configure_once_allowed(&["--document-format", "2"]);
    assert_eq!(stage.format(), 2);
    clients.work();
    stage.configure_once_allowed(&["--write-version", "3"]);
    clients.work();
    clients.leave_records();
    assert_eq!(stage.audited_versions(), ["2", "3"]);
    current
}

#[test]
fn a_fleet_moves_to_version_3_under_load() {
    let stage = Stage::new();
    let mut clients = Clients::new();
    let current = upgraded(&stage, &mut clients);
    stage.configure(&["--accept-version", "3"]).with_status(2);
    stage.current.run(&["rotate"]).done();
    wait_until(|| {
        let audit = stage.current.run(&["audit", "--require-version", "3"]);
        audit.with_status_of(&[0, 1]).status == 0
    });
    stage.configure_once_allowed(&["--accept-version", "3"]);
    clients.work();
    stage.rotate_index_key();
    clients.work();
    clients.stop();
    clients.check(&stage.current);
    current.stop();
    stage.assert_sealed(&stage.current);
}

#[test]
fn a_fleet_goes_back_to_the_former_version_under_load() {
    let stage = Stage::new();
    let mut clients = Clients::new();
    let current = upgraded(&stage, &mut clients);
    stage.configure(&["--document-format", "1"]).with_status(2);
    stage.configure_once_allowed(&["--write-version", "2"]);
    clients.work();
    stage.current.run(&["rotate"]).done();
    wait_until(|| stage.audited_versions() == ["2"]);
    let back = ["--document-format", "1"];
    // Running processes could seal members under the index key, which these clients do not have.
    wait_until(|| {
        let refused = stage.configure(&back).with_status(2).stderr;
        refused.contains("destroys the index keys")
    });
    stage.configure(&[&back[..], &["--force"]].concat()).done();
    assert_eq!(stage.format(), 1);
    clients.work();
    let former = Fleet::of_former(&stage);
    clients.serve_by([former.ports(), current.ports()].concat());
    clients.work();
    // No process that knows the other format brings it back.
    stage.wait_for_next_reports(&(former.ids() | current.ids()));
    assert_eq!(stage.format(), 1);
    clients.serve_by(former.ports());
    clients.work();
    current.stop();
    clients.work();
    clients.stop();
    clients.check(&stage.former);
    assert_eq!(stage.format(), 1);
    former.stop();
    stage.assert_sealed(&stage.former);
}
