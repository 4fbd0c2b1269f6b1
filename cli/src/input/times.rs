//! Times of the clock that are typed.

use crate::output::date::date;

/// How many seconds a day has, without those that are put in between.
const DAY: u64 = 86_400;

/// Reads a time, and returns it in nanoseconds since 1970. It is typed as that, or as date and time in UTC. Where these
/// end earlier, the whole second, minute or day is meant, and its end is the time: states of that second were made
/// before its end.
pub fn read(text: &str) -> Result<u64, String> {
    let time = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().ok(),
        false => end_of(text),
    };
    time.ok_or_else(|| {
        let form = "2026-11-30 23:59:59 (in UTC), the same without the seconds or the time of day";
        format!("a time is {form}, or nanoseconds since 1970")
    })
}

fn end_of(text: &str) -> Option<u64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let (day, time) = text
        .split_once([' ', 'T'])
        .map_or((text, None), |(day, time)| (day, Some(time)));
    let begin = seconds_of(day)?;
    let (passed, long) = match time.map(|time| numbers(time, ':')) {
        None => (0, DAY),
        Some(numbers) => match numbers?[..] {
            [hour @ 0..24, minute @ 0..60] => (hour * 3600 + minute * 60, 60),
            [hour @ 0..24, minute @ 0..60, second @ 0..60] => (hour * 3600 + minute * 60 + second, 1),
            _ => return None,
        },
    };
    (begin + passed + long).checked_mul(1_000_000_000)?.checked_sub(1)
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
            "9999-01-01",
            "18446744073709551616",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
