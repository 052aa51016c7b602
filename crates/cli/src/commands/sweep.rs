//! `migrate`, `rotate` and `decrypt`: a run of sweeps over all protected patterns, each command with its task and its
//! texts.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use waxseal_core::Mode;
use waxseal_page::report::Unmatched;
use waxseal_service::configuration::protected::Protected;
use waxseal_service::due;
use waxseal_service::members::{self, MemberPasses};
use waxseal_service::resources::seals::SealAccount;
use waxseal_service::resources::{Resources, guard, keys};
use waxseal_service::unmatched::Survey;
use waxseal_service::{Ended, Failure};
use waxseal_stores::{RecordStore, StoreUrl};
use waxseal_sweep::{
    CheckpointFile, Decrypt, Event, Migrate, NamesGoal, Pass, Rotate, Run, RunError, RunIdentity,
    Stop, Sweep, SweepOptions, Tally, Task,
};

use crate::args::{DecryptArgs, MigrateArgs, RotateArgs, StreamsArg, SweepArgs};
use crate::commands::unmatched;
use crate::commands::{canary, names};
use crate::output::{self, thousands};
use crate::progress::Progress;
use crate::signals::stop_on_signal;

mod texts;

use texts::{DECRYPT, DECRYPT_EXCEPTED, MIGRATE, ROTATE, Texts, capital};

pub(crate) async fn migrate(
    mut resources: Resources,
    args: &MigrateArgs,
) -> Result<Ended, Failure> {
    if args.names.names {
        return names::run(&resources, (&args.sweep, &args.names), NamesGoal::Seal).await;
    }
    if let Some(format) = args.format {
        resources.configuration.write_as(format.into())?;
    }
    if resources.configuration.mode == Mode::Off && resources.configuration.has_keys() {
        let text =
            "the mode is off: applications continue to write plain values after the migration";
        output::warn(text);
    }
    let mut run = SweepCommand::begin(&resources, &args.sweep, &MIGRATE).await?;
    run.stop = stop_on_signal()?;
    run.execute(|protected| Arc::new(Migrate::new(keys::sealer(&resources, protected, Mode::On))))
        .await
}

pub(crate) async fn rotate(mut resources: Resources, args: &RotateArgs) -> Result<Ended, Failure> {
    if args.open_compromised {
        resources.configuration.keyring()?;
    }
    resources.open_ring(args.open_compromised).await?;
    let stop = if resources.configuration.has_keyring() && !args.sweep.dry_run {
        let stop = stop_on_signal()?;
        let mut report = |text: &str| output::stderr_line(&format!("waxseal: {text}"));
        due::carry_out(&resources, &stop, &mut report).await?;
        Some(stop)
    } else {
        None
    };
    let mut run = SweepCommand::begin(&resources, &args.sweep, &ROTATE).await?;
    run.stop = stop.map_or_else(stop_on_signal, Ok)?;
    let store = run.store.clone();
    let task = |protected: &Protected| -> Arc<dyn Task> {
        Arc::new(Rotate::new(keys::sealer(&resources, protected, Mode::On)))
    };
    let ended = run.execute(task).await?;
    if ended == Ended::Done && !args.sweep.dry_run {
        canary::after_rotation(&resources, &store).await?;
    }
    Ok(ended)
}

