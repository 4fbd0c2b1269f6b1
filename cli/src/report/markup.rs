//! Text and numbers as HTML that is XML as well.

use crate::output::text::escaped;
use std::fmt::{self, Display, Formatter, Write};

struct Safe<T>(T);

/// Shows text so that no part of it is markup, neither between tags nor in an attribute between quotation marks.
pub fn safe(text: impl Display) -> impl Display {
    Safe(text)
}

impl<T: Display> Display for Safe<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Filter(f), "{}", self.0)
    }
}

struct Filter<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '&' => self.0.write_str("&amp;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            _ => self.0.write_char(c),
        })
    }
}

/// Shows the name of a table in a cell: the bytes that cannot be seen as escapes, and nothing of it as markup.
pub fn table_cell(name: Option<&[u8]>) -> String {
    match name {
        None => "<i>(main)</i>".to_string(),
        Some(name) => safe(escaped(name)).to_string(),
    }
}

/// Returns a number with its digits in groups of three.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a number with its unit, which is "1 page" and "2 pages".
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// Returns a number of bytes with three digits or so, in units of 1024.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return counted(bytes, "byte", "bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match value {
        _ if value == value.trunc() => format!("{value} {}", UNITS[unit]),
        _ if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// Returns which part of a whole something is, from 0 to 100. Nothing is no part of nothing.
pub fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Returns which part of a whole something is with so many digits, as plain text. What is not all is never "100 %", and
/// what is not nothing is never "0 %".
pub fn share(part: u64, whole: u64, digits: usize) -> String {
    let percent = percent(part, whole);
    let least = 0.1_f64.powi(digits as i32);
    match format!("{percent:.digits$}").parse::<f64>().unwrap_or(percent) {
        _ if part > 0 && percent < least / 2.0 => format!("<{least:.digits$} %"),
        rounded if part < whole && rounded >= 100.0 => format!(">{:.digits$} %", 100.0 - least),
        rounded => format!("{rounded:.digits$} %"),
    }
}

/// Returns a time in its greatest unit.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{:.1} h", seconds as f64 / 3600.0),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_bytes_that_cannot_be_seen_are_escaped() {
        assert_eq!(
            table_cell(Some(b"<script>alert('\"&')</script>\0\xff")),
            "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;\\x00\\xff"
        );
        assert_eq!(table_cell(None), "<i>(main)</i>");
    }

    #[test]
    fn what_is_not_all_is_not_called_all() {
        assert_eq!(share(1, 1, 0), "100 %");
        assert_eq!(share(9_999, 10_000, 0), ">99 %");
        assert_eq!(share(9_999, 10_000, 1), ">99.9 %");
        assert_eq!(share(999, 1000, 1), "99.9 %");
        assert_eq!(share(1, 10_000, 1), "<0.1 %");
        assert_eq!(share(0, 10_000, 1), "0.0 %");
        assert_eq!(share(1, 3, 1), "33.3 %");
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        let numbers = [0, 7, 999, 1000, 65_536, 12_345_678].map(number);
        assert_eq!(numbers, ["0", "7", "999", "1,000", "65,536", "12,345,678"]);
        let sizes = [0, 1, 1023, 1024, 10_239, 3 << 19, 5 << 30].map(bytes);
        assert_eq!(
            sizes,
            [
                "0 bytes",
                "1 byte",
                "1,023 bytes",
                "1 KiB",
                "10 KiB",
                "1.5 MiB",
                "5 GiB"
            ]
        );
        let times = [1500, 59_999, 60_000, 5_400_000, 200_000_000].map(duration);
        assert_eq!(times, ["1.5 s", "60.0 s", "1 min", "1.5 h", "2 days"]);
    }
}
