//! The `except` glob that would have allowed a refused request, derived from the name of its record. It appears
//! in logs, errors and reports, so it must not reveal any part of the name that could be an identifier: a phone
//! number, a session id, a user. Only the literal prefix of the pattern and words of a fixed vocabulary are
//! kept; everything else becomes `*`.

use std::ops::Range;
use std::sync::LazyLock;

use crate::pattern::RecordPattern;

/// The separators of the words of a record name.
const SEPARATORS: &[u8] = b":._-/{}";

/// Longer names have no suggestion.
const MAX_NAME: usize = 128;
/// Longer globs are not suggested: they appear in replies and log lines.
const MAX_GLOB: usize = 128;

/// The words that frameworks use in names of records beside values: locks, counters, indexes, queues. None of
/// them identifies the owner of a record. In lower case; matched in any case.
const WORDS: &str = "\
    abort aborted ack acks active added all app arq asgi attempt attempts axes backoff batch \
    batches bid binding bindings blacklist block blocked blocks bloom broadcast bucket buckets \
    bull cache cancel canceled cancelled cas celery celeryev channel channels check children \
    chord chords claim clean completed concurrency consumer consumers count counter counters \
    counts cron crons daily data dead deferred delay delayed denylist dependencies dependency \
    dependents digest digests dlq dq drained enqueued entries error errors event events \
    execution executions expirations expire expired expires expiry fail failed failure failures \
    feed fetch finished flag flags followers following forever fsm geo group groups health \
    heartbeat heartbeats history hit hits hourly huey hyperloglog id ids idx in inbox incr index \
    indexes intermediate invalidation job jobs keys kombu last lastid leader leaderboard lease \
    leases likes limit limited limiter limits list lists location locations lock locked lockout \
    locks log logs lua marker member members message messages meta metadata metric metrics \
    minute misses monthly msg msgs mutex name namespace notifications notify offset offsets \
    online order paused pc pending pidbox pipeline poll pool presence principal priorities \
    prioritized priority process processed processes processing progress pubsub queue queued \
    queues quota quotas rank ranking rate ratelimit ratelimiter rates rearm redlock ref \
    registries registry repeat repeats reply request requests reserved result results retries \
    retry rlflx running schedule scheduled scheduler schedules score scores semaphore semaphores \
    seq sequence sequences set sets sidekiq slot slots sorted stalled standard started stat \
    state states stats status stream streams subscribers subscriptions success tag tags task \
    tasks taskset throttle throttled throttler throttles timeline timer timers timestamp \
    timestamps total totals ttl unacked unique uniquejobs unread unsuccessful usage v1 v2 v3 \
    version versions view views visits wait waiting weekly whitelist window windows wip work \
    worker workers xq zset \
";

/// The words, sorted.
static VOCABULARY: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| WORDS.split_ascii_whitespace().collect());

/// The length of the longest word.
static MAX_WORD: LazyLock<usize> =
    LazyLock::new(|| VOCABULARY.iter().map(|word| word.len()).max().unwrap_or(0));

/// A piece of a glob.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece<'n> {
    Literal(&'n [u8]),
    /// Any text.
    Any,
}

/// An `except` glob that matches this name, and reveals nothing of it beyond the pattern and words of the
/// vocabulary. `None` if the glob would except all records of the pattern.
#[must_use]
pub fn except_glob(pattern: &RecordPattern, name: &[u8]) -> Option<String> {
    if name.len() > MAX_NAME {
        return None;
    }
    let variable = name.strip_prefix(pattern.prefix().as_bytes())?;
    let pieces = pieces(variable);
    if pieces.iter().all(|it| *it == Piece::Any) {
        return None;
    }
    let glob = to_glob(pattern.prefix(), &pieces);
    if glob.len() > MAX_GLOB {
        return None;
    }
    // Checks the rules of the configuration, such as that it must not except all records of its pattern.
    let excepting = pattern.clone().except(&[&glob]).ok()?;
    let is_matched = excepting.is_excepted(name);
    debug_assert!(is_matched, "a suggestion does not match its name");
    is_matched.then_some(glob)
}

/// The words of the vocabulary in a text with the separators beside them, and the parts between.
fn pieces(text: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut literal = 0..0;
    let mut add = |range: Range<usize>, is_literal: bool| {
        if is_literal && literal.end == range.start && !literal.is_empty() {
            // Continues the literal text before it.
            literal.end = range.end;
            pieces.pop();
        } else if is_literal {
            literal = range.clone();
        }
        if is_literal {
            pieces.push(Piece::Literal(
                text.get(literal.clone()).unwrap_or_default(),
            ));
        } else if !range.is_empty() && pieces.last() != Some(&Piece::Any) {
            pieces.push(Piece::Any);
        }
    };
    let (mut start, mut was_known) = (0, false);
    loop {
        let remaining = text.get(start..).unwrap_or_default();
        let len = word_length(remaining);
        let end = start.saturating_add(len);
        let is_kept = is_known(remaining.get(..len).unwrap_or_default());
        if start > 0 {
            // The separator before it.
            add(start.saturating_sub(1)..start, was_known || is_kept);
        }
        add(start..end, is_kept);
        if end >= text.len() {
            return pieces;
        }
        start = end.saturating_add(1);
        was_known = is_kept;
    }
}

