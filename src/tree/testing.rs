//! Trees for the tests of the read path: built by `apply` over pages in memory, then frozen into one block of bytes
//! that tests may damage.

use super::write::apply::Apply;
use super::write::arena::Arena;
use super::write::edits::{EditLog, Op};
use super::write::emit::Emitter;
use super::write::range::KeyRange;
use super::write::values::write_chain;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run, TableId};
use crate::page::leaf::Stored;
use crate::page::{Extent, Lifetime, PageSink, PageSource, Prefetch, Ptr, Root};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The content of a tree; values longer than a page are chains.
pub(super) type Model = BTreeMap<Vec<u8>, Vec<u8>>;
/// The table id of every tree that is built here.
pub(super) const TABLE: TableId = TableId::new(7);

/// The pages while a tree is built. They are leaked, which a test can afford.
pub(crate) struct Store {
    size: usize,
    pages: Mutex<Vec<Option<&'static [u8]>>>,
}

impl Store {
    /// Puts the bytes of another page in the place of one, as damage would.
    pub fn replace(&self, page: PageNo, by: PageNo) {
        let mut pages = self.pages.lock().unwrap();
        pages[page.get() as usize] = pages[by.get() as usize];
    }
}

impl Prefetch for &'static Store {
    fn page_size(&self) -> usize {
        self.size
    }
}

impl PageSource<'static> for &'static Store {
    fn page(&self, ptr: &Ptr) -> Result<&'static [u8]> {
        let pages = self.pages.lock().unwrap();
        pages
            .get(ptr.page.number().get() as usize)
            .copied()
            .flatten()
            .ok_or_else(|| Error::corrupt(ptr.page, "never written"))
    }

    fn piece(&self, page: PageNo, len: usize, _: u32) -> Result<&'static [u8]> {
        self.raw(page, len as u64)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'static [u8]> {
        let mut out = Vec::new();
        for i in 0..len.div_ceil(self.size as u64) {
            out.extend_from_slice(self.page(&Ptr {
                page: (page + i).into(),
                ..Ptr::default()
            })?);
        }
        out.truncate(len as usize);
        Ok(out.leak())
    }
}

struct Writer {
    store: &'static Store,
    birth: CommitId,
}

impl PageSink for Writer {
    fn birth(&self) -> CommitId {
        self.birth
    }
    fn take(&mut self, want: u64, _: Lifetime) -> Result<Run> {
        self.take_exact(want.max(1))
    }
    fn take_exact(&mut self, pages: u64) -> Result<Run> {
        let mut all = self.store.pages.lock().unwrap();
        let first = all.len();
        all.resize(first + pages as usize, None);
        Ok(Run::new(PageNo::new(first as u64), pages))
    }
    fn write_pages(&mut self, page: PageNo, parts: &[&[u8]], _: &[u32]) -> Result<()> {
        let mut all = self.store.pages.lock().unwrap();
        for (i, part) in parts.iter().enumerate() {
            all[page.get() as usize + i] = Some(part.to_vec().leak());
        }
        Ok(())
    }
    fn write_piece(&mut self, page: PageNo, bytes: &[u8], _: u32) -> Result<()> {
        let mut all = self.store.pages.lock().unwrap();
        for (i, part) in bytes.chunks(self.store.size).enumerate() {
            let mut part = part.to_vec();
            part.resize(self.store.size, 0);
            all[page.get() as usize + i] = Some(part.leak());
        }
        Ok(())
    }
    fn release(&mut self, _: Extent) {}
}

/// Builds trees one after the other in one store.
pub(crate) struct Builder {
    store: &'static Store,
    birth: CommitId,
    has_long: bool,
}

impl Builder {
    pub fn new(size: usize) -> Builder {
        let store = Store {
            size,
            pages: Mutex::new(vec![None; 4]),
        };
        Builder {
            store: Box::leak(Box::new(store)),
            birth: CommitId::NONE,
            has_long: false,
        }
    }

