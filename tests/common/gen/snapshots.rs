//! Random operations on named snapshots. There are few names, so that operations meet each other.

use super::{Gen, SnapshotOp, SnapshotRead};
use crate::common::api::{Flags, Span};
use crate::common::model::State;
use kv::TableId;

impl Gen {
    /// The name of a snapshot that there is or could be.
    pub fn snapshot_name(&mut self) -> Vec<u8> {
        match self.rng.below(6) {
            0 => vec![0xff; 512],
            n => format!("snapshot {n}").into_bytes(),
        }
    }

    /// Flags, also contradicting ones.
    pub fn snapshot_flags(&mut self) -> Flags {
        Flags {
            replace: self.rng.percent(60),
            keep: self.rng.percent(8),
            mark: self.rng.percent(20),
            yields: self.rng.percent(30),
        }
    }

    pub fn snapshot_op(&mut self) -> SnapshotOp {
        let name = self.snapshot_name();
        match self.rng.below(100) {
            0..44 => SnapshotOp::Create(name, self.snapshot_flags()),
            44..47 => {
                let impossible = [vec![], vec![0, 1], vec![b'x'; 513]];
                SnapshotOp::Create(impossible[self.rng.index(3)].clone(), Flags::default())
            }
            47..60 => SnapshotOp::Rename(name, self.snapshot_name()),
            60..74 => SnapshotOp::Drop(name),
            74..84 => SnapshotOp::Release(name),
            84..94 => SnapshotOp::Keep(name, self.rng.percent(30)),
            _ => {
                let pages = 1 + self.rng.below(100);
                SnapshotOp::YieldPages(if self.rng.percent(60) { 0 } else { pages })
            }
        }
    }

    pub fn snapshot_read(&mut self, state: &State, table: TableId) -> SnapshotRead {
        // Since the newest ones only some things have changed, and not everything.
        let named = state.snapshots.iter().flat_map(|list| &list.named);
        let newest = named.max_by_key(|(_, named)| named.origin.map(|origin| origin.commit));
        let name = match newest {
            Some((name, _)) if self.rng.percent(60) => name.clone(),
            _ => self.snapshot_name(),
        };
        match self.rng.below(5) {
            0 => SnapshotRead::List,
            1 => SnapshotRead::Stat(name),
            2 => SnapshotRead::Ranges(name, TableId::NAMES, self.span()),
            3 => SnapshotRead::Ranges(name, table, Span::all()),
            _ => SnapshotRead::Ranges(name, table, self.span()),
        }
    }
}
