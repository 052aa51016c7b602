//! Audits: from what the passes over the records counted to the report, its verdict, and the signed document.

mod report;
mod signed_report;
pub mod text;
mod verdict;

pub use report::{AuditedPattern, Keys, ReportContext, counts, report};
pub use signed_report::{PageCheck, SignedReport};
pub use verdict::{Finding, Requirements, findings};
