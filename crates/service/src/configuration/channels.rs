//! The channels whose messages are protected: each `[[protect]]` of the file that names channels. Messages are not stored,
//! so nothing but the proxy has to do with them.

use waxseal_core::{EnvelopeRules, Format, Group, PlainValues};
use waxseal_stores::RecordPattern;

use super::envelopes::is_plain_word;
use super::file::{ConfigurationFile, Protect};
use super::protected::{Protected, resolve};
use crate::Failure;

/// Returns the protected channels, in the order of the file. The second of two equal patterns is left out.
pub(super) fn read(file: &ConfigurationFile) -> Result<Vec<Protected>, Failure> {
    let named = file.protect.iter().filter_map(|protect| {
        let channels = protect.channels.as_deref()?;
        Some(from_file(channels, protect))
    });
    Ok(resolve(named.collect::<Result<_, _>>()?))
}

fn from_file(channels: &str, protect: &Protect) -> Result<Protected, Failure> {
    let pattern = RecordPattern::parse(channels)?;
    let shown = pattern.shown().to_owned();
    let refused = |why: String, hint: &str| {
        Err(Failure::usage(format!("channels \"{shown}\": {why}")).hint(hint))
    };
    if let Some(setting) = setting_of_records(protect) {
        return refused(
            format!("{setting} is a setting of records"),
            "a [[protect]] of channels has channels, group and, for reports, name",
        );
    }
    if pattern.names_user() {
        return refused(
            "messages are not under keys of single users".to_owned(),
            "write * for {user}",
        );
    }
    let Some(group) = protect.group.as_deref() else {
        return refused(
            "no group is named".to_owned(),
            "group = \"an id of your own\": messages are bound to it, so it is the same for all proxies of publishers \
             and subscribers",
        );
    };
    if !is_plain_word(group) {
        return refused(
            "group has 1 to 200 bytes, and no control characters".to_owned(),
            "an id that never changes: messages are bound to it",
        );
    }
    Ok(Protected {
        name: protect.name.clone().unwrap_or(shown),
        pattern,
        // A message exists in the newest version only.
        format: Format::Sealed,
        of_applications: Format::Sealed,
        rules: EnvelopeRules::default(),
        group: Some(Group::new(group.as_bytes(), true)),
        deterministic_elements: false,
        names: None,
        plain: PlainValues::Any,
        per_user: false,
        forwards_scripts: false,
    })
}

/// The first setting that only records have.
fn setting_of_records(protect: &Protect) -> Option<&'static str> {
    [
        ("records", protect.records.is_some()),
        ("except", !protect.except.is_empty()),
        ("format", protect.format.is_some()),
        ("write_version", protect.write_version.is_some()),
        ("accept_version", protect.accept_version.is_some()),
        ("bind", protect.bind.is_some()),
        ("members", protect.members.is_some()),
        ("names", protect.names.is_some()),
        ("pad_names", protect.pad_names.is_some()),
        ("per_user_keys", protect.per_user_keys),
        ("refused", protect.refused.is_some()),
        ("plain_values", protect.plain_values.is_some()),
        ("scripts", protect.scripts.is_some()),
    ]
    .into_iter()
    .find_map(|(setting, is_set)| is_set.then_some(setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(settings: &str) -> Result<Vec<Protected>, Failure> {
        let text = format!("[[protect]]\nchannels = \"news:*\"\n{settings}");
        read(&ConfigurationFile::parse(&text).unwrap())
    }

    #[test]
    fn channels_belong_to_the_group_that_their_messages_are_bound_to() {
        let named = channels("group = \"news\"\nname = \"News\"").unwrap();
        let group = named[0].group.as_ref().unwrap();
        assert_eq!((group.id(), group.seals()), (&b"news"[..], true));
        assert_eq!(
            (named[0].name.as_str(), named[0].pattern.as_str()),
            ("News", "news:*")
        );
        let twice = "group = \"news\"\n[[protect]]\nchannels = \"news:*\"\ngroup = \"other\"";
        assert_eq!(channels(twice).unwrap().len(), 1);
        let of_records = ConfigurationFile::parse("[[protect]]\nrecords = \"wa:*\"").unwrap();
        assert!(read(&of_records).unwrap().is_empty());
    }

    #[test]
    fn each_wrong_setting_is_refused_with_the_reason() {
        for (settings, text) in [
            ("", "channels \"news:*\": no group is named"),
            (
                "group = \"\"",
                "channels \"news:*\": group has 1 to 200 bytes, and no control characters",
            ),
            (
                "group = \"news\"\nrecords = \"news:*\"",
                "channels \"news:*\": records is a setting of records",
            ),
            (
                "group = \"news\"\nbind = \"record\"",
                "channels \"news:*\": bind is a setting of records",
            ),
            (
                "group = \"news\"\nnames = \"sealed\"",
                "channels \"news:*\": names is a setting of records",
            ),
            (
                "group = \"news\"\npad_names = 16",
                "channels \"news:*\": pad_names is a setting of records",
            ),
            (
                "group = \"news\"\nper_user_keys = true",
                "channels \"news:*\": per_user_keys is a setting of records",
            ),
        ] {
            let failure = channels(settings).err().unwrap();
            assert_eq!(failure.text(), text);
        }
        let users = "[[protect]]\nchannels = \"news:{user}\"\ngroup = \"news\"";
        let failure = read(&ConfigurationFile::parse(users).unwrap())
            .err()
            .unwrap();
        assert!(failure.text().contains("not under keys of single users"));
    }
}
