//! Checks that relative links of Markdown files lead to existing files. Links to other hosts are
//! not followed, and headings after `#` are not checked.

/// The links of one file whose target does not exist. `exists` is asked with paths relative to the
/// root.
pub(super) fn broken(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => {
                for target in targets(&without_code(line)) {
                    if is_local(&target)
                        && !resolve(directory, &target).is_some_and(|it| exists(&it))
                    {
                        let number = number + 1;
                        found.push(format!(
                            "{path}:{number}: the link to `{target}` leads nowhere"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The targets of `[text](target "title")`, of images, and of `[name]: target` in one line.
fn targets(line: &str) -> Vec<String> {
    let inline = line.match_indices("](").filter_map(|(at, mark)| {
        let tail = &line[at + mark.len()..];
        match tail.strip_prefix('<') {
            Some(tail) => tail.split_once('>').map(|(target, _)| target),
            None => tail.split([')', ' ']).next(),
        }
    });
    let definition = line
        .trim_start()
        .strip_prefix('[')
        .and_then(|tail| tail.split_once("]: "))
        .and_then(|(_, tail)| tail.split_whitespace().next());
    inline.chain(definition).map(ToOwned::to_owned).collect()
}

/// The line without the text between backticks.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    // An odd backtick at the end opens nothing.
    let closed = parts.len() - 1 + parts.len() % 2;
    let outside = |(index, part): (usize, &&str)| {
        (index % 2 == 0 || index >= closed).then(|| (*part).to_owned())
    };
    parts.iter().enumerate().filter_map(outside).collect()
}

fn is_local(target: &str) -> bool {
    let scheme = target.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|letter| letter.is_ascii_alphanumeric())
    });
    !scheme && !target.starts_with('#') && !target.is_empty()
}

/// The path of a target from the root; `None` if it leads out of the repository.
fn resolve(directory: &str, target: &str) -> Option<String> {
    let target = target.split(['#', '?']).next().unwrap_or(target);
    let from = if target.starts_with('/') {
        ""
    } else {
        directory
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_in(path: &str, text: &str) -> Vec<String> {
        let files = ["README.md", "docs/errors.md", "docs/a b.md", "docs"];
        broken(path, text, |target| files.contains(&target))
    }

    #[test]
    fn a_link_leads_to_a_file_that_exists() {
        let text = "[a](errors.md) [b](../README.md#top) ![c](<a b.md>) [d](./) \"x\"\n\
                    [e]: errors.md\n[f](https://example.com/x) [g](#here) [h](mailto:a@example.com)";
        assert_eq!(broken_in("docs/guide.md", text), Vec::<String>::new());
    }

    #[test]
    fn a_broken_link_is_found_with_its_line() {
        for text in [
            "[a](gone.md)",
            "see [a](errors.md) and [b](gone.md#x)",
            "![a](gone.png \"title\")",
            "[a]: gone.md",
            "[a](../../outside.md)",
            "`code` [a](gone.md) ` odd",
        ] {
            let found = broken_in("docs/guide.md", &format!("\n{text}\n"));
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with("docs/guide.md:2: "), "{found:?}");
        }
    }

    #[test]
    fn code_contains_no_links() {
        let text = "`[a](gone.md)`\n```\n[a](gone.md)\n```\n~~~md\n[b](gone.md)\n```\n~~~\n";
        assert_eq!(broken_in("README.md", text), Vec::<String>::new());
    }
}
