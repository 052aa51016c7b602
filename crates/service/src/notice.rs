//! Warnings that an operator must see and that end nothing. The command line decides how they are printed;
//! until it does, they go to the log.

use std::sync::OnceLock;

/// Prints a warning, and below it what to do about it.
pub type Printer = fn(text: &str, hint: Option<&str>);

static PRINTER: OnceLock<Printer> = OnceLock::new();

/// Sets how warnings are printed. Only the first call counts.
pub fn set_printer(printer: Printer) {
    let _ = PRINTER.set(printer);
}

/// Warns an operator.
pub fn warning(text: &str) {
    emit(text, None);
}

/// Warns an operator, and says what to do about it.
pub fn warning_with_hint(text: &str, hint: &str) {
    emit(text, Some(hint));
}

fn emit(text: &str, hint: Option<&str>) {
    match (PRINTER.get(), hint) {
        (Some(print), hint) => print(text, hint),
        (None, Some(hint)) => tracing::warn!("{text}: {hint}"),
        (None, None) => tracing::warn!("{text}"),
    }
}
