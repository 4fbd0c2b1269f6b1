//! The policy of a file: how often a commit records a snapshot by itself, which of those stay, and when snapshots that
//! yield become marks. It is an entry of the list of snapshots, under a key that is no name.
//!
//! ```text
//! key      00, "policy"
//!
//! value    0  u16  version: 1
//!          2  u16  0
//!          4  u32  seconds after which a commit records a snapshot; 0: none does, and the next five are 0
//!          8  u32  how many of the newest stay
//!         12  u32  of how many hours the newest one stays
//!         16  u32  of how many days
//!         20  u32  of how many weeks
//!         24  u32  of how many months
//!         28  u32  seconds after which a snapshot that yields becomes a mark; 0: never
//!         32  u64  pages that snapshots may keep before those that yield become marks, the oldest first; 0: any number
//! ```
//!
//! A value that ends before 40 is one with zeros there. A greater version, and bytes behind these that are not 0, are
//! of later versions, which alone follow such a policy.

use super::retention::Retention;
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::leaf::Stored;
use crate::page::{PageSource, Root};
use crate::pager::{RecordedCommits, YieldLimits};
use crate::tree::read::lookup;
use crate::util::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use crate::util::date::SECOND;

/// The key of the policy in the list of snapshots.
pub const POLICY: &[u8] = b"\0policy";

const VERSION: u16 = 1;
/// Where the numbers begin, where those end that every policy has, and where the last one ends.
const NUMBERS: usize = 4;
const YIELD_AFTER: usize = NUMBERS + 6 * 4;
const YIELD_PAGES: usize = YIELD_AFTER + 4;
const BYTES: usize = YIELD_PAGES + 8;

/// Returns a policy in the form in which it is stored.
pub fn encode(policy: &Retention) -> [u8; BYTES] {
    let mut b = [0; BYTES];
    put_u16(&mut b, 0, VERSION);
    for (i, number) in policy.numbers().into_iter().enumerate() {
        put_u32(&mut b, NUMBERS + 4 * i, number);
    }
    put_u32(&mut b, YIELD_AFTER, policy.yield_after);
    put_u64(&mut b, YIELD_PAGES, policy.yield_pages);
    b
}

/// Parses a stored policy. `None`: it is of a later version.
///
/// # Errors
/// `Corrupt`: the bytes are not a policy.
pub fn decode(b: &[u8]) -> Result<Option<Retention>> {
    if b.len() < YIELD_AFTER || get_u16(b, 0) == 0 {
        return Err(bad());
    }
    if get_u16(b, 0) > VERSION || b.iter().skip(BYTES).any(|byte| *byte != 0) {
        return Ok(None);
    }
    let mut policy = Retention::of(std::array::from_fn(|i| get_u32(b, NUMBERS + 4 * i)));
    let mut rest = [0; BYTES - YIELD_AFTER];
    rest.iter_mut()
        .zip(&b[YIELD_AFTER..])
        .for_each(|(to, from)| *to = *from);
    policy.yield_after = get_u32(&rest, 0);
    policy.yield_pages = get_u64(&rest, YIELD_PAGES - YIELD_AFTER);
    match get_u16(b, 2) == 0 && policy.is_policy() {
        true => Ok(Some(policy)),
        false => Err(bad()),
    }
}

/// Returns the policy of the list of snapshots that has this root, if it is one that this version follows.
///
/// # Errors
/// `Corrupt`, `Io`: it cannot be read.
pub fn find<'s, S: PageSource<'s>>(source: &S, list: &Root) -> Result<Option<Retention>> {
    let found = lookup::get(source, list, POLICY).and_then(|found| match found {
        Some(Stored::Inline(value)) => decode(value),
        Some(Stored::Chain(_)) => Err(bad()),
        None => Ok(None),
    });
    found.map_err(|e| e.in_table(TableId::SNAPSHOTS))
}

/// Has a list of snapshots say when the policy is to be followed, where `newest` is the time of the newest automatic
/// snapshot, or 0.
pub fn follow(policy: &Retention, newest: u64, recorded: &mut RecordedCommits) {
    recorded.schedule = (policy.interval > 0).then(|| policy.schedule(newest));
    recorded.limits = policy.has_yield_limits().then(|| YieldLimits {
        after: u64::from(policy.yield_after) * SECOND,
        pages: policy.yield_pages,
    });
}

#[cold]
fn bad() -> Error {
    Error::corrupt(None, "the policy of the file is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_back_and_nonsense_is_refused() {
        let policy = Retention::of([600, 1, 24, 7, 4, 0]);
        let good = encode(&policy);
        assert_eq!((good.len(), &good[..8]), (40, &[1, 0, 0, 0, 0x58, 2, 0, 0][..]));
        assert_eq!(decode(&good).expect("a policy"), Some(policy));
        assert_eq!(decode(&good[..28]).expect("a short one"), Some(policy));
        let yields = Retention {
            yield_after: 0x0403_0201,
            yield_pages: 0x0c0b_0a09_0807_0605,
            ..Retention::default()
        };
        let yielding = encode(&yields);
        assert_eq!(yielding[28..], std::array::from_fn::<u8, 12, _>(|i| i as u8 + 1));
        assert_eq!(decode(&yielding).expect("a policy"), Some(yields));
        // What later versions may have written.
        for later in [&[&good[..], &[0, 1]].concat(), &[&[2], &good[1..]].concat()] {
            assert_eq!(decode(later).expect("a later one"), None);
        }
        assert_eq!(decode(&[&good[..], &[0, 0]].concat()).expect("zeros"), Some(policy));
        // The version, what is 0, no interval, nothing that stays, and too short.
        for (at, value) in [(0, 0), (2, 1)] {
            let mut b = good;
            b[at] = value;
            assert!(decode(&b).is_err(), "byte {at}");
        }
        assert!(decode(&encode(&Retention::of([0, 1, 1, 1, 1, 1]))).is_err());
        assert!(decode(&encode(&Retention::of([9, 0, 0, 0, 0, 0]))).is_err());
        assert!(decode(&encode(&Retention::default())).is_err());
        assert!(decode(&good[..27]).is_err());
    }
}
