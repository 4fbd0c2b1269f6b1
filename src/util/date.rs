//! Dates of the calendar, in UTC.

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;
/// Seconds of an hour.
pub const HOUR: u64 = 3600;
/// Seconds of a day.
pub const DAY: u64 = 24 * HOUR;

/// Returns year, month and day of the month of a day, which is counted from 1970 on.
pub fn date(day: u64) -> (u64, u64, u64) {
    // The years of this count begin with March, so that the day that some of them have more is their last one.
    let since = day + 719_468;
    let of_era = since % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    (since / 146_097 * 400 + year, month, day)
}

/// Returns a time, in nanoseconds since 1970, as `2026-11-30T23:59:59Z`.
pub fn timestamp(time: u64) -> String {
    let seconds = time / SECOND;
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / HOUR, seconds % HOUR / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        let days = [
            (0, (1970, 1, 1)),
            (30, (1970, 1, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_787, (2026, 11, 30)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ];
        for (day, expected) in days {
            assert_eq!(date(day), expected, "day {day}");
        }
        let mut before = date(0);
        for day in 1..400 * 365 + 97 {
            let (now, (year, month, of_month)) = (date(day), before);
            let is_next = now == (year, month, of_month + 1);
            let begins = now == (year, month + 1, 1) || month == 12 && now == (year + 1, 1, 1);
            assert!(is_next || begins && of_month >= 28, "{now:?} behind {before:?}");
            before = now;
        }
        assert_eq!(before, (2369, 12, 31));
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp((20_787 * DAY + 86_399) * SECOND + 7), "2026-11-30T23:59:59Z");
    }
}
