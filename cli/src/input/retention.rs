//! Which snapshots of a row stay, and times that pass.

use clap::Args;
use kv_engine::Retention;

/// What stays of a row of snapshots. Hours, days, weeks and months without a snapshot do not count.
#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    /// Keeps the N newest.
    #[arg(long, value_name = "N")]
    last: Option<u32>,
    /// Keeps the newest of each of the last N hours that have one.
    #[arg(long, value_name = "N")]
    hourly: Option<u32>,
    /// Keeps the newest of each of the last N days that have one, by UTC.
    #[arg(long, value_name = "N")]
    daily: Option<u32>,
    /// Keeps the newest of each of the last N weeks that have one. They begin with Monday.
    #[arg(long, value_name = "N")]
    weekly: Option<u32>,
    /// Keeps the newest of each of the last N months that have one.
    #[arg(long, value_name = "N")]
    monthly: Option<u32>,
}

impl RetentionArgs {
    /// Returns whether any count is given, be it 0.
    pub fn is_given(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly];
        counts.iter().any(Option::is_some)
    }

    /// Returns what stays: by the counts that are given, and by those of `before` where none is.
    pub fn over(&self, before: Retention) -> Retention {
        Retention {
            last: self.last.unwrap_or(before.last),
            hourly: self.hourly.unwrap_or(before.hourly),
            daily: self.daily.unwrap_or(before.daily),
            weekly: self.weekly.unwrap_or(before.weekly),
            monthly: self.monthly.unwrap_or(before.monthly),
            ..before
        }
    }
}

/// Returns whether anything stays.
pub fn keeps_any(retention: &Retention) -> bool {
    let Retention {
        last,
        hourly,
        daily,
        weekly,
        monthly,
        ..
    } = *retention;
    [last, hourly, daily, weekly, monthly] != [0; 5]
}

/// The word for no interval and no limit. A 0 could be taken for the strictest one.
const NONE: &str = "none";

/// Reads a time that passes, and returns it in seconds: 90, 90s, 10m, 1h, 1d, 1w. `none` is 0.
pub fn seconds(text: &str) -> Result<u32, String> {
    if text == NONE {
        return Ok(0);
    }
    let (number, long) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'd') => (&text[..text.len() - 1], 86_400),
        Some(b'w') => (&text[..text.len() - 1], 604_800),
        _ => (text, 1),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse::<u32>().ok().filter(|_| digits);
    let seconds = seconds.and_then(|number| number.checked_mul(long));
    let seconds = seconds.filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| {
        "give a number of seconds from 1 on, or with m, h, d or w of minutes, hours, days or weeks; or none".to_string()
    })
}

/// Reads a number of pages. `none` is 0, which stands for no limit.
pub fn pages(text: &str) -> Result<u64, String> {
    if text == NONE {
        return Ok(0);
    }
    let pages = text.parse().ok().filter(|pages| *pages > 0);
    pages.ok_or_else(|| "give a number of pages from 1 on, or none for no limit".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let read = |text| seconds(text).ok();
        assert_eq!(read("90"), Some(90));
        assert_eq!(read("90s"), Some(90));
        assert_eq!(read("10m"), Some(600));
        assert_eq!(read("2h"), Some(7200));
        assert_eq!(read("1d"), Some(86_400));
        assert_eq!(read("2w"), Some(1_209_600));
        assert_eq!(read("none"), Some(0));
        for wrong in [
            "",
            "0",
            "0m",
            "m",
            "-1",
            "+1m",
            "1.5h",
            "10 m",
            "10y",
            "99999999999",
            "9999999d",
            "\u{e4}m",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
