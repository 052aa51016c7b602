//! Sweeps over the records of a configuration.

use std::sync::Arc;

use waxseal_core::Mode;
use waxseal_stores::RecordStore;
use waxseal_sweep::{Audit, Sweep, SweepOptions};

use super::{Resources, keys};
use crate::configuration::protected::Protected;

/// An audit of the records of one pattern. It writes nothing, whatever the options say.
pub fn audit_sweep(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    protected: &Protected,
    deep: bool,
    options: SweepOptions,
) -> Sweep {
    let sealer = keys::sealer(resources, protected, Mode::On);
    Sweep {
        store: store.clone(),
        pattern: protected.pattern.clone(),
        task: Arc::new(Audit::new(sealer, deep)),
        keys: keys::sweep_keys(resources, protected),
        mask: keys::name_mask(resources),
        options: SweepOptions {
            dry_run: true,
            ..options
        },
    }
}
