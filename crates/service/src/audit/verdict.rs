//! The verdict on a report: what fails an audit under the requirements of the command.

use waxseal_page::report::{NameCounts, Report};
use waxseal_units::thousands;

use super::text;

/// The requirements of an audit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requirements {
    /// Nothing may be plain.
    pub clean: bool,
    /// Every value was opened, and must open.
    pub deep: bool,
    /// Nothing may be in an older version of the sealed format than this one, or in the classic format.
    pub version: Option<u8>,
    /// The form of all names of records.
    pub names: Option<RequiredNames>,
}

impl Requirements {
    /// True if something is required of values, which have to be read for it.
    fn reads_values(&self) -> bool {
        self.clean || self.deep || self.version.is_some()
    }
}

/// The form that all names of records must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredNames {
    /// In clear.
    Plain,
    /// Sealed.
    Sealed {
        /// True if the names of some pattern are in clear by configuration.
        in_clear: bool,
    },
}

/// A reason for an audit to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The finding.
    pub text: String,
    /// The hint.
    pub hint: &'static str,
}

/// Returns the findings that fail an audit. A pattern that matches nothing is reported by its survey, and fails the
/// audit if [`Report::is_inconclusive`].
#[must_use]
pub fn findings(report: &Report, requirements: Requirements) -> Vec<Finding> {
    let total = &report.total;
    let mut findings = Vec::new();
    let mut add = |text: String, hint| findings.push(Finding { text, hint });
    if requirements.clean && report.excepts_everything() {
        add(
            "every record is excepted from its pattern: no new value is sealed".to_owned(),
            "narrow the excepts, or correct the pattern; waxseal doctor checks each except",
        );
    }
    if requirements.clean && total.plain > 0 {
        add(
            "there is plaintext under a protected pattern".to_owned(),
            "waxseal migrate seals it",
        );
    }
    if requirements.clean && !total.other_types.is_empty() {
        add(
            format!("{} cannot be sealed", text::other_types(total)),
            "their values are stored unchanged: keep such data in records of other types, or under names that no \
             pattern protects",
        );
    }
    if requirements.clean && total.outdated > 0 {
        let (values, are) = match total.outdated {
            1 => ("1 value".to_owned(), "is"),
            values => (format!("{} values", thousands(values)), "are"),
        };
        add(
            format!("{values} {are} of an older version than is accepted"),
            "they do not open: planted, or left behind; where they are yours, accept version 2 for the time of a waxseal \
             rotate",
        );
    }
    if requirements.clean && total.unseen > 0 {
        add(
            unread_records(total.unseen),
            "its values may be plain: the warnings above name the record and the cause",
        );
    }
    if let Some(version) = requirements.version {
        let older = total.sealed_before(version);
        if older > 0 {
            add(
                text::older_versions(total, version),
                "waxseal rotate reseals them as the keyring says (write version, in waxseal keyring status); without \
                 a keyring write_version in waxseal.toml",
            );
        }
        if total.unseen > 0 && !requirements.clean {
            add(
                unread_records(total.unseen),
                "its values may be of an older version: the warnings above name the record and the cause",
            );
        }
    }
    for (text, hint) in of_names(&total.names, requirements) {
        add(text, hint);
    }
    if requirements.deep && total.unopenable > 0 {
        add(
            match total.unopenable {
                1 => "1 value does not open".to_owned(),
                values => format!("{} values do not open", thousands(values)),
            },
            "waxseal inspect NAME shows why; damaged, moved, or under a key that is not configured",
        );
    }
    findings
}

/// The findings about names of records.
fn of_names(
    counts: &NameCounts,
    requirements: Requirements,
) -> impl Iterator<Item = (String, &'static str)> {
    let unread = match requirements.reads_values() {
        true => not_found(counts),
        false => None,
    };
    let otherwise = requirements
        .names
        .and_then(|required| names(counts, required));
    unread.into_iter().chain(otherwise)
}

/// The finding about records whose values were not read, since they were looked for under other names.
fn not_found(counts: &NameCounts) -> Option<(String, &'static str)> {
    let text = match counts.not_found() {
        0 => return None,
        1 => "1 record has a name that applications do not use, and was not read".to_owned(),
        records => format!(
            "{} records have names that applications do not use, and were not read",
            thousands(records)
        ),
    };
    let hint = "their values may be plain, or under any key; what such names are and what to do: docs/operate/names.md, What \
                is left over";
    Some((text, hint))
}

