//! Properties of arbitrary requests: no value passes the policy in plaintext, nothing panics, and early decisions
//! agree with final ones.

use proptest::collection::vec;
use proptest::prelude::*;
use waxseal_policy::table::rows;
use waxseal_policy::{Action, RequestChange, decide, decide_early};

use crate::names;

/// The prefix of every value of these tests, and of nothing else.
const VALUE: &str = "VALUE";

/// The arguments beside values: protected names and others, options, numbers, fields.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "wa:1",
        "wa:2",
        "sess:1",
        "log",
        "lag",
        "waxseal:canary",
        "NX",
        "xx",
        "GET",
        "EX",
        "PX",
        "EXAT",
        "KEEPTTL",
        "IFEQ",
        "FNX",
        "FIELDS",
        "fields",
        "0",
        "1",
        "2",
        "3",
        "60",
        "-1",
        "f",
        "g",
        "STORE",
        "BY",
        "STREAMS",
        "COUNT",
        "BLOCK",
        "LEFT",
        "KEYS",
        "MATCH",
        "*",
        "w*",
        "",
    ];
    proptest::sample::select(WORDS).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    (0..100_u8).prop_map(|number| format!("{VALUE}{number}"))
}

fn word_or_value() -> impl Strategy<Value = String> {
    prop_oneof![3 => word(), 2 => value()]
}

/// A command's words, in some case.
fn command(names: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let names = names.to_vec();
    let name = proptest::sample::select(names);
    (name, any::<bool>()).prop_map(|(name, lower)| match lower {
        true => name.to_lowercase(),
        false => name.to_owned(),
    })
}

fn request(
    names: &[&'static str],
    arguments: impl Strategy<Value = Vec<String>>,
) -> impl Strategy<Value = Vec<String>> {
    (command(names), arguments).prop_map(|(name, arguments)| {
        let mut request = vec![name];
        request.extend(arguments);
        request
    })
}

/// Arbitrary requests: known commands with their subcommands, unknown ones, any arguments.
fn anything() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = (0..rows().len()).prop_map(|at| -> Vec<Vec<u8>> {
        let words = rows()[at].name.split('|');
        words.map(|word| word.as_bytes().to_vec()).collect()
    });
    let unknown = vec(any::<u8>(), 0..50).prop_map(|word| vec![word]);
    let argument = prop_oneof![
        4 => word_or_value().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..12),
    ];
    let words = prop_oneof![9 => known, 1 => unknown];
    (words, vec(argument, 0..10)).prop_map(|(mut request, arguments)| {
        request.extend(arguments);
        request
    })
}

fn slices<A: AsRef<[u8]>>(request: &[A]) -> Vec<&[u8]> {
    request.iter().map(AsRef::as_ref).collect()
}

fn is_protected(name: &str) -> bool {
    name.starts_with("sess:") || name.starts_with("wa:")
}

