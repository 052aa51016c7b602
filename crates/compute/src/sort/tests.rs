//! Options, orders and results of single requests. What servers do is in the differential tests.

use super::*;

fn parse(line: &str) -> Result<Sort, Rejected> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    Sort::parse(&words, Dialect::redis(7, 0))
}

/// The elements in the order of this request, whose weights are those of their first letters.
fn sorted(line: &str, record: SortedType, elements: &str, weights: &str) -> String {
    let sort = parse(line).unwrap();
    let elements: Vec<Vec<u8>> = elements
        .split(' ')
        .map(|it| it.as_bytes().to_vec())
        .collect();
    let weights: Vec<Option<Vec<u8>>> = weights
        .split(' ')
        .map(|it| (it != "-").then(|| it.as_bytes().to_vec()))
        .collect();
    match sort.order(record, &elements, &weights) {
        Err(error) => error.to_string(),
        Ok(places) => {
            let words = places
                .iter()
                .map(|place| String::from_utf8_lossy(&elements[*place]));
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn elements_are_sorted_as_servers_sort_them() {
    use SortedType::{List, Set, SortedSet};
    for (line, record, elements, weights, expected) in [
        ("SORT l", List, "10 9 -1 1.5", "", "-1 1.5 9 10"),
        ("SORT l DESC", List, "10 9 -1 1.5", "", "10 9 1.5 -1"),
        ("SORT l DESC ASC", List, "10 9", "", "9 10"),
        ("SORT l ALPHA", List, "10 9 -1", "", "-1 10 9"),
        ("SORT l", List, "1.0 1 01", "", "01 1 1.0"),
        ("SORT l LIMIT 1 2", List, "3 1 2 4", "", "2 3"),
        ("SORT l LIMIT -5 2", List, "3 1 2 4", "", "1 2"),
        ("SORT l LIMIT 2 -7", List, "3 1 2 4", "", "3 4"),
        ("SORT l LIMIT 9 1", List, "3 1 2 4", "", ""),
        ("SORT l LIMIT 0 0", List, "3 1 2 4", "", ""),
        (
            "SORT l LIMIT 0 1 LIMIT 3 9223372036854775807",
            List,
            "3 1 2 4",
            "",
            "4",
        ),
        ("SORT l BY nosort", List, "3 1 2", "", "3 1 2"),
        ("SORT l BY nosort DESC LIMIT 0 2", List, "3 1 2", "", "2 1"),
        (
            "SORT z BY nosort DESC LIMIT 1 2",
            SortedSet,
            "c a b",
            "",
            "a c",
        ),
        ("SORT s BY nosort DESC", Set, "3 1 2", "", "3 1 2"),
        ("SORT s BY nosort STORE d", Set, "b a aa", "", "a aa b"),
        ("SORT s BY nosort DESC STORE d", Set, "b a aa", "", "b aa a"),
        ("SORT l BY nosort STORE d", List, "b a aa", "", "b a aa"),
        // One that is constant is enough, whatever follows.
        ("SORT l BY nosort BY w_*", List, "3 1 2", "1 2 3", "3 1 2"),
        ("SORT l BY w_*", List, "a b c d", "3 - -2 3", "c b a d"),
        ("SORT l BY w_* DESC", List, "a b c d", "3 - -2 3", "d a b c"),
        ("SORT l BY w_* ALPHA", List, "a b c d", "y - x -", "b d c a"),
        (
            "SORT l BY w_*",
            List,
            "a b",
            "1 x",
            "ERR One or more scores can't be converted into double",
        ),
        (
            "SORT l LIMIT 0 0",
            List,
            "1 x",
            "",
            "ERR One or more scores can't be converted into double",
        ),
        ("SORT l ALPHA", List, "a\0c a\0b", "", "a\0c a\0b"),
        ("SORT l ALPHA STORE d", List, "a\0c a\0b", "", "a\0b a\0c"),
    ] {
        assert_eq!(sorted(line, record, elements, weights), expected, "{line}");
    }
}

#[test]
fn options_are_read_in_their_order() {
    let refused = |line| parse(line).unwrap_err();
    for line in [
        "SORT l LIMIT 1",
        "SORT l BY",
        "SORT l STORE",
        "SORT l NEW",
        "SORT_RO l STORE d",
        "SORT l LIMIT 0 1 x",
    ] {
        assert_eq!(
            refused(line),
            Rejected::Arguments(ServerError::Syntax),
            "{line}"
        );
    }
    let not_integer = Rejected::Arguments(ServerError::NotAnInteger);
    assert_eq!(refused("SORT l LIMIT x 1 NEW"), not_integer);
    assert_eq!(refused("SORT"), Rejected::Arity(ServerError::Arity("sort")));
    assert_eq!(refused("GET l"), Rejected::NotComputed);
    let old = Sort::parse(&[b"SORT_RO", b"l"], Dialect::redis(6, 2));
    assert_eq!(old.unwrap_err(), Rejected::NotComputed);
    let sort = parse("sort l store store store d").unwrap();
    assert_eq!(sort.destination(), Some(5));
}

#[test]
fn what_is_returned_is_asked_for_in_order() {
    let alone = |line| parse(line).unwrap().needs_elements_alone();
    assert!(alone("SORT l") && alone("SORT l BY x GET # GET constant"));
    assert!(!alone("SORT l BY w_*") && !alone("SORT l GET o_*->f"));
    assert!(alone("SORT l BY w_* BY x"));
    let sort = parse("SORT l GET # GET o_*->f GET x").unwrap();
    let elements = [&b"1"[..], b"2"];
    let found: Vec<String> = sort
        .results(elements.into_iter())
        .map(|lookup| match lookup {
            Lookup::Element(element) => String::from_utf8_lossy(element).into_owned(),
            Lookup::Nothing => "-".to_owned(),
            Lookup::Record { name, .. } => String::from_utf8(name).unwrap(),
        })
        .collect();
    assert_eq!(found, ["1", "o_1", "-", "2", "o_2", "-"]);
    let sort = parse("SORT l").unwrap();
    assert_eq!(sort.results(elements.into_iter()).count(), 2);
    assert!(sort.weights(&[b"1".to_vec()]).is_none());
}
