//! A disk of which nothing is in memory, as far as it says.

use super::forward::forward_storage;
use kv::file::sim::SimDisk;
use kv::file::Storage;
use kv::Result;
use std::sync::Mutex;

/// A disk that keeps, of what it is told to read soon, where that begins and how long it is, in bytes.
pub struct Cold {
    disk: SimDisk,
    wanted: Mutex<Vec<(u64, u64)>>,
}

impl Cold {
    pub fn new() -> Cold {
        let disk = SimDisk::new(1).expect("disk");
        let wanted = Mutex::default();
        Cold { disk, wanted }
    }

    /// Takes what was wanted since the last call.
    pub fn wanted(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.wanted.lock().expect("wanted"))
    }
}

impl Storage for Cold {
    forward_storage!(disk);
    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
        self.disk.writev_at(at, parts)
    }
    fn sync(&self) -> Result<()> {
        self.disk.sync()
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.disk.set_len(len)
    }
    fn is_resident(&self, _: u64) -> bool {
        false
    }
    fn will_need(&self, at: u64, len: u64) {
        self.wanted.lock().expect("wanted").push((at, len));
    }
}
