//! Times of the clock that are typed.

use crate::output::date::date;

/// How many seconds a day has, without those that are put in between.
const DAY: u64 = 86_400;

/// What times look like, for the help and for what is refused.
pub const FORMS: &str =
    "2026-11-30T23:59:59+01:00 by RFC 3339 (a blank can stand for the T). Without a zone it is UTC; \
                         without the seconds or the time of day, the end of that minute or day is meant. Digits alone \
                         are nanoseconds since 1970";

/// Reads a time, and returns it in nanoseconds since 1970. It is typed as that, or as date and time by RFC 3339, of
/// which the time of day, the seconds, their fraction and the zone can be left out. Where it ends early, the whole day,
/// minute, second or part of a second is meant, and its end is the time: states of that second were made before its
/// end. Without a zone it is UTC.
pub fn read(text: &str) -> Result<u64, String> {
    let time = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().ok(),
        false => end_of(text),
    };
    time.ok_or_else(|| format!("a time is {FORMS}"))
}

/// A time of day: its nanoseconds since midnight, and how many of them the last digit that was typed stands for.
struct TimeOfDay {
    begin: u64,
    long: u64,
}

const SECOND: u64 = 1_000_000_000;

fn end_of(text: &str) -> Option<u64> {
    let (day, rest) = match text.split_once([' ', 'T', 't']) {
        None => (text, None),
        Some((day, rest)) => (day, Some(rest)),
    };
    let day = seconds_of(day)?;
    let (time, ahead) = match rest {
        None => (None, 0),
        Some(rest) => split_zone(rest)?,
    };
    let TimeOfDay { begin, long } = match time {
        None => TimeOfDay {
            begin: 0,
            long: DAY * SECOND,
        },
        Some(time) => time_of_day(time)?,
    };
    let end = i128::from(day) * i128::from(SECOND) + i128::from(begin) + i128::from(long) - 1;
    u64::try_from(end - i128::from(ahead) * i128::from(SECOND)).ok()
}

