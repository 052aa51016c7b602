//! The frame around every page: head, style, and what a browser may do with it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of all pages. Uses the browser's own fonts and its choice of light or dark.
pub const STYLE: &str = include_str!("style.css");

/// What a document has beside its body.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The title.
    pub title: &'a str,
    /// Styles beside [`STYLE`].
    pub style: &'a str,
    /// The address of the icon.
    pub icon: &'a str,
    /// The address of the icon that the script shows when it hears nothing any more.
    pub lost_icon: Option<&'a str>,
    /// Which addresses are told where a reader came from.
    pub referrer: &'a str,
    /// Lets the document's own style and script in where a policy keeps others out (CSP, Level 3).
    pub nonce: Option<&'a str>,
    /// The script.
    pub script: Option<&'a str>,
}

impl<'a> Frame<'a> {
    /// Of a document for a file, which has no script.
    #[must_use]
    pub fn new(title: &'a str) -> Self {
        Self {
            title,
            style: "",
            // Without it browsers ask for a file.
            icon: "data:,",
            lost_icon: None,
            referrer: "no-referrer",
            nonce: None,
            script: None,
        }
    }
}

/// A whole document in English.
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

/// A table that scrolls where it is wider than the page. Columns have a name, and say whether they hold numbers.
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
