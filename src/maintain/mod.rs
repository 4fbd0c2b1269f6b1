//! Maintenance: proving that a database is whole, copying it, and saving what can be read of a damaged one.
//!
//! | file      | subject                                                |
//! |-----------|--------------------------------------------------------|
//! | `job`     | progress and cancelling of long jobs, how they read      |
//! | `check`   | proof that a database is whole                           |
//! | `backup`  | a copy of a snapshot                                     |
//! | `salvage` | what can be read of a damaged file, into a new one       |

mod backup;
mod check;
mod job;
mod salvage;

pub use backup::{BackupOptions, OnBytes};
pub use check::{CheckReport, Fault};
pub use job::{Job, OnProgress};
pub use salvage::{salvage, SalvageReport};
