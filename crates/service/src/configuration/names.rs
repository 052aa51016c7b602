//! How the names of records are stored: in clear, or sealed.

use waxseal_core::{EnvelopeVersion, Format, PadNames};

use super::KeySettings;
use super::envelopes::refused;
use super::file::Protect;
use super::protected::Protected;
use crate::Failure;

/// Records whose names are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesSettings {
    /// The multiple to which the sealed part of a name is padded.
    pub pad: PadNames,
}

/// The remedy where names would be sealed, and the settings of the values do not allow it.
const PLAIN_NAMES: &str = "or leave the names in clear: remove names";

/// Applies the settings of a `[[protect]]`, after those of its values.
pub(super) fn apply(
    protected: &mut Protected,
    settings: &Protect,
    has_ring: bool,
) -> Result<(), Failure> {
    protected.names = read(protected, settings, has_ring)?;
    Ok(())
}

fn read(
    protected: &Protected,
    settings: &Protect,
    has_ring: bool,
) -> Result<Option<NamesSettings>, Failure> {
    let refused = |setting, why, hint: &str| Err(refused(protected, setting, why, hint));
    match settings.names.as_deref() {
        None | Some("plain") => {
            return match settings.pad_names {
                None => Ok(None),
                Some(_) => refused(
                    "pad_names",
                    "the names are in clear",
                    "names = \"sealed\", or remove pad_names",
                ),
            };
        }
        Some("sealed") => {}
        Some("accept" | "both") => {
            return refused(
                "names",
                "names are switched with downtime for now, so it is one of plain, sealed",
                "stop all processes that use these records, run waxseal migrate --names --offline, and start them with \
                 names = \"sealed\"",
            );
        }
        Some(_) => {
            return refused(
                "names",
                "it is one of plain, sealed",
                "plain is the default",
            );
        }
    }
    let pad = match settings.pad_names {
        None => Some(PadNames::default()),
        Some(multiple) => u16::try_from(multiple).ok().and_then(PadNames::new),
    };
    let Some(pad) = pad else {
        return refused(
            "pad_names",
            "it is a number from 1 to 256",
            "16 hides the length of most names; 1, the default, hides none",
        );
    };
    if !protected.pattern.has_wildcard() {
        return refused(
            "names",
            "the pattern is one whole name, of which nothing could be sealed",
            "a pattern with a wildcard, or remove names",
        );
    }
    if protected.format == Format::Classic {
        let hint = format!("format = \"sealed\", {PLAIN_NAMES}");
        return refused("names", "the classic format has no sealed names", &hint);
    }
    // With a keyring it is checked where that is opened.
    if !has_ring && protected.rules.write < EnvelopeVersion::V3 {
        let hint = format!("write_version = 3, {PLAIN_NAMES}");
        let why = "only version 3 of the sealed format has sealed names";
        return refused("names", why, &hint);
    }
    Ok(Some(NamesSettings { pad }))
}

/// Checks sealed names of all records together: those behind one prefix are padded alike, and there are keys for them.
pub(super) fn check<'p>(
    all: impl Iterator<Item = &'p Protected>,
    keys: &KeySettings,
) -> Result<(), Failure> {
    let mut known: Vec<(&Protected, NamesSettings)> = Vec::new();
    for protected in all {
        let Some(names) = protected.names else {
            continue;
        };
        if matches!(keys, KeySettings::None) {
            return Err(needs_keys(protected));
        }
        let prefix = protected.pattern.name_prefix();
        let mut others = known.iter();
        if let Some((other, _)) = others
            .find(|(other, its)| other.pattern.name_prefix() == prefix && its.pad != names.pad)
        {
            let why = format!(
                "the names of \"{}\" begin with the same text, and are padded otherwise",
                other.pattern.shown()
            );
            return Err(refused(
                protected,
                "pad_names",
                &why,
                "the same pad_names for both",
            ));
        }
        known.push((protected, names));
    }
    Ok(())
}

