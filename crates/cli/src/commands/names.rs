//! `migrate --names` and `decrypt --names`: records get names in the other form, while nothing else uses them.

use serde::Serialize;
use waxseal_page::report::NameCounts;
use waxseal_service::names::{self, NameWork};
use waxseal_service::resources::{Resources, keys};
use waxseal_service::{Ended, Failure};
use waxseal_sweep::{
    CheckpointFile, Event, NamesGoal, NamesScope, Pass, Run, RunError, RunIdentity, Stop,
};

use crate::args::{NamesArgs, SweepArgs};
use crate::commands::sweep;
use crate::output;
use crate::progress::Progress;
use crate::signals::stop_on_signal;

/// The words of a pass.
struct Words {
    task: &'static str,
    start: &'static str,
    doing: &'static str,
    already: &'static str,
}

const SEAL: Words = Words {
    task: "migrate-names",
    start: "Starting Redis encryption of names",
    doing: "Sealing the names of",
    already: "alreadySealed",
};

const OPEN: Words = Words {
    task: "decrypt-names",
    start: "Starting Redis decryption of names",
    doing: "Opening the names of",
    already: "alreadyPlain",
};

/// The name of the pass over names in quarantine.
const QUARANTINE: &str = "quarantine";

/// The summary for `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    task: &'a str,
    dry_run: bool,
    success: bool,
    patterns: Vec<PatternSummary>,
}

#[derive(Serialize)]
struct PatternSummary {
    name: String,
    records: String,
    complete: bool,
    total: u64,
    done: u64,
    already: u64,
    failed: u64,
    /// The names as they were found.
    names: NameCounts,
}

pub(crate) async fn run(
    resources: &Resources,
    args: (&SweepArgs, &NamesArgs),
    goal: NamesGoal,
) -> Result<Ended, Failure> {
    let (sweep, confirmed) = args;
    names::check(resources, confirmed.offline, sweep.dry_run)?;
    keys::current(resources)?;
    if !sweep.dry_run {
        names::check_processes(resources, confirmed.now).await?;
    }
    let words = if goal == NamesGoal::Open {
        &OPEN
    } else {
        &SEAL
    };
    let checkpoint = checkpoint(resources, sweep, words)?;
    let dry = match sweep.dry_run {
        true => " (dry run: nothing is renamed)",
        false => "",
    };
    line(&format!("{}{dry}", words.start))?;
    let work = NameWork::open(resources).await?;
    line("Redis connection verified")?;
    let stop = stop_on_signal()?;
    let protected = names::sealed(resources);
    let mut scopes: Vec<_> = protected
        .iter()
        .map(|it| {
            let (name, records) = (it.name.clone(), it.pattern.shown().to_owned());
            (name, records, NamesScope::Pattern(it.pattern.clone()))
        })
        .collect();
    scopes.push((
        QUARANTINE.to_owned(),
        "waxseal:quarantine:*".to_owned(),
        NamesScope::Quarantine,
    ));
    let mut run = Run::new(scopes.len(), checkpoint);
    for (name, _, scope) in &scopes {
        line(&format!("{} {name}...", words.doing))?;
        let pass = work.pass(scope.clone(), goal, sweep::options(sweep))?;
        let pass = go_over(&mut run, &pass, &stop).await;
        let end = if pass.complete {
            "completed"
        } else {
            "stopped"
        };
        let counts = &pass.counts;
        line(&format!(
            "{name} names {end} {{ renamed: {}, {}: {}, failed: {}, total: {} }}",
            counts.done, words.already, counts.already, counts.failed, counts.total
        ))?;
        if !pass.complete {
            break;
        }
    }
    finish(resources, (sweep, words, goal), run, scopes)
}

async fn go_over(run: &mut Run, pass: &waxseal_sweep::NamesPass, stop: &Stop) -> Pass {
    let mut progress = Progress::start(output::is_json(), run.next_position().examined);
    let mut watch = |event: Event<'_>| progress.show(&event);
    let passed = run.pass(pass, stop, &mut watch).await.clone();
    progress.end();
    passed
}

fn finish(
    resources: &Resources,
    (args, words, goal): (&SweepArgs, &Words, NamesGoal),
    run: Run,
    scopes: Vec<(String, String, NamesScope)>,
) -> Result<Ended, Failure> {
    let totals = run.totals();
    resources.trail.add_count("changed", totals.done);
    resources.trail.add_count("failed", totals.failed);
    let success = run.is_success();
    if output::is_json() {
        let passes = run.passes().iter().zip(scopes);
        let patterns = passes.map(|(pass, (name, records, _))| PatternSummary {
            name,
            records,
            complete: pass.complete,
            total: pass.counts.total,
            done: pass.counts.done,
            already: pass.counts.already,
            failed: pass.counts.failed,
            names: names::reported(&pass.counts.names),
        });
        output::json(&Summary {
            task: words.task,
            dry_run: args.dry_run,
            success,
            patterns: patterns.collect(),
        })?;
    } else {
        line(&format!(
            "Names completed {{ totalRenamed: {}, totalFailed: {}, success: {success} }}",
            totals.done, totals.failed
        ))?;
        if success && !args.dry_run {
            line(&format!("next: {}", names::next_step(resources, goal)))?;
        }
    }
    match run.finish() {
        Ok(()) if totals.failed == 0 => Ok(Ended::Done),
        Ok(()) => {
            output::hint(
                "nothing was overwritten or deleted: the warnings above name the records; of one that has both forms, \
                 waxseal find and redis-cli tell which is the one to keep (docs/operate/names.md)",
            );
            Ok(Ended::Findings)
        }
        Err(error @ RunError::Stopped) => Err(Failure::from(error).hint(
            "what was renamed stays; run the same command again before any process is started",
        )),
        Err(error) => Err(error.into()),
    }
}

fn checkpoint(
    resources: &Resources,
    args: &SweepArgs,
    words: &Words,
) -> Result<Option<CheckpointFile>, Failure> {
    let Some(path) = &args.checkpoint else {
        return Ok(None);
    };
    let mask = keys::name_mask(resources);
    let dry = if args.dry_run { " --dry-run" } else { "" };
    let patterns = names::sealed(resources).into_iter().map(|it| {
        let pad = it.names.map_or(1, |names| names.pad.get());
        format!("{} padded to {pad}", it.masked_pattern(&mask))
    });
    let identity = RunIdentity {
        task: format!(
            "{}{dry} under key {}",
            words.task,
            keys::current(resources)?.sealing_id()
        ),
        store: resources.configuration.store.location(),
        patterns: patterns.collect(),
    };
    Ok(Some(match args.resume {
        true => CheckpointFile::resume(path, &identity)?,
        false => CheckpointFile::new(path, identity),
    }))
}

fn line(text: &str) -> Result<(), Failure> {
    match output::is_json() {
        true => Ok(()),
        false => output::line(text),
    }
}
