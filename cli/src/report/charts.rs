//! Pictures in SVG and bars. Each has a text for those who do not see it, and says what a part of it is when it is
//! pointed at.

use super::lengths::{Bucket, Lengths};
use super::markup::{self, bytes, counted, number, percent, safe};
use crate::inspect::picture::{Picture, KINDS, UNKNOWN};
use kv_engine::PageRun;
use std::fmt::Write;

/// The classes of the style sheet for the kinds of pages, in the order of [`KINDS`].
pub const CLASSES: [&str; KINDS.len()] = ["leaf", "branch", "overflow", "own", "head", "parked", "dead", "unknown"];

/// How many cells a row of the page map has.
const CELLS: usize = 64;

/// Returns the map of the pages, and how many pages a cell stands for.
pub fn page_map(runs: &[PageRun], pages: u64) -> (String, u64) {
    let mut picture = Picture::new(pages, CELLS);
    runs.iter().for_each(|run| picture.add(*run));
    let cells: Vec<usize> = picture.kinds().collect();
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Map of the pages in the order of the file\">\n",
        CELLS * 10,
        cells.len().div_ceil(CELLS) * 10
    );
    for (row, cells) in cells.chunks(CELLS).enumerate() {
        let mut at = 0;
        while at < cells.len() {
            let same = cells[at..].iter().take_while(|kind| **kind == cells[at]).count();
            let first = (row * CELLS + at) as u64 * picture.pages_per_cell;
            let last = (first + same as u64 * picture.pages_per_cell).min(pages) - 1;
            // Cells of the same kind are one path, which keeps the page small.
            let squares: String = (at..at + same)
                .map(|x| format!("M{} {}h9v9h-9z", x * 10, row * 10))
                .collect();
            let _ = writeln!(
                svg,
                "<path class=\"{}\" d=\"{squares}\"><title>pages {} to {}: {}</title></path>",
                CLASSES[cells[at]],
                number(first),
                number(last),
                KINDS[cells[at]].1
            );
            at += same;
        }
    }
    svg.push_str("</svg>\n");
    (svg, picture.pages_per_cell)
}

/// Returns a bar that is divided among the kinds of pages, and its legend.
pub fn shares(counts: &[u64; KINDS.len()], page_size: u64) -> String {
    let whole: u64 = counts.iter().sum();
    let mut bar = String::from("<div class=\"shares\" role=\"img\" aria-label=\"Shares of the kinds of pages\">");
    let mut legend = String::from("<ul class=\"legend\">\n");
    for ((count, class), (_, name, ..)) in counts.iter().zip(CLASSES).zip(KINDS) {
        // Hardly a file has any of these.
        if *count == 0 && class == CLASSES[UNKNOWN] {
            continue;
        }
        let share = percent(*count, whole);
        let told = counted(*count, "page", "pages");
        if *count > 0 {
            let _ = write!(
                bar,
                "<span class=\"{class}\" style=\"flex-grow:{share:.3}\" title=\"{name}: {told}, {}\"></span>",
                safe(markup::share(*count, whole, 1))
            );
        }
        let _ = writeln!(
            legend,
            "<li><span class=\"key {class}\"></span><b>{name}</b> <span class=\"count\" data-pages=\"{class}\">{}</span> \
             <span class=\"dim\">{} · {}</span></li>",
            number(*count),
            safe(markup::share(*count, whole, 1)),
            bytes(count * page_size)
        );
    }
    format!("{bar}</div>\n{legend}</ul>\n")
}

/// Returns a bar that is filled up to a percentage.
pub fn bar(percent: f64, class: &str) -> String {
    let percent = percent.clamp(0.0, 100.0);
    format!("<span class=\"bar\"><span class=\"{class}\" style=\"width:{percent:.2}%\"></span></span>")
}