/// The finding about names that are not in the required form.
fn names(counts: &NameCounts, required: RequiredNames) -> Option<(String, &'static str)> {
    let left = match required {
        RequiredNames::Plain => counts.all_sealed() + counts.foreign + counts.unknown_key,
        RequiredNames::Sealed { .. } => counts.plain.saturating_add(counts.former),
    };
    let number = |count: u64| match count {
        1 => "1 name of a record is".to_owned(),
        names => format!("{} names of records are", thousands(names)),
    };
    match required {
        RequiredNames::Plain if left > 0 => Some((
            format!("{} sealed", number(left)),
            "while no process uses these records: waxseal decrypt --names --offline --yes, with names = \"sealed\"",
        )),
        RequiredNames::Sealed { in_clear: true } => Some((
            "names of records are in clear by configuration".to_owned(),
            "names = \"sealed\" under each [[protect]], after a switch (docs/operate/names.md)",
        )),
        RequiredNames::Sealed { .. } if left > 0 => Some((
            format!("{} in clear, or in a former form", number(left)),
            "while no process uses these records: waxseal migrate --names --offline",
        )),
        _ if counts.occupied > 0 => Some((
            format!("{} stored in two forms", number(counts.occupied)),
            "applications find one of the two records: the warnings above name them (docs/operate/names.md)",
        )),
        _ => None,
    }
}

fn unread_records(unseen: u64) -> String {
    match unseen {
        1 => "1 record could not be read, or not to its end".to_owned(),
        records => format!(
            "{} records could not be read, or not to their end",
            thousands(records)
        ),
    }
}

#[cfg(test)]
mod tests {
    use waxseal_page::report::Counts;

    use super::*;

    fn report(total: Counts) -> Report {
        Report {
            report: String::new(),
            waxseal: String::new(),
            began: String::new(),
            ended: String::new(),
            environment: String::new(),
            store: String::new(),
            deep: true,
            mode: None,
            accepts_plain: None,
            clean: false,
            keyring: None,
            total,
            patterns: Vec::new(),
            keys: Vec::new(),
            unmatched: Vec::new(),
        }
    }

    fn texts(total: Counts, requirements: Requirements) -> Vec<String> {
        let findings = findings(&report(total), requirements);
        findings.into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn an_audit_without_requirements_never_fails() {
        let total = Counts {
            total: 3,
            plain: 2,
            unopenable: 1,
            ..Counts::default()
        };
        assert_eq!(texts(total, Requirements::default()), [""; 0]);
    }

    #[test]
    fn each_requirement_has_its_findings() {
        let total = Counts {
            total: 1_235,
            plain: 1,
            unopenable: 1_234,
            unseen: 1,
            outdated: 1_002,
            other_types: [("zset".to_owned(), 1)].into(),
            ..Counts::default()
        };
        let clean = Requirements {
            clean: true,
            ..Requirements::default()
        };
        assert_eq!(
            texts(total.clone(), clean),
            [
                "there is plaintext under a protected pattern",
                "1 record (zset 1) cannot be sealed",
                "1,002 values are of an older version than is accepted",
                "1 record could not be read, or not to its end",
            ]
        );
        let deep = Requirements {
            deep: true,
            ..Requirements::default()
        };
        assert_eq!(texts(total, deep), ["1,234 values do not open"]);
    }

    #[test]
    fn records_that_were_not_found_by_their_names_were_not_read() {
        let mut total = Counts {
            total: 5,
            ..Counts::default()
        };
        total.names.plain = 1;
        for requirements in [
            Requirements {
                clean: true,
                ..Requirements::default()
            },
            Requirements {
                deep: true,
                ..Requirements::default()
            },
            Requirements {
                version: Some(3),
                ..Requirements::default()
            },
        ] {
            let text = "1 record has a name that applications do not use, and was not read";
            assert_eq!(texts(total.clone(), requirements), [text]);
        }
        total.names.plain = 0;
        total.names.unknown_key = 2;
        let plain = Requirements {
            names: Some(RequiredNames::Plain),
            ..Requirements::default()
        };
        assert_eq!(texts(total, plain), ["2 names of records are sealed"]);
    }

    #[test]
    fn a_required_version_refuses_what_is_older_and_what_was_not_read() {
        let versions = [("classic", 1), ("2", 1_234), ("3", 7), ("plain", 9)];
        let total = Counts {
            total: 1_251,
            plain: 9,
            unseen: 2,
            versions: versions
                .map(|(name, values)| (name.to_owned(), values))
                .into(),
            ..Counts::default()
        };
        let requirements = Requirements {
            version: Some(3),
            ..Requirements::default()
        };
        assert_eq!(
            texts(total.clone(), requirements),
            [
                "1,235 values are older than version 3 of the sealed format (classic 1, version 2 1,234)",
                "2 records could not be read, or not to their end",
            ]
        );
        let mut newest = total;
        newest
            .versions
            .retain(|name, _| name == "3" || name == "plain");
        newest.unseen = 0;
        assert_eq!(texts(newest, requirements), [""; 0]);
    }

    #[test]
    fn plain_values_under_excepts_alone_prove_nothing() {
        let mut total = Counts::default();
        total.excepted.plain = 1;
        let clean = Requirements {
            clean: true,
            ..Requirements::default()
        };
        let text = "every record is excepted from its pattern: no new value is sealed";
        assert_eq!(texts(total, clean), [text]);
    }
}
