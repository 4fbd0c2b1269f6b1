//! Random keys, values and operations. Keys come from a small universe per shape (so that operations meet each other),
//! and each shape is one that some page layout finds hard.

use super::api::{show, Flags, Move, Span};
use super::model::{ModelCursor, Shared, State};
use super::rng::{mix, Rng};
use kv::{PutMode, Seek, TableId};
use std::ops::Bound;

mod snapshots;

/// What keys look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Big-endian integers, mostly consecutive: dense leaves.
    Int,
    /// 0 to 40 random bytes.
    Random,
    /// Long prefixes shared by many: prefix truncation, equal heads.
    Url,
    /// Runs of keys that differ only far behind the first bytes.
    EqualHeads,
    /// Keys that are prefixes of each other and end in zero bytes: where padded comparisons go wrong.
    Nested,
    /// 300 bytes to 2 MiB with long shared prefixes: keys outside the page and long separators.
    Long,
    /// All of them in one table.
    Mixed,
}

/// What values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Nearly always eight bytes.
    Eight,
    /// Mostly short, sometimes about a page, rarely megabytes.
    Any,
}

/// A generator of keys, values and operations.
pub struct Gen {
    pub rng: Rng,
    pub shape: Shape,
    pub sizes: Sizes,
    /// Different keys there can be.
    pub universe: u64,
    /// For sizes around it.
    pub page_size: usize,
    /// Changes which keys a universe consists of.
    salt: u64,
    /// What tables do at the moment, and for how many operations more.
    phase: (Phase, u64),
    /// Operations of a bulk load still to do.
    load: Vec<Op>,
}

/// Tables grow and shrink in turns, so that trees gain levels and lose them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Grow,
    Steady,
    Shrink,
}

/// Bytes in an operation: shown in short.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob(pub Shared);

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&show(&self.0))
    }
}

/// One operation of a transaction. Cursors are named by their slot.
#[derive(Debug, Clone)]
pub enum Op {
    Put(TableId, Blob, Blob, PutMode),
    Insert(TableId, Blob, Blob),
    Replace(TableId, Blob, Blob, PutMode),
    /// Reserve, and fill so many of the bytes.
    Reserve(TableId, Blob, usize, usize, u8, PutMode),
    Delete(TableId, Blob),
    DeleteBlind(TableId, Blob),
    Take(TableId, Blob),
    TakeFirst(TableId, Span),
    DeleteRange(TableId, Span),
    Clear(TableId),
    Create(Vec<u8>, bool),
    Rename(TableId, Vec<u8>),
    Drop(TableId),
    SetNote(TableId, Vec<u8>),
    /// Parts, size hint, what is put between, whether it is finished.
    Stream(TableId, Blob, Vec<Blob>, u64, Option<(Blob, Blob)>, bool),
    CursorPut(usize, Blob),
    CursorDelete(usize),
    Snapshot(SnapshotOp),
    Read(Read),
}

/// An operation that changes nothing.
#[derive(Debug, Clone)]
pub enum Read {
    Get(TableId, Blob),
    Contains(TableId, Blob),
    GetMany(TableId, Vec<Blob>),
    ValueLen(TableId, Blob),
    ValuePart(TableId, Blob, u64, usize),
    Count(TableId, Span),
    Rank(TableId, Blob),
    Open(Vec<u8>),
    Note(TableId),
    List,
    Scan(TableId, Span, usize),
    CursorOpen(usize, TableId, Span),
    CursorClose(usize),
    CursorMove(usize, Move),
    CursorCount(usize),
    CursorRank(usize),
    Snapshot(SnapshotRead),
}

/// What a transaction does to snapshots.
#[derive(Debug, Clone)]
pub enum SnapshotOp {
    Create(Vec<u8>, Flags),
    Rename(Vec<u8>, Vec<u8>),
    Drop(Vec<u8>),
    Release(Vec<u8>),
    Keep(Vec<u8>, bool),
    /// Sets the policy.
    YieldPages(u64),
}

/// What a transaction asks about snapshots.
#[derive(Debug, Clone)]
pub enum SnapshotRead {
    List,
    Stat(Vec<u8>),
    Ranges(Vec<u8>, TableId, Span),
}

/// Cursors a transaction has at once.
pub const CURSORS: usize = 5;

impl Gen {
    pub fn new(seed: u64, shape: Shape, sizes: Sizes, universe: u64, page_size: usize) -> Gen {
        Gen {
            rng: Rng::new(seed),
            shape,
            sizes,
            universe,
            page_size,
            salt: mix(seed),
            phase: (Phase::Grow, 1000),
            load: Vec::new(),
        }
    }

