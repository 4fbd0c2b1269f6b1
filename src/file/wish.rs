//! How large a range of addresses is asked for, and which limit was in the way if none could be had.

use super::calls::{self, Limit};
use crate::error::{Detail, Error, Result};
use std::io;

/// How much is asked for at first, for a file of this length in a process that has so many large ranges already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// What is asked for at first. It is halved while the system refuses.
    most: u64,
    /// With less than this there is no sense in going on.
    least: u64,
}

impl Wish {
    /// The least room to grow.
    const ROOM: u64 = 64 << 20;

    /// Returns what to ask for. Most machines have addresses for 128 TiB, which many databases in one process must
    /// share. A machine of 32 bits has 2 or 3 GiB for everything.
    pub fn new(file_len: u64, others: usize, pointer_bits: u32) -> Option<Wish> {
        let least = file_len.checked_add(Wish::ROOM)?;
        let most = match (pointer_bits, others) {
            (..=32, _) => file_len.saturating_mul(2).max(256 << 20),
            (_, ..16) => file_len.saturating_mul(4).max(1 << 40),
            (_, ..64) => file_len.saturating_mul(4).max(256 << 30),
            _ => file_len.saturating_mul(4).max(16 << 30),
        };
        Some(Wish {
            most: most.max(least),
            least,
        })
    }

    /// Maps as much as the system grants. If that is less than what was asked for at first, addresses are scarce, and
    /// an eighth of them is enough, so that there are some for the next one: the range is made shorter with `shrink`.
    /// It is never given up for that, because another thread could have the addresses before they are asked for again.
    pub fn grant<T>(self, map: impl Fn(u64) -> Result<T>, shrink: impl Fn(&mut T, u64)) -> Result<T> {
        let mut len = self.most;
        loop {
            match map(len) {
                Err(_) if len > self.least => len = (len / 2).max(self.least),
                Ok(mut range) if len < self.most => {
                    let share = (len / 8).max(self.least);
                    if share < len {
                        shrink(&mut range, share);
                    }
                    return Ok(range);
                }
                done => return done,
            }
        }
    }
}

/// Says which limit stands in the way of a large range.
pub(super) fn no_addresses(file_len: u64, error: Error) -> Error {
    let source = match &error {
        Error::NoMemory(_) => Some(libc::ENOMEM),
        other => other.raw_os_error(),
    };
    let need = format!("address space for {} MiB is needed", (file_len + Wish::ROOM) >> 20);
    let mib = |limit: Limit| calls::limit(limit).map(|bytes| bytes >> 20);
    let why = match (source, mib(Limit::Locked), mib(Limit::Addresses)) {
        (Some(libc::EAGAIN), Some(locked), _) => format!(
            "this process locks all its memory (mlockall), of which it may lock {locked} MiB (RLIMIT_MEMLOCK, `ulimit -l`)"
        ),
        (Some(libc::ENOMEM), _, Some(most)) => {
            format!("this process may have {most} MiB of it (RLIMIT_AS, `ulimit -v`)")
        }
        (Some(libc::ENOMEM), ..) => {
            "this process has no more addresses or no more mappings (vm.max_map_count; close other databases)".to_string()
        }
        _ => return error,
    };
    let system = io::Error::from_raw_os_error(source.unwrap_or(libc::ENOMEM));
    Error::NoMemoryFor(Detail::system(format!("{need}, and {why}"), system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_taken_where_there_is_little() {
        let grant = |most: u64, least: u64, there: u64| {
            // Once a range is granted, others take all that is left.
            let left = std::cell::Cell::new(there);
            let map = |len| match len > left.get() {
                true => Err(Error::NoMemory("test")),
                false => {
                    left.set(0);
                    Ok(len)
                }
            };
            Wish { most, least }.grant(map, |len, share| *len = share).ok()
        };
        assert_eq!(grant(1 << 40, 1 << 20, 1 << 40), Some(1 << 40));
        assert_eq!(
            grant(1 << 40, 1 << 20, (1 << 33) + 5),
            Some(1 << 30),
            "an eighth of what there is"
        );
        assert_eq!(grant(1 << 40, 3 << 30, 1 << 33), Some(3 << 30), "but enough");
        assert_eq!(grant(1 << 20, 1 << 19, 1 << 18), None);
    }

    #[test]
    fn what_the_system_said_is_kept() {
        for errno in [libc::ENOMEM, libc::EAGAIN] {
            let error = no_addresses(0, Error::io("map memory", io::Error::from_raw_os_error(errno)));
            assert_eq!(error.raw_os_error(), Some(errno), "{error}");
        }
    }

    #[test]
    fn wishes_are_modest_in_small_and_in_crowded_processes() {
        const GIB: u64 = 1 << 30;
        let most = |file: u64, others, bits| Wish::new(file, others, bits).map(|wish| (wish.most, wish.least - file));
        let room = Wish::ROOM;
        assert_eq!(most(0, 0, 64), Some((1024 * GIB, room)));
        assert_eq!(most(1024 * GIB, 0, 64), Some((4096 * GIB, room)));
        assert_eq!(
            (most(0, 16, 64), most(0, 64, 64)),
            (Some((256 * GIB, room)), Some((16 * GIB, room)))
        );
        assert_eq!(
            (most(0, 0, 32), most(GIB, 0, 32)),
            (Some((GIB / 4, room)), Some((2 * GIB, room)))
        );
        assert_eq!(most(u64::MAX - 5, 0, 64), None);
    }
}
