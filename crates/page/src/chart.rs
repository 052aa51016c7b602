//! Charts as SVG: shapes only, which stretch to any width. Labels and figures are text beside them, and nothing is shown by
//! colour alone.

use maud::{Markup, html};

/// One part of a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part<'a> {
    /// The label.
    pub label: &'a str,
    /// The class of the style sheet that colours it: `sealed`, `classic`, `plain`, `unreadable`, `other`.
    pub class: &'a str,
    /// The value.
    pub value: u64,
}

/// The width of a bar in units of its drawing.
const WIDTH: f64 = 1000.0;
/// The minimal width of a part that is not 0: one plain value among millions must be visible.
const MIN_WIDTH: f64 = 6.0;

/// A bar of parts of a whole, each wide enough to be visible. `name` is its accessible name.
#[must_use]
pub fn bar(name: &str, parts: &[Part<'_>]) -> Markup {
    let widths = widths(parts);
    let mut at = 0.0;
    html! {
        svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label=(name) {
            rect class="rest" x="0" y="0" width="1000" height="20" {}
            @for (part, width) in parts.iter().zip(widths) {
                @let x = { let x = at; at += width; x };
                @if width > 0.0 {
                    rect class=(part.class) x={ (format!("{x:.1}")) } y="0"
                        width={ (format!("{width:.1}")) } height="20" {
                        title { (part.label) }
                    }
                }
            }
        }
    }
}

fn widths(parts: &[Part<'_>]) -> Vec<f64> {
    let whole: u64 = parts.iter().map(|part| part.value).sum();
    if whole == 0 {
        return vec![0.0; parts.len()];
    }
    let share = |part: &Part<'_>| part.value as f64 / whole as f64 * WIDTH;
    let small = |part: &Part<'_>| part.value > 0 && share(part) < MIN_WIDTH;
    let lacking: f64 = parts
        .iter()
        .filter(|it| small(it))
        .map(|it| MIN_WIDTH - share(it))
        .sum();
    let large: f64 = parts.iter().filter(|it| !small(it)).map(share).sum();
    let width = |part: &Part<'_>| match small(part) {
        true => MIN_WIDTH,
        // The large parts give up the width that the small ones need.
        false => share(part) - lacking * share(part) / large.max(1.0),
    };
    parts.iter().map(width).collect()
}

/// The colour of a class, for a legend.
#[must_use]
pub fn swatch(class: &str) -> Markup {
    html! {
        svg class="swatch" viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} }
    }
}

/// One line of a plot. A missing value leaves a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    /// The label.
    pub label: &'a str,
    /// The class of the style sheet that draws it: `first`, `second`.
    pub class: &'a str,
    /// The values, from the oldest to the newest, at even distances.
    pub values: Vec<Option<f64>>,
}

/// A plot over time.
#[derive(Clone, Debug)]
pub struct Plot<'a> {
    /// The title, with the unit.
    pub name: &'a str,
    /// The labels of the start and end of the time axis.
    pub times: [String; 2],
    /// The lines, which have the same number of values.
    pub lines: Vec<Line<'a>>,
    /// Formats a value.
    pub write: fn(f64) -> String,
}

const HEIGHT: f64 = 100.0;

/// Lines over time, with the latest and the highest value as text.
#[must_use]
pub fn plot(plot: &Plot<'_>) -> Markup {
    let values = plot.lines.iter().flat_map(|line| &line.values).flatten();
    let highest = values.copied().fold(0.0, f64::max);
    let top = round_up(highest);
    let summary = |line: &Line<'_>| summary(line, plot.write);
    let all: Vec<String> = plot
        .lines
        .iter()
        .map(|line| format!("{}: {}", line.label, summary(line)))
        .collect();
    html! {
        figure class="plot" {
            figcaption { (plot.name) }
            ul class="legend" {
                @for line in &plot.lines {
                    li {
                        svg class="swatch" viewBox="0 0 10 10" aria-hidden="true" {
                            path class=(line.class) d="M0 5H10" {}
                        }
                        (line.label) ": " (summary(line))
                    }
                }
            }
            div class="field" {
                span class="top" aria-hidden="true" { @if highest > 0.0 { ((plot.write)(top)) } @else { "–" } }
                svg viewBox={ "0 0 1000 " (HEIGHT) } preserveAspectRatio="none" role="img"
                    aria-label={ (plot.name) ". " (all.join(". ")) } {
                    path class="grid" d="M0 0.5H1000M0 50H1000M0 99.5H1000" {}
                    @for line in &plot.lines {
                        path class=(line.class) d=(path(&line.values, top)) {}
                    }
                }
                span class="begin" aria-hidden="true" { (plot.times[0]) }
                span class="end" aria-hidden="true" { (plot.times[1]) }
            }
        }
    }
}

fn summary(line: &Line<'_>, write: fn(f64) -> String) -> String {
    let known = || line.values.iter().flatten().copied();
    match (
        line.values.last().copied().flatten(),
        known().reduce(f64::max),
    ) {
        (Some(now), Some(most)) => format!("{} now, {} at most", write(now), write(most)),
        (None, Some(most)) => format!("{} at most", write(most)),
        (_, None) => "nothing yet".to_owned(),
    }
}

/// The path through the values; it is interrupted at gaps.
fn path(values: &[Option<f64>], top: f64) -> String {
    let step = WIDTH / (values.len().max(2) - 1) as f64;
    let mut text = String::new();
    let mut draws = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            draws = false;
            continue;
        };
        let x = index as f64 * step;
        let y = HEIGHT - value / top * (HEIGHT - 2.0) - 1.0;
        let command = if draws { 'L' } else { 'M' };
        text.push_str(&format!("{command}{x:.1} {y:.1}"));
        if !draws {
            // A value between two gaps is drawn as a dot.
            text.push_str("h0.1");
        }
        draws = true;
    }
    text
}

/// The next larger 1, 2 or 5 times a power of ten.
fn round_up(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(highest.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|it| *it >= highest)
        .unwrap_or(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn part(value: u64) -> Part<'static> {
        Part {
            label: "l",
            class: "plain",
            value,
        }
    }

    #[test]
    fn a_single_value_among_millions_is_wide_enough_to_be_visible() {
        let widths = widths(&[part(10_000_000), part(1), part(0)]);
        assert!(
            (widths.iter().sum::<f64>() - WIDTH).abs() < 0.01,
            "{widths:?}"
        );
        assert!(
            (widths[1] - MIN_WIDTH).abs() < 0.01 && widths[2] == 0.0,
            "{widths:?}"
        );
    }

    #[test]
    fn a_bar_of_nothing_has_no_parts() {
        let bar = bar("nothing", &[part(0)]).into_string();
        assert!(!bar.contains("class=\"plain\""), "{bar}");
    }

    #[test]
    fn a_gap_interrupts_the_line() {
        let path = path(&[Some(1.0), Some(2.0), None, Some(2.0)], 2.0);
        assert_eq!(path, "M0.0 50.0h0.1L333.3 1.0M1000.0 1.0h0.1");
    }

    #[test]
    fn the_top_is_a_round_number_above_all_values() {
        let tops = [0.0, 0.7, 1.0, 3.0, 120.0, 600.0].map(round_up);
        assert_eq!(tops, [1.0, 1.0, 1.0, 5.0, 200.0, 1000.0]);
    }
}