pub(crate) async fn decrypt(resources: Resources, args: &DecryptArgs) -> Result<Ended, Failure> {
    if args.excepted
        && !resources
            .configuration
            .protected
            .iter()
            .any(|it| it.pattern.has_excepts())
    {
        return Err(Failure::usage("no except is configured")
            .hint("except under [[protect]] in waxseal.toml, or --except, says which are"));
    }
    if !args.yes && !args.sweep.dry_run {
        let text = match (args.names.names, args.excepted) {
            (true, _) => "the names of all records would be in plaintext",
            (_, true) => "excepted values would be stored in plaintext",
            (_, false) => "all values would be stored in plaintext",
        };
        return Err(Failure::usage(text)
            .hint("confirm with --yes, or see what would be done with --dry-run"));
    }
    if args.names.names {
        return names::run(&resources, (&args.sweep, &args.names), NamesGoal::Open).await;
    }
    let texts = if args.excepted {
        &DECRYPT_EXCEPTED
    } else {
        &DECRYPT
    };
    let mut run = SweepCommand::begin(&resources, &args.sweep, texts).await?;
    run.stop = stop_on_signal()?;
    let store = run.store.clone();
    let task = |protected: &Protected| -> Arc<dyn Task> {
        let task = Decrypt::new(keys::sealer(&resources, protected, Mode::On));
        Arc::new(if args.excepted {
            task.only_excepted()
        } else {
            task
        })
    };
    let ended = run.execute(task).await?;
    // While other records are sealed, the canary shows under which key.
    if ended == Ended::Done && !args.sweep.dry_run && !args.excepted {
        canary::after_decryption(&resources, &store).await?;
    }
    Ok(ended)
}

/// A sweep command: one run over all protected patterns.
struct SweepCommand<'a> {
    resources: &'a Resources,
    args: &'a SweepArgs,
    texts: &'static Texts,
    store: Arc<dyn RecordStore>,
    stop: Stop,
    run: Run,
}

/// The summary for `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    task: &'a str,
    dry_run: bool,
    success: bool,
    patterns: Vec<PatternSummary<'a>>,
    /// Patterns that no record matches.
    unmatched: &'a [Unmatched],
}

#[derive(Serialize)]
struct PatternSummary<'a> {
    name: &'a str,
    records: &'a str,
    complete: bool,
    #[serde(flatten)]
    counts: Tally,
}

impl<'a> SweepCommand<'a> {
    async fn begin(
        resources: &'a Resources,
        args: &'a SweepArgs,
        texts: &'static Texts,
    ) -> Result<Self, Failure> {
        keys::current(resources)?;
        resources.configuration.warn_of_skipped_records();
        let checkpoint = match &args.checkpoint {
            Some(path) => {
                let mask = keys::name_mask(resources);
                let pattern =
                    |p: &Protected| format!("{} as {}", p.masked_pattern(&mask), p.format);
                let identity = RunIdentity {
                    task: task_identity(resources, args, texts)?,
                    store: resources.configuration.store.location(),
                    patterns: resources
                        .configuration
                        .protected
                        .iter()
                        .map(pattern)
                        .collect(),
                };
                Some(match args.resume {
                    true => CheckpointFile::resume(path, &identity)?,
                    false => CheckpointFile::new(path, identity),
                })
            }
            None => None,
        };
        let dry = if args.dry_run {
            " (dry run: nothing is written)"
        } else {
            ""
        };
        if !output::is_json() {
            output::line(format!("{}{dry}", texts.start))?;
        }
        let store = resources.open_store().await?;
        if !output::is_json() {
            let kind = match resources.configuration.store {
                StoreUrl::Redis(_) => "Redis",
                StoreUrl::File(_) => "Store",
            };
            output::line(format!("{kind} connection verified"))?;
        }
        // A record that has another name is not found, and its values would stay as they are.
        guard::check_names(resources, &store).await?;
        // After a decryption there is nothing left that a canary could guard.
        if args.dry_run || texts.task == DECRYPT.task {
            guard::check_key(resources, &store).await?;
        } else {
            guard::check_key_and_mark(resources, &store).await?;
        }
        Ok(Self {
            resources,
            args,
            texts,
            store,
            stop: Stop::default(),
            run: Run::new(resources.configuration.protected.len(), checkpoint),
        })
    }

    async fn execute(self, task: impl Fn(&Protected) -> Arc<dyn Task>) -> Result<Ended, Failure> {
        let account = SealAccount::begin(self.resources);
        if self.texts.doing == DECRYPT.doing && !self.args.dry_run {
            members::allow_several_forms(self.resources).await?;
        }
        let ended = self.sweep_all(task).await;
        account.end().await;
        ended
    }

