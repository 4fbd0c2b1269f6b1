//! Pictures in SVG and bars. Each has a text for those who do not see it, and says what a part of it is when it is pointed
//! at.

use super::lengths::{Bucket, Lengths};
use super::markup::{bytes, counted, number, percent};
use crate::inspect::picture::{Picture, KINDS};
use kv_engine::PageRun;
use std::fmt::Write;

/// The classes of the style sheet for the kinds of pages, in the order of [`KINDS`].
pub const CLASSES: [&str; KINDS.len()] = ["leaf", "branch", "value", "own", "head", "dead"];

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
        let share = percent(*count, whole);
        let told = counted(*count, "page", "pages");
        if *count > 0 {
            let _ = write!(
                bar,
                "<span class=\"{class}\" style=\"flex-grow:{share:.3}\" title=\"{name}: {told}, {share:.1} %\"></span>"
            );
        }
        let _ = writeln!(
            legend,
            "<li><span class=\"key {class}\"></span><b>{name}</b> <span class=\"count\" data-pages=\"{class}\">{}</span> \
             <span class=\"dim\">{share:.1} % · {}</span></li>",
            number(*count),
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
const SIZE: (f64, f64, f64) = (480.0, 160.0, 22.0);

/// Returns a histogram of lengths.
pub fn histogram(lengths: &Lengths, what: &str) -> String {
    let buckets = lengths.buckets();
    if buckets.is_empty() {
        return "<p class=\"dim\">There are none.</p>\n".to_string();
    }
    let (width, height, below) = SIZE;
    let mut svg = format!(
        "<svg class=\"histogram\" viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"Lengths of {what}\">\n",
        height + below
    );
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    // Few bars would be as broad as walls.
    let step = (width / buckets.len() as f64).min(60.0);
    let every = buckets.len().div_ceil(10);
    for (at, bucket) in buckets.iter().enumerate() {
        let left = at as f64 * step;
        let tall = match bucket.count {
            0 => 0.0,
            // One among millions can still be seen.
            count => (count as f64 / most as f64 * (height - 20.0)).max(1.5),
        };
        let _ = writeln!(
            svg,
            "<g data-from=\"{}\" data-count=\"{}\"><title>{}: {} {what}</title>\
             <rect class=\"hit\" x=\"{left:.1}\" y=\"0\" width=\"{step:.1}\" height=\"{height}\"/>\
             <rect class=\"column\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"2\"/>",
            bucket.from,
            bucket.count,
            range(*bucket),
            number(bucket.count),
            left + step * 0.08,
            height - tall,
            step * 0.84,
        );
        if bucket.count == most {
            let _ = writeln!(
                svg,
                "<text class=\"most\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{}</text>",
                match at {
                    0 => left + step * 0.08,
                    _ => left + step / 2.0,
                },
                height - tall - 5.0,
                if at == 0 { "start" } else { "middle" },
                number(most)
            );
        }
        if at % every == 0 {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                left + step / 2.0,
                height + 16.0,
                short(bucket.from)
            );
        }
        svg.push_str("</g>\n");
    }
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M0 {height}h{width}\"/>\n</svg>");
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
