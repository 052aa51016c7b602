//! The texts of the sweep commands, some of them those of the operator's guide.

use waxseal_sweep::Tally;

/// The texts of a sweep.
pub(super) struct Texts {
    pub(super) task: &'static str,
    /// "Starting … encryption migration"
    pub(super) start: &'static str,
    /// "Migrating … data..."
    pub(super) doing: &'static str,
    /// "… migration completed"
    pub(super) noun: &'static str,
    /// "{ migrated: …"
    pub(super) done: &'static str,
    pub(super) already: &'static str,
    /// True if only excepted records are swept.
    pub(super) only_excepted: bool,
}

pub(super) const MIGRATE: Texts = Texts {
    task: "migrate",
    start: "Starting Redis encryption migration",
    doing: "Migrating",
    noun: "migration",
    done: "migrated",
    already: "alreadySealed",
    only_excepted: false,
};

pub(super) const ROTATE: Texts = Texts {
    task: "rotate",
    start: "Starting Redis key rotation",
    doing: "Rotating",
    noun: "rotation",
    done: "rotated",
    already: "alreadyCurrent",
    only_excepted: false,
};

pub(super) const DECRYPT: Texts = Texts {
    task: "decrypt",
    start: "Starting Redis decryption",
    doing: "Decrypting",
    noun: "decryption",
    done: "decrypted",
    already: "alreadyPlain",
    only_excepted: false,
};

pub(super) const DECRYPT_EXCEPTED: Texts = Texts {
    start: "Starting Redis decryption of excepted records",
    only_excepted: true,
    ..DECRYPT
};

impl Texts {
    /// Formats the counts as the operator's guide prints them. Counts that the guide does not have are added if they are
    /// not 0.
    pub(super) fn braces(&self, counts: &Tally) -> String {
        let mut text = format!(
            "{{ {}: {}, failed: {}, total: {}",
            self.done, counts.done, counts.failed, counts.total
        );
        let more = [
            (self.already, counts.already),
            ("raced", counts.raced),
            ("empty", counts.empty),
            ("erased", counts.erased),
            ("streams", counts.streams),
            ("skippedTypes", counts.skipped()),
            ("excepted", counts.excepted.unsealed()),
        ];
        for (name, count) in more {
            if count > 0 {
                text.push_str(&format!(", {name}: {count}"));
            }
        }
        text + " }"
    }
}

/// Returns a word with a capital letter at its beginning.
pub(super) fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
