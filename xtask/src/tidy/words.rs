//! Words that no file of the repository may contain: directories of a developer's machine, and the
//! hosts of package registries, which belong in a client's settings.

/// Split, so that this file passes its own test.
const FORBIDDEN: [(&str, &str); 9] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/tmp/br", "ief"),
    ("crates", ".io"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("npmjs", ".com"),
    ("npmjs", ".org"),
    ("proxy.go", "lang.org"),
];

/// The places where the text contains a forbidden word.
pub(super) fn forbidden(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for (front, back) in FORBIDDEN {
            let word = format!("{front}{back}");
            if line.contains(&word) {
                found.push(format!("{path}:{}: `{word}` must not be named", number + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_word_with_its_line() {
        for (front, back) in FORBIDDEN {
            let text = format!("fine\nsee {front}{back} there\n").to_uppercase();
            let found = forbidden("a.md", &text);
            assert_eq!(found.len(), 1, "{front}{back}");
            assert!(found[0].starts_with("a.md:2: "), "{found:?}");
        }
        assert!(forbidden("a.md", "a network/ and a chroot/ in /var/lib/waxseal").is_empty());
    }
}