    async fn sweep_all(
        mut self,
        task: impl Fn(&Protected) -> Arc<dyn Task>,
    ) -> Result<Ended, Failure> {
        let passes = MemberPasses::begin(self.resources);
        for protected in &self.resources.configuration.protected {
            if !output::is_json() {
                output::line(format!("{} {} data...", self.texts.doing, protected.name))?;
            }
            let pass = self.sweep_pattern(protected, task(protected)).await;
            if !output::is_json() {
                let (name, noun) = (&protected.name, self.texts.noun);
                let end = if pass.complete {
                    "completed"
                } else {
                    "stopped"
                };
                output::line(format!(
                    "{name} {noun} {end} {}",
                    self.texts.braces(&pass.counts)
                ))?;
            }
            if !pass.complete {
                break;
            }
        }
        // A run that was continued has not counted everything itself.
        if self.run.is_complete() && !self.args.resume {
            let tallies = self.run.passes().iter().map(|pass| &pass.counts);
            let swept = self.resources.configuration.protected.iter().zip(tallies);
            passes.record(self.resources, swept).await;
        }
        let survey = self.survey().await;
        self.finish(&survey)
    }

    /// Surveys the patterns that match no record.
    async fn survey(&self) -> Survey {
        if self.texts.only_excepted {
            return Survey::default();
        }
        let unmatched = self.run.unmatched();
        let unmatched: Vec<_> = unmatched
            .filter_map(|index| self.resources.configuration.protected.get(index))
            .collect();
        Survey::of(&self.store, &unmatched).await
    }

    async fn sweep_pattern(&mut self, protected: &Protected, task: Arc<dyn Task>) -> Pass {
        let sweep = Sweep {
            store: self.store.clone(),
            pattern: protected.pattern.clone(),
            task,
            keys: keys::sweep_keys(self.resources, protected),
            mask: keys::name_mask(self.resources),
            options: options(self.args),
        };
        let mut progress = Progress::start(output::is_json(), self.run.next_position().examined);
        let mut watch = |event: Event<'_>| progress.show(&event);
        let pass = self.run.pass(&sweep, &self.stop, &mut watch).await.clone();
        progress.end();
        pass
    }

    /// Prints the summary, and returns how the command ended.
    fn finish(self, survey: &Survey) -> Result<Ended, Failure> {
        let totals = self.run.totals();
        let (done, failed) = (totals.done, totals.failed);
        self.resources.trail.add_count("changed", done);
        self.resources.trail.add_count("failed", failed);
        // What stays in streams was not done.
        let success = self.run.is_success() && totals.streams == 0;
        if output::is_json() {
            self.print_json(success, &survey.unmatched)?;
        } else {
            let (noun, done_word) = (capital(self.texts.noun), capital(self.texts.done));
            output::line(format!(
                "{noun} {} {{ total{done_word}: {done}, totalFailed: {failed}, success: {success} }}",
                if self.run.is_complete() {
                    "completed"
                } else {
                    "stopped"
                }
            ))?;
        }
        unmatched::print(survey, "warning");
        self.warn_of_other_types(&totals);
        self.warn_of_streams(&totals);
        self.hint_at_excepted(&totals);
        let hint = match &self.args.checkpoint {
            Some(_) => "what was done stays; continue with the same command and --resume",
            None => "what was done stays; run the same command again",
        };
        match self.run.finish() {
            // What stays in streams stays in plaintext, or needs its key.
            Ok(()) if totals.streams > 0 => Ok(Ended::Findings),
            Ok(()) if failed == 0 => Ok(Ended::Done),
            Ok(()) => Ok(Ended::Findings),
            Err(error @ RunError::Stopped) => Err(Failure::from(error).hint(hint)),
            Err(error) => Err(error.into()),
        }
    }

