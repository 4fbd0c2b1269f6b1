//! Does what concerns named snapshots to the library and to the model, and compares.

use super::Cursors;
use crate::common::api::{status, Base, KeyRange, Reads, Recorded, Snapshot, Span, Writes};
use crate::common::compare::agree;
use crate::common::gen::{SnapshotOp, SnapshotRead};
use crate::common::model::{differing, limits, Map, Named, State};
use kv::{CommitId, TableId};
use std::ops::Bound;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is attached to each snapshot.
pub const NOTE: &[u8] = b"a note";

/// Now, as the library records it.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time after 1970").as_nanos() as u64
}

/// A transaction was committed, with this state, after `began`: what it has recorded of itself has a commit, and the
/// policy may have made marks.
pub fn committed(base: &dyn Base, state: &mut State, began: u64) {
    let (list, seen) = (state.list(), Rc::new(state.seen()));
    let may_change = |named: &Named| named.origin.is_none() || (list.yield_pages > 0 && named.may_yield());
    let names = list.named.iter().filter(|(_, named)| may_change(named));
    let names: Vec<Vec<u8>> = names.map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        return;
    }
    let mut newest = base.begin_read().unwrap_or_else(|fail| panic!("begin_read: {fail:?}"));
    let id = newest.id().expect("the commit of a reader");
    let (list, mut newest_mark) = (state.list_mut(), CommitId::NONE);
    for name in &names {
        let told = newest.snapshot(name);
        let told = told.unwrap_or_else(|fail| panic!("{}: {fail:?}", name.escape_ascii()));
        if list.named[name].origin.is_none() {
            let is_now = (began..=now()).contains(&told.time);
            assert!(told.commit == id && is_now, "{told:?} of commit {id} after {began}");
            list.complete(name, &told, seen.clone());
        }
        let named = list.find_mut(name).expect("it is in the list");
        if told.flags.mark && !named.flags.mark {
            assert!(named.may_yield(), "{told:?} has yielded");
            named.become_mark();
            newest_mark = newest_mark.max(told.commit);
        }
    }
    let mut others = list.kept().filter(|(_, _, named)| named.may_yield());
    assert!(
        others.all(|(_, origin, _)| origin.commit >= newest_mark),
        "a newer one has yielded"
    );
}

/// What a transaction does to snapshots.
pub fn write(txn: &mut dyn Writes, state: &mut State, op: &SnapshotOp) {
    let list = state.list_mut();
    let (got, want) = match op {
        SnapshotOp::Create(name, flags) => (txn.snapshot_create(name, *flags, NOTE), list.create(name, *flags)),
        SnapshotOp::Rename(name, to) => (txn.snapshot_rename(name, to), list.rename(name, to)),
        SnapshotOp::Drop(name) => (txn.snapshot_drop(name), list.remove(name).map(drop)),
        SnapshotOp::Release(name) => (txn.snapshot_release(name), list.release(name)),
        SnapshotOp::Keep(name, keep) => (txn.snapshot_keep(name, *keep), list.keep(name, *keep)),
        SnapshotOp::YieldPages(pages) => {
            list.yield_pages = *pages;
            (txn.set_yield_pages(*pages), Ok(()))
        }
    };
    agree(&format!("{op:?}"), got, want);
}

/// What a transaction tells of snapshots. One that reads a snapshot has no list of them.
pub fn read<T: Reads + ?Sized>(txn: &mut T, state: &State, op: &SnapshotRead) {
    let found = |name: &Vec<u8>| match &state.snapshots {
        None => Err(status::NO_TABLE),
        Some(list) => list.find(name),
    };
    match op {
        SnapshotRead::List => list(txn, state),
        SnapshotRead::Stat(name) => stat(txn, name, found(name)),
        SnapshotRead::Ranges(name, table, span) => match (txn.snapshot_ranges(name, *table, span), found(name)) {
            (Ok(ranges), Ok(named)) => {
                // Nothing has changed since what is about to be committed.
                let was = named.origin.map_or(state, |_| &named.state);
                compare_ranges(&ranges, (&was.entries(*table), &state.entries(*table)), span);
            }
            (got, want) => agree("ranges", got.map(drop), want.map(drop)),
        },
    }
}

fn stat<T: Reads + ?Sized>(txn: &mut T, name: &[u8], want: Result<&Named, i32>) {
    let got = txn.snapshot(name);
    let want = want.map(|named| match (named.origin, &got) {
        (Some(origin), _) => Recorded {
            commit: origin.commit,
            time: origin.time,
            guid: origin.guid,
            flags: named.flags,
            note: NOTE.to_vec(),
        },
        // What is not committed is known by its flags.
        (None, got) => Recorded {
            flags: named.flags,
            ..got.clone().expect("a snapshot")
        },
    });
    agree("what is recorded of a snapshot", got, want);
}

/// All snapshots that a transaction sees, and the policy.
pub fn list<T: Reads + ?Sized>(txn: &mut T, state: &State) {
    let names = Span {
        from: Bound::Included(vec![1]),
        ..Span::all()
    };
    let got = txn.scan(TableId::SNAPSHOTS, &names, 100);
    let Some(list) = &state.snapshots else {
        agree("list of snapshots", got.map(drop), Err(status::NO_TABLE));
        return;
    };
    let got = got.unwrap_or_else(|fail| panic!("list of snapshots: {fail:?}"));
    assert!(got.iter().map(|(name, _)| name).eq(list.named.keys()), "{got:?}");
    for (name, named) in &list.named {
        stat(txn, name, Ok(named));
    }
    agree("policy", txn.yield_pages(), Ok(list.yield_pages));
}

/// The ranges ascend, do not touch each other, lie in the span, and all that differs lies in them.
fn compare_ranges(ranges: &[KeyRange], (was, is): (&Map, &Map), span: &Span) {
    let (low, high) = limits(span);
    let mut before: Option<&[u8]> = None;
    for (i, (first, end)) in ranges.iter().enumerate() {
        assert!(
            *first >= low && before.is_none_or(|before| before < &first[..]),
            "{ranges:?}"
        );
        assert!(end.is_some() || i + 1 == ranges.len(), "{ranges:?}");
        assert!(end.as_ref().is_none_or(|end| first < end), "{ranges:?}");
        assert!(
            high.is_none() || (end.is_some() && *end <= high),
            "{span:?}: {ranges:?}"
        );
        before = end.as_deref();
    }
    for key in differing((was, is), span) {
        let at = ranges.partition_point(|(first, _)| &first[..] <= key);
        let range = at.checked_sub(1).map(|at| &ranges[at]);
        let is_in = range.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| key < &end[..]));
        assert!(is_in, "{} has changed, in {span:?}: {ranges:?}", key.escape_ascii());
    }
}

/// Goes back to what a reader sees, with one table or with all.
pub fn revert(
    txn: &mut dyn Writes,
    (state, cursors): (&mut State, &mut Cursors),
    (from, seen): (&mut dyn Snapshot, &State),
    table: Option<TableId>,
) {
    let want = state.revert(seen, table);
    agree(&format!("revert {table:?}"), txn.revert(from, table), want);
    cursors.refreshed(txn, state);
}