/// Takes the zone off the end of a time of day. Returns what is before it, if anything, and the seconds by which clocks
/// there are ahead of UTC.
fn split_zone(text: &str) -> Option<(Option<&str>, i64)> {
    let utc = text.strip_suffix(['Z', 'z']).or_else(|| text.strip_suffix("UTC"));
    let (time, ahead) = match (utc, text.find(['+', '-'])) {
        (Some(time), _) => (time, 0),
        (None, None) => return Some((Some(text), 0)),
        (None, Some(at)) => {
            let (time, zone) = text.split_at(at);
            let two = |tens: u8, ones: u8| {
                let are_digits = tens.is_ascii_digit() && ones.is_ascii_digit();
                are_digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
            };
            let (hours, minutes) = match zone.as_bytes()[1..] {
                [a, b] => (two(a, b)?, 0),
                [a, b, c, d] | [a, b, b':', c, d] => (two(a, b)?, two(c, d)?),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = hours * 3600 + minutes * 60;
            (time, if zone.starts_with('-') { -ahead } else { ahead })
        }
    };
    let time = time.strip_suffix(' ').unwrap_or(time);
    Some((Some(time).filter(|time| !time.is_empty()), ahead))
}

/// Reads `23:59`, `23:59:59` or `23:59:59.5`.
fn time_of_day(text: &str) -> Option<TimeOfDay> {
    let (whole, fraction) = match text.split_once(['.', ',']) {
        None => (text, None),
        Some((whole, fraction)) => (whole, Some(fraction)),
    };
    let (seconds, long) = match numbers(whole, ':')?[..] {
        [hour @ 0..24, minute @ 0..60] if fraction.is_none() => (hour * 3600 + minute * 60, 60 * SECOND),
        [hour @ 0..24, minute @ 0..60, second @ 0..60] => (hour * 3600 + minute * 60 + second, SECOND),
        _ => return None,
    };
    let begin = seconds * SECOND;
    let Some(fraction) = fraction else {
        return Some(TimeOfDay { begin, long });
    };
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What is finer than a nanosecond is left out.
    let fraction = &fraction[..fraction.len().min(9)];
    let long = 10u64.pow(9 - fraction.len() as u32);
    let begin = begin + fraction.parse::<u64>().ok()? * long;
    Some(TimeOfDay { begin, long })
}

/// Returns the first second of a day.
fn seconds_of(day: &str) -> Option<u64> {
    let [year @ 1970..=9999, month @ 1..=12, day_of_month] = numbers(day, '-')?[..] else {
        return None;
    };
    // The way of `date` back: years begin in March.
    let year_from_march = year - u64::from(month <= 2);
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day_of_month;
    let era_day = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let seconds = (era * 146_097 + era_day).checked_sub(719_469)? * DAY;
    // A day that its month does not have is one of another month.
    date(seconds)
        .starts_with(&format!("{year:04}-{month:02}-{day_of_month:02} "))
        .then_some(seconds)
}

/// Reads numbers between separators.
fn numbers(text: &str, separator: char) -> Option<Vec<u64>> {
    let number = |part: &str| {
        let is_number = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    };
    text.split(separator).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_251_200, 1_709_251_199, 4_107_542_399] {
            let end = (seconds + 1) * 1_000_000_000 - 1;
            assert_eq!(read(&date(seconds)), Ok(end), "{}", date(seconds));
            assert_eq!(read(&end.to_string()), Ok(end));
        }
        let day = read("2024-02-29");
        assert_eq!(day, read("2024-02-29 23:59:59"));
        assert_eq!(day, read("2024-02-29T23:59"));
        assert_eq!(day, Ok(1_709_251_200_000_000_000 - 1));
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        let second = 1_709_208_000; // 2024-02-29 12:00:00 UTC
        let end = Ok((second + 1) * SECOND - 1);
        for text in [
            "2024-02-29T12:00:00Z",
            "2024-02-29t12:00:00z",
            "2024-02-29 12:00:00Z",
            "2024-02-29 12:00:00 UTC",
            "2024-02-29 12:00:00",
            "2024-02-29T13:00:00+01:00",
            "2024-02-29 13:00:00 +0100",
            "2024-02-29T13:00:00+01",
            "2024-02-29T06:30:00-05:30",
            "2024-03-01T00:00:00+12:00",
            "2024-02-29T12:00:00-00:00",
        ] {
            assert_eq!(read(text), end, "{text}");
        }
        for (fraction, end) in [
            ("0", 99_999_999),
            (".5", 599_999_999),
            (".25", 259_999_999),
            (".123456789", 123_456_789),
            (",123456789", 123_456_789),
            (".1234567891", 123_456_789),
        ] {
            let fraction = if fraction == "0" { ".0" } else { fraction };
            let text = format!("2024-02-29T13:00:00{fraction}+01:00");
            assert_eq!(read(&text), Ok(second * SECOND + end), "{text}");
        }
        assert_eq!(read("2024-02-29T13:00+01:00"), Ok((second + 60) * SECOND - 1));
        assert_eq!(read("2024-02-29 +12:00"), Ok(second * SECOND - 1));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "-1",
            "2023-02-29",
            "2024-04-31",
            "2024-00-10",
            "2024-01-00",
            "1969-12-31",
            "2024-01-01 24:00",
            "2024-01-01 10",
            "2024-01-01 10:60",
            "2024-01-01 10:00:60",
            "2024-01-01 10:00:00:00",
            "2024-01-01T",
            "2024-01-01Z",
            "2024-01-01T10:00:00.",
            "2024-01-01T10:00:00.x",
            "2024-01-01T10:00.5",
            "2024-01-01T10:00:00+",
            "2024-01-01T10:00:00+1",
            "2024-01-01T10:00:00+24:00",
            "2024-01-01T10:00:00+01:60",
            "2024-01-01T10:00:00+1:000",
            "2024-01-01T10:00:00+01:0:0",
            "2024-01-01T10:00:00 CET",
            "1970-01-01T00:30:00+01:00",
            "9999-01-01",
            "18446744073709551616",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
