//! The state of a process in one level, one line and one sign: the worst of what metrics, counts and the doctor report. It
//! is not green before all of them have reported.

use maud::{Markup, html};

use super::model::{Activity, Doctor, Phase, Severity, Status, Warning};

/// The state of a process as a traffic light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything was checked, and nothing is wrong.
    Ok,
    /// Something needs attention, or is not checked yet.
    Warning,
    /// Something fails.
    Critical,
}

impl Level {
    /// The name of the level in style classes and `data-level`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The sign as the address of an image. Signs differ in shape, not only in colour.
    pub(super) fn icon(self) -> String {
        image(match self {
            Self::Ok => {
                "<circle cx='16' cy='16' r='15' fill='#1f7a4d'/>\
                 <path d='M8 17l6 6 10-12' fill='none' stroke='#fff' stroke-width='4'/>"
            }
            Self::Warning => {
                "<path d='M16 1 32 30H0z' fill='#b35c00'/>\
                 <path d='M16 10v10m0 3v4' fill='none' stroke='#fff' stroke-width='4'/>"
            }
            Self::Critical => {
                "<path d='M10 1h12l9 9v12l-9 9H10l-9-9V10z' fill='#b3261e'/>\
                 <path d='M10 10l12 12m0-12L10 22' fill='none' stroke='#fff' stroke-width='4'/>"
            }
        })
    }
}

/// The sign of a page that lost the connection to its process.
pub(super) fn lost_icon() -> String {
    image(
        "<rect x='1' y='1' width='30' height='30' rx='4' fill='#6b7683'/>\
         <path d='M11 12a5 5 0 1 1 7 5c-1.5.7-2 1.5-2 3m0 3v4' fill='none' stroke='#fff' \
         stroke-width='3.5'/>",
    )
}

fn image(shapes: &str) -> String {
    let svg = format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>{shapes}</svg>");
    let mut address = String::from("data:image/svg+xml,");
    for character in svg.chars() {
        match character {
            '<' => address.push_str("%3C"),
            '>' => address.push_str("%3E"),
            '#' => address.push_str("%23"),
            ' ' => address.push_str("%20"),
            other => address.push(other),
        }
    }
    address
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The traffic light.
    pub level: Level,
    /// The level in a few words.
    pub headline: String,
}

impl Verdict {
    /// Derives it from everything that a page shows.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let issues = issues(status);
        let count = |severity| issues.iter().filter(|it| it.severity == severity).count();
        let (critical, warnings) = (count(Severity::Critical), count(Severity::Warning));
        let and_warnings = match warnings {
            0 => String::new(),
            _ => format!(", {}", number(warnings, "warning")),
        };
        if critical > 0 {
            return Self {
                level: Level::Critical,
                headline: number(critical, "critical problem") + &and_warnings,
            };
        }
        let (level, headline) = match (warnings, &status.phase) {
            (1.., _) => (Level::Warning, number(warnings, "warning")),
            (0, Phase::Starting) => (Level::Warning, "starting".to_owned()),
            (0, Phase::Stopping) => (Level::Warning, "stopping".to_owned()),
            (0, Phase::Running { .. }) if !is_checked(status) => (
                Level::Warning,
                "no problems so far, not everything is checked yet".to_owned(),
            ),
            (0, Phase::Running { .. }) => (Level::Ok, "no problems found".to_owned()),
        };
        Self { level, headline }
    }
}

fn number(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// True if the doctor has checked, and records were counted if this process counts regularly.
fn is_checked(status: &Status) -> bool {
    let coverage = &status.coverage;
    let is_counted = coverage.counted.is_some() || coverage.activity == Activity::OnDemand;
    status.doctor.is_some() && is_counted
}

/// One problem that needs attention, from any source.
pub(super) struct Issue<'a> {
    severity: Severity,
    /// The attribute by which programs find it.
    mark: Mark<'a>,
    text: &'a str,
    advice: &'a str,
    see: Option<&'a str>,
}

enum Mark<'a> {
    Alert(Option<&'static str>),
    Check(&'a str, &'static str),
}

/// All problems, the most severe first.
pub(super) fn issues(status: &Status) -> Vec<Issue<'_>> {
    let mut issues: Vec<Issue<'_>> = status.warnings.iter().map(of_warning).collect();
    issues.extend(status.doctor.iter().flat_map(of_doctor));
    issues.sort_by_key(|issue| issue.severity);
    issues
}

fn of_warning(warning: &Warning) -> Issue<'_> {
    Issue {
        severity: warning.severity,
        mark: Mark::Alert(warning.alert),
        text: &warning.text,
        advice: &warning.advice,
        see: warning.see,
    }
}

