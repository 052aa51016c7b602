//! Globs over members, as `SSCAN … MATCH` has them: matched here, because the server sees sealed members only. Any bytes
//! are a glob to servers, and mean what servers make of them.

/// Whether a server would match this text with this glob. `None` if that takes more than these `steps`, from which those
/// that were taken are subtracted: a glob with many stars takes as many as glob and text multiplied.
#[must_use]
pub fn matches_glob(glob: &[u8], text: &[u8], steps: &mut usize) -> Option<bool> {
    if glob == b"*" {
        return Some(true);
    }
    let (mut in_glob, mut in_text) = (0_usize, 0_usize);
    // The position after the last star, and the text that it has matched so far. To take more for an earlier star would
    // leave less for the rest of the glob.
    let mut last_star: Option<(usize, usize)> = None;
    loop {
        *steps = steps.checked_sub(1)?;
        let Some(byte) = text.get(in_text).copied() else {
            // A server leaves the loop here and skips stars, if there was a text at all.
            let remaining = glob.get(in_glob..).unwrap_or_default();
            return Some(match text.is_empty() {
                true => remaining.is_empty(),
                false => remaining.iter().all(|it| *it == b'*'),
            });
        };
        if glob.get(in_glob) == Some(&b'*') {
            in_glob = in_glob.saturating_add(1);
            last_star = Some((in_glob, in_text));
            continue;
        }
        if let Some(next) = one(glob, in_glob, byte) {
            in_glob = next;
            in_text = in_text.saturating_add(1);
            continue;
        }
        let Some((after, matched)) = last_star else {
            return Some(false);
        };
        let matched = matched.saturating_add(1);
        last_star = Some((after, matched));
        (in_glob, in_text) = (after, matched);
    }
}

/// The position after the part of the glob that begins here and is no star, if that part matches this byte.
fn one(glob: &[u8], at: usize, byte: u8) -> Option<usize> {
    let next = at.saturating_add(1);
    match glob.get(at)? {
        b'?' => Some(next),
        b'[' => class(glob, next, byte),
        b'\\' => match glob.get(next) {
            Some(literal) => (*literal == byte).then_some(next.saturating_add(1)),
            None => (byte == b'\\').then_some(next),
        },
        literal => (*literal == byte).then_some(next),
    }
}

/// The same for a class, which begins after its bracket. One that is not closed ends with the glob.
fn class(glob: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    let is_negated = glob.get(at) == Some(&b'^');
    at = at.saturating_add(usize::from(is_negated));
    let mut is_match = false;
    loop {
        let taken = match glob.get(at..).unwrap_or_default() {
            [b'\\', literal, ..] => {
                is_match |= *literal == byte;
                2
            }
            [b']', ..] => {
                at = at.saturating_add(1);
                break;
            }
            [] => break,
            [start, b'-', end, ..] => {
                // Servers compare signed characters.
                let [start, end, byte] = [*start, *end, byte].map(u8::cast_signed);
                is_match |= (start.min(end)..=start.max(end)).contains(&byte);
                3
            }
            [literal, ..] => {
                is_match |= *literal == byte;
                1
            }
        };
        at = at.saturating_add(taken);
    }
    (is_match != is_negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_means_what_servers_make_of_it() {
        for (glob, text, expected) in [
            ("*", "", true),
            ("**", "", false),
            ("", "", true),
            ("", "a", false),
            ("a*", "a", true),
            ("a*", "ab", true),
            ("*b", "aab", true),
            ("*b", "aba", false),
            ("a*b*c", "axxbxbxc", true),
            ("a*b*c", "axxbxb", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h\\?llo", "h?llo", true),
            ("h\\?llo", "hello", false),
            ("\\", "\\", true),
            ("[a", "a", true),
            ("[^a", "b", true),
            ("[\\]]", "]", true),
            ("[]", "a", false),
            ("*[0-9]", "user:42", true),
            ("user:*:x", "user:1:y", false),
            ("a**", "a", true),
            ("a*?", "a", false),
        ] {
            assert_eq!(
                matches_glob(glob.as_bytes(), text.as_bytes(), &mut 100),
                Some(expected),
                "{glob} {text}"
            );
        }
    }

    #[test]
    fn a_glob_that_takes_too_many_steps_is_given_up() {
        let (glob, text) = (format!("*{}b", "a".repeat(1_000)), "a".repeat(20_000));
        let mut steps = 100_000;
        let found = matches_glob(glob.as_bytes(), text.as_bytes(), &mut steps);
        assert_eq!((found, steps), (None, 0));
        let mut steps = 100_000;
        let found = matches_glob(b"*a", text.as_bytes(), &mut steps);
        assert_eq!(found, Some(true));
        assert!(steps > 30_000, "{steps}");
    }
}
