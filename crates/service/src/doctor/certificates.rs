//! Checks of the certificates for the store: whether they can be read, and how long they are valid.

use waxseal_proxy::{CertificateUse, certificate_expiry};
use waxseal_stores::StoreUrl;
use waxseal_units::point_in_time;

use super::Findings;
use crate::certificates::{EXPIRES_SOON, expiry_text};
use crate::now_ms;
use crate::resources::Resources;

const CHECK: &str = "certificates";

pub(super) fn check(resources: &Resources, findings: &mut Findings) {
    let StoreUrl::Redis(url) = &resources.configuration.store else {
        return;
    };
    // One that cannot be taken apart is a problem of the store.
    let Ok(parts) = url.parts() else {
        return;
    };
    let authority = parts.ca.map(|path| (CertificateUse::ServerAuthority, path));
    let own = parts
        .identity
        .map(|(path, _)| (CertificateUse::Upstream, path));
    let now = i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX);
    for (of, path) in authority.into_iter().chain(own) {
        let shown = path.display();
        let expiry = match certificate_expiry(of, &path) {
            Ok(Some(expiry)) => expiry,
            Ok(None) => {
                findings.warn(CHECK, format!("{shown}: its expiry cannot be read"), "");
                continue;
            }
            Err(error) => {
                let advice =
                    "name a PEM file that this user may read, behind ca or cert of the store's URL";
                findings.problem(CHECK, error.to_string(), advice);
                continue;
            }
        };
        let left = expiry.not_after.saturating_sub(now);
        let advice = "a running proxy uses new files within a minute, or at once after SIGHUP";
        match left {
            ..0 => findings.problem(CHECK, format!("{shown} {}", expiry_text(left)), advice),
            0..=EXPIRES_SOON => {
                findings.warn(CHECK, format!("{shown} {}", expiry_text(left)), advice);
            }
            _ => {
                let ms = u64::try_from(expiry.not_after)
                    .unwrap_or_default()
                    .saturating_mul(1000);
                findings.ok(
                    CHECK,
                    format!("{shown} is valid until {}", point_in_time(ms)),
                );
            }
        }
    }
}
