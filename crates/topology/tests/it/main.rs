//! The slots of names, as a server tells them.

use waxseal_testing::{RedisServer, Reply};
use waxseal_topology::{SLOTS, slot, tag_of};

#[test]
fn a_server_tells_the_same_slots() {
    let server = RedisServer::builder()
        .arg("--cluster-enabled", "yes")
        .start();
    let mut client = server.client();
    let mut check = |name: &[u8]| {
        let told = client.cmd(&[b"CLUSTER", b"KEYSLOT", name]);
        assert_eq!(told, Reply::Int(i64::from(slot(name))), "{name:?}");
        slot(name)
    };
    let braces = [
        "{a}",
        "x{a}y",
        "{}",
        "{}{a}",
        "{a}{b}",
        "{{a}}",
        "{a",
        "a}",
        "}{",
        "}{a}",
        "a{}b{c}",
        "{ a }",
        "wa:{user}:1",
        "{{}}",
        "{\u{e9}}",
    ];
    for name in braces {
        check(name.as_bytes());
    }
    for number in (0..SLOTS).step_by(487) {
        let logical = format!("wa:52155{number}");
        check(logical.as_bytes());
        let tag = tag_of(number);
        let stored = [b"wa:~{", &tag[..], b"}9VcDE", &number.to_be_bytes()].concat();
        assert_eq!(check(&stored), number);
    }
    check(b"");
    check(&[0, 0xff, b'\r', b'\n']);
    check(&[b'n'; 5_000]);
}