/// The failure of a process without keys whose configuration has sealed names: whatever the mode, it would find no record.
pub(crate) fn needs_keys(protected: &Protected) -> Failure {
    Failure::usage(format!(
        "names of \"{}\": they are sealed, and no key is configured",
        protected.pattern.shown()
    ))
    .of_key("set REDIS_ENCRYPTION_KEY")
    .hint(
        "set REDIS_ENCRYPTION_KEY, or name the keyring: in mode off, too, records are found under their sealed names alone",
    )
}

/// Refuses patterns of flags that take names from records of the file whose names are stored in another way: the flag would
/// look for them under names that they do not have.
pub(super) fn check_typed(
    all: &[Protected],
    is_typed: impl Fn(&Protected) -> bool,
) -> Result<(), Failure> {
    for protected in all.iter().filter(|it| !is_typed(it)) {
        let stronger: Vec<_> = protected.pattern.yields_to().collect();
        let takes = |it: &&Protected| {
            is_typed(it)
                && stronger.contains(&&it.pattern)
                && (it.names != protected.names
                    || it.names.is_some()
                        && it.pattern.name_prefix() != protected.pattern.name_prefix())
        };
        if let Some(typed) = all.iter().find(takes) {
            let (typed, shown) = (typed.pattern.shown(), protected.pattern.shown());
            return Err(Failure::usage(format!(
                "--protect \"{typed}\" takes records from \"{shown}\" of the configuration, whose names are stored in another \
                 way"
            ))
            .hint(format!(
                "name the records as the configuration does: --protect '{shown}'"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::file::ConfigurationFile;
    use crate::configuration::protected::select;

    const V3: &str = "format = \"sealed\"\nwrite_version = 3\n";

    fn read(settings: &str, has_ring: bool) -> Result<Option<NamesSettings>, Failure> {
        let text = format!("[[protect]]\nrecords = \"wa:{{user}}\"\n{settings}");
        let file = ConfigurationFile::parse(&text).unwrap();
        let selection = select(&[], &[], &file, has_ring)?;
        Ok(selection.protected[0].names)
    }

    fn refusal(settings: &str, has_ring: bool) -> String {
        read(settings, has_ring).err().unwrap().text().to_owned()
    }

    #[test]
    fn names_are_in_clear_unless_they_are_sealed() {
        let pad = |multiple| PadNames::new(multiple).unwrap();
        for (settings, expected) in [
            ("", None),
            ("names = \"plain\"", None),
            ("names = \"sealed\"", Some(pad(1))),
            ("names = \"sealed\"\npad_names = 16", Some(pad(16))),
            ("names = \"sealed\"\npad_names = 256", Some(pad(256))),
        ] {
            let settings = format!("{V3}{settings}");
            let names = read(&settings, false).unwrap();
            assert_eq!(names.map(|it| it.pad), expected, "{settings}");
        }
        let of_ring = "format = \"sealed\"\nnames = \"sealed\"";
        assert!(read(of_ring, true).unwrap().is_some());
        let of_users = "per_user_keys = true\nnames = \"sealed\"";
        assert!(read(of_users, true).unwrap().is_some());
    }

    #[test]
    fn each_wrong_setting_is_refused_with_the_reason() {
        let sealed = "names = \"sealed\"";
        let padded = |multiple: &str| format!("{V3}{sealed}\npad_names = {multiple}");
        for (settings, has_ring, text) in [
            (
                "names = \"hashed\"".to_owned(),
                false,
                "names of \"wa:{user}\": it is one of plain, sealed",
            ),
            (
                format!("{V3}names = \"accept\""),
                false,
                "names of \"wa:{user}\": names are switched with downtime for now, so it is one of plain, sealed",
            ),
            (
                "names = \"both\"".to_owned(),
                true,
                "names of \"wa:{user}\": names are switched with downtime for now, so it is one of plain, sealed",
            ),
            (
                sealed.to_owned(),
                false,
                "names of \"wa:{user}\": the classic format has no sealed names",
            ),
            (
                format!("format = \"sealed\"\n{sealed}"),
                false,
                "names of \"wa:{user}\": only version 3 of the sealed format has sealed names",
            ),
            (
                "pad_names = 16".to_owned(),
                false,
                "pad_names of \"wa:{user}\": the names are in clear",
            ),
            (
                padded("0"),
                false,
                "pad_names of \"wa:{user}\": it is a number from 1 to 256",
            ),
            (
                padded("257"),
                false,
                "pad_names of \"wa:{user}\": it is a number from 1 to 256",
            ),
        ] {
            assert_eq!(refusal(&settings, has_ring), text, "{settings}");
        }
        let text = format!("[[protect]]\nrecords = \"queue\"\n{V3}{sealed}");
        let file = ConfigurationFile::parse(&text).unwrap();
        let failure = select(&[], &[], &file, false).err().unwrap();
        assert_eq!(
            failure.text(),
            "names of \"one record\": the pattern is one whole name, of which nothing could be sealed"
        );
    }

    #[test]
    fn names_behind_one_prefix_are_padded_alike() {
        let block = |records: &str, pad: u16| {
            format!(
                "[[protect]]\nrecords = \"{records}\"\n{V3}names = \"sealed\"\npad_names = {pad}\n"
            )
        };
        let file = |blocks: &[String]| ConfigurationFile::parse(&blocks.concat()).unwrap();
        let checked = |file: &ConfigurationFile| {
            let all = select(&[], &[], file, false).unwrap().protected;
            let key = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
            let keyring = waxseal_core::Keyring::from_hex(key, "").unwrap();
            check(all.iter(), &KeySettings::Environment(keyring.into()))
        };
        assert!(checked(&file(&[block("wa:*", 16), block("wa:*:x", 16)])).is_ok());
        assert!(checked(&file(&[block("wa:*", 16), block("app:*", 8)])).is_ok());
        let failure = checked(&file(&[block("wa:*", 16), block("wa:*:x", 8)]));
        assert_eq!(
            failure.err().unwrap().text(),
            "pad_names of \"wa:*:x\": the names of \"wa:*\" begin with the same text, and are padded otherwise"
        );
        let all = select(&[], &[], &file(&[block("wa:*", 1)]), false).unwrap();
        let failure = check(all.protected.iter(), &KeySettings::None);
        assert_eq!(
            failure.err().unwrap().text(),
            "names of \"wa:*\": they are sealed, and no key is configured"
        );
    }

    #[test]
    fn a_flag_names_records_by_the_names_that_the_file_gives_them() {
        let text = format!(
            "[[protect]]\nrecords = \"wa:*\"\n{V3}names = \"sealed\"\n[[protect]]\nrecords = \"wa:*:plain\"\n"
        );
        let file = ConfigurationFile::parse(&text).unwrap();
        let select = |flag: &str| select(&[flag.to_owned()], &[], &file, false);
        let narrow = select("wa:52[0-9]").unwrap().protected;
        assert!(narrow[0].names.is_some());
        assert_eq!(narrow[0].pattern.name_prefix(), "wa:");
        assert!(select("wa:*").unwrap().protected[0].names.is_some());
        let one = select("wa:521").unwrap().protected;
        assert!(one[0].names.is_some() && one[0].pattern.has_wildcard());
        assert!(select("app:*").unwrap().protected[0].names.is_none());
        // Takes nothing: the pattern of the file is the more specific one.
        assert!(select("*").unwrap().protected[0].names.is_none());
        // These records belong to both patterns of the file.
        let failure = select("wa:52*").err().unwrap();
        assert!(
            failure.text().contains("takes records from \"wa:*:plain\""),
            "{}",
            failure.text()
        );
    }
}
