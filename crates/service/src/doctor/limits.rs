//! Checks of the server's limits for one connection: the size of values, and whether clients of a proxy can share
//! connections.

use std::time::Duration;

use waxseal_stores::StoreUrl;

use super::Findings;
use crate::resources::Resources;
use crate::upstream::upstream;

const CHECK: &str = "server limits";
/// The time that the server has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn check(resources: &Resources, findings: &mut Findings) {
    let StoreUrl::Redis(url) = &resources.configuration.store else {
        return;
    };
    // The check of the store reports why a server cannot be reached.
    let Ok(upstream) = upstream(url, false) else {
        return;
    };
    let Ok(settings) = upstream.settings(TIMEOUT).await else {
        return;
    };
    let most = settings.max_value();
    let values = format!("values of at most {} bytes ({})", most.bytes, most.setting);
    if let Some(limit) = settings.connection_limit() {
        let setting = limit.setting();
        findings.recommend(
            CHECK,
            format!("{values}; single connections are limited ({setting})"),
            "behind a proxy each client has a connection of its own: switch that limit off to let them share",
        );
    } else if settings.is_refused {
        findings.recommend(
            CHECK,
            "not known, since this user may not use CONFIG GET: defaults are assumed",
            "allow +config|get; else start the proxy with --upstream own where client-output-buffer-limit normal or \
             maxmemory-clients is set",
        );
    } else {
        findings.ok(
            CHECK,
            format!("{values}; single connections are not limited"),
        );
    }
}
