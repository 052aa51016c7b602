//! The part of the status page about refused commands and the findings of a trial.

use maud::{Markup, html};

use super::clock::Clock;
use super::model::{RefusedRequests, Trial};
use super::verdict::documentation;
use crate::document;
use waxseal_units::thousands;

/// The number of rows that are shown; the metrics have all.
const MAX_ROWS: usize = 50;

pub(super) fn section(refused: &[RefusedRequests], trial: Option<&Trial>, clock: Clock) -> Markup {
    let (forwarded, refused): (Vec<_>, Vec<_>) = refused.iter().partition(|it| it.is_forwarded);
    html! {
        @if !forwarded.is_empty() {
            p class="soft" {
                "Nothing is sealed. These were forwarded, and a proxy without --trial would refuse them. " (policy())
            }
            (table(&forwarded, "Requests that would be refused, by command", clock))
        }
        @if !refused.is_empty() {
            p class="soft" {
                "These were answered with an error that names the reason, and did not reach the server. " (policy())
            }
            (table(&refused, "Requests refused, by command", clock))
        } @else if trial.is_none() {
            p class="soft" { "None since the start." }
        }
        @if let Some(trial) = trial { (found(trial, !forwarded.is_empty())) }
    }
}

fn policy() -> Markup {
    html! {
        a href=(documentation("reference/command-policy.md", "")) rel="noreferrer" {
            "Which commands work on protected records"
        }
    }
}

fn table(refused: &[&RefusedRequests], caption: &str, clock: Clock) -> Markup {
    let columns = [
        ("command", false),
        ("pattern", false),
        ("why", false),
        ("requests", true),
        ("last", false),
        ("remedy", false),
    ];
    let rows = html! {
        @for it in refused.iter().take(MAX_ROWS) {
            tr {
                th scope="row" { code { (it.command) } }
                td { @match &it.pattern { Some(pattern) => code { (pattern) }, None => "–" } }
                td { (it.reason.replace('_', " ")) }
                td class="number" { (thousands(it.count)) }
                td { (clock.moment(it.last_ms)) ", " (it.client) }
                td title=(it.advice) {
                    @match it.setting.is_empty() {
                        true => (it.advice),
                        false => code { (it.setting) },
                    }
                }
            }
        }
    };
    html! {
        (document::table(caption, &columns, &rows))
        @if refused.len() > MAX_ROWS {
            p class="soft" { (thousands((refused.len() - MAX_ROWS) as u64)) " more kinds are in the metrics." }
        }
    }
}

fn found(trial: &Trial, has_found: bool) -> Markup {
    let patterns = trial.patterns.join(", ");
    let has_named = !trial.fine.is_empty() || !trial.unseen_scripts.is_empty() || trial.aborted > 0;
    html! {
        @if !has_found && !has_named {
            p { "No request has named a record of " (patterns) " yet: this says nothing about the application." }
        } @else if !has_found {
            p { "Nothing would be refused so far." }
        }
        @if !trial.configuration.is_empty() {
            p {
                "With these [[protect]] blocks in waxseal.toml the "
                @if !trial.left.is_empty() { "other " }
                "requests that would be refused pass; excepted records stay in plaintext:"
            }
            pre tabindex="0" { code { (trial.configuration) } }
        }
        @if !trial.left.is_empty() {
            p { "No [[protect]] setting lets these pass:" }
            ul { @for line in trial.left.iter().take(MAX_ROWS) { li { (line) } } }
        }
        @if trial.aborted > 0 {
            p {
                "Requests that would work, in transactions that would be aborted for another of their commands: "
                (thousands(trial.aborted)) "."
            }
        }
        (counts("Scripts named by a digest whose text was not seen during this trial", &trial.unseen_scripts))
        (counts("Requests on protected records that work unchanged", &trial.fine))
    }
}

