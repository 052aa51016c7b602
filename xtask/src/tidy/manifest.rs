//! Checks that every dependency of the workspace has a reason: a comment above it or above its
//! group. A group ends at an empty line.

const TABLE: &str = "workspace.dependencies";

/// The dependencies of the root manifest that have no reason.
pub(super) fn without_reason(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut has_reason = false;
    let mut open_brackets = 0_usize;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        let continued = open_brackets > 0;
        if let Some(header) = line.strip_prefix('[').filter(|_| !continued) {
            let header = header.trim_end_matches(']');
            inside = header == TABLE;
            if let Some(name) = header
                .strip_prefix(TABLE)
                .and_then(|rest| rest.strip_prefix('.'))
                && !has_reason
            {
                found.push(complaint(number, name));
            }
            has_reason = false;
            continue;
        }
        if line.is_empty() {
            has_reason = false;
        } else if line.starts_with('#') {
            has_reason = true;
        } else if inside && !continued && !has_reason {
            let name = line.split(['=', '.', ' ']).next().unwrap_or(line);
            found.push(complaint(number, name));
        }
        if !line.starts_with('#') {
            open_brackets += line.matches(['[', '{']).count();
            open_brackets = open_brackets.saturating_sub(line.matches([']', '}']).count());
        }
    }
    found
}

fn complaint(number: usize, name: &str) -> String {
    format!(
        "Cargo.toml:{}: `{name}` has no comment with its reason",
        number + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_above_the_dependency_or_its_group() {
        let manifest = "\
[workspace.dependencies]
# Both for this.
a = \"1\"
b = { version = \"1\", features = [
    \"x\",
] }

# Only for that.
c.version = \"1\"

[profile.dev]
debug = 1
";
        assert_eq!(without_reason(manifest), Vec::<String>::new());
    }

    #[test]
    fn an_empty_line_ends_the_group() {
        let manifest = "[workspace.dependencies]\n# For this.\na = \"1\"\n\nb = \"1\"\nc = \"1\"\n";
        assert_eq!(
            without_reason(manifest),
            [
                "Cargo.toml:5: `b` has no comment with its reason",
                "Cargo.toml:6: `c` has no comment with its reason"
            ]
        );
    }

    #[test]
    fn a_table_of_its_own_needs_a_reason_too() {
        let bare = "[workspace.dependencies.a]\nversion = \"1\"\n";
        assert_eq!(without_reason(bare).len(), 1);
        assert!(without_reason(&format!("# For this.\n{bare}")).is_empty());
    }
}
