//! Clients in Python, with both protocol versions and both parsers: the programs are in
//! `crates/testing/clients/python`.

use waxseal_testing::clients;

use super::proves_drop_in;

#[test]
fn redis_py_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::python("sync_client.py", port, &["2", "python"]));
}

#[test]
fn redis_py_with_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::python("sync_client.py", port, &["3", "python"]));
}

#[test]
fn redis_py_with_hiredis_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::python("sync_client.py", port, &["2", "hiredis"]));
}

#[test]
fn redis_py_with_hiredis_and_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::python("sync_client.py", port, &["3", "hiredis"]));
}

#[test]
fn redis_py_with_asyncio_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::python("asyncio_client.py", port, &["2", "python"]));
}

#[test]
fn redis_py_with_asyncio_and_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::python("asyncio_client.py", port, &["3", "hiredis"]));
}
