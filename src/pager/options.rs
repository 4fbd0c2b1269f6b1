//! How a database is opened, waited for and committed to.

use std::time::Duration;

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Try,
    /// At most this long.
    For(Duration),
    /// Without end.
    Forever,
}

/// When a commit returns, and what may happen to it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Visible and acknowledged once durable.
    #[default]
    Full,
    /// Visible at once; survives a killed process; durable by a later sync.
    Lazy,
}

/// How a database is opened or created.
#[derive(Debug, Clone)]
pub struct PagerOptions {
    /// Page size of a new file.
    pub page_size: usize,
    /// Never write; the file may be read-only.
    pub read_only: bool,
    /// When pages are verified against their checksums.
    pub verify: Verify,
}

/// When pages are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// On first touch after each time it was written (default).
    #[default]
    Once,
    /// On every access.
    Always,
    /// Never.
    Never,
}
