//! From page numbers to pages: verifying, allocating, reclaiming, committing, recovering.
//!
//! | file          | subject                                                                          |
//! |---------------|----------------------------------------------------------------------------------|
//! | `core`        | what a pager consists of, and figures about it                                   |
//! | `dead_pages`  | how many pages are dead, as the last writer of this process left it              |
//! | `options`     | how a database is opened, how long a lock is waited for, how durable a commit is |
//! | `open`        | opening and recovering; once per process                                         |
//! | `identity`    | the UUID of a file, and the times of its commits                                 |
//! | `view`        | pages in place, verified on first touch                                          |
//! | `descriptor`  | what readers need to know of a commit                                            |
//! | `snapshot`    | readers: registering, and what is known about all of them                        |
//! | `write_lock`  | one writer at a time: waiting, catching up with what others committed            |
//! | `write_state` | what a writer knows of the newest commit, and what it derives from that          |
//! | `page_writer` | what a writer does before its commit                                             |
//! | `page_sink`   | how trees take pages from a writer, write and release them                       |
//! | `saved`       | what a writer must know to undo what it does                                     |
//! | `savepoints`  | undoing what a writer has taken and released since                               |
//! | `frontier`    | taking pages only before a certain page, so that the end of the file comes free  |
//! | `chunks`      | a sorted list whose copies share what they have in common                        |
//! | `recorded`    | which commits named snapshots hold, as a writer knows it                         |
//! | `room`        | room for the file to grow, and a disk that is full                               |
//! | `shrink`      | how the file becomes shorter                                                     |
//! | `possible_end` | where the file could end if pages were moved                                     |
//! | `punch`       | giving the room of free runs inside the file back                                |
//! | `folding`     | how dead space gets into the space tree, and what snapshots see is parked there    |
//! | `written`     | the pages that a transaction wrote, for the record of its commit                 |
//! | `commit`      | publishing, syncing, recovering; the record that each commit leaves              |
//! | `space`       | dead pages: the reuse rule, the mirror of the space tree                         |
//! | `shared`      | the words all processes look at: tip, visible, durable, descriptors, readers     |
//!
//! These are the invariants that the code quotes by number where it upholds them:
//!
//! - **I-1** A slot is written only if it is not the durable, the syncing or the newest commit's.
//! - **I-2** Slot n lists, with checksums, every byte written after commit base(n), which was durable when slot n was
//!   written.
//! - **I-3** A dead extent (B, D) is reused only if D <= durable, B <= base(durable), and no held h has B <= h < D.
//!   Held are the commits of readers and of snapshots (I-20).
//!   Pages that one transaction takes and releases are reusable at once, for it and, after its commit, for all (B = D).
//! - **I-4** Ids never repeat. An id is used up before its slot is written; after recovery, ids go on above the
//!   highest id seen in any slot.
//! - **I-5** `durable` rises only after a successful sync begun after that commit's slot was written, or by recovery.
//! - **I-6** A claim (reader slot, `syncing`) counts only if its source is unchanged when read again after it.
//! - **I-7** `visible` never exposes a full commit that is not durable. A commit returns when it is visible.
//! - **I-8** A failure before the slot write is undone, and the database stays usable. A failure at the slot write or
//!   at a sync poisons it: the commit is in doubt.
//! - **I-9** The file reaches as far as a commit says before that commit is published.
//! - **I-10** Every pointer and extent carries its own birth. A transaction edits only pages it took itself.

mod chunks;
mod commit;
mod core;
mod dead_pages;
mod descriptor;
mod folding;
mod frontier;
mod identity;
mod open;
mod options;
mod page_sink;
mod page_writer;
mod possible_end;
mod punch;
mod recorded;
mod room;
mod saved;
mod savepoints;
mod shared;
mod shrink;
mod snapshot;
mod space;
mod view;
mod write_lock;
mod write_state;
mod written;

pub use self::core::{FileStat, Pager};
pub use crate::file::peers::Writer;
pub use commit::{dead_changes, lost_slots, Image, SpaceChange};
pub use descriptor::Descriptor;
#[cfg(feature = "internals")]
pub use folding::fold_often;
#[cfg(feature = "internals")]
pub use identity::set_clock;
pub use identity::{new_uuid, now};
pub use open::{open_file, open_memory, CreateMode, Recovery};
pub use options::{Durability, PagerOptions, Shrink, Verify, Wait};
pub use page_writer::PageWriter;
pub use recorded::{RecordedCommit, RecordedCommits, Schedule, YieldLimits};
pub use shrink::Cut;
pub use snapshot::{ReaderInfo, Snapshot};
pub use space::{Dead, Fold, Parked, SpaceEdit, ZoneNo};
pub use view::View;
pub use write_state::Accounting;