    /// A migration skips records of some types, which stay in plaintext.
    fn warn_of_other_types(&self, all: &Tally) {
        if self.texts.task != MIGRATE.task || all.skipped() == 0 {
            return;
        }
        let types = all.skipped.iter();
        let types = types.map(|(kind, records)| format!("{kind} {}", thousands(*records)));
        let types = types.collect::<Vec<_>>().join(", ");
        output::warn(&match all.skipped() {
            1 => format!(
                "1 record ({types}) is of a type whose values cannot be sealed: it was skipped"
            ),
            records => format!(
                "{} records ({types}) are of types whose values cannot be sealed: they were skipped",
                thousands(records)
            ),
        });
        output::hint(
            "keep such data in records of other types, or under names that no pattern protects; sets, sorted sets and \
             streams need a keyring document of format 2",
        );
    }

    /// Entries of streams cannot be rewritten, so that their values stay as they are.
    fn warn_of_streams(&self, all: &Tally) {
        if all.streams == 0 {
            return;
        }
        output::warn(&match all.streams {
            1 => {
                "1 value in a stream was skipped: entries of streams cannot be rewritten".to_owned()
            }
            values => format!(
                "{} values in streams were skipped: entries of streams cannot be rewritten",
                thousands(values)
            ),
        });
        output::hint(match self.args.streams {
            StreamsArg::Keep => {
                "--streams rewrite replaces a stream that has no consumer groups by a copy; elsewhere new entries are \
                 written as configured, and old ones go when the stream is trimmed"
            }
            StreamsArg::Rewrite => {
                "a stream that has consumer groups, or that others keep writing, is not copied: new entries are \
                 written as configured, and old ones go when the stream is trimmed"
            }
        });
    }

    /// A rotation reseals values under excepted names, and does not decrypt them.
    fn hint_at_excepted(&self, all: &Tally) {
        let sealed = all.excepted.sealed;
        if self.texts.task != ROTATE.task || sealed == 0 {
            return;
        }
        output::hint(&match sealed {
            1 => "1 value under an excepted name is sealed: waxseal decrypt --excepted opens it"
                .to_owned(),
            values => format!(
                "{} values under excepted names are sealed: waxseal decrypt --excepted opens them",
                thousands(values)
            ),
        });
    }

    fn print_json(&self, success: bool, unmatched: &[Unmatched]) -> Result<(), Failure> {
        let passes = self.run.passes();
        let patterns = passes
            .iter()
            .zip(&self.resources.configuration.protected)
            .map(|(pass, protected)| PatternSummary {
                name: &protected.name,
                records: protected.pattern.shown(),
                complete: pass.complete,
                counts: pass.counts.clone(),
            });
        output::json(&Summary {
            task: self.texts.task,
            dry_run: self.args.dry_run,
            success,
            patterns: patterns.collect(),
            unmatched,
        })
    }
}

/// Identifies the task for a checkpoint: a dry run, or a sweep under another key, is another task.
fn task_identity(
    resources: &Resources,
    args: &SweepArgs,
    texts: &Texts,
) -> Result<String, Failure> {
    let dry = if args.dry_run { " --dry-run" } else { "" };
    let excepted = if texts.only_excepted {
        " --excepted"
    } else {
        ""
    };
    // The position in an embedded store is a name as it is stored.
    let mut protected = resources.configuration.protected.iter();
    let names = match protected.any(|it| it.names.is_some()) {
        true => " of sealed names",
        false => "",
    };
    let key = keys::current(resources)?.sealing_id();
    Ok(format!(
        "{}{names}{excepted}{dry} under key {key}",
        texts.task
    ))
}

pub(crate) fn options(args: &SweepArgs) -> SweepOptions {
    SweepOptions {
        dry_run: args.dry_run,
        max_rate: args.max_rate,
        max_latency: latency(args.max_latency),
        rewrite_streams: args.streams == StreamsArg::Rewrite,
        reconnect_timeout: Duration::from_secs(args.reconnect_timeout),
        ..SweepOptions::default()
    }
}

/// Converts the limit of the flag, where 0 means none.
pub(crate) fn latency(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}
