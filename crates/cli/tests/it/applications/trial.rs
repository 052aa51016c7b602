//! A program through `waxseal proxy --trial` with the patterns of its recipe alone: it works as with Redis alone, and
//! with the configuration that the report of the trial names it works behind the proxy.

use waxseal_testing::{Application, ApplicationProgram};

use super::recipe::Recipe;
use super::remedies::assert_works;
use super::{LIMIT, STEP_TIMEOUT, assert_same_lines, assert_success, server};
use crate::program::Program;
use crate::proxy::Proxy;

/// The text before the configuration in a report.
const BEFORE_CONFIGURATION: &str = "excepted records stay in plaintext:\n\n";

#[track_caller]
pub(super) fn prove(
    application: Application,
    recipe: &Recipe,
    program: &ApplicationProgram,
    wanted: &str,
) {
    let redis = server();
    let bare = recipe.bare();
    // Without a key.
    let environment = Program::new()
        .env("REDIS_URL", &redis.url())
        .file("waxseal.toml", bare.text());
    let proxy = Proxy::start_configured(&environment, &["--config", "waxseal.toml", "--trial"]);
    let outcome = program.run(proxy.port(), STEP_TIMEOUT, LIMIT);
    assert_success("in a trial", &outcome);
    assert_same_lines("in a trial", &outcome.stdout, wanted);
    // What the program has written is in clear, and the report shows none of it.
    proxy.signal("TERM");
    let report = proxy.end().done().text();
    let (_, configuration) = report
        .split_once(BEFORE_CONFIGURATION)
        .unwrap_or_else(|| panic!("no configuration in\n{report}"));
    let reported = Recipe::parse(configuration.to_owned());
    assert_works(application, &reported, program, wanted);
}
