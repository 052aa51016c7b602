//! Tells which channels are protected: publishers and subscribers that are not behind a proxy with the same setting get
//! or send other bytes.

use waxseal_core::Mode;

use super::Findings;
use crate::resources::Resources;

pub(super) fn check(resources: &Resources, findings: &mut Findings) {
    let configuration = &resources.configuration;
    for channels in &configuration.channels {
        let shown = channels.pattern.shown();
        match configuration.mode {
            Mode::Off => findings.ok(
                "channels",
                format!("{shown}: messages are not sealed: the mode is off"),
            ),
            Mode::On => findings.recommend(
                "channels",
                format!("{shown}: messages are sealed; plain ones are delivered as well"),
                "once every publisher is behind a proxy with this setting: mode = \"required\"",
            ),
            Mode::Required => findings.ok(
                "channels",
                format!("{shown}: messages are sealed; plain ones are not delivered"),
            ),
        }
    }
}
