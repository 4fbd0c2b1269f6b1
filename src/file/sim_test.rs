//! The simulated disk keeps what it should and loses what it should.

use super::sim::{Cut, Fault, Random, SimDisk};
use super::Storage;

#[test]
fn a_cut_keeps_what_was_synced() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed).expect("disk");
        disk.write_at(0, &[1; 4096]).expect("write");
        disk.sync().expect("sync");
        disk.write_at(1024, &[2; 1024]).expect("write");
        let after = disk.crash(seed, Cut::Sectors).expect("crash").image();
        assert!(after.iter().enumerate().all(|(i, b)| {
            let sector = &after[i / 512 * 512..(i / 512 + 1) * 512];
            sector.iter().all(|x| x == b) && (*b == 1 || (1024..2048).contains(&i))
        }));
        assert!(disk.write_at(0, &[1]).is_err());
    }
}

#[test]
fn a_killed_process_leaves_the_cache() {
    let disk = SimDisk::new(1).expect("disk");
    disk.write_at(0, b"abc").expect("write");
    let next = disk.kill().expect("kill");
    assert_eq!(next.image(), b"abc");
    assert_eq!(next.crash(1, Cut::AllLost).expect("crash").image(), b"");
}

#[test]
fn in_place_is_the_same_as_anew() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut disk = SimDisk::new(seed).expect("disk");
        for round in 0..6 {
            for _ in 0..random.below(5) {
                let bytes = vec![random.next_u64() as u8; 1 + random.below(3000) as usize];
                disk.write_at(random.below(20_000), &bytes).expect("write");
                match random.below(6) {
                    0 => disk.sync().expect("sync"),
                    1 => disk.set_len(random.below(30_000)).expect("length"),
                    2 => {
                        disk.fail_after(1, Fault::Io, false);
                        assert!(disk.sync().is_err());
                    }
                    _ => {}
                }
            }
            let cut = [Cut::AllLost, Cut::AllKept, Cut::Writes, Cut::Sectors][random.below(4) as usize];
            let (fresh, killed) = (disk.crash(round, cut).expect("crash"), disk.kill().expect("kill"));
            disk.restart();
            assert_eq!(disk.image(), killed.image());
            disk.power_cut(round, cut);
            assert_eq!(disk.image(), fresh.image(), "seed {seed}");
            disk.set_len(40_000).expect("length");
            assert!(
                disk.image()[fresh.image().len()..].iter().all(|b| *b == 0),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_sync_covers_what_was_written_before_it() {
    let disk = std::sync::Arc::new(SimDisk::new(1).expect("disk"));
    disk.write_at(0, b"a").expect("write");
    let other = disk.clone();
    disk.during_sync(move || other.write_at(1, b"b").expect("write"));
    disk.sync().expect("sync");
    assert_eq!(disk.image(), b"ab");
    assert_eq!(disk.crash(1, Cut::AllLost).expect("crash").image(), b"a");
}

#[test]
fn a_failed_sync_lies_in_the_cache() {
    let disk = SimDisk::new(1).expect("disk");
    disk.write_at(0, &[1; 8192]).expect("write");
    disk.sync().expect("sync");
    disk.write_at(0, &[2; 8192]).expect("write");
    disk.fail_after(1, Fault::Io, false);
    assert!(disk.sync().is_err());
    assert!(disk.sync().is_ok());
    let (mut bytes, mut rest) = ([0; 4096], [0; 4096]);
    disk.read_cached(0, &mut bytes).expect("read");
    assert_eq!(bytes, [2; 4096]);
    // Reading past the cache drops what the cache has there, and only there.
    disk.read_at(0, &mut bytes).expect("read");
    assert_eq!(disk.image()[..4096], bytes);
    assert_eq!(disk.image()[4096..], [2; 4096]);
    disk.evict();
    disk.read_at(4096, &mut rest).expect("read");
    let bytes = [bytes, rest].concat();
    assert_eq!(disk.image(), bytes);
    assert_eq!(disk.crash(3, Cut::AllKept).expect("crash").image(), bytes);
}

#[test]
fn the_crash_comes_when_told() {
    let disk = SimDisk::new(1).expect("disk");
    disk.crash_after(2);
    assert!(disk.write_at(0, b"a").is_ok());
    assert!(disk.write_at(1, b"b").is_err());
    assert!(disk.crashed() && disk.sync().is_err());
    assert_eq!(disk.crash(1, Cut::AllKept).expect("crash").image(), b"ab");
}
