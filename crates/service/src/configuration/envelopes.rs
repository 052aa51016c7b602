//! The settings of the sealed format: its versions, the group that records belong to, and the domain. With a keyring the
//! versions are the keyring's, and the domain is its environment.

use waxseal_core::{EnvelopeRules, EnvelopeVersion, Format, Group};

use super::file::{ConfigurationFile, Protect};
use super::protected::Protected;
use crate::Failure;

/// The longest id of a group, and the longest domain, in bytes.
const MAX_LEN: usize = 200;

/// Applies the settings of a `[[protect]]`.
pub(super) fn apply(
    protected: &mut Protected,
    settings: &Protect,
    has_ring: bool,
) -> Result<(), Failure> {
    protected.rules = rules(protected, settings, has_ring)?;
    protected.group = group(protected, settings, has_ring)?;
    protected.deterministic_elements = deterministic_elements(protected, settings, has_ring)?;
    Ok(())
}

/// The failure of a setting of these records.
pub(super) fn refused(protected: &Protected, setting: &str, why: &str, hint: &str) -> Failure {
    let records = protected.pattern.shown();
    Failure::usage(format!("{setting} of \"{records}\": {why}")).hint(hint)
}

/// The versions that are written and accepted. The keyring's are used instead, if there is one.
fn rules(
    protected: &Protected,
    settings: &Protect,
    has_ring: bool,
) -> Result<EnvelopeRules, Failure> {
    let version = |setting: &str, number: Option<u64>| {
        let Some(number) = number else {
            return Ok(None);
        };
        if has_ring {
            let hint = format!(
                "remove it from waxseal.toml; waxseal keyring configure --{} {number} changes it for all records",
                setting.replace('_', "-")
            );
            return Err(refused(protected, setting, "the keyring decides", &hint));
        }
        let version = u8::try_from(number).map(EnvelopeVersion::try_from);
        match version {
            Ok(Ok(version)) => Ok(Some(version)),
            _ => Err(refused(
                protected,
                setting,
                "it is one of 2, 3",
                "3 is the newest",
            )),
        }
    };
    let write = version("write_version", settings.write_version)?;
    let accept = version("accept_version", settings.accept_version)?;
    let rules = EnvelopeRules {
        write: write.unwrap_or(EnvelopeVersion::V2),
        accept: accept.unwrap_or(EnvelopeVersion::V2),
    };
    if rules.accept > rules.write {
        return Err(refused(
            protected,
            "accept_version",
            "what is written would not be accepted",
            "write_version = 3, then waxseal rotate, then accept_version = 3 once waxseal audit --require-version 3 \
             finds nothing older",
        ));
    }
    if rules.write > EnvelopeVersion::V2 && protected.format == Format::Classic {
        return Err(refused(
            protected,
            "write_version",
            "the classic format has no versions",
            "format = \"sealed\"",
        ));
    }
    Ok(rules)
}

/// The group of the records, if they belong to one.
fn group(
    protected: &Protected,
    settings: &Protect,
    has_ring: bool,
) -> Result<Option<Group>, Failure> {
    let refused = |setting, why, hint| Err(refused(protected, setting, why, hint));
    let seals = match settings.bind.as_deref() {
        None | Some("record") => false,
        Some("group") => true,
        Some(_) => {
            return refused(
                "bind",
                "it is one of record, group",
                "record is the default",
            );
        }
    };
    let Some(id) = settings.group.as_deref() else {
        return match seals {
            true => refused(
                "bind",
                "no group is named",
                "group = \"an id of your own\", the same for all records of the group",
            ),
            false => Ok(None),
        };
    };
    if !is_plain_word(id) {
        return refused(
            "group",
            "it has 1 to 200 bytes, and no control characters",
            "an id that never changes: values are bound to it",
        );
    }
    // With a keyring it is checked where that is opened.
    if seals && !has_ring && protected.rules.write < EnvelopeVersion::V3 {
        return refused(
            "bind",
            "only version 3 of the sealed format is bound to a group",
            "write_version = 3",
        );
    }
    Ok(Some(Group::new(id.as_bytes(), seals)))
}

/// True if equal elements of one list are sealed alike.
fn deterministic_elements(
    protected: &Protected,
    settings: &Protect,
    has_ring: bool,
) -> Result<bool, Failure> {
    let refused = |why, hint| Err(refused(protected, "members", why, hint));
    match settings.members.as_deref() {
        None | Some("random") => Ok(false),
        // With a keyring that is checked for each value: its versions can change.
        Some("deterministic") if !has_ring && protected.rules.write < EnvelopeVersion::V3 => {
            refused(
                "only version 3 of the sealed format is deterministic",
                "write_version = 3",
            )
        }
        Some("deterministic") => Ok(true),
        Some(_) => refused(
            "it is one of random, deterministic",
            "random is the default",
        ),
    }
}

