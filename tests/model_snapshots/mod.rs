//! What the runs of the model do with named snapshots besides the operations of their transactions: they read earlier
//! states, record what readers see, go back, and look at what snapshots keep.

use super::{Event, Held, Run};
use crate::common::api::{status, Door, Writes};
use crate::common::compare::agree;
use crate::common::drive::snapshots::{committed, now, revert, write, NOTE};
use crate::common::drive::{verify, Cursors};
use crate::common::gen::SnapshotOp;
use crate::common::model::{Named, Origin, State};
use kv::{CommitId, ReadAt, TableId};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// Where to read, owned.
#[derive(Debug)]
enum Earlier {
    Name(Vec<u8>),
    Commit(CommitId),
    Time(u64),
}

impl Earlier {
    fn at(&self) -> ReadAt<'_> {
        match self {
            Earlier::Name(name) => ReadAt::Snapshot(name),
            Earlier::Commit(id) => ReadAt::Commit(*id),
            Earlier::Time(time) => ReadAt::Time(*time),
        }
    }
}

impl Run {
    /// The database has a new commit with the state of the model.
    pub(super) fn committed(&mut self) {
        let base = self.base.as_deref().expect("open");
        committed(base, &mut self.state, self.began);
    }

    /// Something between two transactions.
    pub(super) fn use_snapshots(&mut self) {
        match self.gen.rng.below(60) {
            0..4 => self.read_earlier(),
            4..6 => self.record_what_a_reader_sees(),
            6 => self.drop_some(),
            7 => self.give_back(false),
            _ => {}
        }
    }

    fn kept(&self) -> Vec<(&Vec<u8>, Origin, &Named)> {
        self.state.list().kept().collect()
    }

    /// A reader of an earlier state begins.
    fn read_earlier(&mut self) {
        let newest = self.begin_reader().txn.id().expect("the commit of a reader");
        let many = self.kept().len();
        let at = self.gen.rng.index(many.max(1));
        let origin = self.kept().get(at).map(|(_, origin, _)| *origin);
        // Right at a snapshot, right before it, or without regard to any.
        let back = self.gen.rng.below(2);
        let earlier = match (self.gen.rng.below(8), origin) {
            (0, _) => Earlier::Commit(CommitId::new(1 + self.gen.rng.below(newest.get() + 2))),
            (1, _) => Earlier::Time([1, u64::MAX][back as usize]),
            (2, Some(origin)) => Earlier::Commit(CommitId::new((origin.commit.get() - back).max(1))),
            (3 | 4, Some(origin)) => Earlier::Time(origin.time - back),
            _ => Earlier::Name(self.gen.snapshot_name()),
        };
        let Some(want) = self.earlier(newest, &earlier) else {
            return;
        };
        self.witness.saw(Event::Other("a reader of an earlier state begins"));
        let begun = self.base().begin_read_at(earlier.at());
        match (begun, want) {
            (Ok(mut txn), Ok((id, state))) => {
                assert_eq!(txn.id().expect("the commit of a reader"), id, "{earlier:?}");
                if self.gen.rng.one_in(8) {
                    verify(txn.as_mut(), &state);
                }
                let slot = self.gen.rng.index(self.readers.len());
                let cursors = Cursors::default();
                self.readers[slot] = Some(Held { txn, state, cursors });
            }
            (Err(fail), Err(want)) => {
                assert_eq!(fail.status, want, "{earlier:?}: {fail:?}");
                if self.door == Door::C && want == status::NOTFOUND {
                    let oldest = self.state.list().kept().map(|(_, origin, _)| origin.commit).min();
                    let oldest = oldest.unwrap_or(newest);
                    let says = match earlier {
                        Earlier::Name(_) => "there is no snapshot ".to_string(),
                        _ => format!("(the oldest that is kept is commit {oldest})"),
                    };
                    assert!(fail.message.contains(&says), "{earlier:?}: {fail:?}");
                }
            }
            (begun, want) => {
                let (begun, want) = (begun.map(|_| ()), want.map(|(id, _)| id));
                panic!("{earlier:?}: {begun:?} and not {want:?}");
            }
        }
    }

