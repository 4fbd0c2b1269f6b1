//! Power cuts and kills at every write and sync, on a simulated disk; each run goes on from the crashed image.
//!
//! After each crash: the commit found is one that was tried, whole, and not older than the last acknowledged one. All
//! unsynced writes are subject to loss by sector, in any order. Recovery itself is crashed too, up to three deep and
//! more. The store is a toy without trees: `crash_db.rs` does the same to the whole engine.

mod crashes;
mod toy;
mod toy_run;

use crashes::{in_processes, setting, Counts};
use kv::file::sim::{Cut, Random, SimDisk};
use kv::file::Storage;
use kv::ids::{CommitId, PageNo, PageRef, PrivatePage, Run as Pages};
use kv::page::meta::{Meta, Slot, SLOT_BYTES};
use kv::page::{Extent, Lifetime, PageSink, PageSource, Ptr, Roots};
use kv::pager::{Durability, Pager, PagerOptions, Verify, Wait};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex};
use toy_run::{run, Run};

fn options() -> PagerOptions {
    PagerOptions {
        page_size: 4096,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    }
}

/// Crashes when nothing else is asked for.
const POINTS: u64 = 800_000;
/// Crashes that one database goes through.
const ROUNDS: u64 = 250;

#[test]
fn no_acknowledged_commit_is_lost_and_none_is_mixed() {
    // Four crashes in five of those asked for; the whole engine gets the others.
    let points = setting("KV_CRASH_POINTS").map_or(POINTS, |n| n / 5 * 4);
    let name = "no_acknowledged_commit_is_lost_and_none_is_mixed";
    let counts = in_processes(name, "commit and recovery alone", points, |seed| {
        let (run, answer) = run(seed, ROUNDS, false);
        (run.counts, answer)
    });
    let Some(counts) = counts else { return };
    let Counts {
        points,
        nested,
        deep,
        discarded,
        other,
        ..
    } = counts;
    assert!(
        nested > points / 10 && deep > points / 100,
        "recovery was hardly ever crashed"
    );
    assert!(discarded > points / 100, "the crashes tore hardly anything");
    assert!(other > points / 50, "records were hardly ever spilled");
}

#[test]
fn every_boundary_of_a_workload_is_crashed() {
    for seed in 0..12 {
        for at in 1..120 {
            let mut run = Run::new(seed, false);
            let mut done = run.round(at);
            for next in [1 + at % 3, 20, 1] {
                done = done.and_then(|()| run.round(next));
            }
            if let Err(what) = done {
                panic!("seed {seed}, call {at}: {what}");
            }
        }
    }
}

#[test]
fn a_disk_that_lies_about_sync_is_caught() {
    let caught = (0..40).filter(|seed| run(*seed, 60, true).1.is_err()).count();
    assert!(caught >= 38, "only {caught} of 40 runs on a lying disk were caught");
}

