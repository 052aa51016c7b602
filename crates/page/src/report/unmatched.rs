//! Describes a pattern that no record matches. If a pattern is misspelled or the database is the wrong one, nothing plain is
//! found, and nothing is sealed either.

use super::Unmatched;
use waxseal_units::thousands;

/// The hint for it.
pub const ADVICE: &str = "check the pattern (--protect, waxseal.toml) and the database at the end of the store's URL \
     (redis://HOST:PORT/3)";

impl Unmatched {
    /// States that nothing matches, and which records exist instead.
    #[must_use]
    pub fn describe(&self) -> String {
        let here = match self.in_database {
            Some(0) => ": this database holds no records of applications".to_owned(),
            Some(1) => " though this database holds 1 record".to_owned(),
            Some(number) => format!(" though this database holds {} records", thousands(number)),
            None => "; how many records this database holds is not known".to_owned(),
        };
        // A pattern without a wildcard is the whole name of a record, and is not shown.
        let none = match self.records.contains(['*', '{', '?', '[']) {
            true => format!("no record matches {}", self.records),
            false => "no record has the name that a pattern consists of".to_owned(),
        };
        format!("{none}{here}{}", self.elsewhere())
    }

    fn elsewhere(&self) -> String {
        let numbers: Vec<_> = self.other_databases.iter().map(u32::to_string).collect();
        match &numbers[..] {
            [] if self.looked_everywhere => String::new(),
            [] => "; whether other databases hold matches is not known".to_owned(),
            [one] => format!("; database {one} holds matches"),
            [first @ .., last] => {
                format!("; databases {} and {last} hold matches", first.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_database_a_full_one_and_others_have_texts_of_their_own() {
        let describe = |in_database, other_databases: &[u32], looked_everywhere| {
            Unmatched {
                records: "wa:*".to_owned(),
                in_database,
                other_databases: other_databases.to_vec(),
                looked_everywhere,
            }
            .describe()
        };
        assert_eq!(
            describe(Some(4012), &[3, 8], true),
            "no record matches wa:* though this database holds 4,012 records; databases 3 and 8 hold matches"
        );
        assert_eq!(
            describe(Some(1), &[3], false),
            "no record matches wa:* though this database holds 1 record; database 3 holds matches"
        );
        assert_eq!(
            describe(Some(0), &[], true),
            "no record matches wa:*: this database holds no records of applications"
        );
        assert_eq!(
            describe(None, &[], false),
            "no record matches wa:*; how many records this database holds is not known; whether other \
             databases hold matches is not known"
        );
        assert!(describe(Some(0), &[1, 2, 3], true).ends_with("databases 1, 2 and 3 hold matches"));
    }
}