/// The number of bytes before the first separator.
fn word_length(text: &[u8]) -> usize {
    let separator = text.iter().position(|byte| SEPARATORS.contains(byte));
    separator.unwrap_or(text.len())
}

fn is_known(word: &[u8]) -> bool {
    if word.len() > *MAX_WORD {
        return false;
    }
    let word = word.to_ascii_lowercase();
    let found = VOCABULARY.binary_search_by(|known| known.as_bytes().cmp(&word));
    found.is_ok()
}

/// The glob in the notation of Redis.
fn to_glob(prefix: &str, pieces: &[Piece<'_>]) -> String {
    let mut glob = RecordPattern::escape(prefix);
    for piece in pieces {
        match piece {
            Piece::Any => glob.push('*'),
            // Words and separators are ASCII.
            Piece::Literal(literal) => {
                glob.push_str(&RecordPattern::escape(&String::from_utf8_lossy(literal)));
            }
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suggested(pattern: &str, name: &str) -> Option<String> {
        except_glob(&RecordPattern::parse(pattern).unwrap(), name.as_bytes())
    }

    #[test]
    fn names_of_frameworks_become_globs_without_an_identifier() {
        for (pattern, name, glob) in [
            (
                "PHPREDIS_SESSION:*",
                "PHPREDIS_SESSION:k3v9_LOCK",
                "PHPREDIS_SESSION:*_LOCK",
            ),
            (
                "rq:job:*",
                "rq:job:9f-lock-1c:dependents",
                "rq:job:*-lock-*:dependents",
            ),
            (
                "rq:job:*",
                "rq:job:9f-41-1c:dependents",
                "rq:job:*:dependents",
            ),
            ("app:*", "app:1:visits:5215512345678", "app:*:visits:*"),
            ("celery*", "celery-task-meta-9f12", "celery-task-meta-*"),
            ("*", "unacked_index", "unacked_index"),
            (
                "spring:session:*",
                "spring:session:expirations:17000",
                "spring:session:expirations:*",
            ),
            ("fsm:*", "fsm:42:42:lock", "fsm:*:lock"),
            ("bull:*", "bull:mail:{7}:meta", "bull:*:meta"),
            ("a:*", "a:x{lock}y", "a:*\\{lock\\}*"),
            ("a*:v2", "a:count:v2", "a:count:v2"),
        ] {
            assert_eq!(suggested(pattern, name).as_deref(), Some(glob), "{name}");
        }
    }

    #[test]
    fn a_glob_that_excepts_every_record_is_not_suggested() {
        for (pattern, name) in [
            ("wa:*", "wa:5215512345678"),
            ("wa:{user}", "wa:ana@example.com"),
            ("wa:*", "wa:"),
            ("sess:*:lock", "sess:k3v9:lock"),
            ("job:{user}:v1:state", "job:9:v1:state"),
            ("counter", "counter"),
            ("wa:*", "other:lock"),
        ] {
            assert_eq!(suggested(pattern, name), None, "{pattern} {name}");
        }
        let long = format!("wa:{}:lock", "x".repeat(MAX_NAME));
        assert_eq!(suggested("wa:*", &long), None);
        // Short enough, and its glob is not: every brace takes two letters.
        let escaped = format!("wa:1:{}", "{lock}".repeat(20));
        assert!(escaped.len() <= MAX_NAME);
        assert_eq!(suggested("wa:*", &escaped), None);
    }

    #[test]
    fn the_vocabulary_is_sorted_and_in_lower_case() {
        assert!(VOCABULARY.is_sorted_by(|a, b| a < b));
        let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        assert!(VOCABULARY.iter().all(|word| word.bytes().all(is_letter)));
        assert!(VOCABULARY.iter().all(|word| is_known(word.as_bytes())));
        assert!(is_known(b"LOCK") && !is_known(b"") && !is_known(b"lockx"));
    }

    /// Words of names: of the vocabulary, identifiers, special characters, any bytes.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            proptest::sample::select(VOCABULARY.clone()).prop_map(|word| word.as_bytes().to_vec()),
            proptest::sample::select(SEPARATORS.to_vec()).prop_map(|byte| vec![byte]),
            "QQ[0-9]{1,9}".prop_map(String::into_bytes),
            "[*?\\[\\]\\\\{}a]{1,3}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_suggestion_matches_its_name_and_keeps_no_word_that_is_not_ours(name in name()) {
            let pattern = RecordPattern::parse("app:*").unwrap();
            let name = [b"app:", &name[..]].concat();
            if let Some(glob) = except_glob(&pattern, &name) {
                prop_assert!(!glob.contains("QQ"), "{}", glob);
                prop_assert!(glob.starts_with("app:") && glob.is_ascii());
                let excepting = pattern.clone().except(&[&glob]).unwrap();
                prop_assert!(excepting.is_excepted(&name) && !excepting.is_excepted(b"app:5215"));
                for piece in glob["app:".len()..].split(|it: char| !it.is_ascii_alphanumeric()) {
                    prop_assert!(piece.is_empty() || is_known(piece.as_bytes()), "{}", glob);
                }
            }
        }
    }
}
