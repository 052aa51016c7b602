//! The check at the start of a proxy whether values under excepted names are still sealed. Commands that the proxy forwards there would
//! move or change them, and make them unreadable.

use std::sync::Arc;

use waxseal_units::thousands;

use crate::Failure;
use crate::doctor::excepts::sample;
use crate::resources::Resources;

/// Samples excepted records while the proxy runs, and logs where values are sealed.
pub fn look_for_sealed(resources: &Arc<Resources>) {
    let has_excepts = resources
        .configuration
        .protected
        .iter()
        .any(|it| it.pattern.has_excepts());
    if has_excepts {
        let resources = resources.clone();
        tokio::spawn(async move {
            if let Err(failure) = warn_of_sealed(&resources).await {
                tracing::warn!("excepted records could not be sampled: {}", failure.text());
            }
        });
    }
}

async fn warn_of_sealed(resources: &Resources) -> Result<(), Failure> {
    let store = resources.open_store().await?;
    for protected in &resources.configuration.protected {
        let mut sealed = 0;
        for except in protected.pattern.excepts() {
            sealed += sample(resources, &*store, protected, except).await?.sealed;
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