    /// What a reader must see that begins there: a commit and its state. `None` if the model does not know.
    fn earlier(&self, newest: CommitId, earlier: &Earlier) -> Option<Result<(CommitId, State), i32>> {
        let newest_state = || Some(Ok((newest, self.state.clone())));
        let kept = self.kept();
        let is_meant: Box<dyn Fn(&Origin) -> bool> = match earlier {
            Earlier::Name(name) => {
                let found = self.state.list().find(name);
                return Some(found.and_then(|named| match (named.flags.mark, named.origin) {
                    (false, Some(origin)) => Ok((origin.commit, State::clone(&named.state))),
                    _ => Err(status::INVALID),
                }));
            }
            Earlier::Commit(id) if newest <= *id => return newest_state(),
            Earlier::Commit(id) => Box::new(move |origin| origin.commit <= *id),
            Earlier::Time(time) => {
                let known = kept.iter().find(|(_, origin, _)| origin.commit == newest);
                match known.map(|(_, origin, _)| origin.time) {
                    Some(made) if made <= *time => return newest_state(),
                    None if *time == u64::MAX => return newest_state(),
                    None if *time >= self.began => return None,
                    _ => Box::new(move |origin| origin.time <= *time),
                }
            }
        };
        let meant = kept.iter().filter(|(_, origin, _)| is_meant(origin));
        let best = meant.max_by_key(|(_, origin, _)| origin.commit);
        let best = best.map(|(_, origin, named)| (origin.commit, State::clone(&named.state)));
        Some(best.ok_or(status::NOTFOUND))
    }

    /// A commit of its own records what a reader sees.
    fn record_what_a_reader_sees(&mut self) {
        let (name, flags) = (self.gen.snapshot_name(), self.gen.snapshot_flags());
        let slot = self.gen.rng.index(self.readers.len());
        let Some(mut held) = self.readers[slot].take() else {
            return;
        };
        self.witness.saw(Event::Other("what a reader sees is recorded"));
        self.began = now();
        let got = held.txn.snapshot_create(&name, flags, NOTE);
        let want = self.state.list_mut().create(&name, flags);
        agree("a snapshot of what a reader sees", got, want);
        if want.is_ok() {
            let told = self.begin_reader().txn.snapshot(&name);
            let told = told.unwrap_or_else(|fail| panic!("a new snapshot: {fail:?}"));
            assert_eq!(told.commit, held.txn.id().expect("the commit of a reader"));
            let seen = Rc::new(held.state.seen());
            self.state.list_mut().complete(&name, &told, seen);
            self.committed();
        }
        self.readers[slot] = Some(held);
    }

    /// Goes back to what a reader or a snapshot shows, in a transaction.
    pub(super) fn revert(&mut self, txn: &mut dyn Writes, state: &mut State, cursors: &mut Cursors) {
        let slot = self.gen.rng.index(self.readers.len());
        let mut held = match self.readers[slot].take() {
            Some(held) => held,
            None => {
                let kept = self.kept();
                let Some((name, _, named)) = kept.get(slot) else {
                    return;
                };
                let begun = self.base().begin_read_at(ReadAt::Snapshot(name));
                Held {
                    txn: begun.unwrap_or_else(|fail| panic!("begin_read_at: {fail:?}")),
                    state: State::clone(&named.state),
                    cursors: Cursors::default(),
                }
            }
        };
        let table = match self.gen.rng.below(10) {
            0..3 => None,
            3 => Some(TableId::NAMES),
            4..7 => Some(self.gen.table(state)),
            _ => Some(self.gen.table(&held.state)),
        };
        self.witness.saw(Event::Other("going back"));
        revert(txn, (state, cursors), (held.txn.as_mut(), &held.state), table);
        self.readers[slot] = Some(held);
    }

    /// What all snapshots keep.
    pub(super) fn cost_of_all(&self) -> u64 {
        let kept = self.kept();
        let first = kept.iter().min_by_key(|(_, origin, _)| origin.commit);
        let last = kept.iter().max_by_key(|(_, origin, _)| origin.commit);
        let cost = first
            .zip(last)
            .map(|(first, last)| self.base().snapshot_cost(first.0, last.0));
        cost.map_or(0, |cost| cost.unwrap_or_else(|fail| panic!("cost: {fail:?}")))
    }

