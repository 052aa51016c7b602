//! Names that resemble those of a pattern without matching it: another case, another separator, another prefix
//! before it, a missing letter. Only the part of a name that resembles the pattern is shown: the rest may be a
//! user.

use std::collections::{BTreeMap, HashSet};

use waxseal_stores::{RecordName, RecordPattern};

use waxseal_units::thousands;

const SEPARATORS: [char; 6] = [':', '/', '-', '_', '.', '|'];
/// Shorter words are too similar for one to be the misspelling of another.
const MIN_WORD: usize = 4;
/// A beginning that fewer names share may be the name of a person.
const MIN_NAMES: u64 = 3;

/// Describes names that resemble those of a pattern.
pub(super) fn resembling(pattern: &RecordPattern, names: &HashSet<RecordName>) -> Option<String> {
    let prefix = pattern.prefix();
    let word = prefix.trim_end_matches(SEPARATORS);
    if word.is_empty() || pattern.shown() != pattern.as_str() {
        return None;
    }
    let mut beginnings: BTreeMap<String, u64> = BTreeMap::new();
    let (mut same, mut behind) = (0_u64, 0_u64);
    for name in names {
        let name = String::from_utf8_lossy(name.as_bytes());
        if name.starts_with(prefix) {
            same += 1;
        } else if let Some(beginning) = same_word(&name, word).or_else(|| misspelt(&name, word)) {
            *beginnings.entry(beginning.to_owned()).or_default() += 1;
        } else if is_behind(&name, prefix) {
            behind += 1;
        }
    }
    let may_be_shown = |it: &(String, u64)| same_word(&it.0, word).is_some() || it.1 >= MIN_NAMES;
    let most = beginnings.into_iter().filter(may_be_shown);
    match (most.max_by_key(|(_, names)| *names), same, behind) {
        (Some((beginning, names)), ..) => Some(format!("{} \"{beginning}\"", begin(names))),
        (None, 1, _) => Some(format!(
            "1 name begins with \"{prefix}\" and ends otherwise"
        )),
        (None, 2.., _) => Some(format!("{} \"{prefix}\" and end otherwise", begin(same))),
        (None, 0, 1) => Some(format!("1 name has \"{prefix}\" behind another prefix")),
        (None, 0, 2..) => Some(format!(
            "{} names have \"{prefix}\" behind another prefix",
            thousands(behind)
        )),
        (None, 0, 0) => None,
    }
}

fn begin(names: u64) -> String {
    match names {
        1 => "1 name begins with".to_owned(),
        _ => format!("{} names begin with", thousands(names)),
    }
}

/// The beginning of a name that is the word in another case, or with another separator behind it.
fn same_word<'n>(name: &'n str, word: &str) -> Option<&'n str> {
    let beginning = name.get(..word.len())?;
    let separator = name.get(word.len()..)?.chars().next()?;
    let is_same = beginning.eq_ignore_ascii_case(word) && SEPARATORS.contains(&separator);
    is_same.then(|| name.get(..=word.len())).flatten()
}

/// The beginning of a name, up to its first separator, that is nearly the word.
fn misspelt<'n>(name: &'n str, word: &str) -> Option<&'n str> {
    let end = name.find(SEPARATORS)?;
    let beginning = name.get(..end)?;
    let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphabetic());
    let is_comparable = word.len() >= MIN_WORD && beginning.len().abs_diff(word.len()) <= 1;
    let is_near = is_comparable
        && letters(beginning)
        && strsim::damerau_levenshtein(&beginning.to_ascii_lowercase(), &word.to_ascii_lowercase())
            == 1;
    is_near.then(|| name.get(..=end)).flatten()
}

/// True if the pattern's prefix follows another one: `bot:wa:…` for `wa:*`.
fn is_behind(name: &str, prefix: &str) -> bool {
    let mut found = name.match_indices(prefix);
    found.any(|(at, _)| {
        name.get(..at)
            .is_some_and(|before| before.ends_with(SEPARATORS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resemblance_of(pattern: &str, names: &[&str]) -> Option<String> {
        let names = names.iter().map(|name| RecordName::from(*name)).collect();
        resembling(&RecordPattern::parse(pattern).unwrap(), &names)
    }

    #[test]
    fn another_case_separator_or_prefix_is_reported() {
        for (pattern, names, text) in [
            (
                "wa:*",
                &["WA:5215512345678", "x:1"][..],
                "1 name begins with \"WA:\"",
            ),
            ("wa:{user}", &["wa_1", "wa_2"], "2 names begin with \"wa_\""),
            (
                "wa:*",
                &["bot:wa:1", "bot:wa:2"],
                "2 names have \"wa:\" behind another prefix",
            ),
            (
                "sess:*:v2",
                &["sess:1:v3"],
                "1 name begins with \"sess:\" and ends otherwise",
            ),
            (
                "sesion:*",
                &["session:1", "session:2", "session:3"],
                "3 names begin with \"session:\"",
            ),
        ] {
            assert_eq!(
                resemblance_of(pattern, names).as_deref(),
                Some(text),
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_name_that_may_be_a_person_is_not_shown() {
        for (pattern, names) in [
            (
                "wa:*",
                &["5215512345678:wa", "maria:1", "ma:1", "ma:2", "ma:3"][..],
            ),
            ("marie:*", &["maria:1", "maria:2"]),
            ("wa:1", &["WA:1"]),
            ("*", &["a:1"]),
            ("sess:*", &["5ess:1", "5ess:2", "5ess:3"]),
        ] {
            assert_eq!(resemblance_of(pattern, names), None, "{pattern}");
        }
    }
}