/// The width and height of a histogram, and the room below it for numbers.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 160.0;
const BELOW: f64 = 22.0;
/// The room above the highest column for its number.
const ABOVE: f64 = 20.0;
/// The part of its place that a column leaves free on either side.
const MARGIN: f64 = 0.08;

/// A column of a histogram.
struct Column {
    bucket: Bucket,
    /// Where its place begins.
    left: f64,
    /// How broad its place is.
    step: f64,
    /// How tall it is.
    tall: f64,
}

impl Column {
    /// Returns a column whose place is number `at` of those that are `step` broad, where the tallest stands for `most`.
    fn new(bucket: Bucket, at: usize, step: f64, most: u64) -> Column {
        let tall = match bucket.count {
            0 => 0.0,
            // One among millions can still be seen.
            count => (count as f64 / most as f64 * (HEIGHT - ABOVE)).max(1.5),
        };
        Column {
            bucket,
            left: at as f64 * step,
            step,
            tall,
        }
    }

    /// Draws the column, and the place that shows its numbers when it is pointed at.
    fn draw(&self, svg: &mut String, what: &str) {
        let Column {
            bucket,
            left,
            step,
            tall,
        } = self;
        let _ = writeln!(
            svg,
            "<title>{}: {} {what}</title>\
             <rect class=\"hit\" x=\"{left:.1}\" y=\"0\" width=\"{step:.1}\" height=\"{HEIGHT}\"/>\
             <rect class=\"column\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"2\"/>",
            range(*bucket),
            number(bucket.count),
            left + step * MARGIN,
            HEIGHT - tall,
            step * (1.0 - 2.0 * MARGIN),
        );
    }

    /// Writes above the column how many there are. The first column has no room to its left.
    fn write_count(&self, svg: &mut String) {
        let (x, anchor) = match self.left > 0.0 {
            true => (self.left + self.step / 2.0, "middle"),
            false => (self.step * MARGIN, "start"),
        };
        let _ = writeln!(
            svg,
            "<text class=\"most\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            HEIGHT - self.tall - 5.0,
            number(self.bucket.count)
        );
    }

    /// Writes below the column with which length it begins.
    fn write_length(&self, svg: &mut String) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            self.left + self.step / 2.0,
            HEIGHT + 16.0,
            short(self.bucket.from)
        );
    }
}

/// Returns a histogram of lengths.
pub fn histogram(lengths: &Lengths, what: &str) -> String {
    let buckets = lengths.buckets();
    if buckets.is_empty() {
        return "<p class=\"dim\">There are none.</p>\n".to_string();
    }
    let mut svg = format!(
        "<svg class=\"histogram\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Lengths of {what}\">\n",
        HEIGHT + BELOW
    );
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    // Few columns would be as broad as walls, and many have no room for a number each.
    let step = (WIDTH / buckets.len() as f64).min(60.0);
    let every = buckets.len().div_ceil(10);
    for (at, bucket) in buckets.into_iter().enumerate() {
        let column = Column::new(bucket, at, step, most);
        let _ = write!(svg, "<g data-from=\"{}\" data-count=\"{}\">", bucket.from, bucket.count);
        column.draw(&mut svg, what);
        if bucket.count == most {
            column.write_count(&mut svg);
        }
        if at % every == 0 {
            column.write_length(&mut svg);
        }
        svg.push_str("</g>\n");
    }
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M0 {HEIGHT}h{WIDTH}\"/>\n</svg>");
    svg
}

/// Returns the lengths of a bucket in words.
fn range(bucket: Bucket) -> String {
    match bucket.from == bucket.to {
        true => bytes(bucket.from),
        false => format!("{} to {} bytes", number(bucket.from), number(bucket.to)),
    }
}

/// Returns a power of two in few characters.
fn short(number: u64) -> String {
    match number {
        0..1024 => number.to_string(),
        _ => {
            let unit = number.ilog2() / 10;
            let letter = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][unit as usize];
            format!("{}{letter}", number >> (10 * unit))
        }
    }
}
