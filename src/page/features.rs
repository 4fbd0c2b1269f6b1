//! Bits of a meta slot that say what a file contains beyond the format's first version.

/// The feature of a file with named snapshots: a list of them, or pages that are parked for them. Whoever writes must
/// keep what they hold.
pub const SNAPSHOTS: u32 = 4;

/// The features of a file that this version does not know, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// Features that a reader must understand.
    pub read: u32,
    /// Features that a writer must understand.
    pub write: u32,
    /// Features that may be ignored.
    pub ignorable: u32,
    /// Flags of slots that forbid writing because they are not known. Unlike features they are said of a single slot.
    pub slot_flags: u32,
}

impl Features {
    /// Returns whether a file with these features can be read and not written.
    pub fn forbid_writing(&self) -> bool {
        self.write != 0 || self.slot_flags != 0
    }
}
