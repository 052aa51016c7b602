//! `migrate`, `rotate` and `decrypt`: the same way through all protected records, each with its
//! task and its words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use waxseal_core::Mode;
use waxseal_page::report::Unmatched;
use waxseal_service::configuration::protected::Protected;
use waxseal_service::resources::seals::SealAccount;
use waxseal_service::resources::{Resources, guard, keys};
use waxseal_service::unmatched::Survey;
use waxseal_service::{Ended, Failure};
use waxseal_stores::{RecordStore, StoreUrl};
use waxseal_sweep::{Decrypt, Event, Migrate, Rotate, Stop, Sweep, SweepOptions, Tally, Task};

use crate::args::{DecryptArgs, MigrateArgs, RotateArgs, SweepArgs};
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::commands::canary;
use crate::commands::due;
use crate::commands::unmatched;
use crate::output::{self, thousands};
use crate::progress::Progress;
use crate::signals::stop_on_signal;

const SAVE_EVERY: Duration = Duration::from_secs(2);

/// The words of a sweep: what is printed, and what its counts are called.
struct Words {
    task: &'static str,
    /// "Starting … encryption migration"
    start: &'static str,
    /// "Migrating … data..."
    doing: &'static str,
    /// "… migration completed"
    noun: &'static str,
    /// "{ migrated: …"
    done: &'static str,
    already: &'static str,
    /// True if only records of excepted names are gone through.
    only_excepted: bool,
}

const MIGRATE: Words = Words {
    task: "migrate",
    start: "Starting Redis encryption migration",
    doing: "Migrating",
    noun: "migration",
    done: "migrated",
    already: "alreadySealed",
    only_excepted: false,
};

const ROTATE: Words = Words {
    task: "rotate",
    start: "Starting Redis key rotation",
    doing: "Rotating",
    noun: "rotation",
    done: "rotated",
    already: "alreadyCurrent",
    only_excepted: false,
};

const DECRYPT: Words = Words {
    task: "decrypt",
    start: "Starting Redis decryption",
    doing: "Decrypting",
    noun: "decryption",
    done: "decrypted",
    already: "alreadyPlain",
    only_excepted: false,
};

const DECRYPT_EXCEPTED: Words = Words {
    start: "Starting Redis decryption of excepted records",
    only_excepted: true,
    ..DECRYPT
};

pub(crate) async fn migrate(
    mut resources: Resources,
    args: &MigrateArgs,
) -> Result<Ended, Failure> {
    if let Some(format) = args.format {
        resources.configuration.write_as(format.into())?;
    }
    if resources.configuration.mode == Mode::Off && resources.configuration.has_keys() {
        let text = "the mode is off: applications go on writing plain values after the migration";
        output::warn(text);
    }
    let mut run = Run::begin(&resources, &args.sweep, &MIGRATE).await?;
    run.stop = stop_on_signal()?;
    run.go(|protected| Arc::new(Migrate::new(keys::sealer(&resources, protected, Mode::On))))
        .await
}

pub(crate) async fn rotate(mut resources: Resources, args: &RotateArgs) -> Result<Ended, Failure> {
    if args.open_compromised {
        resources.configuration.keyring()?;
    }
    resources.open_ring(args.open_compromised).await?;
    let stop = if resources.configuration.has_keyring() && !args.sweep.dry_run {
        let stop = stop_on_signal()?;
        due::carry_out(&resources, &stop).await?;
        Some(stop)
    } else {
        None
    };
    let mut run = Run::begin(&resources, &args.sweep, &ROTATE).await?;
    run.stop = stop.map_or_else(stop_on_signal, Ok)?;
    let store = run.store.clone();
    let task = |protected: &Protected| -> Arc<dyn Task> {
        Arc::new(Rotate::new(keys::sealer(&resources, protected, Mode::On)))
    };
    let ended = run.go(task).await?;
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
        let text = match args.excepted {
            true => "excepted values would be stored in plaintext",
            false => "all values would be stored in plaintext",
        };
        return Err(Failure::usage(text)
            .hint("confirm with --yes, or see what would be done with --dry-run"));
    }
    let words = if args.excepted {
        &DECRYPT_EXCEPTED
    } else {
        &DECRYPT
    };
    let mut run = Run::begin(&resources, &args.sweep, words).await?;
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
    let ended = run.go(task).await?;
    // While others are sealed, the canary says under which key.
    if ended == Ended::Done && !args.sweep.dry_run && !args.excepted {
        canary::after_decryption(&resources, &store).await?;
    }
    Ok(ended)
}

/// One run of a sweep over all protected patterns.
struct Run<'a> {
    resources: &'a Resources,
    args: &'a SweepArgs,
    words: &'static Words,
    store: Arc<dyn RecordStore>,
    stop: Stop,
    checkpoint: Option<CheckpointFile>,
}

/// What is printed with `--json`.
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

