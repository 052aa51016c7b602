//! The names of records as a whole: the passes that switch them while nothing else uses the records, and the counts of audits.

use std::sync::Arc;

use waxseal_keys::{FormerProcess, ProtectedScope};
use waxseal_named::NameTable;
use waxseal_page::report::NameCounts as ReportedNames;
use waxseal_stores::RecordStore;
use waxseal_sweep::{
    Event, NameCounts, NamesGoal, NamesPass, NamesScope, Position, RecordPass, Stop, SweepOptions,
};
use waxseal_units::thousands;

pub mod find;

use crate::configuration::protected::Protected;
use crate::resources::{Resources, guard, keys, record_names, scopes};
use crate::{Failure, now_ms};

/// Everything that a pass over names needs.
pub struct NameWork<'r> {
    resources: &'r Resources,
    /// The store with names as they are stored.
    pub stored: Arc<dyn RecordStore>,
    /// The patterns with sealed names, and the keys.
    pub table: NameTable,
}

/// The records whose names are sealed, in the order of the configuration.
#[must_use]
pub fn sealed(resources: &Resources) -> Vec<Protected> {
    let all = resources.configuration.all_protected().into_iter();
    all.filter(|it| it.names.is_some()).collect()
}

impl<'r> NameWork<'r> {
    /// Opens the store and the names, and checks that the keys are those of the store.
    pub async fn open(resources: &'r Resources) -> Result<Self, Failure> {
        let Some(table) = record_names::table(resources)? else {
            return Err(none_sealed());
        };
        let stored = resources.stored_store().await?;
        // Before a switch values are found under one form of their names, after it under the other.
        let logical = record_names::open(resources, stored.clone())?;
        guard::check_key(resources, &logical).await?;
        guard::check_key(resources, &stored).await?;
        Ok(Self {
            resources,
            stored,
            table,
        })
    }

    /// The pass over these names.
    pub fn pass(
        &self,
        scope: NamesScope,
        goal: NamesGoal,
        options: SweepOptions,
    ) -> Result<NamesPass, Failure> {
        let (store, mask) = (self.stored.clone(), keys::name_mask(self.resources));
        Ok(NamesPass::new(
            store,
            &self.table,
            scope,
            goal,
            mask,
            options,
        )?)
    }
}

/// The failure where no names are sealed.
fn none_sealed() -> Failure {
    Failure::usage("no [[protect]] of waxseal.toml has sealed names").hint(
        "names = \"sealed\" under [[protect]] says whose names are sealed, and must still be there for decrypt --names, which \
         opens them (docs/operate/names.md)",
    )
}

/// Checks that a pass over names may begin: that there are sealed names, that patterns are the configured ones, and that it
/// is confirmed that nothing else uses the records.
pub fn check(resources: &Resources, offline: bool, dry_run: bool) -> Result<(), Failure> {
    if sealed(resources).is_empty() {
        return Err(none_sealed());
    }
    let others = resources.configuration.others.iter();
    if others.clone().any(|it| it.names.is_some()) {
        return Err(
            Failure::usage("names are switched for all records of waxseal.toml together")
                .hint("leave --protect away"),
        );
    }
    if !offline && !dry_run {
        return Err(Failure::usage(
            "names are switched while nothing else uses the records: a process that runs would write a second record under \
             the former name, and find neither record",
        )
        .hint(
            "stop all processes that use these records, give them waxseal.toml with names = \"sealed\", and run this with \
             --offline; --dry-run shows what would be done (docs/operate/names.md)",
        ));
    }
    Ok(())
}

/// Refuses a switch while processes reported themselves to the keyring, unless it is said that they have ended.
pub async fn check_processes(resources: &Resources, have_ended: bool) -> Result<(), Failure> {
    let Some(opened) = resources.ring() else {
        return Ok(());
    };
    let reports = opened.ring.reports().await?;
    let ring = opened.ring.ring();
    let running = reports.running(now_ms(), ring.settings());
    if have_ended || running.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "processes that use the keyring may still run: {}",
        FormerProcess::list(&running)
    ))
    .hint("nothing was changed; stop them; if all of them have ended: --now"))
}

