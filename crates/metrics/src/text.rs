//! Reads Prometheus' text format as our own recorder writes it: the one way to the numbers, for whatever
//! shows or sends them.

/// One line: `name{label="word",…} 12`.
pub(crate) struct Sample<'t> {
    pub(crate) name: &'t str,
    pub(crate) labels: Vec<(&'t str, String)>,
    /// The number as it stands there.
    pub(crate) value: &'t str,
}

/// All samples of a text; what is none is left out.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter_map(Sample::read)
}

impl<'t> Sample<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let end = line.find(['{', ' ']).filter(|_| !line.starts_with('#'))?;
        let (name, mut rest) = line.split_at_checked(end)?;
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.starts_with('}') {
                let (label, quoted) = rest.split_once("=\"")?;
                let (value, behind) = unquoted(quoted)?;
                labels.push((label, value));
                rest = behind.strip_prefix(',').unwrap_or(behind);
            }
            rest = rest.strip_prefix('}')?;
        }
        let value = rest.trim();
        Some(Self {
            name,
            labels,
            value,
        })
    }
}

/// What a quoted value stands for, and what is behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()?.1 {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
