//! The models. Each is a few threads over [`Shared`], run in very many orders; each has a twin that is wrong on purpose
//! and must be caught.
//!
//! | model         | threads                                   | what must hold                                             |
//! |---------------|-------------------------------------------|------------------------------------------------------------|
//! | [`readers`]   | readers that register, move and end; one who commits and reuses | a registered reader's pages are not reused (I-3, I-6) |
//! | [`commits`]   | writers in turn, killed at any step; syncs shared; a power cut | a durable commit is found on the disk (I-1, I-5), ids do not repeat (I-4), nothing undurable is seen (I-7) |

use super::shared::{CommitSlot, Constants, Opening, Shared, SyncClaim, WORDS};
use super::descriptor::{Descriptor, Origin};
use crate::file::map::Atomics;
use crate::ids::{CommitId, ProcessIndex};
use crate::page::features::Features;
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

/// What is done wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// A reader does not look again after it claimed a commit.
    NoSecondLook,
    /// Who reuses pages looks at the readers before the durable point.
    ReadersFirst,
    /// Who chooses a slot reads `durable` before `syncing`.
    DurableFirst,
    /// The slot is that of an old commit, whatever is being synced.
    AnySlot,
    /// The sync claims the tip without looking again.
    NoSecondTip,
    /// A commit is shown before it is durable.
    ShownEarly,
    /// The id is used up after the slot was written.
    IdLate,
    /// What the slot lists is told after it has become the tip's.
    ListedLate,
}

const SLOTS: usize = 4;

fn desc(id: CommitId) -> Descriptor {
    Descriptor {
        id,
        pages: id.get(),
        ..Descriptor::default()
    }
}

/// Returns the origin of a commit whose time does not matter.
fn of_base(base: CommitId) -> Origin {
    Origin { base, time: 0 }
}

/// Two processes that see the same words.
fn shared() -> (Arc<Shared>, Arc<Shared>) {
    // The engine's file names the standard library's Arc; the words inside are the scheduler's.
    let memory = std::sync::Arc::new(Atomics::new(WORDS as u64).expect("memory"));
    let here = Shared::new(memory.clone(), ProcessIndex::new(0));
    let constants = Constants {
        page_size: 4096,
        uuid: [0; 16],
        timeline: 1,
        features: Features::default(),
    };
    let first = CommitId::new(1);
    here.fill(&Opening {
        tip: CommitSlot { id: first, slot: 0 },
        desc: desc(first),
        origin: of_base(first),
        folded: first,
        max_id: first,
        erase: Vec::new(),
        constants,
        closed: true,
    });
    (Arc::new(here), Arc::new(Shared::new(memory, ProcessIndex::new(1))))
}

