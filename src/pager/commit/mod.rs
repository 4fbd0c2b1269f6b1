//! The way from a transaction's pages to a commit that survives.
//!
//! | file        | subject                                                                       |
//! |-------------|-------------------------------------------------------------------------------|
//! | `publish`   | the order in which a commit is made: its slot, its descriptor, who may see it    |
//! | `sync`      | making commits durable; poison                                                  |
//! | `sync_turn` | who syncs, and who waits for it                                                 |
//! | `record`    | the record of one commit, as bytes                                              |
//! | `records`   | all records of a slot; what does not fit is spilled                             |
//! | `recover`   | opening: the newest whole commit                                                |
//! | `verify`    | whether a commit is whole                                                       |
//! | `image`     | a snapshot as a file of its own                                                 |
//!
//! The states of a commit, and the functions that lead from one to the next:
//!
//! ```text
//!            PageSink              PageWriter::commit            make_visible
//!  (begin) ───────────► written ───────────────────────► tip ─────────────────► visible (lazy commits)
//!                          │        write_slot,           │                        │
//!            drop: undone  │        put_descriptor        │ sync_to                │ sync_to
//!            (I-8)         ▼                              ▼                        ▼
//!                       nothing                  durable and visible            durable
//! ```
//!
//! - **written**: The commit's pages are in the file, nobody refers to them, and dropping the writer undoes
//!   everything (I-8).
//! - **tip**: Its slot is written and its id used up (I-4). The next writer builds on it. Recovery may find it.
//! - **visible**: Readers see it. A lazy commit becomes visible at once, unless it stands on a full one that is not
//!   durable and that it would expose (I-7). A full commit becomes visible when it is durable.
//! - **durable**: A sync that began after its slot was written has succeeded (I-5). Recovery finds this commit or a
//!   later one.
//!
//! Any state but the first ends in **poisoned** when the slot write or a sync fails. Which commits survive is then in
//! doubt until the file is opened again (I-8).

mod image;
mod publish;
mod record;
mod records;
mod recover;
mod sync;
mod sync_turn;
mod verify;

pub use image::Image;
pub(in crate::pager) use record::{CommitRecord, WrittenRun, FREED_PAGES_MAX};
pub(in crate::pager) use records::SlotRecords;
#[cfg(test)]
pub(in crate::pager) use records::SpilledRecords;
pub use records::{dead_changes, SpaceChange};
pub use recover::lost_slots;
pub(in crate::pager) use recover::{empty_image, recover};
pub(in crate::pager) use sync_turn::{SyncTurns, WaitInVain};
