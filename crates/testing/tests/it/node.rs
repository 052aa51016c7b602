//! Node as the reference for the classic format.

use std::panic::catch_unwind;

use waxseal_testing::node::{self, ClassicSeal};
use waxseal_testing::state_json;

#[test]
fn a_script_gets_its_arguments_and_its_input() {
    let script = "process.stdin.pipe(process.stdout); console.log(process.argv.slice(2).join())";
    assert_eq!(
        node::run(script, &["a", "b"], b"\xff\x00"),
        b"a,b\n\xff\x00"
    );
}

#[test]
fn a_script_that_fails_fails_the_test_with_its_message() {
    let outcome = catch_unwind(|| node::run("throw new Error('bad luck')", &[], b""));
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("bad luck"), "{message}");
}

#[test]
fn node_opens_a_thousand_values_that_node_sealed() {
    let values: Vec<String> = (0..1_000).map(state_json).collect();
    let key = [7; 32];
    let requests: Vec<_> = values
        .iter()
        .map(|value| ClassicSeal {
            key: &key,
            iv: None,
            value: value.as_bytes(),
        })
        .collect();
    let stored = node::classic_seal(&requests);
    let opened = node::classic_open(&key, &stored);
    let expected: Vec<_> = values
        .into_iter()
        .map(|value| Some(value.into_bytes()))
        .collect();
    assert!(opened == expected);
    assert_eq!(node::classic_open(&[8; 32], &stored[..1]), [None]);
}

#[test]
fn a_given_iv_comes_first() {
    let request = ClassicSeal {
        key: &[7; 32],
        iv: Some(&[0; 16]),
        value: b"hola",
    };
    let stored = node::classic_seal(&[request, request]);
    assert_eq!(stored[0], stored[1]);
    // 16 zero bytes in Base64, as far as they fill whole characters.
    assert!(stored[0].starts_with(&"A".repeat(21)), "{}", stored[0]);
    assert_eq!(stored[0].len(), (16 + 16 + 4_usize).div_ceil(3) * 4);
}
