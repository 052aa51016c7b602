//! Checks of sealed names: whether a sample is stored as configured, and whether they hide anything.

use std::sync::Arc;

use waxseal_kinds::LeftOut;
use waxseal_named::{NameView, Opened};
use waxseal_stores::{Cursor, RecordPattern, RecordStore};
use waxseal_units::thousands;

use super::Findings;
use crate::Failure;
use crate::configuration::protected::Protected;
use crate::resources::{Resources, names_in_clear, record_names};

/// Pages of names in a sample, and the size of each.
const PAGES: usize = 10;
const PAGE: usize = 1_000;

/// The names of a sample.
#[derive(Default)]
struct Sample {
    sealed: usize,
    in_clear: usize,
    left_out: usize,
    /// The lengths of the logical names together.
    bytes: usize,
}

pub(super) async fn check(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    findings: &mut Findings,
) {
    if let Err(failure) = check_all(resources, store, findings).await {
        findings.failure("names", &failure);
    }
}

async fn check_all(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    names_in_clear::check(resources, store).await?;
    let Some(table) = record_names::table(resources)? else {
        return Ok(());
    };
    let stored = names_in_clear::stored(store);
    let protected = resources.configuration.protected.iter();
    for protected in protected.filter(|it| it.names.is_some()) {
        let sample = sample(&**stored, &table.view(), protected).await?;
        report(protected, &sample, findings);
    }
    Ok(())
}

async fn sample(
    stored: &dyn RecordStore,
    view: &NameView,
    protected: &Protected,
) -> Result<Sample, Failure> {
    let pattern = RecordPattern::behind(protected.pattern.name_prefix())?;
    let (mut sample, mut cursor, mut logical) = (Sample::default(), Cursor::start(), Vec::new());
    for _ in 0..PAGES {
        let page = stored.scan(&pattern, &cursor, PAGE).await?;
        for name in page.names {
            logical.clear();
            match view.open(name.as_bytes(), &mut logical) {
                Opened::Name { .. } if protected.pattern.matches(&logical) => {
                    sample.sealed = sample.sealed.saturating_add(1);
                    sample.bytes = sample.bytes.saturating_add(logical.len());
                }
                Opened::LeftOut {
                    reason: LeftOut::Stray,
                    ..
                } if protected.pattern.matches(name.as_bytes()) => {
                    sample.in_clear = sample.in_clear.saturating_add(1);
                }
                Opened::LeftOut { reason, .. } if reason != LeftOut::Stray => {
                    sample.left_out = sample.left_out.saturating_add(1);
                }
                _ => {}
            }
        }
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok(sample)
}

fn report(protected: &Protected, sample: &Sample, findings: &mut Findings) {
    let shown = protected.pattern.shown();
    let number = |count: usize| thousands(u64::try_from(count).unwrap_or(u64::MAX));
    let (sealed, in_clear) = (number(sample.sealed), number(sample.in_clear));
    match (sample.in_clear, sample.left_out) {
        (0, 0) => findings.ok("names", format!("{shown}: sealed ({sealed} in a sample)")),
        (0, left_out) => findings.warn(
            "names",
            format!(
                "{shown}: {} names of a sample do not open, and {sealed} do: applications do not find the former",
                number(left_out)
            ),
            "waxseal audit says what they are; docs/operate/names.md, What is left over",
        ),
        (_, _) => findings.problem(
            "names",
            format!(
                "{shown}: {in_clear} names of a sample are in clear, and {sealed} sealed: applications do not find the former"
            ),
            "stop all processes that use these records, then waxseal migrate --names --offline; find out what writes past \
             Waxseal, or has no names = \"sealed\"",
        ),
    }
    let prefix = protected.pattern.name_prefix().len();
    let of_prefixes = prefix.saturating_mul(sample.sealed);
    if sample.sealed > 0 && of_prefixes.saturating_mul(4) >= sample.bytes.saturating_mul(3) {
        findings.recommend(
            "names",
            format!("{shown}: most of each name is the text before the first wildcard, which stays in clear"),
            "a pattern that begins with less of it hides more; a switch of names comes first (docs/operate/names.md)",
        );
    }
    if protected.forwards_scripts {
        findings.warn(
            "names",
            format!("{shown}: forwarded scripts get sealed names, and find nothing under names that they build"),
            "right where scripts use the names of KEYS as they are; else leave these names in clear, or remove scripts = \
             \"forward\"",
        );
    }
}
