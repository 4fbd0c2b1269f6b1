//! The words that every thread of every process reads: atomics only, in the memory that peers share.
//!
//! | word        | meaning                                                                                        |
//! |-------------|------------------------------------------------------------------------------------------------|
//! | `next_id`   | the id of the next commit; it is raised before a slot is written (I-4)                         |
//! | `tip`       | the newest commit: id and slot                                                                 |
//! | `visible`   | the newest commit that readers see; never exposes a full commit that is not durable (I-7)      |
//! | `durable`   | the newest durable commit: id and slot; rises after a sync begun after its slot was written (I-5) |
//! | `dur_base`  | the `base` of the durable commit                                                               |
//! | `syncing`   | the commit that the sync under way will make durable: id and slot, or 0                        |
//! | `full_tip`  | the newest commit made with full durability                                                    |
//! | `listed`    | the records of the newest slot list the changes of dead space of all commits above this one    |
//! | `poison`    | whether a sync or slot write has failed (I-8)                                                  |
//! | `intent`    | whether a sync is under way; if the next sync finds it set, the leader of this one died        |
//! | `erase`     | the slots (a bit each) that recovery rejected or found torn; erased before anything is written |
//! | `shrunk`    | the newest commit that has fewer pages than the one before it (I-29)                           |
//! | `cuts`      | how often the file was made shorter: file lengths that were learned before do not count (I-30) |
//! | `frontier`  | the page before which writers take pages while the file is compacted, or 0                     |
//! | `ring`      | the descriptors of the newest 64 commits, because nobody reads slots while they may be written |
//! | `readers`   | the claim of each reader (commit and process), 0 if free; beside it, when the reader began     |
//! | `processes` | the system's number of the process with each index                                             |
//!
//! All accesses are sequentially consistent, except that a claim is given up by a release store and its time is not
//! ordered. A claim (a reader's, or `syncing`) counts only if its source is unchanged when it is read again after the
//! claim (I-6), and weaker orders do not ensure that.
//!
//! | file      | subject                                                       |
//! |-----------|---------------------------------------------------------------|
//! | `layout`  | where each word is                                              |
//! | `words`   | the single words, and what those who commit and sync do with them |
//! | `ring`    | descriptors of the newest commits                               |
//! | `readers` | the claims of readers                                           |

mod layout;
mod readers;
mod ring;
mod words;

pub(super) use layout::{RING, WORDS};
pub(super) use readers::ReaderSlot;
pub(super) use ring::share_entry;
pub(super) use words::{CommitSlot, Constants, FreeSlot, Opening, Shared, SyncClaim};

#[cfg(test)]
mod tests {
    use super::layout::READERS;
    use super::*;
    use crate::error::Error;
    use crate::file::map::Atomics;
    use crate::ids::{CommitId, ProcessIndex};
    use crate::page::features::Features;
    use crate::pager::descriptor::{Descriptor, Origin};
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::Arc;

    #[test]
    fn readers_register_move_and_run_out() {
        let id = CommitId::new;
        let desc = |number| Descriptor {
            id: id(number),
            pages: number * 10,
            ..Descriptor::default()
        };
        let tip = CommitSlot { id: id(5), slot: 3 };
        let memory = Arc::new(Atomics::new(WORDS as u64).expect("memory"));
        let shared = Shared::new(memory.clone(), ProcessIndex::new(0));
        let constants = Constants {
            page_size: 8192,
            uuid: std::array::from_fn(|i| i as u8),
            timeline: 6,
            features: Features {
                read: 2,
                write: 3,
                ignorable: 4,
                slot_flags: 5,
            },
        };
        shared.fill(&Opening {
            tip,
            desc: desc(5),
            origin: Origin { base: id(4), time: 9 },
            folded: id(3),
            max_id: id(7),
            erase: vec![1, 3],
            constants,
            closed: false,
        });
        assert_eq!((shared.tip().get(), shared.next_id().get()), (tip, id(8)));
        assert_eq!(shared.shrunk().get(), id(5), "I-30: its base may be of a longer file");
        assert_eq!((shared.constants(), shared.erase().load(SeqCst)), (constants, 0b1010));
        let (slot, seen) = shared.register().expect("register");
        assert_eq!((seen, shared.base_of(id(5))), (desc(5), id(4)));
        assert_eq!((shared.time_of(id(5)), shared.time_of(id(8))), (Some(9), None));
        let origin = Origin {
            base: id(5),
            ..Origin::default()
        };
        shared.put_descriptor(&desc(8), origin);
        shared.make_visible(id(8));
        assert_eq!(shared.newest(), desc(8));
        let (other, _) = shared.register().expect("register");
        assert_eq!(shared.held(), [id(5), id(8)]);
        assert_eq!(shared.move_reader(slot), desc(8));
        shared.unregister(other);
        assert_eq!(shared.held(), [id(8)]);

        let neighbour = Shared::new(memory, ProcessIndex::new(7));
        neighbour.register().expect("register");
        assert_eq!(shared.other_processes(Some(id(9))), [ProcessIndex::new(7)]);
        assert!(shared.other_processes(Some(id(8))).is_empty());
        assert_eq!(neighbour.other_processes(None), [ProcessIndex::new(0)]);
        let seen: Vec<_> = shared.readers().iter().map(|r| (r.process, r.id, r.pid)).collect();
        assert!(seen.contains(&(ProcessIndex::new(7), id(8), std::process::id())) && seen.len() == 2);
        shared.end_readers(ProcessIndex::new(7));
        assert_eq!(shared.readers().len(), 1, "only the dead one's");

        let all: Vec<ReaderSlot> = std::iter::from_fn(|| shared.register().ok().map(|r| r.0)).collect();
        assert_eq!(all.len(), READERS - 1);
        assert!(matches!(shared.register(), Err(Error::Limit(_))));
        // Whoever is refused learns who has most of them.
        let text = neighbour.register().expect_err("none is free").to_string();
        let who = format!("; process {} has {READERS} of them", std::process::id());
        assert!(text.contains(&who), "{text}");
        shared.unregister(all[77]);
        assert!(shared.register().is_ok());
    }
}