fn counts(caption: &str, counts: &[(String, String, u64)]) -> Markup {
    let columns = [("pattern", false), ("command", false), ("requests", true)];
    let rows = html! {
        @for (pattern, command, count) in counts.iter().take(MAX_ROWS) {
            tr {
                th scope="row" { code { (pattern) } }
                td { code { (command) } }
                td class="number" { (thousands(*count)) }
            }
        }
    };
    html! { @if !counts.is_empty() { (document::table(caption, &columns, &rows)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pattern: &str, is_forwarded: bool) -> RefusedRequests {
        RefusedRequests {
            command: "INCR".to_owned(),
            pattern: Some(pattern.to_owned()),
            reason: "computes_on_value".to_owned(),
            is_forwarded,
            count: 1204,
            last_ms: 1000,
            client: "127.0.0.1:5 (<worker>)".to_owned(),
            setting: "except = [\"a:*:hits\"]".to_owned(),
            advice: "set it".to_owned(),
        }
    }

    fn shown(refused: &[RefusedRequests], trial: Option<&Trial>) -> String {
        let clock = Clock {
            now_ms: 2000,
            is_live: false,
        };
        section(refused, trial, clock).into_string()
    }

    #[test]
    fn shows_the_setting_that_lets_a_command_pass_and_escapes_foreign_text() {
        let page = shown(&[row("<b>:*", false)], None);
        for text in [
            "&lt;b&gt;:*",
            "computes on value",
            "1,204",
            "(&lt;worker&gt;)",
            "<code>except = [&quot;a:*:hits&quot;]</code>",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        assert!(!page.contains("<b>") && !page.contains("trial"), "{page}");
        assert!(shown(&[], None).contains("None since the start."));
    }

    #[test]
    fn a_trial_says_if_it_has_seen_no_request() {
        let mut trial = Trial {
            patterns: vec!["a:*".to_owned()],
            ..Trial::default()
        };
        let nothing = "No request has named a record of a:*";
        assert!(shown(&[], Some(&trial)).contains(nothing));
        // Refused for the proxy's own safety, which is not a finding of the trial.
        assert!(shown(&[row("-", false)], Some(&trial)).contains(nothing));
        trial.fine = vec![("a:*".to_owned(), "GET".to_owned(), 3)];
        let fine = shown(&[], Some(&trial));
        assert!(fine.contains("Nothing would be refused so far.") && !fine.contains(nothing));
        trial.configuration = "[[protect]]\nrecords = \"a:*\"".to_owned();
        let found = shown(&[row("a:*", true)], Some(&trial));
        assert!(found.contains("records = &quot;a:*&quot;"), "{found}");
        assert!(!found.contains("Nothing would be refused"), "{found}");
        assert!(
            found.contains("waxseal.toml the requests that would be refused pass"),
            "{found}"
        );
        assert!(
            !found.contains("No [[protect]] setting")
                && !found.contains("did not reach the server")
        );
        // What was refused is not said to have been forwarded; what stays refused is named.
        trial.left = vec!["SORT on a:*: <why>".to_owned()];
        trial.unseen_scripts = vec![("a:*".to_owned(), "EVALSHA".to_owned(), 1)];
        let mixed = shown(&[row("a:*", true), row("-", false)], Some(&trial));
        let (forwarded, refused) = mixed.split_once("did not reach the server").unwrap();
        assert!(forwarded.contains("would refuse them") && !forwarded.contains("<code>-</code>"));
        assert!(refused.contains("<code>-</code>") && refused.contains("SORT on a:*: &lt;why&gt;"));
        assert!(
            refused.contains("whose text was not seen") && refused.contains("the other requests")
        );
    }

    #[test]
    fn the_number_of_rows_is_limited() {
        let refused = vec![row("a:*", false); MAX_ROWS + 2];
        let page = shown(&refused, None);
        assert_eq!(page.matches("<th scope=\"row\">").count(), MAX_ROWS);
        assert!(page.contains("2 more kinds are in the metrics."), "{page}");
    }
}
