//! How a database is opened, how long a lock is waited for, and how durable a commit is.

use std::time::Duration;

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Do not wait.
    Try,
    /// Wait at most this long.
    For(Duration),
    /// Wait without end.
    Forever,
}

/// When a commit returns, and what may happen to it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The commit becomes visible, and the call returns, when it is durable.
    #[default]
    Full,
    /// The commit is visible at once and survives a killed process. A later sync makes it durable.
    Lazy,
}

/// How a database is opened or created.
#[derive(Debug, Clone, Default)]
pub struct PagerOptions {
    /// The page size of a new file.
    pub page_size: usize,
    /// Whether nothing is to be written. The file may then be read-only.
    pub read_only: bool,
    /// When pages are verified against their checksums.
    pub verify: Verify,
    /// How long other processes are waited for that must do something first: that leave, recover or sync. `None`
    /// stands for as long as is usual for them.
    pub wait: Option<Duration>,
}

/// When pages are verified against their checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// On the first touch after each time the page was written (the default).
    #[default]
    Once,
    /// On every access.
    Always,
    /// Never.
    Never,
}

/// Whether a fold leaves out the free run at the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shrink {
    /// It does so if the run is a large part of the file.
    #[default]
    IfMuch,
    /// It does so however short the run is.
    Always,
}