/// One pattern gone through, to its end or not.
struct Passed {
    counts: Tally,
    complete: bool,
    failure: Option<Failure>,
}

impl<'a> Run<'a> {
    async fn begin(
        resources: &'a Resources,
        args: &'a SweepArgs,
        words: &'static Words,
    ) -> Result<Self, Failure> {
        keys::current(resources)?;
        resources.configuration.warn_of_skipped_records();
        let checkpoint = match &args.checkpoint {
            Some(path) => {
                let mask = keys::name_mask(resources);
                let pattern =
                    |p: &Protected| format!("{} as {}", p.masked_pattern(&mask), p.format);
                let fresh = Checkpoint::new(
                    identity(resources, args, words)?,
                    resources.configuration.store.location(),
                    resources
                        .configuration
                        .protected
                        .iter()
                        .map(pattern)
                        .collect(),
                );
                Some(CheckpointFile::open(path, args.resume, fresh)?)
            }
            None => None,
        };
        let dry = if args.dry_run {
            " (dry run: nothing is written)"
        } else {
            ""
        };
        if !output::is_json() {
            output::line(format!("{}{dry}", words.start))?;
        }
        let store = resources.open_store().await?;
        if !output::is_json() {
            let kind = match resources.configuration.store {
                StoreUrl::Redis(_) => "Redis",
                StoreUrl::File(_) => "Store",
            };
            output::line(format!("{kind} connection verified"))?;
        }
        // Decrypting leaves; it does not need a canary for next time.
        if args.dry_run || words.task == DECRYPT.task {
            guard::check_key(resources, &store).await?;
        } else {
            guard::check_key_and_mark(resources, &store).await?;
        }
        Ok(Self {
            resources,
            args,
            words,
            store,
            stop: Stop::default(),
            checkpoint,
        })
    }

    async fn go(self, task: impl Fn(&Protected) -> Arc<dyn Task>) -> Result<Ended, Failure> {
        let account = SealAccount::begin(&self.resources);
        let ended = self.go_through(task).await;
        account.end().await;
        ended
    }

    async fn go_through(
        mut self,
        task: impl Fn(&Protected) -> Arc<dyn Task>,
    ) -> Result<Ended, Failure> {
        let mut passed = Vec::new();
        for (index, protected) in self.resources.configuration.protected.iter().enumerate() {
            if !output::is_json() {
                output::line(format!("{} {} data...", self.words.doing, protected.name))?;
            }
            let pass = self.pattern(index, protected, task(protected)).await?;
            if !output::is_json() {
                let (name, noun) = (&protected.name, self.words.noun);
                let end = if pass.complete {
                    "completed"
                } else {
                    "stopped"
                };
                output::line(format!("{name} {noun} {end} {}", self.braces(&pass.counts)))?;
            }
            let goes_on = pass.complete;
            passed.push(pass);
            if !goes_on {
                break;
            }
        }
        let survey = self.survey(&passed).await;
        self.finish(passed, &survey)
    }

    /// Surveys the patterns that nothing matches.
    async fn survey(&self, passed: &[Passed]) -> Survey {
        if self.words.only_excepted {
            return Survey::default();
        }
        let each = self.resources.configuration.protected.iter().zip(passed);
        let unmatched = each.filter(|(_, pass)| pass.complete && !pass.counts.has_seen_any());
        let unmatched: Vec<_> = unmatched.map(|(protected, _)| protected).collect();
        Survey::of(&self.store, &unmatched).await
    }

