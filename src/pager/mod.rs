//! Page number -> page: verify, allocate, reclaim, commit, recover.
//!
//! | file          | subject                                                                       |
//! |---------------|-------------------------------------------------------------------------------|
//! | `core`        | what a pager consists of, and figures about it                                  |
//! | `open`        | opening and recovering; once per process                                        |
//! | `view`        | pages in place, verified on first touch                                         |
//! | `snapshot`    | readers: registering, and what is known about all of them                       |
//! | `write_lock`  | one writer at a time: waiting, catching up with what others committed           |
//! | `page_writer` | what a writer does before its commit: pages taken, written, released            |
//! | `written`     | what it wrote, for the record of its commit                                     |
//! | `commit`      | publishing, syncing, recovering; the record that each commit leaves             |
//! | `space`       | dead pages: the reuse rule, the mirror of the space tree                        |
//! | `shared`      | the words all processes look at: tip, visible, durable, descriptors, readers    |
//!
//! Invariants, quoted by number where they are upheld:
//!
//! - **I-1** A slot is written only if it is not the durable, the syncing or the newest commit's.
//! - **I-2** Slot n lists, with checksums, every byte written after commit base(n), which was durable when it was written.
//! - **I-3** A dead extent (B, D) is reused only if D <= durable, B <= base(durable), and no held h has B <= h < D. Pages
//!   taken and released by one transaction: at once.
//! - **I-4** Ids never repeat: used up before use; after recovery one above the highest seen in any slot.
//! - **I-5** `durable` rises only after a successful sync begun after that slot was written, or by recovery.
//! - **I-6** A claim (reader slot, `syncing`) counts only if its source is unchanged when read again after it.
//! - **I-7** `visible` never exposes a full commit that is not durable; a commit returns when it is visible.
//! - **I-8** Failure before the slot write: undone, usable. At the slot write or a sync: poisoned, in doubt.
//! - **I-9** The file reaches as far as a commit says before that commit is published.
//! - **I-10** Every pointer and extent carries its own birth. A transaction edits only pages it took itself.

mod commit;
mod core;
mod descriptor;
mod identity;
mod open;
mod options;
mod page_writer;
mod shared;
mod snapshot;
mod space;
mod view;
mod write_lock;
mod write_state;
mod written;

pub use self::core::{FileStat, Pager};
pub use commit::{dead_changes, Image, SpaceChange};
pub use descriptor::Descriptor;
pub use open::{open_file, open_memory, CreateMode, Recovery};
pub use options::{Durability, PagerOptions, Verify, Wait};
pub use page_writer::PageWriter;
pub use snapshot::{ReaderInfo, Snapshot};
pub use space::{Dead, ZONE_PAGES};
pub use view::View;
pub use write_state::Accounting;
