//! The records that processes protect under a ring, as its document has them: their location, their pattern,
//! and the settings that their values depend on.

use serde::{Deserialize, Deserializer, Serialize};

use crate::member_forms::MemberForms;

/// Records that a process protects under the ring. No key is destroyed before they were checked.
///
/// A scope is identified by its store and its pattern ([`is_same_as`](Self::is_same_as)): a ring has one entry
/// for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "StoredScope", into = "StoredScope")]
pub struct ProtectedScope {
    /// The location of the store, without credentials.
    pub store: String,
    /// The pattern of the record names.
    pub records: String,
    /// The settings that its values depend on; `None` if they are not recorded, as in a document of format 1.
    pub settings: Option<ScopeSettings>,
    /// The forms of its members, as far as a ring of document format 2 knows. Processes that register records have
    /// none.
    pub members: Option<MemberForms>,
}

/// The settings of protected records that their stored values depend on: all processes must have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeSettings {
    /// The patterns of records whose values are left plain.
    pub except: Vec<String>,
    /// The id of the group that the records belong to.
    pub group: Option<String>,
    /// What new values are bound to.
    pub bind: ScopeBinding,
    /// How record names are stored.
    pub names: RecordNames,
    /// The multiple to which sealed names are padded, if it is not 1.
    pub pad_names: Option<u16>,
}

/// What values are bound to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ScopeBinding {
    /// The record.
    #[default]
    Record,
    /// The group of records.
    Group,
}

/// How record names are stored: the steps from plain names to sealed ones.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RecordNames {
    /// In clear.
    #[default]
    Plain,
    /// In clear; sealed ones are understood.
    Accept,
    /// Sealed; those in clear are understood.
    Both,
    /// Sealed.
    Sealed,
}

impl ScopeBinding {
    /// The setting as configurations and documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Group => "group",
        }
    }
}

impl RecordNames {
    /// The setting as configurations and documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Accept => "accept",
            Self::Both => "both",
            Self::Sealed => "sealed",
        }
    }
}

/// The first setting in which two differ, for an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name of the setting.
    pub what: &'static str,
    /// Its recorded value.
    pub recorded: String,
    /// Its configured value.
    pub configured: String,
}

impl ScopeSettings {
    /// The same settings in the order in which they are compared and recorded.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.except.sort();
        self.except.dedup();
        self.pad_names = self.pad_names.filter(|multiple| *multiple != 1);
        self
    }

    /// True if values or names under these settings exist in version 3 of the sealed format only.
    #[must_use]
    pub fn needs_version_3(&self) -> bool {
        self.bind != ScopeBinding::Record || self.names != RecordNames::Plain
    }

    /// True if a document of format 1 cannot be used with these settings. Excepts can be left out there.
    #[must_use]
    pub fn needs_format_2(&self) -> bool {
        self.needs_version_3() || self.group.is_some()
    }

    /// The first setting in which recorded and configured ones differ.
    pub(crate) fn difference(recorded: &Self, configured: &Self) -> Option<Difference> {
        let (recorded, configured) = (
            recorded.clone().normalized(),
            configured.clone().normalized(),
        );
        let group = |settings: &Self| {
            settings
                .group
                .as_deref()
                .map_or_else(|| "none".to_owned(), quoted)
        };
        let all = |settings: &Self| {
            let except: Vec<_> = settings.except.iter().map(|it| shown_pattern(it)).collect();
            [
                ("except", format!("[{}]", except.join(", "))),
                ("group", group(settings)),
                ("bind", settings.bind.as_str().to_owned()),
                ("names", settings.names.as_str().to_owned()),
                ("pad_names", settings.pad_names.unwrap_or(1).to_string()),
            ]
        };
        let is_different = [
            recorded.except != configured.except,
            recorded.group != configured.group,
            recorded.bind != configured.bind,
            recorded.names != configured.names,
            recorded.pad_names != configured.pad_names,
        ];
        let both = all(&recorded).into_iter().zip(all(&configured));
        let differing = both.zip(is_different).find(|(_, differs)| *differs);
        differing.map(|(((what, recorded), (_, configured)), _)| {
            // Names of single records are not shown, and may be all that differs.
            let hidden = match recorded == configured {
                true => " (other records)",
                false => "",
            };
            Difference {
                what,
                configured: format!("{configured}{hidden}"),
                recorded,
            }
        })
    }
}

