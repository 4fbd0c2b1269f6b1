//! Times of the clock for people.

/// Returns a time of the clock, given in seconds since 1970, as people write it, in UTC.
pub fn date(seconds: u64) -> String {
    // Howard Hinnant's way: years begin in March, so that the leap day is the last of its year.
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let era_day = days % 146_097;
    let year_of_era = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
    let day_of_year = era_day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + days / 146_097 * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Returns a time of the clock, given in nanoseconds since 1970. A fraction of a second is shown, unless the time is
/// the beginning or the end of one.
pub fn moment(nanoseconds: u64) -> String {
    let whole = date(nanoseconds / 1_000_000_000);
    match nanoseconds % 1_000_000_000 {
        0 | 999_999_999 => whole,
        fraction => whole.replace(" UTC", &format!(".{fraction:09} UTC")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_those_that_were_typed() {
        assert_eq!(moment(1_000_000_000), "1970-01-01 00:00:01 UTC");
        assert_eq!(moment(1_999_999_999), "1970-01-01 00:00:01 UTC");
        assert_eq!(moment(1_500_000_000), "1970-01-01 00:00:01.500000000 UTC");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_200, "2024-03-01 00:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}
