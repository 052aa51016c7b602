//! The frame of every page: head, style, and the permissions of the browser.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of all pages. It uses the browser's fonts and its light or dark theme.
pub const STYLE: &str = include_str!("style.css");

/// The parts of a document beside its body.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The title.
    pub title: &'a str,
    /// Further styles after [`STYLE`].
    pub style: &'a str,
    /// The address of the icon.
    pub icon: &'a str,
    /// The address of the icon that the script shows after the connection was lost.
    pub lost_icon: Option<&'a str>,
    /// The referrer policy.
    pub referrer: &'a str,
    /// The nonce that allows the document's own style and script under its content security policy.
    pub nonce: Option<&'a str>,
    /// The script.
    pub script: Option<&'a str>,
}

impl<'a> Frame<'a> {
    /// The frame of a document for a file, which has no script.
    #[must_use]
    pub fn new(title: &'a str) -> Self {
        Self {
            title,
            style: "",
            // Without it browsers request /favicon.ico.
            icon: "data:,",
            lost_icon: None,
            referrer: "no-referrer",
            nonce: None,
            script: None,
        }
    }
}

/// A whole document.
#[must_use]
pub fn document(frame: &Frame<'_>, body: &Markup) -> Markup {
    let nonce = frame.nonce;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content=(frame.referrer);
                title { (frame.title) }
                link rel="icon" href=(frame.icon) data-lost=[frame.lost_icon];
                style nonce=[nonce] { (PreEscaped(STYLE)) (PreEscaped(frame.style)) }
            }
            body {
                (body)
                @if let Some(script) = frame.script {
                    script nonce=[nonce] { (PreEscaped(script)) }
                }
            }
        }
    }
}

/// A table that scrolls if it is wider than the page. Each column has a name, and true if it holds numbers.
pub(crate) fn table(caption: &str, columns: &[(&str, bool)], rows: &Markup) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (name, is_number) in columns {
                            th scope="col" class=[is_number.then_some("number")] { (name) }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}
