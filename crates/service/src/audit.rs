//! Audits: the passes over the records, the report with its verdict, and the signed document.

mod pass;
mod report;
mod signed_report;
pub mod text;
mod verdict;

pub use pass::{count, count_not_swept, sweep, unmatched};
pub use report::{AuditedPattern, Keys, ReportContext, counts, report};
pub use signed_report::{PageCheck, SignedReport};
pub use verdict::{Finding, RequiredNames, Requirements, findings};