/// Readers against one who commits lazily and reuses what died. Extent n is born in commit n and dies in commit n + 1.
pub fn readers(fault: Fault) {
    const COMMITS: u64 = 4;
    let (here, there) = shared();
    let reused: Arc<Vec<AtomicU64>> = Arc::new((0..COMMITS + 2).map(|_| AtomicU64::new(0)).collect());
    // Claims made without looking again, by readers that are wrong on purpose.
    let blind: Arc<Vec<AtomicU64>> = Arc::new((0..2).map(|_| AtomicU64::new(0)).collect());
    let reader = |shared: Arc<Shared>, number: usize| {
        let (reused, blind) = (reused.clone(), blind.clone());
        thread::spawn(move || {
            if fault == Fault::NoSecondLook {
                let id = shared.visible().get().get();
                blind[number].store(id, SeqCst);
                thread::yield_now();
                assert_eq!(reused[id as usize].load(SeqCst), 0, "pages of {id} were reused");
                blind[number].store(0, SeqCst);
                return;
            }
            let mut seen = Descriptor::default();
            let slot = shared.register_in(&mut seen).expect("a slot");
            for round in 0..2 {
                assert_eq!(seen.pages, seen.id.get(), "a torn descriptor");
                thread::yield_now();
                assert_eq!(
                    reused[seen.id.get() as usize].load(SeqCst),
                    0,
                    "pages of {} were reused",
                    seen.id
                );
                if round == 0 {
                    seen = shared.move_reader(slot);
                }
            }
            shared.unregister(slot);
        })
    };
    let threads = [reader(here.clone(), 0), reader(there, 1)];
    for id in (2..2 + COMMITS).map(CommitId::new) {
        let base = CommitId::new(id.get() - 1);
        let early = here.held();
        here.put_descriptor(&desc(id), of_base(base));
        here.tip().set(CommitSlot {
            id,
            slot: id.get() as usize % SLOTS,
        });
        here.make_visible(id);
        let tip = here.tip().get();
        here.made_durable(SyncClaim { tip, base });
        let durable = here.durable().get().id.get();
        let mut held = match fault {
            Fault::ReadersFirst => early,
            _ => here.held(),
        };
        held.extend(blind.iter().map(|claim| CommitId::new(claim.load(SeqCst))));
        // With everything durable at once, what died in commit D is reusable unless somebody sees it.
        for born in 1..durable {
            if !held.contains(&CommitId::new(born)) {
                reused[born as usize].store(1, SeqCst);
            }
        }
        thread::yield_now();
    }
    threads.into_iter().for_each(|t| t.join().expect("a reader"));
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Content {
    #[default]
    Torn,
    Commit(CommitId),
}

/// The slots as everybody sees them and as the disk has them.
#[derive(Default)]
struct Disk {
    cache: [Content; SLOTS],
    disk: [Content; SLOTS],
}

struct World {
    shared: Arc<Shared>,
    disk: Mutex<Disk>,
    writing: Mutex<()>,
    syncing: Mutex<()>,
    ids: Mutex<Vec<CommitId>>,
    /// The commits and up to which commit their slots do not list changes, which the next writer must know.
    listed: Mutex<Vec<(CommitId, CommitId)>>,
    /// Commits that were the tip: what a killed writer left in a slot proves nothing.
    published: Mutex<Vec<CommitId>>,
    fault: Fault,
}

impl World {
    /// One slot write: torn for a while.
    fn write(&self, slot: usize, id: CommitId) {
        self.disk.lock().expect("disk").cache[slot] = Content::Torn;
        thread::yield_now();
        self.disk.lock().expect("disk").cache[slot] = Content::Commit(id);
    }

    /// Slots reach the disk one by one, as they are at that moment.
    fn sync(&self) {
        for slot in 0..SLOTS {
            let mut disk = self.disk.lock().expect("disk");
            disk.disk[slot] = disk.cache[slot];
            drop(disk);
            thread::yield_now();
        }
    }

    fn slot(&self) -> usize {
        let shared = &self.shared;
        let free = |taken: [CommitSlot; 3]| {
            (0..SLOTS)
                .find(|slot| {
                    taken
                        .iter()
                        .all(|other| other.id == CommitId::NONE || other.slot != *slot)
                })
                .expect("four slots")
        };
        match self.fault {
            Fault::DurableFirst => {
                let durable = shared.durable().get();
                thread::yield_now();
                free([durable, shared.syncing().get(), shared.tip().get()])
            }
            Fault::AnySlot => free([CommitSlot::default(), shared.durable().get(), shared.tip().get()]),
            _ => shared.free_slot(SLOTS).expect("four slots").slot,
        }
    }

    /// One commit, by a writer that may be killed between any two steps; whether it got as far as being the tip.
    fn commit(&self) -> Option<CommitId> {
        let shared = &self.shared;
        let _writing = self.writing.lock().expect("writer");
        let dies_at = if shuttle::rand::thread_rng().gen_bool(0.25) {
            shuttle::rand::thread_rng().gen_range(0..4)
        } else {
            usize::MAX
        };
        let id = shared.next_id().get();
        if dies_at == 0 {
            return None;
        }
        if self.fault != Fault::IdLate {
            shared.next_id().set(id.next());
        }
        self.look_at_listed();
        let slot = self.slot();
        if dies_at == 1 {
            return None;
        }
        let listed = CommitId::new(id.get() - 1);
        self.listed.lock().expect("listed").push((id, listed));
        if self.fault != Fault::ListedLate {
            shared.listed().set(listed);
        }
        self.write(slot, id);
        self.ids.lock().expect("ids").push(id);
        if dies_at == 2 {
            return None;
        }
        if self.fault == Fault::IdLate {
            shared.next_id().set(id.next());
        }
        shared.put_descriptor(&desc(id), of_base(shared.durable().get().id));
        shared.full_tip().set(id);
        if dies_at == 3 {
            return None;
        }
        self.published.lock().expect("published").push(id);
        shared.tip().set(CommitSlot { id, slot });
        if self.fault == Fault::ListedLate {
            if shuttle::rand::thread_rng().gen_bool(0.1) {
                return None;
            }
            shared.listed().set(listed);
        }
        if self.fault == Fault::ShownEarly {
            shared.make_visible(id);
        }
        Some(id)
    }

    /// A writer that has the lock relies on this when it follows what others have committed.
    fn look_at_listed(&self) {
        let (tip, told) = (self.shared.tip().get().id, self.shared.listed().get());
        let listed = self.listed.lock().expect("listed");
        let of_tip = listed.iter().find(|(id, _)| *id == tip);
        assert!(
            of_tip.is_none_or(|(_, listed)| told >= *listed),
            "the newest slot lists less than is told"
        );
    }

    /// Does what `Pager::sync_to` does.
    fn sync_to(&self, id: CommitId) {
        let shared = &self.shared;
        while shared.durable().get().id < id {
            let _syncing = self.syncing.lock().expect("sync");
            if shared.durable().get().id >= id {
                break;
            }
            let claim = if self.fault == Fault::NoSecondTip {
                let tip = shared.tip().get();
                // Two commits of others in between, which random orders hit too seldom.
                self.commit();
                self.commit();
                shared.syncing().set(tip);
                SyncClaim {
                    tip,
                    base: shared.base_of(tip.id),
                }
            } else {
                shared.claim_tip()
            };
            self.sync();
            shared.made_durable(claim);
        }
    }

    /// A power cut now: what was durable before it is on the disk, and what is seen is durable.
    fn look(&self) {
        // The kernel writes back what it likes, when it likes.
        let mut random = shuttle::rand::thread_rng();
        if random.gen_bool(0.5) {
            let slot = random.gen_range(0..SLOTS);
            let mut disk = self.disk.lock().expect("disk");
            disk.disk[slot] = disk.cache[slot];
        }
        let durable = self.shared.durable().get().id;
        let found = || {
            let published = self.published.lock().expect("published").clone();
            let disk = self.disk.lock().expect("disk");
            let whole = disk.disk.iter().filter_map(|content| match content {
                Content::Commit(id) if published.contains(id) => Some(*id),
                _ => None,
            });
            whole.max().unwrap_or_default()
        };
        let newest = found();
        assert!(newest >= durable, "commit {durable} was durable, {newest} is found");
        let seen = self.shared.newest();
        assert_eq!(seen.pages, seen.id.get(), "a torn descriptor");
        assert!(found() >= seen.id, "commit {} was seen and could vanish", seen.id);
    }
}

/// Writers in turn, some killed; each makes its commit durable; power cuts.
pub fn commits(fault: Fault) {
    let (shared, _) = shared();
    let first = CommitId::new(1);
    let mut disk = Disk::default();
    disk.cache[0] = Content::Commit(first);
    disk.disk[0] = Content::Commit(first);
    let world = Arc::new(World {
        shared,
        disk: Mutex::new(disk),
        writing: Mutex::new(()),
        syncing: Mutex::new(()),
        ids: Mutex::new(vec![first]),
        listed: Mutex::default(),
        published: Mutex::new(vec![first]),
        fault,
    });
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let world = world.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Some(id) = world.commit() {
                        world.sync_to(id);
                        assert!(world.shared.visible().get() >= id, "a commit returned unseen");
                    }
                    world.look();
                }
            })
        })
        .collect();
    for _ in 0..4 {
        world.look();
        thread::yield_now();
    }
    writers.into_iter().for_each(|t| t.join().expect("a writer"));
    world.look();
    let mut ids = world.ids.lock().expect("ids").clone();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|w| w[0] < w[1]), "an id was used twice: {ids:?}");
}
