//! Documents of other versions in the store, as a process of another version would write them.

use std::fs;
use std::path::Path;

use serde_json::Value;
use waxseal_testing::Client;

use super::fleet::{Fleet, Stage};
use crate::program::wait_until;
use crate::proxy::{PROTECTED_MARKER, Proxy};

/// Writes a document as a store does: at once.
fn write(path: &Path, document: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, document).unwrap();
    fs::rename(&new, path).unwrap();
}

fn put(client: &mut Client, name: &str) -> String {
    let value = format!("{PROTECTED_MARKER} {name}");
    assert_eq!(client.cmd(&["SET", name, &value]).to_text(), "OK");
    value
}

#[test]
fn a_former_version_that_puts_back_its_copy_takes_no_index_key_away() {
    let stage = Stage::new();
    let former = fs::read(stage.document_path()).unwrap();
    stage.configure_once_allowed(&["--document-format", "2"]);
    stage.configure_once_allowed(&["--write-version", "3"]);
    let proxy = Proxy::start_as(&stage.current, &stage.server, &[]);
    let mut client = proxy.client();
    let value = put(&mut client, "wa:1");
    let before = stage.document();
    // The store had lost the document, and a process of the former version knew this one.
    write(&stage.document_path(), &former);
    wait_until(|| stage.format() == 2);
    let after = stage.document();
    for member in ["index_keys", "envelopes", "keys"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    wait_until(|| proxy.said().contains("PUT BACK"));
    assert_eq!(client.cmd(&["GET", "wa:1"]).to_text(), value);
    assert_eq!(stage.version_of("wa:1"), 3);
    proxy.stop();
}

#[test]
fn a_document_of_a_later_format_is_not_replaced_and_the_last_good_ring_serves() {
    let stage = Stage::new();
    let fleet = Fleet::of_current(&stage);
    let mut client = Client::connect(fleet.ports()[0]).unwrap();
    let value = put(&mut client, "wa:1");
    let present = fs::read(stage.document_path()).unwrap();
    let mut later: Value = serde_json::from_slice(&present).unwrap();
    later["format"] = Value::from(3);
    later["more"] = Value::from("of a later version");
    let later = serde_json::to_vec(&later).unwrap();
    write(&stage.document_path(), &later);
    fleet.wait_until_all_say("its format 3 is unknown to this version of waxseal");
    assert_eq!(client.cmd(&["GET", "wa:1"]).to_text(), value);
    put(&mut client, "wa:2");
    assert_eq!(fs::read(stage.document_path()).unwrap(), later);
    write(&stage.document_path(), &present);
    fleet.wait_until_all_say("keyring recovered");
    assert_eq!(fs::read(stage.document_path()).unwrap(), present);
    fleet.stop_after_disturbance();
}
