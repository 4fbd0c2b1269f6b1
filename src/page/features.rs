//! Bits of a meta slot that say what a file contains beyond the format's first version.

/// The features of a file, a bit each. This version of the library writes none and knows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// Features that a reader must understand.
    pub read: u32,
    /// Features that a writer must understand.
    pub write: u32,
    /// Features that may be ignored.
    pub ignorable: u32,
}