#[test]
fn a_damaged_newest_slot_is_not_taken_for_a_torn_one() {
    // The newest durable commit rots; the one before it must not come back once it was built on.
    let disk = Arc::new(SimDisk::new(3).expect("disk"));
    let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
    let mut random = Random::new(3);
    for _ in 0..20 {
        let _ = toy::commit(&pager, &mut random, Durability::Full, 4).expect("commit");
    }
    let newest = pager.newest().id;
    drop(pager);
    let good = disk.image();
    let mut answers = (0, 0, 0);
    for slot in 0..4 {
        for byte in 0..4096 {
            let at = slot * 4096 + byte;
            let flip = |bit: u8| disk.write_at(at as u64, &[good[at] ^ bit]).expect("write");
            flip(1 << (byte % 8));
            let opened = Pager::open(disk.clone(), &options());
            flip(0);
            match opened {
                Ok((_, found)) if found.id == newest => answers.0 += 1,
                Ok((_, found)) if found.id.next() == newest => answers.1 += 1,
                Ok((_, found)) => panic!("commit {} of {newest} came back", found.id),
                Err(kv::Error::Corrupt(_) | kv::Error::NotADatabase(_)) => answers.2 += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    println!("newest {}, one before {}, refused {}", answers.0, answers.1, answers.2);
}

#[test]
fn recovery_reads_the_disk_and_not_the_cache() {
    // A sync fails, the cache shows what the disk lost; whoever opens next must not believe it.
    for seed in 0..300 {
        let disk = Arc::new(SimDisk::new(seed).expect("disk"));
        let mut random = Random::new(seed);
        let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
        let mut model = toy::empty();
        let mut durable = CommitId::new(1);
        for _ in 0..random.below(6) {
            if let Some(done) = toy::commit(&pager, &mut random, Durability::Full, 4).expect("write lock") {
                (model, durable) = (done.model, done.answer.expect("commit"));
            }
        }
        let (_, _, before) = disk.counts();
        let mut tried = None;
        for call in 1..40 {
            disk.fail_after(call, kv::file::sim::Fault::Io, false);
            match toy::commit(&pager, &mut random, Durability::Full, 4) {
                Ok(Some(done)) => match done.answer {
                    Ok(id) => (model, durable) = (done.model, id),
                    Err(_) => tried = Some((done.id, done.model)),
                },
                Ok(None) => {}
                Err(_) => break,
            }
            if pager.is_poisoned() {
                break;
            }
        }
        assert!(disk.counts().2 > before);
        disk.heal();
        drop(pager);
        let (pager, found) = Pager::open(disk.clone(), &options()).expect("open");
        disk.evict();
        let content = toy::read(pager.view_all(), &pager.newest()).expect("whole");
        let expected = if found.id == durable {
            Some(model)
        } else {
            tried.filter(|t| t.0 == found.id).map(|t| t.1)
        };
        assert_eq!(Some(content), expected, "seed {seed}");
        let disk = disk.crash(seed, Cut::Sectors).expect("crash");
        assert!(disk.len().expect("length") > 0);
        let (_, again) = Pager::open(Arc::new(disk), &options()).expect("open");
        assert_eq!(again.id, found.id, "seed {seed}: an accepted commit was lost");
    }
}

/// A disk whose syncs wait until they are let through.
struct Gate {
    disk: SimDisk,
    open: (Mutex<bool>, Condvar),
}

impl Storage for Gate {
    fn len(&self) -> kv::Result<u64> {
        self.disk.len()
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> kv::Result<()> {
        self.disk.read_at(at, into)
    }
    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> kv::Result<()> {
        self.disk.writev_at(at, parts)
    }
    fn sync(&self) -> kv::Result<()> {
        let mut open = self.open.0.lock().expect("lock");
        while !*open {
            open = self.open.1.wait(open).expect("lock");
        }
        self.disk.sync()
    }
    fn set_len(&self, len: u64) -> kv::Result<()> {
        self.disk.set_len(len)
    }
    fn memory(&self) -> kv::file::Mapped {
        self.disk.memory()
    }
    fn identity(&self) -> Option<kv::file::Identity> {
        None
    }
    fn read_only(&self) -> bool {
        false
    }
}

#[test]
fn commits_overlap_a_sync_and_none_is_exposed_early() {
    let disk = SimDisk::new(1).expect("disk");
    let gate = Arc::new(Gate {
        disk,
        open: (Mutex::new(true), Condvar::new()),
    });
    let set = |open: bool| {
        *gate.open.0.lock().expect("lock") = open;
        gate.open.1.notify_all();
    };
    let (pager, _) = Pager::open(gate.clone(), &options()).expect("create");
    set(false);
    let start = |durability: Durability, seed: u64| {
        let pager = pager.clone();
        std::thread::spawn(move || {
            let mut random = Random::new(seed);
            loop {
                if let Some(done) = toy::commit(&pager, &mut random, durability, 4).expect("write lock") {
                    return done.answer.expect("commit");
                }
            }
        })
    };
    let tip = |id: u64| {
        while pager.accounting().map_or(0, |a| a.desc.id.get()) < id {
            std::thread::yield_now();
        }
    };
    let full = start(Durability::Full, 1);
    tip(2);
    // The write lock is free while the sync runs; a lazy commit on top of an undurable full one waits (I-7).
    let lazy = start(Durability::Lazy, 2);
    tip(3);
    let third = start(Durability::Full, 3);
    tip(4);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let first = CommitId::new(1);
    assert_eq!((pager.newest().id, pager.stat().durable), (first, first));
    assert!(!full.is_finished() && !lazy.is_finished() && !third.is_finished());
    let syncs = gate.disk.counts().1;
    set(true);
    assert_eq!(
        [
            full.join().expect("full"),
            lazy.join().expect("lazy"),
            third.join().expect("third")
        ],
        [2, 3, 4].map(CommitId::new)
    );
    assert_eq!(pager.newest().id, CommitId::new(4));
    assert!(gate.disk.counts().1 <= syncs + 2, "those who waited share one sync");
}

#[test]
fn a_rejected_commit_is_erased_and_its_id_is_used_up() {
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
    let mut random = Random::new(7);
    let mut commit = |pager: &Arc<Pager>| loop {
        if let Some(done) = toy::commit(pager, &mut random, Durability::Full, 4).expect("write lock") {
            return done.answer.expect("commit");
        }
    };
    let id = commit(&pager);
    let before = disk.image();
    let rejected = commit(&pager);
    let main = pager.newest().roots.main.ptr.page.number().get() as usize;
    drop(pager);
    // The root of the newest commit did not arrive.
    let mut image = disk.image();
    image[main * 4096..(main + 1) * 4096].fill(0);
    assert!(before.len() <= image.len());
    let slot_of =
        |image: &[u8], id: CommitId| (0..4).find(|s| image[s * 4096 + 48..s * 4096 + 56] == id.get().to_le_bytes());
    let slot = slot_of(&image, rejected).expect("slot");
    let disk = Arc::new(SimDisk::with_image(image, 1).expect("disk"));
    let (pager, found) = Pager::open(disk.clone(), &options()).expect("open");
    assert_eq!((found.id, found.discarded), (id, 1));
    let writer = pager
        .lock_write(Wait::Try, &AtomicBool::new(false))
        .expect("write lock");
    assert_eq!(writer.birth(), rejected.next(), "ids never repeat (I-4)");
    let synced = disk.crash(1, Cut::AllLost).expect("crash").image();
    assert!(
        synced[slot * 4096..slot * 4096 + 512].iter().all(|b| *b == 0),
        "erased and synced"
    );
    let synced: &[u8; SLOT_BYTES] = synced[slot * SLOT_BYTES..][..SLOT_BYTES].try_into().expect("slot");
    assert!(matches!(Meta::decode(synced), Ok(Slot::Empty)), "whatever is behind it");
}

/// The newest slot lacks one sector, all else is there. What is written to it later may bring just that sector: the
/// next commit that is torn, or zeros.
#[test]
fn a_torn_slot_never_becomes_whole() {
    let disk = Arc::new(SimDisk::new(3).expect("disk"));
    let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
    let mut random = Random::new(11);
    let mut id = CommitId::NONE;
    for _ in 0..12 {
        if let Some(done) = toy::commit(&pager, &mut random, Durability::Full, 9).expect("write lock") {
            id = done.answer.expect("commit");
        }
    }
    drop(pager);
    let whole = disk.image();
    let slot = (0..4).find(|s| whole[s * 4096 + 48..s * 4096 + 56] == id.get().to_le_bytes());
    let at = slot.expect("slot") * 4096;
    // The first sector of a commit is never written again: it holds the time.
    for missing in 1..8 {
        let sector = at + missing * 512..at + (missing + 1) * 512;
        let mut torn = whole.clone();
        torn[sector.clone()].fill(0xA5);
        let open = |image: Vec<u8>| {
            let disk = Arc::new(SimDisk::with_image(image, 1).expect("disk"));
            let (pager, found) = Pager::open(disk.clone(), &options()).expect("open");
            assert_eq!(found.discarded, 0, "a torn slot is no commit");
            (disk, pager, found.id)
        };
        let (disk, pager, before) = open(torn.clone());
        assert!(before < id);
        let writer = pager
            .lock_write(Wait::Try, &AtomicBool::new(false))
            .expect("write lock");
        let mut image = disk.image();
        image[sector.clone()].copy_from_slice(&whole[sector.clone()]);
        assert_eq!(open(image).2, before, "sector {missing} came back");
        drop(writer);
        for seed in 0..20 {
            let (disk, pager, _) = open(torn.clone());
            disk.crash_after(1);
            assert!(pager.lock_write(Wait::Try, &AtomicBool::new(false)).is_err());
            let image = disk.crash(seed, Cut::Sectors).expect("crash").image();
            assert_eq!(open(image).2, before, "what erases brought sector {missing}");
        }
    }
}

#[test]
fn a_page_written_again_is_verified_again() {
    let (pager, _) = kv::pager::open_memory(&options()).expect("open");
    let mut writer = pager
        .lock_write(Wait::Try, &AtomicBool::new(false))
        .expect("write lock");
    let (good, bad) = (vec![1; 4096], vec![2; 4096]);
    let checksum = kv::util::crc32c(&good);
    let page = writer.take(1, Lifetime::UntilEdited).expect("page").first;
    writer.write_pages(page, &[&good], &[checksum]).expect("write");
    let ptr = Ptr {
        page: page.into(),
        checksum,
        ..Ptr::default()
    };
    assert_eq!(pager.view_all().page(&ptr).expect("page"), &good[..]);
    writer.write_pages(page, &[&bad], &[checksum]).expect("write");
    assert!(matches!(pager.view_all().page(&ptr), Err(kv::Error::Corrupt(_))));
    let numbers = [0, 3, page.get() + 1, u64::MAX, 1 << 52].map(PageRef::from_bits);
    for page in numbers.into_iter().chain([PageRef::private(PrivatePage::new(0))]) {
        let ptr = Ptr { page, ..ptr };
        let view = pager.view_all();
        assert!(matches!(view.page(&ptr), Err(kv::Error::Corrupt(_))), "page {page:?}");
        let page = page.number();
        assert!(view.piece(page, 100, 0).is_err() && view.raw(page, u64::MAX).is_err());
    }
    // Nobody may write what was not taken, or release what is not there.
    assert!(writer.write_pages(page + 1, &[&good], &[checksum]).is_err());
    writer.release(Extent::new(Pages::new(page + 7, 1), CommitId::NONE));
    assert!(matches!(
        writer.commit(Roots::default(), Durability::Full),
        Err(kv::Error::Corrupt(_))
    ));
    assert_eq!(pager.newest().id, CommitId::new(1));
}

#[test]
fn a_large_commit_is_synced_before_its_slot_and_not_listed() {
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
    let big = |pager: &Arc<Pager>, byte: u8| {
        let mut writer = pager
            .lock_write(Wait::Try, &AtomicBool::new(false))
            .expect("write lock");
        let piece = vec![byte; 1 << 20];
        let checksum = kv::util::crc32c(&piece);
        for _ in 0..20 {
            let page = writer.take_exact(256).expect("pages").first;
            writer.write_piece(page, &piece, checksum).expect("write");
        }
        let bytes = vec![byte; 4096];
        let page = writer.take_exact(1).expect("page").first;
        let ptr = Ptr {
            page: page.into(),
            birth: writer.birth(),
            entries: 1,
            checksum: kv::util::crc32c(&bytes),
        };
        writer.write_pages(page, &[&bytes], &[ptr.checksum]).expect("write");
        let main = kv::page::Root {
            ptr,
            height: 1,
            has_long: true,
        };
        let roots = Roots {
            main,
            ..Roots::default()
        };
        writer.commit(roots, Durability::Lazy)
    };
    let syncs = disk.counts().1;
    assert_eq!(big(&pager, 1).expect("commit"), CommitId::new(2));
    assert_eq!(disk.counts().1, syncs + 1, "data before the slot, nothing after it");
    assert_eq!(big(&pager, 2).expect("commit"), CommitId::new(3));
    // Whatever the cut, a slot that is there has its data.
    for seed in 0..30 {
        let after = disk.kill().expect("kill");
        let cut = Arc::new(after.crash(seed, Cut::Writes).expect("crash"));
        let (pager, found) = Pager::open(cut, &options()).expect("open");
        assert!([2, 3].contains(&found.id.get()));
        let root = pager.newest().roots.main.ptr;
        assert!(pager.view_all().page(&root).is_ok());
        let first = pager
            .view_all()
            .raw(PageNo::new(root.page.number().get() - 5120), 20 << 20)
            .expect("pieces")
            .to_vec();
        assert!(
            first.iter().all(|b| u64::from(*b) == found.id.get() - 1),
            "commit {} lacks data",
            found.id
        );
    }
}
