//! A simulated disk that is full when its sectors are used up. As on a real one, the write that meets the end of the
//! space writes a part of its bytes and says so, and only the next one answers that no space is left.

use super::forward::forward_storage;
use kv::file::sim::{Cut, SimDisk};
use kv::file::Storage;
use kv::{Error, Result};
use std::io;
use std::sync::Mutex;

/// The unit in which the disk gives room. It is less than a page, so that writes stop inside of pages.
pub const SECTOR: u64 = 512;
/// The most bytes that one call writes.
const CALL: u64 = 64 << 10;

/// Which sectors of the file have room on the disk, and how many more there are.
#[derive(Default)]
struct Room {
    has: Vec<bool>,
    free: u64,
    /// How many calls wrote less than they were given.
    short: u64,
}

/// The disk.
pub struct SmallDisk {
    disk: SimDisk,
    room: Mutex<Room>,
    /// What a test does when the disk syncs.
    at_sync: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl SmallDisk {
    /// A disk of so many sectors without a file.
    pub fn new(seed: u64, sectors: u64) -> SmallDisk {
        SmallDisk::with(SimDisk::new(seed).expect("disk"), sectors)
    }

    /// A disk with the file that `disk` holds, and so many sectors more.
    fn with(disk: SimDisk, sectors: u64) -> SmallDisk {
        let has = vec![true; disk.image().len().div_ceil(SECTOR as usize)];
        let room = Room {
            has,
            free: sectors,
            short: 0,
        };
        SmallDisk {
            disk,
            room: Mutex::new(room),
            at_sync: Mutex::new(None),
        }
    }

    /// Calls `act` at each sync from now on, until there is another one or none.
    pub fn at_sync(&self, act: Option<Box<dyn FnMut() + Send>>) {
        *self.at_sync.lock().expect("hook") = act;
    }

    /// Makes the disk larger.
    pub fn grow(&self, sectors: u64) {
        self.room.lock().expect("room").free += sectors;
    }

    /// The sectors that are free.
    pub fn free(&self) -> u64 {
        self.room.lock().expect("room").free
    }

    /// How many calls wrote less than they were given.
    pub fn short_writes(&self) -> u64 {
        self.room.lock().expect("room").short
    }

    /// Cuts the power, as [`SimDisk::crash`] does, and returns what is there afterwards, on a disk as full as this.
    pub fn crash(&self, seed: u64, cut: Cut) -> SmallDisk {
        SmallDisk::with(self.disk.crash(seed, cut).expect("crash"), self.free())
    }

    /// One call of the system: writes the bytes up to the first sector for which there is no room, and says how many.
    fn write_some(&self, at: u64, bytes: &[u8]) -> Result<u64> {
        let mut room = self.room.lock().expect("room");
        let wanted = (bytes.len() as u64).min(CALL - at % CALL);
        let mut end = at;
        while end < at + wanted {
            let sector = (end / SECTOR) as usize;
            if room.has.len() <= sector {
                room.has.resize(sector + 1, false);
            }
            if !room.has[sector] {
                if room.free == 0 {
                    break;
                }
                room.free -= 1;
                room.has[sector] = true;
            }
            end = ((end / SECTOR + 1) * SECTOR).min(at + wanted);
        }
        if end == at {
            return Err(Error::io("write", io::Error::from_raw_os_error(libc::ENOSPC)));
        }
        room.short += u64::from(end < at + wanted);
        drop(room);
        self.disk.write_at(at, &bytes[..(end - at) as usize])?;
        Ok(end - at)
    }
}

impl Storage for SmallDisk {
    forward_storage!(disk);

    /// Continues what stopped short, as a file does.
    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
        let bytes = parts.concat();
        let mut done = 0;
        while done < bytes.len() {
            done += self.write_some(at + done as u64, &bytes[done..])? as usize;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if let Some(act) = &mut *self.at_sync.lock().expect("hook") {
            act();
        }
        self.disk.sync()
    }

    /// Sets the length. What is behind it gives its room back, and what is new has none before it is written.
    fn set_len(&self, len: u64) -> Result<()> {
        self.disk.set_len(len)?;
        let mut room = self.room.lock().expect("room");
        let kept = room.has.len().min(len.div_ceil(SECTOR) as usize);
        let gone = room.has.split_off(kept);
        room.free += gone.iter().filter(|has| **has).count() as u64;
        Ok(())
    }

    fn fill(&self, from: u64, to: u64) -> Result<u64> {
        let zeros = vec![0; CALL as usize];
        let mut at = from;
        while at < to {
            match self.write_some(at, &zeros[..(to - at).min(CALL) as usize]) {
                Ok(n) => at += n,
                Err(Error::NoSpace(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(at)
    }
}