    /// A key of the universe.
    pub fn key(&mut self) -> Vec<u8> {
        let index = self.rng.below(self.universe);
        self.key_at(self.shape, index)
    }

    fn key_at(&self, shape: Shape, index: u64) -> Vec<u8> {
        let mut rng = Rng::new(self.salt ^ mix(index));
        match shape {
            // Consecutive, with a far away group so that leaves meet wide gaps.
            Shape::Int => {
                let far = if index % 97 == 0 { 1 << 40 } else { 0 };
                (index + far).to_be_bytes().to_vec()
            }
            Shape::Random => {
                let len = rng.index(41);
                rng.bytes(len)
            }
            Shape::Url => format!(
                "https://www.example{}.com/category/{}/item-{:07}",
                index % 3,
                index / 3 % 7,
                mix(index) % 10_000_000
            )
            .into_bytes(),
            Shape::EqualHeads => {
                let mut key = vec![b'a' + (index % 3) as u8; 4 + (index % 4) as usize * 4];
                key.extend_from_slice(&(index as u16).to_be_bytes()[1 - (index % 2) as usize..]);
                key.resize(key.len() + (index / 7 % 3) as usize, b'z');
                key
            }
            Shape::Nested => {
                let mut key: Vec<u8> = (0..index % 5).map(|i| b'a' + (mix(index ^ i) % 2) as u8).collect();
                key.resize(key.len() + (index / 5 % 9) as usize, 0);
                if index / 45 % 3 == 0 {
                    key.push((index / 135) as u8);
                }
                key
            }
            Shape::Long => {
                let len = match rng.below(200) {
                    0 => rng.range(60_000, 2 << 20),
                    1..20 => rng.range(3_000, 20_000),
                    _ => rng.range(300, 1_500),
                };
                let mut key = vec![b'p' + (index % 2) as u8; len];
                let at = len - 8 - (index % 50) as usize;
                key[at..at + 8].copy_from_slice(&mix(index).to_be_bytes());
                key
            }
            Shape::Mixed => {
                let shape = match index % 16 {
                    0..3 => Shape::Int,
                    3..6 => Shape::Random,
                    6..9 => Shape::Url,
                    9..12 => Shape::EqualHeads,
                    12..15 => Shape::Nested,
                    _ => Shape::Long,
                };
                self.key_at(shape, index)
            }
        }
    }

    /// Length of a value.
    fn value_len(&mut self) -> usize {
        let rng = &mut self.rng;
        if self.sizes == Sizes::Eight && !rng.one_in(400) {
            return 8;
        }
        match rng.below(4000) {
            0 => rng.range(100_000, 4 << 20),
            1..20 => rng.range(4_000, 70_000),
            20..120 => (self.page_size / rng.range(1, 5)).saturating_sub(40) + rng.index(80),
            120..400 => rng.range(200, 2_000),
            400..1500 => rng.range(20, 200),
            1500..1700 => 0,
            1700..2500 => 8,
            _ => rng.range(1, 20),
        }
    }

    /// A value.
    pub fn value(&mut self) -> Blob {
        let len = self.value_len();
        Blob(self.rng.bytes(len).into())
    }

    fn blob_key(&mut self) -> Blob {
        Blob(self.key().into())
    }

    /// A key that is in the table, usually.
    fn likely_key(&mut self, state: &State, table: TableId) -> Blob {
        let map = state.map(table);
        if map.is_empty() || self.rng.percent(30) {
            return self.blob_key();
        }
        // The next key from a random one on: cheap, and near enough to a uniform choice.
        let from = self.key();
        let found = map
            .range::<[u8], _>((Bound::Included(from.as_slice()), Bound::Unbounded))
            .next();
        let (key, _) = found.or_else(|| map.last_key_value()).expect("the table is not empty");
        Blob(key.clone())
    }

    fn mode(&mut self) -> PutMode {
        match self.rng.below(10) {
            0 => PutMode::NoOverwrite,
            1 => PutMode::NoInsert,
            2 => PutMode::Append,
            _ => PutMode::Set,
        }
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.rng.below(5) {
            0 | 1 => Bound::Included(self.key()),
            2 => Bound::Excluded(self.key()),
            _ => Bound::Unbounded,
        }
    }

    /// Any range, also contradicting ones.
    pub fn span(&mut self) -> Span {
        let prefix = self.rng.percent(25).then(|| {
            let key = self.key();
            let len = if key.is_empty() {
                0
            } else {
                self.rng.range(1, key.len())
            };
            key[..len].to_vec()
        });
        Span {
            from: self.bound(),
            to: self.bound(),
            prefix,
            reverse: self.rng.percent(35),
        }
    }

