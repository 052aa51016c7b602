//! The frame around every page: head, style, and what a browser may do with it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of all pages. Uses the browser's own fonts and its choice of light or dark.
pub const STYLE: &str = include_str!("style.css");

/// A whole document in English. `nonce` lets its own style and script in where a policy keeps others out
/// (CSP, Level 3); a document for a file needs none.
#[must_use]
pub fn document(title: &str, nonce: Option<&str>, script: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                // Without it browsers ask for a file.
                link rel="icon" href="data:,";
                style nonce=[nonce] { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                @if let Some(script) = script {
                    script nonce=[nonce] { (PreEscaped(script)) }
                }
            }
        }
    }
}
