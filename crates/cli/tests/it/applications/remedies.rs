//! A program with the patterns of its recipe alone: everything that the proxy refuses must be in its log, in
//! its metrics and on its status page, with a line of configuration that helps. The lines are applied as an
//! operator would, round by round, until nothing is refused; then the program must work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use waxseal_testing::{Application, ApplicationProgram};

use super::monitor::Monitor;
use super::recipe::Recipe;
use super::relay::Relay;
use super::{
    LIMIT, STEP_TIMEOUT, assert_same_lines, assert_sealed, assert_success, refused, start,
};
use crate::proxy::Proxy;
use crate::status_page::Page;

/// A program that is refused something need not wait long for what will not happen.
const REFUSED_STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// When so long no other kind of request was refused, the program is ended: what is behind is for later rounds.
const QUIET: Duration = Duration::from_secs(4);
/// Between two checks of the metrics.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const MAX_ROUNDS: usize = 10;

/// A setting that a line of the log says to put into a `[[protect]]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    Except { pattern: String, glob: String },
    ForwardScripts { pattern: String },
}

/// Returns how many rounds it took, and the configuration in the end: with that, too, no value reaches the server
/// in clear.
#[track_caller]
pub(super) fn prove(
    application: Application,
    recipe: &Recipe,
    program: &ApplicationProgram,
    wanted: &str,
) -> (usize, Recipe) {
    let mut current = recipe.bare();
    for round in 1..=MAX_ROUNDS {
        let (redis, proxy) = start(&current);
        let monitor = Monitor::start(&redis);
        let relay = Relay::before(proxy.port());
        let outcome = program.run_until(relay.port(), REFUSED_STEP_TIMEOUT, LIMIT, enough(&proxy));
        let refused = refused(&proxy);
        if refused.is_empty() {
            assert!(
                round > 1,
                "nothing is refused without the recipe: it says more than is needed"
            );
            let is_whole = outcome.succeeded() && outcome.stdout == wanted;
            match is_whole {
                true => {
                    let traffic = monitor.finish().without_preludes();
                    assert_sealed(application, &current, &redis, &traffic);
                }
                false => assert_works(application, &current, program, wanted),
            }
            return (round, current);
        }
        let remedies = remedies_of(proxy, &relay, &refused);
        let with = current.with(&remedies);
        assert!(
            with.text() != current.text(),
            "{} is refused {refused:?}, and what the log says is applied already: {remedies:?}",
            application.name()
        );
        current = with;
    }
    panic!(
        "{} is refused something after {MAX_ROUNDS} rounds:\n{}",
        application.name(),
        current.text()
    )
}

/// With all the time that the program wants.
#[track_caller]
pub(super) fn assert_works(
    application: Application,
    recipe: &Recipe,
    program: &ApplicationProgram,
    wanted: &str,
) {
    let (redis, proxy) = start(recipe);
    let monitor = Monitor::start(&redis);
    let outcome = program.run(proxy.port(), STEP_TIMEOUT, LIMIT);
    let how = format!(
        "{} with the remedies\n{}",
        application.name(),
        recipe.text()
    );
    assert_success(&how, &outcome);
    assert_same_lines(&how, &outcome.stdout, wanted);
    assert!(refused(&proxy).is_empty(), "{:?}: {how}", refused(&proxy));
    let traffic = monitor.finish().without_preludes();
    assert_sealed(application, recipe, &redis, &traffic);
    proxy.stop();
}

/// Returns whether a program that is refused something has shown enough.
fn enough(proxy: &Proxy) -> impl FnMut() -> bool {
    let mut kinds = 0;
    let mut changed = Instant::now();
    let mut looked = Instant::now();
    move || {
        if looked.elapsed() < LOOK_INTERVAL {
            return false;
        }
        looked = Instant::now();
        let refused = refused(proxy).len();
        if refused != kinds {
            (kinds, changed) = (refused, Instant::now());
        }
        kinds > 0 && changed.elapsed() > QUIET
    }
}

