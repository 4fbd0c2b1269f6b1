//! UUIDs tell one file from another, and times tell commits of the same number apart.

use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the clock of the process shows, if that was set.
#[cfg(feature = "internals")]
static CLOCK: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Sets the clock of the process to nanoseconds since 1970, at which it stands; 0: it goes right again. This is for
/// tests of what depends on the calendar.
#[cfg(feature = "internals")]
pub fn set_clock(time: u64) {
    CLOCK.store(time, std::sync::atomic::Ordering::SeqCst);
}

/// Returns the nanoseconds since 1970.
pub fn now() -> u64 {
    #[cfg(feature = "internals")]
    if let time @ 1.. = CLOCK.load(std::sync::atomic::Ordering::SeqCst) {
        return time;
    }
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a random number.
fn random() -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64(now());
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Returns the random number that all commits of a new file have.
pub(super) fn new_timeline() -> u64 {
    random()
}

/// Returns a random (version 4) UUID.
pub fn new_uuid() -> [u8; 16] {
    let (low, high) = (random().to_le_bytes(), random().to_le_bytes());
    let mut uuid: [u8; 16] = std::array::from_fn(|i| if i < 8 { low[i] } else { high[i - 8] });
    uuid[6] = uuid[6] & 0x0F | 0x40;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}
