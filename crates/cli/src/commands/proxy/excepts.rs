//! At the start of a proxy: are values under excepted names still sealed? Commands that the proxy forwards there would
//! move or change them, and they would not open any more.

use std::sync::Arc;

use crate::commands::doctor::excepts::sample;
use crate::error::Failure;
use crate::output::thousands;
use crate::setup::Setup;

/// Samples what is excepted, beside the running proxy, and logs where values are sealed.
pub(super) fn look_for_sealed(setup: &Arc<Setup>) {
    let has_excepts = setup.protected.iter().any(|it| it.pattern.has_excepts());
    if has_excepts {
        let setup = setup.clone();
        tokio::spawn(async move {
            if let Err(failure) = warn_of_sealed(&setup).await {
                tracing::warn!("excepted records could not be sampled: {}", failure.text());
            }
        });
    }
}

async fn warn_of_sealed(setup: &Setup) -> Result<(), Failure> {
    let store = setup.open_store().await?;
    for protected in &setup.protected {
        let mut sealed = 0;
        for except in protected.pattern.excepts() {
            sealed += sample(setup, &*store, protected, except).await?.sealed;
        }
        let values = match sealed {
            0 => continue,
            1 => "1 sampled value is".to_owned(),
            _ => format!("{} sampled values are", thousands(sealed)),
        };
        tracing::warn!(
            "{values} still sealed under excepted names of {}: commands that move or change them on the server, such as \
             RENAME, COPY and APPEND, make them unreadable; run waxseal decrypt --excepted --yes",
            protected.pattern.shown()
        );
    }
    Ok(())
}