    /// Goes through the records of one pattern, and keeps the checkpoint.
    async fn pattern(
        &mut self,
        index: usize,
        protected: &Protected,
        task: Arc<dyn Task>,
    ) -> Result<Passed, Failure> {
        // Also one that was finished before: the sweep itself knows whether that still holds.
        let from = self.checkpoint.as_ref().map(|file| file.position(index));
        let from = from.unwrap_or_default();
        let sweep = Sweep {
            store: self.store.clone(),
            pattern: protected.pattern.clone(),
            task,
            keys: keys::sweep_keys(&self.resources, protected),
            mask: keys::name_mask(&self.resources),
            options: options(self.args),
        };
        let mut progress = Progress::start(output::is_json(), from.examined);
        let mut saved = Instant::now();
        let checkpoint = &mut self.checkpoint;
        let mut unsaved = None;
        let mut watch = |event: Event<'_>| {
            progress.show(&event);
            if let (Event::Progress { position, .. }, Some(file)) = (&event, checkpoint.as_mut())
                && saved.elapsed() >= SAVE_EVERY
            {
                file.keep(index, (*position).clone());
                unsaved = file.save().err();
                saved = Instant::now();
            }
        };
        let outcome = sweep.run(from, &self.stop, &mut watch).await;
        progress.end();
        let (position, complete, mut failure) = match outcome {
            Ok(report) => (report.position, report.complete, None),
            Err(interrupted) => (*interrupted.position, false, Some(interrupted.error.into())),
        };
        failure = failure.or(unsaved);
        let counts = position.counts();
        if let Some(file) = &mut self.checkpoint {
            file.keep(index, position);
        }
        Ok(Passed {
            counts,
            complete,
            failure,
        })
    }

    /// Prints the last line, and decides how the run ended.
    fn finish(self, mut passed: Vec<Passed>, survey: &Survey) -> Result<Ended, Failure> {
        let failed: u64 = passed.iter().map(|pass| pass.counts.failed).sum();
        let done: u64 = passed.iter().map(|pass| pass.counts.done).sum();
        self.resources.trail.add_count("changed", done);
        self.resources.trail.add_count("failed", failed);
        let complete = passed.len() == self.resources.configuration.protected.len()
            && passed.iter().all(|pass| pass.complete);
        let success = complete && failed == 0;
        if output::is_json() {
            self.print_json(&passed, success, &survey.unmatched)?;
        } else {
            let (noun, done_word) = (capital(self.words.noun), capital(self.words.done));
            output::line(format!(
                "{noun} {} {{ total{done_word}: {done}, totalFailed: {failed}, success: {success} }}",
                if complete { "completed" } else { "stopped" }
            ))?;
        }
        unmatched::print(&survey, "warning");
        self.warn_of_other_types(&passed);
        self.hint_at_excepted(&passed);
        if let Some(file) = &self.checkpoint {
            if complete {
                file.remove();
            } else {
                file.save()?;
            }
        }
        if let Some(failure) = passed.iter_mut().find_map(|pass| pass.failure.take()) {
            return Err(failure);
        }
        if !complete {
            let hint = match &self.args.checkpoint {
                Some(_) => "what was done stays; go on with the same command and --resume",
                None => "what was done stays; run the same command again",
            };
            return Err(Failure::failed("stopped by a signal before the end").hint(hint));
        }
        Ok(if failed == 0 {
            Ended::Done
        } else {
            Ended::Findings
        })
    }

    /// A migration leaves the values of some records as they are: that is not success for them.
    fn warn_of_other_types(&self, passed: &[Passed]) {
        let mut all = Tally::default();
        passed.iter().for_each(|pass| all.add(pass.counts.clone()));
        if self.words.task != MIGRATE.task || all.skipped() == 0 {
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
            "keep such data in strings, hashes or lists, or under names that no pattern protects",
        );
    }

    /// A rotation keeps what is sealed sealed.
    fn hint_at_excepted(&self, passed: &[Passed]) {
        let sealed: u64 = passed.iter().map(|pass| pass.counts.excepted.sealed).sum();
        if self.words.task != ROTATE.task || sealed == 0 {
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

    fn print_json(
        &self,
        passed: &[Passed],
        success: bool,
        unmatched: &[Unmatched],
    ) -> Result<(), Failure> {
        let patterns = passed
            .iter()
            .zip(&self.resources.configuration.protected)
            .map(|(pass, protected)| PatternSummary {
                name: &protected.name,
                records: protected.pattern.shown(),
                complete: pass.complete,
                counts: pass.counts.clone(),
            });
        output::json(&Summary {
            task: self.words.task,
            dry_run: self.args.dry_run,
            success,
            patterns: patterns.collect(),
            unmatched,
        })
    }

    /// The counts as the operator's guide prints them; those that it does not know appear only when
    /// they are not 0.
    fn braces(&self, counts: &Tally) -> String {
        let mut text = format!(
            "{{ {}: {}, failed: {}, total: {}",
            self.words.done, counts.done, counts.failed, counts.total
        );
        let more = [
            (self.words.already, counts.already),
            ("raced", counts.raced),
            ("empty", counts.empty),
            ("erased", counts.erased),
            ("skippedTypes", counts.skipped()),
            ("excepted", counts.excepted.left()),
        ];
        for (name, count) in more {
            if count > 0 {
                text.push_str(&format!(", {name}: {count}"));
            }
        }
        text + " }"
    }
}

/// What a sweep does, for its checkpoint: one that writes nothing, or writes under another key, is
/// another sweep.
fn identity(resources: &Resources, args: &SweepArgs, words: &Words) -> Result<String, Failure> {
    let dry = if args.dry_run { " --dry-run" } else { "" };
    let excepted = if words.only_excepted {
        " --excepted"
    } else {
        ""
    };
    let key = keys::current(resources)?.sealing_id();
    Ok(format!("{}{excepted}{dry} under key {key}", words.task))
}

fn options(args: &SweepArgs) -> SweepOptions {
    SweepOptions {
        dry_run: args.dry_run,
        max_rate: args.max_rate,
        max_latency: latency(args.max_latency),
        reconnect_timeout: Duration::from_secs(args.reconnect_timeout),
        ..SweepOptions::default()
    }
}

/// The limit that was typed; 0 is none.
pub(crate) fn latency(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
