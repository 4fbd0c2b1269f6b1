//! Which snapshots of a row stay, and times that pass.

use clap::Args;
use kv_engine::Retention;

/// What stays of a row of snapshots. Hours, days, weeks and months without a snapshot do not count.
#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    /// Keeps the N newest.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    last: u32,
    /// Keeps the newest of each of the last N hours that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    hourly: u32,
    /// Keeps the newest of each of the last N days that have one, by UTC.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    daily: u32,
    /// Keeps the newest of each of the last N weeks that have one. They begin with Monday.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    weekly: u32,
    /// Keeps the newest of each of the last N months that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    monthly: u32,
}

impl RetentionArgs {
    /// Returns whether it says that anything stays.
    pub fn is_given(&self) -> bool {
        [self.last, self.hourly, self.daily, self.weekly, self.monthly] != [0; 5]
    }

    /// Returns what stays, with an interval in seconds.
    pub fn retention(&self, interval: u32) -> Retention {
        Retention {
            interval,
            last: self.last,
            hourly: self.hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            ..Retention::default()
        }
    }
}

/// Reads a time that passes, and returns it in seconds: 90, 90s, 10m, 1h, 1d, 1w.
pub fn seconds(text: &str) -> Result<u32, String> {
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
    seconds.ok_or_else(|| "a number of seconds, or with m, h, d or w of minutes, hours, days or weeks".to_string())
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