/// The domain that a process without a keyring uses: values of version 3 are bound to it.
pub(super) fn domain(file: &ConfigurationFile, has_ring: bool) -> Result<&str, Failure> {
    let Some(domain) = file.domain.as_deref() else {
        return Ok("");
    };
    if has_ring {
        return Err(Failure::usage(
            "domain is configured, and a keyring: its environment is the domain",
        )
        .hint("remove domain from waxseal.toml"));
    }
    if !is_plain_word(domain) {
        return Err(
            Failure::usage("domain has 1 to 200 bytes, and no control characters")
                .hint("for example domain = \"production\"; without one, remove it"),
        );
    }
    Ok(domain)
}

pub(super) fn is_plain_word(text: &str) -> bool {
    (1..=MAX_LEN).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::protected::select;

    fn read(settings: &str, has_ring: bool) -> Result<Protected, Failure> {
        let text = format!("[[protect]]\nrecords = \"wa:*\"\n{settings}");
        let file = ConfigurationFile::parse(&text).unwrap();
        let selection = select(&[], &[], &file, has_ring)?;
        Ok(selection.protected.into_iter().next().unwrap())
    }

    fn refusal(settings: &str, has_ring: bool) -> String {
        let failure = read(settings, has_ring).err().unwrap();
        failure.text().to_owned()
    }

    #[test]
    fn versions_are_those_of_the_file_without_a_ring() {
        let plain = read("", false).unwrap();
        assert_eq!(plain.rules, EnvelopeRules::default());
        assert!(plain.group.is_none());
        let newest = "format = \"sealed\"\nwrite_version = 3\naccept_version = 3";
        let newest = read(newest, false).unwrap();
        let v3 = EnvelopeVersion::V3;
        assert_eq!((newest.rules.write, newest.rules.accept), (v3, v3));
    }

    #[test]
    fn elements_are_deterministic_only_in_version_3() {
        let v3 = "format = \"sealed\"\nwrite_version = 3\n";
        for (members, expected) in [("", false), ("random", false), ("deterministic", true)] {
            let setting = match members {
                "" => String::new(),
                members => format!("members = \"{members}\""),
            };
            let protected = read(&format!("{v3}{setting}"), false).unwrap();
            assert_eq!(protected.deterministic_elements, expected, "{members}");
        }
        let deterministic = "members = \"deterministic\"";
        assert!(read(deterministic, true).unwrap().deterministic_elements);
        assert_eq!(
            refusal(deterministic, false),
            "members of \"wa:*\": only version 3 of the sealed format is deterministic"
        );
        assert_eq!(
            refusal("members = \"yes\"", true),
            "members of \"wa:*\": it is one of random, deterministic"
        );
    }

    #[test]
    fn each_wrong_version_is_refused_with_the_reason() {
        for (settings, has_ring, text) in [
            (
                "write_version = 3",
                true,
                "write_version of \"wa:*\": the keyring decides",
            ),
            (
                "accept_version = 2",
                true,
                "accept_version of \"wa:*\": the keyring decides",
            ),
            (
                "write_version = 4",
                false,
                "write_version of \"wa:*\": it is one of 2, 3",
            ),
            (
                "write_version = 259",
                false,
                "write_version of \"wa:*\": it is one of 2, 3",
            ),
            (
                "accept_version = 3",
                false,
                "accept_version of \"wa:*\": what is written would not be accepted",
            ),
            (
                "write_version = 3",
                false,
                "write_version of \"wa:*\": the classic format has no versions",
            ),
        ] {
            assert_eq!(refusal(settings, has_ring), text);
        }
    }

    #[test]
    fn a_group_is_named_and_bound_only_by_version_3() {
        let group = read("group = \"bots\"", false).unwrap().group.unwrap();
        assert_eq!((group.id(), group.seals()), (&b"bots"[..], false));
        let bound = "group = \"bots\"\nbind = \"group\"";
        assert!(read(bound, true).unwrap().group.unwrap().seals());
        let v3 = format!("format = \"sealed\"\nwrite_version = 3\n{bound}");
        assert!(read(&v3, false).unwrap().group.unwrap().seals());
        for (settings, text) in [
            (
                bound,
                "bind of \"wa:*\": only version 3 of the sealed format is bound to a group",
            ),
            ("bind = \"group\"", "bind of \"wa:*\": no group is named"),
            (
                "bind = \"field\"",
                "bind of \"wa:*\": it is one of record, group",
            ),
            (
                "group = \"\"",
                "group of \"wa:*\": it has 1 to 200 bytes, and no control characters",
            ),
        ] {
            assert_eq!(refusal(settings, false), text);
        }
    }

    #[test]
    fn a_domain_is_for_processes_without_a_ring() {
        let file = |text| ConfigurationFile::parse(text).unwrap();
        let named = file("domain = \"production\"");
        assert_eq!(domain(&named, false).ok(), Some("production"));
        assert_eq!(domain(&file(""), true).ok(), Some(""));
        let failure = domain(&named, true).err().unwrap();
        assert!(failure.text().contains("its environment is the domain"));
        assert!(domain(&file("domain = \"\""), false).is_err());
        assert!(domain(&file("domain = \"a\\nb\""), false).is_err());
    }
}
