//! Which of a row of snapshots stay: the retention that the policy of a file has, and thinning by hand.
//!
//! A snapshot stays if one of the rules keeps it. `last` keeps the newest ones. The others keep the newest snapshot of
//! each of the last hours, days, weeks and months that have one; these begin by UTC, and weeks with Monday. Times
//! without a snapshot do not count, so that nothing goes because nobody has written for long.

use crate::pager::Schedule;
use crate::util::date::{date, DAY, HOUR, SECOND};

/// What stays, and how often the policy of a file records a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The seconds after which the policy of a file records a snapshot. Thinning by hand makes nothing of it.
    pub interval: u32,
    /// How many of the newest stay.
    pub last: u32,
    /// Of how many hours the newest one stays.
    pub hourly: u32,
    /// Of how many days the newest one stays.
    pub daily: u32,
    /// Of how many weeks the newest one stays.
    pub weekly: u32,
    /// Of how many months the newest one stays.
    pub monthly: u32,
    /// The seconds after which the policy of the file has a snapshot that yields become a mark; 0: never. Thinning by
    /// hand makes nothing of it.
    pub yield_after: u32,
    /// The pages that all snapshots may keep before the policy of the file has those that yield become marks, the
    /// oldest first; 0: any number. Thinning by hand makes nothing of it.
    pub yield_pages: u64,
}

impl Retention {
    /// Returns the retention that has these numbers, in the order of the fields, and by which nothing yields.
    pub(super) fn of(numbers: [u32; 6]) -> Retention {
        let [interval, last, hourly, daily, weekly, monthly] = numbers;
        Retention {
            interval,
            last,
            hourly,
            daily,
            weekly,
            monthly,
            ..Retention::default()
        }
    }

    /// Returns the numbers that say when snapshots are made and which stay, in the order of the fields.
    pub(super) fn numbers(&self) -> [u32; 6] {
        [
            self.interval,
            self.last,
            self.hourly,
            self.daily,
            self.weekly,
            self.monthly,
        ]
    }

    /// Returns whether this can be the policy of a file: it has an interval and keeps something, or has nothing of
    /// either and says when snapshots yield.
    pub(crate) fn is_policy(&self) -> bool {
        match self.interval {
            0 => !self.keeps_any() && self.has_yield_limits(),
            _ => self.keeps_any(),
        }
    }

    /// Returns whether it says when snapshots yield.
    pub(crate) fn has_yield_limits(&self) -> bool {
        self.yield_after > 0 || self.yield_pages > 0
    }

    /// Returns when this is to be followed as the policy of a file whose newest automatic snapshot is of this time.
    pub(crate) fn schedule(&self, newest: u64) -> Schedule {
        Schedule {
            interval: u64::from(self.interval) * SECOND,
            newest,
        }
    }

    /// Returns whether it keeps anything at all.
    pub(crate) fn keeps_any(&self) -> bool {
        self.numbers()[1..] != [0; 5]
    }

    /// Returns for each of the snapshots, whose times are in descending order, whether it stays.
    pub(crate) fn stay<'t>(&'t self, times: impl Iterator<Item = u64> + 't) -> impl Iterator<Item = bool> + 't {
        let mut last = self.last;
        let mut rules = [
            (self.hourly, None),
            (self.daily, None),
            (self.weekly, None),
            (self.monthly, None),
        ];
        times.map(move |time| {
            let mut stays = last > 0;
            last = last.saturating_sub(1);
            let seconds = time / SECOND;
            let day = seconds / DAY;
            let (year, month, _) = date(day);
            // The first day of 1970 was a Thursday.
            let parts = [seconds / HOUR, day, (day + 3) / 7, year * 12 + month];
            for ((left, before), part) in rules.iter_mut().zip(parts) {
                if *left > 0 && *before != Some(part) {
                    *left -= 1;
                    *before = Some(part);
                    stays = true;
                }
            }
            stays
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(day: u64, hour: u64, minute: u64) -> u64 {
        (day * DAY + hour * HOUR + minute * 60) * SECOND
    }

    fn stay(retention: Retention, times: &[u64]) -> Vec<bool> {
        retention.stay(times.iter().copied()).collect()
    }

    #[test]
    fn the_newest_of_each_part_stays() {
        let retention = Retention {
            hourly: 2,
            ..Retention::default()
        };
        let times = [
            time(9, 5, 30),
            time(9, 5, 10),
            time(9, 4, 59),
            time(9, 4, 0),
            time(8, 4, 0),
        ];
        assert_eq!(stay(retention, &times), [true, false, true, false, false]);
        // An hour without one does not count.
        assert_eq!(stay(retention, &[times[0], times[4]]), [true, true]);
        let retention = Retention {
            last: 1,
            daily: 2,
            ..Retention::default()
        };
        assert_eq!(stay(retention, &times), [true, false, false, false, true]);
    }

    #[test]
    fn weeks_begin_with_monday() {
        let retention = Retention {
            weekly: 9,
            ..Retention::default()
        };
        // 1970-01-05 was a Monday.
        let times = [time(5, 0, 0), time(4, 0, 0), time(3, 23, 59), time(0, 0, 0)];
        assert_eq!(stay(retention, &times), [true, false, true, false]);
        assert!(!Retention::default().keeps_any() && retention.keeps_any());
    }
}
