//! A disk that can be full, under a file with holes.

use super::forward::forward_storage;
use kv::file::memory::Memory;
use kv::file::Storage;
use kv::Error;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

const PAGE: u64 = 4096;

/// Memory as a sparse file: a page takes room when it is first written.
pub struct Sparse {
    memory: Memory,
    state: Mutex<State>,
}

struct State {
    has_room: BTreeSet<u64>,
    left: u64,
}

impl Sparse {
    /// Returns an empty file on a disk without end.
    pub fn new() -> Arc<Sparse> {
        let state = State {
            has_room: BTreeSet::new(),
            left: u64::MAX,
        };
        Arc::new(Sparse {
            memory: Memory::new().expect("memory"),
            state: Mutex::new(state),
        })
    }

    /// From now on, so many more pages have room.
    pub fn leave(&self, pages: u64) {
        self.state.lock().expect("lock").left = pages;
    }

    /// Returns the first of these pages that has no room.
    pub fn first_without_room(&self, mut pages: Range<u64>) -> Option<u64> {
        let state = self.state.lock().expect("lock");
        pages.find(|page| !state.has_room.contains(page))
    }
}

impl Storage for Sparse {
    forward_storage!(memory);
    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> kv::Result<()> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let mut state = self.state.lock().expect("lock");
        let pages = at / PAGE..(at + bytes as u64).div_ceil(PAGE);
        let new: Vec<u64> = pages.filter(|page| !state.has_room.contains(page)).collect();
        if new.len() as u64 > state.left {
            return Err(Error::io("write", std::io::Error::from_raw_os_error(28)));
        }
        state.left -= new.len() as u64;
        state.has_room.extend(new);
        self.memory.writev_at(at, parts)
    }
    fn sync(&self) -> kv::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> kv::Result<()> {
        let mut state = self.state.lock().expect("lock");
        let gone = state.has_room.split_off(&len.div_ceil(PAGE));
        state.left = state.left.saturating_add(gone.len() as u64);
        self.memory.set_len(len)
    }
    fn punch(&self, at: u64, len: u64) -> kv::Result<Option<u64>> {
        let mut state = self.state.lock().expect("lock");
        let before = state.has_room.len();
        state
            .has_room
            .retain(|page| !(at / PAGE..(at + len) / PAGE).contains(page));
        let gone = before - state.has_room.len();
        state.left = state.left.saturating_add(gone as u64);
        self.memory.punch(at, len)
    }
}