    /// Whether the policy may have snapshots give way with the next commit.
    pub(super) fn has_policy(&self) -> bool {
        self.state.list().yield_pages > 0
    }

    /// The sum of what the snapshots of each of these commits alone keep.
    fn costs_alone(&self, commits: &RangeInclusive<CommitId>) -> u64 {
        let kept = self.kept();
        let names: Vec<&[u8]> = kept.iter().map(|(name, _, _)| &name[..]).collect();
        let costs = self.base().snapshot_costs(&names);
        let costs = costs.unwrap_or_else(|fail| panic!("costs: {fail:?}"));
        let of_each = kept.iter().map(|(_, origin, _)| origin.commit).zip(costs);
        let of_each: BTreeMap<CommitId, u64> = of_each.filter(|(commit, _)| commits.contains(commit)).collect();
        of_each.values().sum()
    }

    /// Drops snapshots of successive commits, or makes marks of them: that gives back what their cost was.
    fn drop_some(&mut self) {
        let (kept, rng) = (self.state.list().kept(), &mut self.gen.rng);
        let kept = kept.map(|(name, origin, named)| (name.clone(), origin.commit, named.flags.keep));
        let kept: Vec<(Vec<u8>, CommitId, bool)> = kept.collect();
        if kept.is_empty() {
            return;
        }
        let (a, b) = (&kept[rng.index(kept.len())], &kept[rng.index(kept.len())]);
        let commits = a.1.min(b.1)..=a.1.max(b.1);
        let releases = rng.percent(40);
        self.witness.saw(Event::Other("snapshots are dropped"));
        let cost = self.base().snapshot_cost(&a.0, &b.0);
        let (cost, all) = (cost.unwrap_or_else(|fail| panic!("cost: {fail:?}")), self.cost_of_all());
        let alone = self.costs_alone(&commits);
        assert!(alone <= cost && cost <= all, "{alone}, {cost} of {all}");

        let mut txn = self
            .base()
            .begin_write()
            .unwrap_or_else(|fail| panic!("begin: {fail:?}"));
        let mut state = self.state.clone();
        for (name, _, keep) in kept.iter().filter(|(_, commit, _)| commits.contains(commit)) {
            let mut change = |op| write(txn.as_mut(), &mut state, &op);
            if *keep {
                change(SnapshotOp::Keep(name.clone(), false));
            }
            match releases {
                true => change(SnapshotOp::Release(name.clone())),
                false => change(SnapshotOp::Drop(name.clone())),
            }
        }
        self.commit(txn, state);
        if self.gen.rng.one_in(3) {
            self.readers = Default::default();
        }
        assert!(self.has_policy() || all - self.cost_of_all() == cost, "{cost} of {all}");
        self.give_back(true);
    }

    /// What dropped snapshots have left comes free, and what others keep stays. `is_dropped` says that some were.
    fn give_back(&mut self, is_dropped: bool) {
        let (cost, has_policy) = (self.cost_of_all(), self.has_policy());
        self.began = now();
        let given_back = if self.gen.rng.one_in(4) {
            self.witness.saw(Event::Other("compact"));
            self.base().compact()
        } else {
            self.witness.saw(Event::Other("reclaim"));
            self.base().reclaim().map(drop)
        };
        given_back.unwrap_or_else(|fail| panic!("giving back: {fail:?}"));
        self.committed();
        if has_policy {
            return;
        }
        assert_eq!(self.cost_of_all(), cost, "what snapshots keep");
        if self.readers.iter().all(Option::is_none) {
            let dead = self.base().dead_pages().expect("statistics");
            // What died last is not parked yet, unless there was something to give back.
            let is_known = (dead.parked..=dead.parked + dead.pending).contains(&cost);
            assert!(is_known && (!is_dropped || cost == dead.parked), "{cost}, {dead:?}");
        }
    }
}