    /// A range of few entries, so that deleting it does not empty the table each time.
    fn short_span(&mut self, state: &State, table: TableId) -> Span {
        let mut span = self.span();
        if self.phase.0 != Phase::Shrink || self.rng.percent(85) {
            let from = self.likely_key(state, table).0;
            let steps = self.rng.index(30);
            let to = state
                .map(table)
                .range::<[u8], _>((Bound::Included(from.as_ref()), Bound::Unbounded))
                .nth(steps);
            span.from = Bound::Included(from.to_vec());
            span.to = to.map_or(Bound::Included(from.to_vec()), |(key, _)| Bound::Excluded(key.to_vec()));
            span.prefix = None;
        }
        if span.prefix.as_ref().is_some_and(Vec::is_empty) {
            span.prefix = None;
        }
        span
    }

    /// A table, the main one more often than others.
    pub fn table(&mut self, state: &State) -> TableId {
        if self.rng.percent(60) || state.names.is_empty() {
            return TableId::MAIN;
        }
        let n = self.rng.index(state.names.len());
        *state.names.values().nth(n).expect("n is below the number of tables")
    }

    fn named(&mut self, state: &State) -> Option<TableId> {
        if state.names.is_empty() {
            return None;
        }
        let n = self.rng.index(state.names.len());
        state.names.values().nth(n).copied()
    }

    fn name(&mut self) -> Vec<u8> {
        let n = self.rng.below(8);
        match n {
            0 => vec![0xff; 200],
            1 => b"a\0b".to_vec(),
            _ => format!("table {n}").into_bytes(),
        }
    }

    /// A reading operation.
    pub fn read(&mut self, state: &State, cursors: &[Option<ModelCursor>]) -> Read {
        let table = self.table(state);
        match self.rng.below(100) {
            0..18 => Read::Get(table, self.likely_key(state, table)),
            18..22 => Read::Contains(table, self.likely_key(state, table)),
            22..25 => {
                let n = self.rng.index(24);
                Read::GetMany(table, (0..n).map(|_| self.likely_key(state, table)).collect())
            }
            25..27 => Read::ValueLen(table, self.likely_key(state, table)),
            27..31 => {
                let key = self.likely_key(state, table);
                let len = state.map(table).get(&key.0).map_or(10, |value| value.len());
                let offset = self.rng.below(len as u64 + 3);
                let part = if self.rng.one_in(4) { len } else { self.rng.index(5000) };
                Read::ValuePart(table, key, offset, part)
            }
            31..34 => Read::Count(table, self.span()),
            34..36 => Read::Rank(table, self.blob_key()),
            36..37 => Read::Open(self.name()),
            37..38 => match self.named(state) {
                Some(table) => Read::Note(table),
                None => Read::List,
            },
            38 => match self.rng.below(2) {
                0 => Read::List,
                _ => Read::Snapshot(self.snapshot_read(state, table)),
            },
            39..42 => {
                let limit = self.rng.index(40);
                Read::Scan(table, self.span(), limit)
            }
            _ => self.read_cursor(table, state, cursors),
        }
    }

    fn read_cursor(&mut self, table: TableId, state: &State, cursors: &[Option<ModelCursor>]) -> Read {
        let slot = self.rng.index(CURSORS);
        let Some(cursor) = &cursors[slot] else {
            let span = if self.rng.percent(40) { Span::all() } else { self.span() };
            return Read::CursorOpen(slot, table, span);
        };
        match self.rng.below(100) {
            0..3 => Read::CursorClose(slot),
            3..6 => Read::CursorCount(slot),
            6..9 if cursor.current(state.map(cursor.table)).is_some() => Read::CursorRank(slot),
            _ => Read::CursorMove(slot, self.movement(state, cursor)),
        }
    }

    fn movement(&mut self, state: &State, cursor: &ModelCursor) -> Move {
        let absolute = !cursor.is_certain() || self.rng.percent(25);
        if !absolute {
            return match self.rng.below(10) {
                0 => Move::Get,
                1..4 => Move::Prev,
                _ => Move::Next,
            };
        }
        match self.rng.below(20) {
            0 => Move::First,
            1 => Move::Last,
            2 | 3 => Move::Nth(self.rng.below(state.map(cursor.table).len() as u64 + 2)),
            4 => Move::Percentile(self.rng.below(101) as f64),
            _ => {
                let how = [Seek::Eq, Seek::Ge, Seek::Gt, Seek::Le, Seek::Lt][self.rng.index(5)];
                Move::Seek(self.likely_key(state, cursor.table).0.to_vec(), how)
            }
        }
    }

