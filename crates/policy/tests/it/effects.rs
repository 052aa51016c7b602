//! The effects of requests on their connection.

use waxseal_policy::{Channels, Effect};

use crate::decided;

#[test]
fn requests_have_the_effects_of_their_commands() {
    for (request, effect) in [
        ("GET log", Effect::None),
        ("GET wa:1", Effect::None),
        ("SET wa:1 v", Effect::None),
        ("PING", Effect::None),
        ("INFO", Effect::None),
        ("PUBLISH c v", Effect::None),
        ("MULTI", Effect::Multi),
        ("exec", Effect::Exec),
        ("DISCARD", Effect::Discard),
        ("WATCH wa:1", Effect::Watch),
        ("UNWATCH", Effect::Unwatch),
        ("HELLO 3", Effect::Hello),
        ("AUTH secret", Effect::Auth),
        ("SELECT 1", Effect::Select),
        ("RESET", Effect::Reset),
        ("QUIT", Effect::Quit),
        ("MONITOR", Effect::Monitor),
        ("SUBSCRIBE c", Effect::Subscribe(Channels::Plain)),
        ("PSUBSCRIBE c*", Effect::Subscribe(Channels::Patterns)),
        ("SSUBSCRIBE c", Effect::Subscribe(Channels::Shards)),
        ("UNSUBSCRIBE", Effect::Unsubscribe(Channels::Plain)),
        ("PUNSUBSCRIBE c*", Effect::Unsubscribe(Channels::Patterns)),
        ("SUNSUBSCRIBE c", Effect::Unsubscribe(Channels::Shards)),
        ("BLPOP wa:1 0", Effect::Blocking),
        ("BLPOP log 0", Effect::Blocking),
        ("BLMOVE log lag LEFT LEFT 0", Effect::Blocking),
        ("BZPOPMIN log 0", Effect::Blocking),
        ("WAIT 1 0", Effect::Blocking),
        ("WAITAOF 1 0 0", Effect::Blocking),
        ("XREAD STREAMS log 0", Effect::None),
        ("XREAD STREAMS BLOCK 0", Effect::None),
        ("XREAD COUNT 1 block 0 STREAMS log 0", Effect::Blocking),
        ("XREADGROUP GROUP BLOCK c STREAMS log >", Effect::None),
        // It may be of a form that waits.
        ("XREAD LATER 1 STREAMS log 0", Effect::Blocking),
        ("XREAD COUNT 1", Effect::Blocking),
        (
            "XREADGROUP GROUP g c BLOCK 9 STREAMS log >",
            Effect::Blocking,
        ),
        ("CLIENT SETNAME me", Effect::Label),
        ("client setinfo LIB-NAME me", Effect::Label),
        ("CLIENT ID", Effect::Connection),
        ("CLIENT TRACKING ON", Effect::Unsettled),
        ("CLIENT TRACKINGINFO", Effect::Connection),
        ("CLIENT", Effect::Connection),
        ("CLIENT FUTURE", Effect::None),
        ("CLIENT MAINT_NOTIFICATIONS ON", Effect::None),
        ("ASKING", Effect::Connection),
        ("READONLY", Effect::Connection),
        ("SCRIPT DEBUG YES", Effect::Connection),
        ("SCRIPT LOAD code", Effect::LoadScript),
        ("SCRIPT EXISTS hash", Effect::QueryScripts),
        ("EVAL code 0", Effect::Script),
        ("EVALSHA_RO hash 1 log", Effect::Script),
        ("fcall f 0", Effect::Script),
        ("FLUSHALL", Effect::Blocking),
        ("CLUSTER SETSLOT 1 STABLE", Effect::Blocking),
        ("FUTURE log", Effect::Connection),
        ("DEBUG SLEEP 0", Effect::Connection),
        ("HIMPORT PREPARE set f", Effect::Connection),
    ] {
        assert_eq!(decided(request).effect, effect, "{request}");
    }
}

#[test]
fn client_reply_has_an_effect_in_its_exact_forms_only() {
    for (request, effect) in [
        ("CLIENT REPLY ON", Effect::ReplyOn),
        ("client reply off", Effect::ReplyOff),
        ("Client Reply Skip", Effect::ReplySkip),
        ("CLIENT REPLY", Effect::Unsettled),
        ("CLIENT REPLY OFF now", Effect::Unsettled),
        ("CLIENT REPLY MAYBE", Effect::Unsettled),
    ] {
        assert_eq!(decided(request).effect, effect, "{request}");
    }
}

#[test]
fn a_command_with_too_many_or_too_few_arguments_is_unsettled() {
    for request in [
        "MULTI now",
        "EXEC now",
        "DISCARD now",
        "UNWATCH log",
        "WATCH",
        "RESET now",
        "MONITOR now",
        "SELECT",
        "SELECT 1 2",
        "AUTH",
        "AUTH a b c",
        "SUBSCRIBE",
        "PSUBSCRIBE",
        "SSUBSCRIBE",
        "CLIENT SETNAME",
        "CLIENT SETNAME a b",
        "CLIENT SETINFO LIB-NAME",
    ] {
        assert_eq!(decided(request).effect, Effect::Unsettled, "{request}");
    }
}