    /// Returns the pages so far.
    pub fn pages(&self) -> &'static Store {
        self.store
    }

    /// Makes one commit of puts (`Some`) and deletes (`None`).
    pub fn commit<'m>(&mut self, root: Root, edits: impl Iterator<Item = (&'m Vec<u8>, Option<&'m Vec<u8>>)>) -> Root {
        self.make_commit(root, edits, None)
    }

    /// Makes one commit that removes the keys from `from` up to `to`.
    pub fn commit_removal(&mut self, root: Root, from: &[u8], to: &[u8]) -> Root {
        let keys = KeyRange {
            from: Some(from),
            to: Some(to),
        };
        self.make_commit(root, std::iter::empty(), Some(keys))
    }

    fn make_commit<'m>(
        &mut self,
        root: Root,
        edits: impl Iterator<Item = (&'m Vec<u8>, Option<&'m Vec<u8>>)>,
        removed: Option<KeyRange<'_>>,
    ) -> Root {
        self.birth = self.birth.next();
        let size = self.store.size;
        let mut sink = Writer {
            store: self.store,
            birth: self.birth,
        };
        let (mut arena, mut emitter, mut log) = (Arena::new(size), Emitter::new(), EditLog::default());
        for (k, v) in edits {
            match v {
                None => log.push(k, Op::Delete).expect("memory"),
                Some(v) if v.len() > 1000 => {
                    let chain = write_chain(v, size, &mut sink).unwrap();
                    log.push(k, Op::Put(Stored::Chain(&chain))).expect("memory")
                }
                Some(v) => log.push(k, Op::Put(Stored::Inline(v))).expect("memory"),
            };
        }
        let sorted = log.sorted(|_| {}).expect("memory");
        let mut apply = Apply {
            source: self.store,
            arena: &mut arena,
            sink: &mut sink,
            emitter: &mut emitter,
            places_pages: true,
            table: TABLE,
            has_long: self.has_long,
            drop_budget: 1 << 20,
            life: std::marker::PhantomData,
        };
        let root = match removed {
            Some(keys) => apply.remove_range(root, keys).unwrap(),
            None => apply.apply(root, &sorted).unwrap(),
        };
        let root = apply.place_root(root).unwrap();
        self.has_long = apply.has_long;
        emitter.finish(&mut arena, &mut sink).unwrap();
        root
    }

    /// Builds a tree of `model` in two commits: the first also puts other keys, which the second deletes.
    pub(super) fn build(&mut self, model: &Model, rnd: &mut Rnd) -> Root {
        let mut first = Model::new();
        for (k, v) in model {
            if rnd.below(2) == 0 {
                first.insert(k.clone(), v.clone());
            }
            if rnd.below(3) == 0 {
                let mut other = k.clone();
                other.push(rnd.below(256) as u8);
                first.insert(other, vec![1; 60]);
            }
        }
        let root = self.commit(Root::default(), first.iter().map(|(k, v)| (k, Some(v))));
        let gone = first.keys().filter(|k| !model.contains_key(*k)).map(|k| (k, None));
        let new = model
            .iter()
            .filter(|(k, _)| !first.contains_key(*k))
            .map(|(k, v)| (k, Some(v)));
        self.commit(root, gone.chain(new))
    }

    /// Copies every page so far into one block.
    pub(super) fn freeze(&self) -> Frozen {
        let pages = self.store.pages.lock().unwrap();
        let mut bytes = Vec::with_capacity(pages.len() * self.store.size);
        for page in pages.iter() {
            match page {
                Some(page) => bytes.extend_from_slice(page),
                None => bytes.resize(bytes.len() + self.store.size, 0),
            }
        }
        Frozen {
            size: self.store.size,
            bytes,
        }
    }
}

/// Pages as one block of bytes. Checksums of pages are not compared, so damage is not refused at once.
#[derive(Clone)]
pub(super) struct Frozen {
    pub size: usize,
    pub bytes: Vec<u8>,
}

impl Frozen {
    pub fn page_mut(&mut self, page: PageNo) -> &mut [u8] {
        let at = page.offset(self.size) as usize;
        &mut self.bytes[at..at + self.size]
    }
}

impl Prefetch for &Frozen {
    #[inline(always)]
    fn page_size(&self) -> usize {
        self.size
    }
}

impl<'a> PageSource<'a> for &'a Frozen {
    #[inline(always)]
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        self.raw(ptr.page.number(), self.size as u64)
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]> {
        let bytes = self.raw(page, len as u64)?;
        if crate::util::crc32c(bytes) != checksum {
            return Err(Error::corrupt(page, "checksum of a piece differs"));
        }
        Ok(bytes)
    }

    #[inline(always)]
    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]> {
        // A damaged number may lead beyond what an address can say.
        let from = page.offset(self.size);
        let (from, to) = (usize::try_from(from).ok(), usize::try_from(from + len).ok());
        from.zip(to)
            .and_then(|(from, to)| self.bytes.get(from..to))
            .ok_or_else(|| Error::corrupt(page, "outside"))
    }
}

/// A generator of seeded random numbers.
pub(super) struct Rnd(pub u64);

impl Rnd {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Kinds of keys: short over few letters, dense integers, hashes, addresses, shared prefixes, long ones.
pub(super) const KINDS: u32 = 6;

pub(super) fn key(kind: u32, rnd: &mut Rnd) -> Vec<u8> {
    match kind {
        0 => (0..rnd.below(31))
            .map(|_| [0u8, 1, b'a', 255][rnd.below(4) as usize])
            .collect(),
        1 => (rnd.below(100_000) * 3).to_be_bytes().to_vec(),
        2 => {
            let x = rnd.below(u64::MAX).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            [&x.to_be_bytes()[..], b"0123456789abcdef"].concat()
        }
        3 => format!(
            "https://www.example{}.com/category/{}/item-{}",
            rnd.below(9),
            rnd.below(5),
            rnd.below(3000)
        )
        .into_bytes(),
        4 => [
            &vec![b'x'; rnd.below(90) as usize][..],
            &rnd.below(50).to_be_bytes()[6..],
        ]
        .concat(),
        _ => {
            let mut k = vec![b'k'; [9, 280, 288, 289, 511, 512, 513, 600, 5000][rnd.below(9) as usize]];
            for _ in 0..3 {
                let at = rnd.below(k.len() as u64) as usize;
                k[at] = b'a' + rnd.below(20) as u8;
            }
            let end = k.len() - 1;
            k[end] = rnd.below(256) as u8;
            k
        }
    }
}

pub(super) fn model(kind: u32, n: usize, rnd: &mut Rnd) -> Model {
    (0..n)
        .map(|_| {
            let len = match kind {
                1 => 8,
                _ => [0, 8, 8, 50, 150, 900, 900, 9000][rnd.below(8) as usize],
            };
            (key(kind, rnd), vec![rnd.below(256) as u8; len])
        })
        .collect()
}