    /// Any operation of a write transaction.
    pub fn op(&mut self, state: &State, cursors: &[Option<ModelCursor>]) -> Op {
        if let Some(op) = self.load.pop() {
            return op;
        }
        self.phase.1 -= 1;
        if self.phase.1 == 0 {
            let phase = [Phase::Grow, Phase::Grow, Phase::Steady, Phase::Shrink][self.rng.index(4)];
            self.phase = (phase, 500 + self.rng.below(3000));
            if phase == Phase::Grow {
                self.bulk();
            }
        }
        let table = self.table(state);
        match self.phase.0 {
            Phase::Grow if self.rng.percent(40) => {
                return Op::Put(table, self.blob_key(), self.value(), PutMode::Set);
            }
            Phase::Shrink if self.rng.percent(30) => return Op::Delete(table, self.likely_key(state, table)),
            _ => {}
        }
        match self.rng.below(1000) {
            0..200 => Op::Put(table, self.blob_key(), self.value(), self.mode()),
            200..250 => Op::Insert(table, self.blob_key(), self.value()),
            250..280 => Op::Replace(table, self.likely_key(state, table), self.value(), self.mode()),
            280..295 => {
                let len = self.value_len();
                let filled = if self.rng.one_in(3) {
                    self.rng.index(len + 1)
                } else {
                    len
                };
                let byte = self.rng.next() as u8;
                Op::Reserve(table, self.blob_key(), len, filled, byte, self.mode())
            }
            295..400 => Op::Delete(table, self.likely_key(state, table)),
            400..430 => Op::DeleteBlind(table, self.likely_key(state, table)),
            430..445 => Op::Take(table, self.likely_key(state, table)),
            445..453 => Op::TakeFirst(table, self.span()),
            453..457 => Op::DeleteRange(table, self.short_span(state, table)),
            457 if self.phase.0 == Phase::Shrink => Op::Clear(table),
            458..461 => Op::Create(self.name(), self.rng.one_in(4)),
            461 => match self.named(state) {
                Some(table) => Op::Rename(table, self.name()),
                None => Op::Create(self.name(), true),
            },
            462 => match self.named(state) {
                Some(table) if self.rng.one_in(2) => Op::Drop(table),
                _ => Op::Create(self.name(), false),
            },
            463 => match self.named(state) {
                Some(table) => {
                    let len = self.rng.index(60);
                    Op::SetNote(table, self.rng.bytes(len))
                }
                None => Op::Create(self.name(), false),
            },
            464..468 => self.stream(table),
            468..500 => self.write_cursor(state, cursors),
            500..504 => Op::Snapshot(self.snapshot_op()),
            _ => Op::Read(self.read(state, cursors)),
        }
    }

    /// Begins a load of neighbouring keys into the main table, in one order or another.
    fn bulk(&mut self) {
        let n = self.rng.below(self.universe.min(3000)) + 1;
        let from = self.rng.below(self.universe);
        let mut keys: Vec<Vec<u8>> = (from..from + n)
            .map(|i| self.key_at(self.shape, i % self.universe))
            .collect();
        match self.rng.below(4) {
            0 => keys.sort(),
            1 => {
                keys.sort();
                keys.reverse();
            }
            _ => {}
        }
        for key in keys {
            let value = self.value();
            self.load
                .push(Op::Put(TableId::MAIN, Blob(key.into()), value, PutMode::Set));
        }
    }

    fn write_cursor(&mut self, state: &State, cursors: &[Option<ModelCursor>]) -> Op {
        let slot = self.rng.index(CURSORS);
        match &cursors[slot] {
            Some(cursor) if cursor.is_certain() => {
                if self.rng.percent(60) {
                    Op::CursorDelete(slot)
                } else {
                    Op::CursorPut(slot, self.value())
                }
            }
            _ => Op::Read(self.read(state, cursors)),
        }
    }

    fn stream(&mut self, table: TableId) -> Op {
        let key = self.blob_key();
        let parts: Vec<Blob> = (0..self.rng.range(1, 6)).map(|_| self.value()).collect();
        let len: usize = parts.iter().map(|part| part.0.len()).sum();
        let hint = match self.rng.below(3) {
            0 => 0,
            1 => len as u64,
            _ => self.rng.below(10_000),
        };
        let between = self.rng.one_in(2).then(|| (self.blob_key(), self.value()));
        let between = between.filter(|(other, _)| *other != key);
        Op::Stream(table, key, parts, hint, between, self.rng.percent(80))
    }
}
