//! Prints the patterns that no record matches.

use waxseal_service::unmatched::Survey;

use crate::output;

/// Prints each pattern. One that leaves no doubt is never more than a warning.
pub(crate) fn print(survey: &Survey, severity: &str) {
    for (unmatched, text, hint) in survey.findings() {
        if unmatched.may_be_misconfigured() {
            output::labelled(severity, &text);
            output::hint(hint);
        } else {
            output::warn(&text);
        }
    }
}
