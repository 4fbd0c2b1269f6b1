//! Pictures of the report, as SVG: bars on a logarithmic scale, and lines.

use std::fmt::Write as _;

/// The colour of an engine.
fn colour(engine: &str) -> &'static str {
    match engine {
        "libkv" => "#d1495b",
        "lmdb" => "#30638e",
        "mdbx" => "#00a0b0",
        "redb" => "#edae49",
        "canopydb" => "#2f5d3a",
        "sqlite" => "#8a8a8a",
        "bdb" => "#9c6644",
        "rocksdb" => "#6a4c93",
        "fjall" => "#66a182",
        "sled" => "#e377c2",
        _ => "#333333",
    }
}

/// A picture that is being drawn.
struct Svg {
    body: String,
    width: f64,
}

impl Svg {
    fn new(width: f64) -> Svg {
        Svg {
            body: String::new(),
            width,
        }
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        self.body.write_fmt(element).expect("a string");
        self.body.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, size: u32, text: &str) {
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{text}</text>"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        self.add(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        ));
    }

    /// The names of engines with their colours, in one line.
    fn legend(&mut self, x: f64, y: f64, engines: &[&str]) {
        let mut at = x;
        for engine in engines {
            self.bar(at, y - 9.0, 10.0, 10.0, colour(engine));
            self.text(at + 14.0, y, "start", 12, engine);
            at += 28.0 + 7.5 * engine.len() as f64;
        }
    }

    fn end(self, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {w:.0} \
             {height:.0}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.body,
            w = self.width
        )
    }
}

/// A label and the values of engines.
pub type Bars<'a> = (String, Vec<(&'a str, f64)>);

/// Powers of ten around some values.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let (low, high) = values
        .filter(|value| value.is_finite() && *value > 0.0)
        .fold((1.0_f64, 1.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (low, if high > low { high } else { low + 1 })
}

/// A number for an axis.
fn power(exponent: i32) -> String {
    match exponent {
        -3..=-1 => format!("{}", 10_f64.powi(exponent)),
        0..=5 => format!("{}", 10_u64.pow(exponent as u32)),
        _ => format!("1e{exponent}"),
    }
}

/// Horizontal bars from 1 on: to the right of it more, to the left less. `note` says what the numbers are.
pub fn bars(title: &str, note: &str, engines: &[&str], rows: &[Bars]) -> String {
    const LEFT: f64 = 170.0;
    const RIGHT: f64 = 760.0;
    const BAR: f64 = 9.0;
    let (low, high) = decades(
        rows.iter()
            .flat_map(|(_, values)| values.iter().map(|(_, value)| *value)),
    );
    let place = |value: f64| LEFT + (value.log10() - f64::from(low)) / f64::from(high - low) * (RIGHT - LEFT);
    let mut svg = Svg::new(840.0);
    svg.text(10.0, 20.0, "start", 15, title);
    svg.text(10.0, 38.0, "start", 12, note);
    svg.legend(10.0, 58.0, engines);
    let top = 78.0;
    let step = |values: &Vec<(&str, f64)>| BAR * values.len() as f64 + 8.0;
    let bottom = top + rows.iter().map(|(_, values)| step(values)).sum::<f64>();
    for exponent in low..=high {
        for minor in [2.0, 5.0] {
            let x = place(minor * 10_f64.powi(exponent));
            if exponent < high {
                svg.line((x, top - 4.0), (x, bottom), "#f0f0f0", 1.0);
            }
        }
        let x = place(10_f64.powi(exponent));
        let (shade, width) = if exponent == 0 {
            ("#444444", 1.5)
        } else {
            ("#dddddd", 1.0)
        };
        svg.line((x, top - 4.0), (x, bottom), shade, width);
        svg.text(x, bottom + 14.0, "middle", 11, &power(exponent));
    }
    let mut y = top;
    for (label, values) in rows {
        svg.text(LEFT - 8.0, y + (step(values) - 8.0) / 2.0 + 4.0, "end", 12, label);
        for (engine, value) in values {
            let (one, end) = (place(1.0), place(*value));
            svg.bar(one.min(end), y, (end - one).abs().max(1.0), BAR - 1.5, colour(engine));
            let text = if *value < 10.0 {
                format!("{value:.2}")
            } else {
                format!("{value:.0}")
            };
            svg.text(one.max(end) + 4.0, y + BAR - 1.5, "start", 9, &text);
            y += BAR;
        }
        y += 8.0;
    }
    svg.end(bottom + 26.0)
}

/// Lines over numbers of threads, both axes logarithmic.
pub fn lines(title: &str, note: &str, engines: &[&str], points: &[(&str, Vec<(f64, f64)>)]) -> String {
    const LEFT: f64 = 70.0;
    const RIGHT: f64 = 620.0;
    const TOP: f64 = 78.0;
    const BOTTOM: f64 = 380.0;
    let all = || points.iter().flat_map(|(_, line)| line.iter());
    let most = all().map(|(_, y)| *y).fold(1.0, f64::max).log10().ceil() as i32;
    let least = all().map(|(_, y)| *y).fold(f64::MAX, f64::min).max(1.0).log10().floor() as i32;
    let least = least.min(most - 1);
    let widest = all().map(|(x, _)| *x).fold(2.0, f64::max);
    let place = |x: f64, y: f64| {
        (
            LEFT + x.log2() / widest.log2() * (RIGHT - LEFT),
            BOTTOM - (y.log10() - f64::from(least)) / f64::from(most - least) * (BOTTOM - TOP),
        )
    };
    let mut svg = Svg::new(700.0);
    svg.text(10.0, 20.0, "start", 15, title);
    svg.text(10.0, 38.0, "start", 12, note);
    svg.legend(10.0, 58.0, engines);
    for exponent in least..=most {
        let (_, y) = place(1.0, 10_f64.powi(exponent));
        svg.line((LEFT, y), (RIGHT, y), "#dddddd", 1.0);
        svg.text(LEFT - 6.0, y + 4.0, "end", 11, &power(exponent));
    }
    let mut marks: Vec<f64> = all().map(|(x, _)| *x).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let (x, _) = place(mark, 1.0);
        svg.text(x, BOTTOM + 16.0, "middle", 11, &format!("{mark}"));
    }
    svg.text((LEFT + RIGHT) / 2.0, BOTTOM + 34.0, "middle", 12, "threads");
    for (engine, line) in points {
        for pair in line.windows(2) {
            svg.line(
                place(pair[0].0, pair[0].1),
                place(pair[1].0, pair[1].1),
                colour(engine),
                2.0,
            );
        }
        for (x, y) in line {
            let (x, y) = place(*x, *y);
            svg.bar(x - 3.0, y - 3.0, 6.0, 6.0, colour(engine));
        }
    }
    svg.end(BOTTOM + 46.0)
}
