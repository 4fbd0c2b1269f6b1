//! Maintenance proves that a database is whole, copies it, and saves what can be read of a damaged one.
//!
//! | file      | subject                                                     |
//! |-----------|-------------------------------------------------------------|
//! | `job`     | the progress and cancelling of long jobs, and how they read |
//! | `trees`   | the trees of a commit, and what is wrong with the catalogue |
//! | `fault`   | what checks and salvages report of a damaged file           |
//! | `check`   | proof that a database is whole                              |
//! | `check_snapshots` | proof that what snapshots hold is whole and kept    |
//! | `snapshot_cost` | how many pages are kept for snapshots alone           |
//! | `compact` | giving space back while the database is in use              |
//! | `backup`  | a copy of a snapshot                                        |
//! | `uses`    | what each page of the file is used for                      |
//! | `salvage` | saving what can be read of a damaged file into a new one    |

mod backup;
mod check;
mod check_snapshots;
mod compact;
mod fault;
mod job;
mod salvage;
mod snapshot_cost;
mod trees;
mod uses;

pub use backup::{BackupOptions, OnBytes};
pub use check::CheckReport;
pub use compact::{CompactOptions, CompactReport};
pub use fault::Fault;
pub use job::{Job, OnProgress};
pub use salvage::{salvage, SalvageReport};
pub use uses::{PageRun, PageUse, PageUses};
