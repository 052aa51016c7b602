//! The part of the status page about refused commands, and about what a trial has found.

use maud::{Markup, html};

use super::clock::Clock;
use super::model::{Refused, Trial};
use super::verdict::documentation;
use crate::words::thousands;

/// Rows that are shown. The metrics have all.
const MAX_ROWS: usize = 50;

pub(super) fn section(refused: &[Refused], trial: Option<&Trial>, clock: Clock) -> Markup {
    html! {
        @if refused.is_empty() {
            @if trial.is_none() { p class="soft" { "None since the start." } }
        } @else {
            p class="soft" {
                @match trial {
                    None => "These were answered with an error that says why, and did not reach the server. ",
                    Some(_) => "Nothing is sealed. These were forwarded, and a proxy without --trial would refuse them. ",
                }
                a href=(documentation("command-policy.md", "")) rel="noreferrer" {
                    "Which commands work on protected records"
                }
            }
            (table(refused, clock))
        }
        @if let Some(trial) = trial { (found(trial, refused)) }
    }
}

fn table(refused: &[Refused], clock: Clock) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Table of refused commands" {
            table {
                caption { "Requests refused, by command" }
                thead {
                    tr {
                        th scope="col" { "command" } th scope="col" { "pattern" } th scope="col" { "why" }
                        th scope="col" class="number" { "requests" } th scope="col" { "last" }
                        th scope="col" { "what lets it pass" }
                    }
                }
                tbody {
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
                }
            }
        }
        @if refused.len() > MAX_ROWS {
            p class="soft" { (thousands((refused.len() - MAX_ROWS) as u64)) " more kinds are in the metrics." }
        }
    }
}

fn found(trial: &Trial, refused: &[Refused]) -> Markup {
    let patterns = trial.patterns.join(", ");
    let has_found = refused.iter().any(|it| it.is_forwarded);
    html! {
        @if !has_found && trial.fine.is_empty() {
            p { "No request has named a record of " (patterns) " yet: this says nothing about the application." }
        } @else if !has_found {
            p { "Nothing would be refused so far." }
        }
        @if !trial.configuration.is_empty() {
            p { "This configuration lets them pass; what except names stays in plaintext:" }
            pre tabindex="0" { code { (trial.configuration) } }
        }
        @if !trial.fine.is_empty() {
            div class="scroll" tabindex="0" role="region" aria-label="Table of commands that work" {
                table {
                    caption { "Requests on protected records that work unchanged" }
                    thead {
                        tr {
                            th scope="col" { "pattern" } th scope="col" { "command" }
                            th scope="col" class="number" { "requests" }
                        }
                    }
                    tbody {
                        @for (pattern, command, count) in trial.fine.iter().take(MAX_ROWS) {
                            tr {
                                th scope="row" { code { (pattern) } }
                                td { code { (command) } }
                                td class="number" { (thousands(*count)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pattern: &str, is_forwarded: bool) -> Refused {
        Refused {
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

    fn shown(refused: &[Refused], trial: Option<&Trial>) -> String {
        let clock = Clock {
            now_ms: 2000,
            is_live: false,
        };
        section(refused, trial, clock).into_string()
    }

    #[test]
    fn shows_what_lets_a_command_pass_and_escapes_what_others_wrote() {
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
    fn a_trial_says_whether_it_has_seen_anything() {
        let mut trial = Trial {
            patterns: vec!["a:*".to_owned()],
            ..Trial::default()
        };
        let nothing = "No request has named a record of a:*";
        assert!(shown(&[], Some(&trial)).contains(nothing));
        // Refused for the proxy's own safety: nothing was tried.
        assert!(shown(&[row("-", false)], Some(&trial)).contains(nothing));
        trial.fine = vec![("a:*".to_owned(), "GET".to_owned(), 3)];
        let fine = shown(&[], Some(&trial));
        assert!(fine.contains("Nothing would be refused so far.") && !fine.contains(nothing));
        trial.configuration = "[[protect]]\nrecords = \"a:*\"".to_owned();
        let found = shown(&[row("a:*", true)], Some(&trial));
        assert!(found.contains("records = &quot;a:*&quot;"), "{found}");
        assert!(!found.contains("Nothing would be refused"), "{found}");
    }

    #[test]
    fn many_kinds_are_not_all_shown() {
        let refused = vec![row("a:*", false); MAX_ROWS + 2];
        let page = shown(&refused, None);
        assert_eq!(page.matches("<th scope=\"row\">").count(), MAX_ROWS);
        assert!(page.contains("2 more kinds are in the metrics."), "{page}");
    }
}