impl ProtectedScope {
    /// Records without recorded settings.
    #[must_use]
    pub fn new(store: impl Into<String>, records: impl Into<String>) -> Self {
        Self {
            store: store.into(),
            records: records.into(),
            settings: None,
            members: None,
        }
    }

    /// The same records with these settings.
    #[must_use]
    pub fn with_settings(self, settings: ScopeSettings) -> Self {
        Self {
            settings: Some(settings),
            ..self
        }
    }

    /// The same records without settings: the form of documents of format 1.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self::new(&self.store, &self.records)
    }

    /// The name of these records for their sealers.
    #[must_use]
    pub fn sealer_name(&self) -> String {
        format!("{} {}", self.store, self.records)
    }

    /// True if it is recorded that names of these records are, or may be, sealed.
    #[must_use]
    pub fn has_sealed_names(&self) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|it| it.names != RecordNames::Plain)
    }

    /// True if both are the same records, whatever their settings.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.store == other.store && self.records == other.records
    }

    /// The pattern for messages: a pattern that is the name of one record is not shown.
    #[must_use]
    pub fn shown_records(&self) -> String {
        shown_pattern(&self.records)
    }
}

fn shown_pattern(pattern: &str) -> String {
    match pattern.contains(['*', '?', '[', '{']) {
        true => quoted(pattern),
        false => "one record".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().filter(|it| !it.is_control()).collect();
    format!("\"{shown}\"")
}

/// An entry of a document. `except` is there exactly if the settings are recorded.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredScope {
    store: String,
    records: String,
    #[serde(default, deserialize_with = "some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    except: Option<Vec<String>>,
    #[serde(default, deserialize_with = "some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, deserialize_with = "some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<ScopeBinding>,
    #[serde(default, deserialize_with = "some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<RecordNames>,
    #[serde(default, deserialize_with = "some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pad_names: Option<u16>,
    #[serde(default, deserialize_with = "some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<MemberForms>,
}

/// A member that is there: `null` is not a value of one.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn unless_default<T: Default + PartialEq>(value: T) -> Option<T> {
    Some(value).filter(|value| *value != T::default())
}

impl From<ProtectedScope> for StoredScope {
    fn from(scope: ProtectedScope) -> Self {
        let is_recorded = scope.settings.is_some();
        let settings = scope.settings.unwrap_or_default();
        Self {
            store: scope.store,
            records: scope.records,
            except: is_recorded.then_some(settings.except),
            group: settings.group,
            bind: unless_default(settings.bind),
            names: unless_default(settings.names),
            pad_names: settings.pad_names,
            members: scope.members,
        }
    }
}

impl TryFrom<StoredScope> for ProtectedScope {
    type Error = &'static str;

    fn try_from(stored: StoredScope) -> Result<Self, &'static str> {
        let (group, bind, names) = (stored.group, stored.bind, stored.names);
        let has_settings = group.is_some() || bind.is_some() || names.is_some();
        if stored.except.is_none() && (has_settings || stored.pad_names.is_some()) {
            return Err("settings of protected records without except");
        }
        Ok(Self {
            store: stored.store,
            records: stored.records,
            members: stored.members,
            settings: stored.except.map(|except| ScopeSettings {
                except,
                group,
                bind: bind.unwrap_or_default(),
                names: names.unwrap_or_default(),
                pad_names: stored.pad_names,
            }),
        })
    }
}
