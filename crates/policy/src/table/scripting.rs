//! Scripts and functions. They would see envelopes in the place of values, so they may not have protected
//! records among their names; records that they name by themselves are not seen here.

use super::{Row, container, nameless, refuse};
use crate::decision::Effect;
use crate::names::counted;
use crate::refusal::Reason::RunsCode;

pub(super) const ROWS: &[Row] = &[
    refuse("eval", counted(2), RunsCode).with(Effect::Script),
    refuse("eval_ro", counted(2), RunsCode)
        .reads()
        .with(Effect::Script),
    refuse("evalsha", counted(2), RunsCode).with(Effect::Script),
    refuse("evalsha_ro", counted(2), RunsCode)
        .reads()
        .with(Effect::Script),
    refuse("fcall", counted(2), RunsCode).with(Effect::Script),
    refuse("fcall_ro", counted(2), RunsCode)
        .reads()
        .with(Effect::Script),
    container("function"),
    nameless("function|delete"),
    nameless("function|dump"),
    nameless("function|flush"),
    nameless("function|help"),
    // On a shared connection it would wait behind the very script that it is to end.
    nameless("function|kill").with(Effect::Connection),
    nameless("function|list"),
    nameless("function|load"),
    nameless("function|restore"),
    nameless("function|stats"),
    container("script"),
    // The debugger takes the connection for itself.
    nameless("script|debug").with(Effect::Connection),
    nameless("script|exists"),
    nameless("script|flush"),
    nameless("script|help"),
    nameless("script|kill").with(Effect::Connection),
    nameless("script|load"),
    nameless("script|show"),
];