fn of_doctor(doctor: &Doctor) -> impl Iterator<Item = Issue<'_>> {
    doctor.findings.iter().filter_map(|finding| {
        Some(Issue {
            severity: match finding.grade {
                "ok" => return None,
                "warning" => Severity::Warning,
                _ => Severity::Critical,
            },
            mark: Mark::Check(&finding.check, finding.grade),
            text: &finding.found,
            advice: finding.advice.as_deref().unwrap_or_default(),
            see: None,
        })
    })
}

impl Issue<'_> {
    pub(super) fn entry(&self) -> Markup {
        let severity = self.severity.as_str();
        let (alert, check) = match self.mark {
            Mark::Alert(alert) => (alert, None),
            Mark::Check(check, grade) => (None, Some((check, grade))),
        };
        html! {
            li data-alert=[alert] data-check=[check.map(|it| it.0)] data-grade=[check.map(|it| it.1)] {
                span class={ "words " (severity) } { (severity) } " "
                @if let Some((check, _)) = check { strong { (check) } ": " }
                (prose(self.text))
                p class="soft" {
                    (prose(self.advice))
                    @if let Some(see) = self.see { " " a href={ "#" (see) "-name" } { "Details" } }
                    @if let Some(alert) = alert {
                        " " a href=(documentation("operate/alerts.md", &alert.to_lowercase())) rel="noreferrer" {
                            "What to do: " (alert)
                        }
                    }
                }
            }
        }
    }
}

/// Text in which words between backticks are code.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The address of a heading of the project's documentation.
pub(super) fn documentation(file: &str, heading: &str) -> String {
    let base = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs");
    match heading {
        "" => format!("{base}/{file}"),
        heading => format!("{base}/{file}#{heading}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::model::{Count, Finding};

    fn status() -> Status {
        let mut status = Status {
            phase: Phase::Running { clients: None },
            doctor: Some(Doctor::default()),
            ..Status::default()
        };
        status.coverage.counted = Some(Count {
            began_ms: 1,
            took_ms: 1,
        });
        status
    }

    fn finding(grade: &'static str) -> Finding {
        Finding {
            grade,
            check: "persistence".to_owned(),
            found: "found".to_owned(),
            advice: None,
        }
    }

    fn warning(severity: Severity) -> Warning {
        Warning {
            severity,
            alert: None,
            text: String::new(),
            advice: String::new(),
            see: None,
        }
    }

    #[track_caller]
    fn assert_is(status: &Status, level: Level, headline: &str) {
        let verdict = Verdict::of(status);
        assert_eq!((verdict.level, &*verdict.headline), (level, headline));
    }

    #[test]
    fn is_green_only_when_everything_was_checked() {
        assert_is(&status(), Level::Ok, "no problems found");
        let so_far = "no problems so far, not everything is checked yet";
        let mut unchecked = status();
        unchecked.doctor = None;
        assert_is(&unchecked, Level::Warning, so_far);
        let mut uncounted = status();
        uncounted.coverage.counted = None;
        assert_is(&uncounted, Level::Warning, so_far);
        uncounted.coverage.activity = Activity::OnDemand;
        assert_is(&uncounted, Level::Ok, "no problems found");
        for (phase, headline) in [(Phase::Starting, "starting"), (Phase::Stopping, "stopping")] {
            let status = Status { phase, ..status() };
            assert_is(&status, Level::Warning, headline);
        }
    }

    #[test]
    fn is_as_bad_as_the_worst_problem() {
        let mut status = status();
        status.warnings = vec![warning(Severity::Info)];
        assert_is(&status, Level::Ok, "no problems found");
        status.doctor.as_mut().unwrap().findings = vec![finding("ok"), finding("warning")];
        assert_is(&status, Level::Warning, "1 warning");
        status.warnings.push(warning(Severity::Warning));
        assert_is(&status, Level::Warning, "2 warnings");
        let findings = &mut status.doctor.as_mut().unwrap().findings;
        findings.push(finding("problem"));
        assert_is(&status, Level::Critical, "1 critical problem, 2 warnings");
        status.warnings.push(warning(Severity::Critical));
        assert_is(&status, Level::Critical, "2 critical problems, 2 warnings");
        let severities: Vec<_> = issues(&status).iter().map(|it| it.severity).collect();
        assert!(severities.is_sorted(), "{severities:?}");
    }

    #[test]
    fn the_sign_of_each_level_is_an_address_that_needs_no_quoting() {
        let icons = [Level::Ok, Level::Warning, Level::Critical].map(Level::icon);
        for icon in icons.iter().chain([&lost_icon()]) {
            assert!(icon.starts_with("data:image/svg+xml,%3Csvg"), "{icon}");
            assert!(!icon.contains(['<', '>', '"', '#', ' ']), "{icon}");
        }
        assert!(icons[0] != icons[1] && icons[1] != icons[2]);
    }

    #[test]
    fn words_between_backticks_are_code_and_nothing_is_markup() {
        let text = prose("run `waxseal <x>` & wait").into_string();
        assert_eq!(text, "run <code>waxseal &lt;x&gt;</code> &amp; wait");
    }
}