/// The remedies that the log has, once it is sure that every refusal was seen everywhere.
#[track_caller]
fn remedies_of(proxy: Proxy, relay: &Relay, refused: &[super::Refused]) -> BTreeSet<Remedy> {
    let page = Page::of(proxy.admin_port());
    let told_to_clients = relay.refusals();
    let counted: u64 = super::all_refused(&proxy).iter().map(|it| it.count).sum();
    assert!(
        told_to_clients > 0 && told_to_clients <= counted,
        "clients were refused {told_to_clients} requests, and {counted} are counted"
    );
    let log = proxy.stop().stderr;
    for kind in refused {
        let lines = log.lines().filter(|line| kind.is_in(line));
        let helping = lines.filter(|line| !remedies_in(line).is_empty()).count();
        assert!(
            helping > 0,
            "no line of the log helps against {kind:?}:\n{log}"
        );
    }
    let remedies: BTreeSet<Remedy> = log.lines().flat_map(remedies_in).collect();
    for remedy in &remedies {
        if let Remedy::Except { glob, .. } = remedy {
            assert!(
                page.has(glob),
                "{glob} is in the log and not on the status page"
            );
        }
    }
    remedies
}

/// The remedies that one line of the log has.
fn remedies_in(line: &str) -> Vec<Remedy> {
    let mut found = Vec::new();
    for remaining in line.split("except = [").skip(1) {
        let (globs, remaining) = quoted(remaining);
        let pattern = remaining.strip_prefix("] in the [[protect]] of ");
        let pattern = pattern.map(|it| it.split([',', ' ', ';']).next().unwrap_or(it));
        let excepts = pattern.into_iter().flat_map(|pattern| {
            let except = |glob: &String| Remedy::Except {
                pattern: pattern.to_owned(),
                glob: glob.clone(),
            };
            globs.iter().map(except).collect::<Vec<_>>()
        });
        found.extend(excepts);
    }
    let pattern = line.split("refused on ").nth(1);
    let pattern = pattern.or_else(|| line.split(" in the last ").nth(1)?.split(" on ").nth(1));
    if let (true, Some(pattern), true) = (
        found.is_empty(),
        pattern,
        line.contains("scripts = \"forward\""),
    ) {
        let pattern = pattern.split(": ").next().unwrap_or(pattern).to_owned();
        found.push(Remedy::ForwardScripts { pattern });
    }
    found
}

/// Quoted words of TOML, separated by commas, and what follows them.
fn quoted(mut text: &str) -> (Vec<String>, &str) {
    let mut words = Vec::new();
    while let Some(quote) = text.chars().next().filter(|it| ['"', '\''].contains(it)) {
        let Some((word, remaining)) = text[1..].split_once(quote) else {
            break;
        };
        words.push(word.to_owned());
        text = remaining.strip_prefix(", ").unwrap_or(remaining);
    }
    (words, text)
}

#[test]
fn remedies_are_read_from_the_log_as_an_operator_would() {
    let line = "WARN refused on rq:job:*: SADD works on a set; set except = [\"rq:job:*:tags\", 'rq:job:\\{*']\
                 in the [[protect]] of rq:job:*, which leaves such records in plaintext command=\"sadd\"";
    let line = line.replace("']in", "'] in");
    let except = |glob: &str| Remedy::Except {
        pattern: "rq:job:*".to_owned(),
        glob: glob.to_owned(),
    };
    assert_eq!(
        remedies_in(&line),
        [except("rq:job:*:tags"), except("rq:job:\\{*")]
    );
    for line in [
        "WARN refused on bull:*: EVALSHA runs code; name the records in except = [...] of [[protect]]; or set \
         scripts = \"forward\" if the script treats values as opaque bytes",
        "WARN refused 3 times in the last 2 s on bull:*: EVALSHA runs code; set scripts = \"forward\" if",
    ] {
        let remedy = Remedy::ForwardScripts {
            pattern: "bull:*".to_owned(),
        };
        assert_eq!(remedies_in(line), [remedy]);
    }
    assert!(remedies_in("WARN refused: SYNC asks for everything").is_empty());
}