/// What comes after a pass that has renamed everything.
#[must_use]
pub fn next_step(resources: &Resources, goal: NamesGoal) -> String {
    let form = match goal {
        NamesGoal::Open => "plain",
        NamesGoal::Count | NamesGoal::Seal => "sealed",
    };
    let mut steps = Vec::new();
    if goal == NamesGoal::Open {
        steps.push("remove names and pad_names from waxseal.toml".to_owned());
    }
    let location = resources.configuration.store.location();
    for protected in sealed(resources) {
        let is_recorded = resources.ring().is_none_or(|opened| {
            let scope = scopes::protected_scope(&location, &protected);
            let ring = opened.ring.ring();
            let recorded = ring.protected_scope(&scope);
            let has_sealed = recorded.is_some_and(ProtectedScope::has_sealed_names);
            recorded.is_none() || has_sealed == (form == "sealed")
        });
        if !is_recorded {
            let shown = protected.pattern.shown();
            steps.push(format!(
                "waxseal keyring protect --records '{shown}' --names {form} --now"
            ));
        }
    }
    steps.push(match goal {
        NamesGoal::Open => "start the processes".to_owned(),
        NamesGoal::Count | NamesGoal::Seal => {
            "start the processes, all with names = \"sealed\"".to_owned()
        }
    });
    steps.join("; ")
}

/// The counts of a pass as reports have them.
#[must_use]
pub fn reported(counts: &NameCounts) -> ReportedNames {
    let sealed = counts.sealed.iter();
    ReportedNames {
        plain: counts.plain,
        sealed: sealed
            .map(|(key, names)| (key.to_string(), *names))
            .collect(),
        former: counts.former,
        occupied: counts.occupied,
        junk: counts.junk,
        foreign: counts.foreign,
        unknown_key: counts.unknown_key,
    }
}

/// Describes counts in words: `names: 120,311 sealed (key 1f2e3d4c), 0 plain, 2 that do not open`.
#[must_use]
pub fn describe(counts: &ReportedNames) -> String {
    let keys: Vec<_> = counts.sealed.keys().map(String::as_str).collect();
    let under = match keys[..] {
        [] => String::new(),
        [key] => format!(" (key {key})"),
        _ => format!(" (keys {})", keys.join(", ")),
    };
    let mut text = format!(
        "names: {} sealed{under}, {} plain",
        thousands(counts.all_sealed()),
        thousands(counts.plain)
    );
    for (count, what) in [
        (counts.former, "in a former form"),
        (counts.occupied, "in two forms"),
        (counts.junk, "that do not open"),
        (counts.foreign, "of no pattern"),
        (counts.unknown_key, "under an unknown key"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    text
}

/// Counts the names of these records as they are stored: also where names are in clear, if the keys tell sealed ones.
pub async fn count(
    resources: &Resources,
    stored: &Arc<dyn RecordStore>,
    protected: &Protected,
    options: SweepOptions,
    stop: &Stop,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<NameCounts, Failure> {
    let table = match protected.names {
        Some(_) => record_names::table(resources)?,
        None => record_names::as_if_sealed(resources)?,
    };
    let Some(table) = table else {
        return match protected.pattern.has_wildcard() {
            // A pattern that is one name has nothing to be sealed.
            false => Ok(NameCounts::default()),
            true => Err(Failure::usage(
                "without a key sealed names cannot be told from others: names were not counted",
            )
            .hint("configure the key, or the keyring, that names may be sealed under")),
        };
    };
    let pass = NamesPass::new(
        stored.clone(),
        &table,
        NamesScope::Pattern(protected.pattern.clone()),
        NamesGoal::Count,
        keys::name_mask(resources),
        options,
    )?;
    let report = pass.run(Position::default(), stop, watch).await;
    let report = report.map_err(|interrupted| Failure::from(interrupted.error))?;
    match report.complete {
        true => Ok(report.position.counts().names),
        false => Err(Failure::failed("stopped by a signal before the end")),
    }
}
