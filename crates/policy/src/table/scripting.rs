//! Scripts and functions. They see envelopes instead of values, so most of them must not name protected records; names
//! that a script builds are not seen here. The known scripts are in `scripts`.

use super::{Form, Row, container, form, keyless};
use crate::decision::Effect;
use crate::names::counted;

pub(super) const ROWS: &[Row] = &[
    form("eval", counted(2), Form::Eval).with(Effect::Script),
    form("eval_ro", counted(2), Form::Eval)
        .reads()
        .with(Effect::Script),
    form("evalsha", counted(2), Form::EvalSha).with(Effect::Script),
    form("evalsha_ro", counted(2), Form::EvalShaRo)
        .reads()
        .with(Effect::Script),
    form("fcall", counted(2), Form::Function).with(Effect::Script),
    form("fcall_ro", counted(2), Form::Function)
        .reads()
        .with(Effect::Script),
    container("function"),
    keyless("function|delete"),
    keyless("function|dump"),
    keyless("function|flush"),
    keyless("function|help"),
    // On a shared connection it would wait for the very script that it should end.
    keyless("function|kill").with(Effect::Connection),
    keyless("function|list"),
    keyless("function|load"),
    keyless("function|restore"),
    keyless("function|stats"),
    container("script"),
    // The debugger takes over the connection.
    keyless("script|debug").with(Effect::Connection),
    keyless("script|exists").with(Effect::QueryScripts),
    keyless("script|flush"),
    keyless("script|help"),
    keyless("script|kill").with(Effect::Connection),
    keyless("script|load").with(Effect::LoadScript),
    keyless("script|show"),
];