/// The values that the request would reveal to the server: all that are not sealed. Also checks the record for
/// which each argument is sealed.
fn values_in_clear(
    request: &[String],
    record_of: impl Fn(usize) -> usize,
) -> Result<Vec<usize>, TestCaseError> {
    let arguments = slices(request);
    let sealed = match decide(&names(), &arguments).action {
        Action::Refuse(_) => return Ok(Vec::new()),
        Action::Transform(transform) => match transform.request {
            RequestChange::Seal(slots) => slots,
            RequestChange::None => Default::default(),
            RequestChange::Reword { arguments, .. } => {
                let sent = (1..request.len()).filter(|at| !arguments.contains(at));
                let sent = sent.filter(|at| request[*at].starts_with(VALUE));
                return Ok(sent.collect());
            }
            RequestChange::Omit(_) | RequestChange::Glob { .. } => return Ok(Vec::new()),
            RequestChange::Replace { arguments, .. } => {
                let sent = arguments.filter(|at| request[*at].starts_with(VALUE));
                return Ok(sent.collect());
            }
        },
        Action::Forward => Default::default(),
        Action::Script(_)
        | Action::ScriptDigest(_)
        | Action::Compute(_)
        | Action::Move(_)
        | Action::Tracking(_)
        | Action::Sort(_) => {
            return Ok(Vec::new());
        }
    };
    for slot in &sealed {
        prop_assert_eq!(slot.location.name, record_of(slot.argument));
        prop_assert!(is_protected(&request[slot.location.name]));
    }
    let clear = (1..request.len()).filter(|at| request[*at].starts_with(VALUE));
    let clear = clear.filter(|at| sealed.iter().all(|slot| slot.argument != *at));
    Ok(clear.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_value_of_a_string_gets_past(
        request in request(
            &["SET", "SETEX", "PSETEX", "SETNX", "GETSET"],
            vec(word_or_value(), 0..7),
        ),
    ) {
        let clear = values_in_clear(&request, |_| 1)?;
        // A value after a protected name is sealed, or nothing is sent.
        if request.get(1).is_some_and(|name| is_protected(name)) {
            prop_assert_eq!(clear, Vec::<usize>::new(), "{:?}", request);
        }
    }

    #[test]
    fn a_value_of_a_string_is_sealed_whatever_the_options(
        name in proptest::sample::select(&["wa:1", "sess:x"][..]),
        value in value(),
        options in vec(
            proptest::sample::select(&["NX", "xx", "GET", "EX 1", "px 5", "EXAT 9", "KEEPTTL"][..]),
            0..4,
        ),
    ) {
        let mut request = vec!["set".to_owned(), name.to_owned(), value];
        request.extend(options.iter().flat_map(|it| it.split(' ')).map(str::to_owned));
        let action = decide(&names(), &slices(&request)).action;
        let Action::Transform(transform) = action else {
            return Err(TestCaseError::fail(format!("{request:?}")));
        };
        let RequestChange::Seal(slots) = transform.request else {
            return Err(TestCaseError::fail("a value is sealed"));
        };
        let sealed: Vec<usize> = slots.iter().map(|slot| slot.argument).collect();
        prop_assert_eq!(sealed, [2]);
    }

    #[test]
    fn no_value_of_a_hash_gets_past(
        request in request(&["HSET", "HMSET", "HSETNX"], vec(word_or_value(), 0..8)),
    ) {
        let clear = values_in_clear(&request, |_| 1)?;
        if request.get(1).is_some_and(|name| is_protected(name)) {
            // Fields are at even positions after the name, and are not sealed.
            let values: Vec<usize> = clear.into_iter().filter(|at| at % 2 == 1).collect();
            prop_assert_eq!(values, Vec::<usize>::new(), "{:?}", request);
        }
    }

    #[test]
    fn no_value_of_fields_with_lifetimes_gets_past(
        options in vec(word_or_value(), 0..4),
        count in 0..4_u8,
        pairs in vec((word(), value()), 0..4),
        after in vec(word_or_value(), 0..3),
    ) {
        let mut request = vec!["HSETEX".to_owned(), "wa:1".to_owned()];
        request.extend(options);
        request.extend(["FIELDS".to_owned(), count.to_string()]);
        for (field, value) in &pairs {
            request.extend([field.clone(), value.clone()]);
        }
        request.extend(after);
        // Fields are words here: every value is a value, in any position.
        let fields: Vec<usize> = fields_of(&request);
        let clear = values_in_clear(&request, |_| 1)?;
        let values: Vec<usize> = clear.into_iter().filter(|at| !fields.contains(at)).collect();
        prop_assert_eq!(values, Vec::<usize>::new(), "{:?}", request);
    }

    #[test]
    fn no_value_of_a_list_gets_past(
        request in request(
            &["LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LSET"],
            vec(word_or_value(), 0..7),
        ),
    ) {
        let clear = values_in_clear(&request, |_| 1)?;
        if request.get(1).is_some_and(|name| is_protected(name)) {
            prop_assert_eq!(clear, Vec::<usize>::new(), "{:?}", request);
        }
    }

    #[test]
    fn no_value_of_several_records_gets_past(
        request in request(&["MSET", "MSETNX"], vec(word_or_value(), 0..9)),
    ) {
        for at in values_in_clear(&request, |at| at - 1)? {
            // Names are at odd positions; an argument in plaintext is a name, or does not belong to a protected one.
            prop_assert!(at % 2 == 1 || !is_protected(&request[at - 1]), "{:?}", request);
        }
    }

    #[test]
    fn no_value_of_several_records_with_a_lifetime_gets_past(
        pairs in vec((word(), value()), 1..4),
        options in vec(word_or_value(), 0..3),
    ) {
        let mut request = vec!["msetex".to_owned(), pairs.len().to_string()];
        for (name, value) in &pairs {
            request.extend([name.clone(), value.clone()]);
        }
        request.extend(options);
        let end = 2 + 2 * pairs.len();
        let any_protected = pairs.iter().any(|(name, _)| is_protected(name));
        for at in values_in_clear(&request, |at| at - 1)? {
            let of_a_record = at < end && !is_protected(&request[at - 1]);
            prop_assert!(of_a_record || !any_protected, "{:?}", request);
        }
    }

    #[test]
    fn no_request_panics_and_every_place_lies_within_it(request in anything()) {
        let arguments = slices(&request);
        let decision = decide(&names(), &arguments);
        prop_assert_eq!(&decision, &decide(&names(), &arguments));
        match decision.action {
            Action::Forward => {}
            Action::Refuse(refusal) => prop_assert!(!refusal.to_string().is_empty()),
            Action::Script(call) => {
                prop_assert!(call.location.name < call.compared && call.compared < request.len());
            }
            Action::ScriptDigest(_) | Action::Tracking(_) => {}
            Action::Compute(call) => prop_assert!(call.location.name < request.len()),
            Action::Sort(call) => {
                let destination = call.destination.map_or(0, |(at, _)| at);
                prop_assert!(call.source.max(destination) < request.len());
            }
            Action::Move(call) => {
                prop_assert!(call.source.max(call.destination.name) < request.len());
            }
            Action::Transform(transform) => match transform.request {
                RequestChange::None => {}
                RequestChange::Seal(slots) => {
                    for slot in slots {
                        prop_assert!(slot.argument < request.len());
                        prop_assert!(slot.location.name < slot.argument);
                        prop_assert!(slot.location.field.is_none_or(|field| field < slot.argument));
                    }
                }
                RequestChange::Omit(arguments)
                | RequestChange::Glob { arguments, .. }
                | RequestChange::Reword { arguments, .. } => {
                    prop_assert!(arguments.iter().all(|at| *at > 0 && *at < request.len()));
                }
                RequestChange::Replace { arguments, .. } => {
                    prop_assert!(arguments.start <= arguments.end);
                    prop_assert!(arguments.end <= request.len());
                }
            },
        }
    }

    #[test]
    fn what_is_certain_to_be_forwarded_is_forwarded(request in anything(), seen in 0..12_usize) {
        let arguments = slices(&request);
        let seen = seen.min(arguments.len());
        let so_far = &arguments[..seen];
        if let Some(early) = decide_early(&names(), so_far, arguments.len()) {
            prop_assert_eq!(&early.action, &Action::Forward);
            prop_assert_eq!(early, decide(&names(), &arguments));
        }
    }

    #[test]
    fn what_was_certain_stays_certain(request in anything()) {
        let arguments = slices(&request);
        let certain: Vec<bool> = (0..=arguments.len())
            .map(|seen| decide_early(&names(), &arguments[..seen], arguments.len()).is_some())
            .collect();
        prop_assert!(certain.is_sorted(), "{:?} {:?}", request, certain);
        let forwarded = decide(&names(), &arguments).action == Action::Forward;
        prop_assert_eq!(certain.last(), Some(&forwarded));
    }
}

/// The positions of the fields of HSETEX: every second argument after the count.
fn fields_of(request: &[String]) -> Vec<usize> {
    let at = request
        .iter()
        .position(|word| word.eq_ignore_ascii_case("FIELDS"));
    at.map_or_else(Vec::new, |at| (at + 2..request.len()).step_by(2).collect())
}

#[test]
fn a_long_request_is_certain_early() {
    for (so_far, total, certain) in [
        (&["SET", "log"][..], 3, true),
        (&["SET"], 3, false),
        (&["SET", "wa:1"], 3, false),
        (&["RPUSH", "log"], 1_000, true),
        (&["HSET", "log", "f"], 4, true),
        (&["MSET", "log", "v", "lag"], 5, true),
        (&["MSET", "log", "v"], 5, false),
        (&["EVAL"], 9, false),
        (&["EVAL", "code", "2", "log"], 9, false),
        (&["EVAL", "code", "2", "log", "lag"], 9, true),
        (&["EVAL", "code", "0"], 9, true),
        (&["BLPOP", "log"], 3, true),
        (&["BLPOP", "wa:1"], 3, false),
        (&["PUBLISH"], 3, true),
        (&["CONFIG", "SET"], 4, true),
        (&["CONFIG"], 4, false),
        (&["SORT", "log"], 4, false),
        (&["FUTURE", "log"], 3, false),
        (&["SYNC"], 2, false),
        (&["CLIENT", "REPLY"], 3, false),
        (&["CLIENT", "REPLY", "OFF"], 3, true),
    ] {
        let so_far: Vec<&[u8]> = so_far.iter().map(|word| word.as_bytes()).collect();
        assert_eq!(
            decide_early(&names(), &so_far, total).is_some(),
            certain,
            "{so_far:?}"
        );
    }
}
