//! A process of the former version that was left running when the operator forced the conversion.

use waxseal_testing::Client;

use super::fleet::{Fleet, Stage};
use super::former_binary;
use crate::program::wait_until;
use crate::proxy::PROTECTED_MARKER;

/// Values that are written before the conversion.
const VALUES: usize = 20;
/// Intervals for which the former processes poll afterwards: longer than unused keys are retained.
const INTERVALS: usize = 12;

fn name(index: usize) -> String {
    format!("wa:before:{index}")
}

fn value(index: usize) -> String {
    format!("{PROTECTED_MARKER} {index}")
}

#[test]
fn a_former_proxy_that_is_left_behind_serves_what_it_can_and_replaces_nothing() {
    let stage = Stage::new();
    let former = Fleet::of_former(&stage);
    let mut client = Client::connect(former.ports()[0]).unwrap();
    for index in 0..VALUES {
        let set = client.cmd(&["SET", &name(index), &value(index)]);
        assert_eq!(set.to_text(), "OK");
    }
    stage
        .configure(&["--document-format", "2", "--force"])
        .done();
    if former_binary().is_some() {
        former.wait_until_all_say("its format 2 is unknown to this version of waxseal");
    }
    let converted = stage.document();
    // The former proxy polls many times, also as its values are read.
    for _ in 0..INTERVALS {
        for index in 0..VALUES {
            assert_eq!(client.cmd(&["GET", &name(index)]).to_text(), value(index));
        }
        stage.wait_for_next_reports(former.ids());
    }
    let later = stage.document();
    for member in ["format", "envelopes", "index_keys", "keys"] {
        assert_eq!(later[member], converted[member], "{member}");
    }
    if former_binary().is_some() {
        // Those of the present version have registered with it since.
        assert_eq!(later, converted);
    }
    // What processes of the present version write in version 2 is read by the former one.
    let current = Fleet::of_current(&stage);
    let mut other = Client::connect(current.ports()[0]).unwrap();
    let set = other.cmd(&["SET", "wa:after", &value(0)]);
    assert_eq!(set.to_text(), "OK");
    assert_eq!(client.cmd(&["GET", "wa:after"]).to_text(), value(0));
    stage.configure(&["--write-version", "3", "--force"]).done();
    wait_until(|| {
        let set = other.cmd(&["SET", "wa:after", &value(1)]);
        assert_eq!(set.to_text(), "OK");
        stage.version_of("wa:after") == 3
    });
    if former_binary().is_some() {
        let refused = client.cmd(&["GET", "wa:after"]);
        assert!(refused.error().is_some(), "{refused:?}");
    }
    for index in 0..VALUES {
        assert_eq!(client.cmd(&["GET", &name(index)]).to_text(), value(index));
        assert_eq!(other.cmd(&["GET", &name(index)]).to_text(), value(index));
    }
    assert_eq!(stage.format(), 2);
    current.assert_undisturbed();
    former.stop_after_disturbance();
    current.stop();
}
