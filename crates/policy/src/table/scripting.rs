//! Scripts and functions. They see envelopes in the place of values, so most of them may not have protected records
//! among their names; records that they name by themselves are not seen here. Which scripts are known is in
//! `scripts`.

use super::{Form, Row, container, form, nameless};
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
    nameless("script|exists").with(Effect::QueryScripts),
    nameless("script|flush"),
    nameless("script|help"),
    nameless("script|kill").with(Effect::Connection),
    nameless("script|load").with(Effect::LoadScript),
    nameless("script|show"),
];
