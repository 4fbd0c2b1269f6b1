//! These tests use a draft without the write lock: they collect edits, read them back, flush them to private pages, and
//! see that a dropped draft leaves no trace.

use super::draft::Draft;
use super::draft_pages::DraftPages;
use super::flush::Edit;
use super::put::{Entry, PutMode};
use super::unfinished::UnfinishedValues;
use super::CommitMode;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run, TableId};
use crate::page::{Extent, Lifetime, PageSink};
use crate::pager::{open_memory, Durability, Pager, PagerOptions, Snapshot, Verify, Wait};
use crate::tree::write::edits::Op;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// The pages of a draft without the write lock: nothing can be placed, and pages of the snapshot that the draft
/// replaces stay as they are.
struct NoPages(CommitId);

impl PageSink for NoPages {
    fn birth(&self) -> CommitId {
        self.0
    }
    fn take(&mut self, _: u64, _: Lifetime) -> Result<Run> {
        Err(Error::Unsupported("a draft without the write lock has no pages"))
    }
    fn take_exact(&mut self, _: u64) -> Result<Run> {
        Err(Error::Unsupported("a draft without the write lock has no pages"))
    }
    fn write_pages(&mut self, _: PageNo, _: &[&[u8]], _: &[u32]) -> Result<()> {
        Err(Error::Unsupported("a draft without the write lock has no pages"))
    }
    fn write_piece(&mut self, _: PageNo, _: &[u8], _: u32) -> Result<()> {
        Err(Error::Unsupported("a draft without the write lock has no pages"))
    }
    fn release(&mut self, _: Extent) {}
}

impl DraftPages for NoPages {
    fn prepare_to_place(&mut self) -> Result<bool> {
        Ok(false)
    }
    fn living_pages(&self) -> u64 {
        0
    }
    fn keep_released(&mut self, _: bool) {}
    fn save(&mut self) -> Result<()> {
        Ok(())
    }
    fn save_again(&mut self) {}
    fn undo_since(&mut self, _: u32) {}
    fn forget_savepoint(&mut self, _: u32) {}
}

fn pager() -> Arc<Pager> {
    let options = PagerOptions {
        page_size: 4096,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    };
    open_memory(&options).expect("a pager in memory").0
}

fn draft_on(snapshot: &Snapshot, budget: usize) -> (Draft, NoPages) {
    let base = *snapshot.desc();
    let draft = Draft::new(snapshot.pager().clone(), base, budget);
    (draft, NoPages(base.id.next()))
}

fn entry<'e>(key: &'e [u8], value: &'e [u8]) -> Entry<'e> {
    Entry {
        key,
        value,
        is_greatest: false,
    }
}

/// Commits entries of the main table in an exclusive transaction.
fn commit(pager: &Arc<Pager>, entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> CommitId {
    let lock = pager.lock_write(Wait::Try, &AtomicBool::new(false));
    let mut pages = lock.expect("the write lock is free");
    let mut draft = Draft::new(pager.clone(), pages.tip(), 1 << 20);
    let main = draft.open(TableId::MAIN).expect("the main table");
    for (key, value) in entries {
        draft.put(main, entry(&key, &value), &mut pages).expect("put");
    }
    let mode = CommitMode {
        durability: Durability::Full,
        wait: true,
        folds: false,
        same: false,
    };
    draft.commit(pages, UnfinishedValues::default(), mode).expect("commit")
}

fn numbered(n: u32) -> (Vec<u8>, Vec<u8>) {
    (n.to_be_bytes().to_vec(), format!("value {n}").into_bytes())
}

#[test]
fn a_draft_needs_no_lock_reads_its_own_writes_and_leaves_no_trace() {
    let pager = pager();
    let first = commit(&pager, (0..1000).map(numbered));
    let snapshot = pager.begin_read().expect("a reader");
    // Somebody else has the write lock all the while.
    let lock = pager.lock_write(Wait::Try, &AtomicBool::new(false)).expect("free");
    let before = pager.stat();

    let (mut draft, mut pages) = draft_on(&snapshot, 4096);
    let main = draft.open(TableId::MAIN).expect("the main table");
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = (0..1000).map(numbered).collect();
    let mut version = draft.tree_now(TableId::MAIN).expect("a tree").version;
    for n in (0..3000u32).step_by(7) {
        let (key, _) = numbered(n);
        let value = vec![n as u8; 40];
        draft.put(main, entry(&key, &value), &mut pages).expect("put");
        model.insert(key, value);
        let (gone, _) = numbered(n + 1);
        draft.delete(main, &gone, &mut pages).expect("delete");
        model.remove(&gone);
        let now = draft.tree_now(TableId::MAIN).expect("a tree").version;
        assert!(now >= version, "a version never falls");
        version = now;
    }
    assert!(
        draft.stat().private_pages > 0,
        "the budget was used up, so sets were flushed"
    );
    for n in 0..3100 {
        let (key, _) = numbered(n);
        let pending = draft.pending(main, &key).expect("pending");
        let found = draft.value(main, pending, &key).expect("value");
        assert_eq!(found, model.get(&key).map(Vec::as_slice), "key {n}");
    }
    draft.flush(main, &mut pages).expect("flush");
    let tree = draft.tree_now(TableId::MAIN).expect("a tree");
    assert_eq!(tree.root.ptr.entries, model.len() as u64);
    assert!(tree.root.ptr.page.is_private(), "nothing was placed");

    drop(draft);
    drop(lock);
    let after = pager.stat();
    assert_eq!((after.visible, after.pages), (first, before.pages), "no trace is left");
    assert_eq!(commit(&pager, std::iter::once(numbered(5000))), first.next());
}

#[test]
fn what_needs_pages_fails_a_draft_without_them() {
    let pager = pager();
    let snapshot = pager.begin_read().expect("a reader");
    let (mut draft, mut pages) = draft_on(&snapshot, 1 << 20);
    let main = draft.open(TableId::MAIN).expect("the main table");
    let long = vec![1; 100_000];
    let put = draft.put(main, entry(b"long", &long), &mut pages);
    assert!(matches!(put, Err(Error::Unsupported(_))));
    assert!(
        !draft.is_failed(),
        "an answer, not a failure: the draft may be made exclusive"
    );
    draft.put(main, entry(b"short", b"1"), &mut pages).expect("put");
}

#[test]
fn a_failure_is_remembered_and_ends_the_draft() {
    let pager = pager();
    let snapshot = pager.begin_read().expect("a reader");
    let (draft, _) = draft_on(&snapshot, 1 << 20);
    draft.check_usable().expect("usable");
    assert!(matches!(draft.fail(Error::NotFound), Error::NotFound) && !draft.is_failed());
    draft.fail(Error::NoMemory("a test"));
    draft.fail(Error::Poisoned);
    match draft.check_usable() {
        Err(Error::TxnFailed(why)) => assert_eq!(why, Error::NoMemory("a test").to_string(), "the first one"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn modes_and_appends_are_checked_over_flushed_and_pending_edits() {
    let pager = pager();
    commit(&pager, (0..10).map(numbered));
    let snapshot = pager.begin_read().expect("a reader");
    let (mut draft, mut pages) = draft_on(&snapshot, 1 << 20);
    let main = draft.open(TableId::MAIN).expect("the main table");
    let mut check = |draft: &mut Draft, n: u32, mode| draft.check_mode(main, &numbered(n).0, mode, &mut pages);
    assert!(matches!(
        check(&mut draft, 3, PutMode::NoOverwrite),
        Err(Error::Exists(_))
    ));
    assert!(matches!(check(&mut draft, 30, PutMode::NoInsert), Err(Error::NotFound)));
    assert!(matches!(check(&mut draft, 9, PutMode::Append), Err(Error::Order(_))));
    check(&mut draft, 10, PutMode::Append).expect("behind the last");
    let (key, value) = numbered(10);
    let edit = Edit {
        key: &key,
        op: Op::Put(crate::page::leaf::Stored::Inline(&value)),
        is_greatest: true,
    };
    draft.push(main, edit, &mut NoPages(CommitId::MAX)).expect("push");
    assert!(draft.continues_append(TableId::MAIN, &numbered(11).0).is_some());
    assert!(draft.continues_append(TableId::MAIN, &numbered(10).0).is_none());
}

#[test]
fn a_call_that_ends_half_done_spoils_the_draft_whatever_the_error_is() {
    let pager = pager();
    let snapshot = pager.begin_read().expect("a snapshot");
    let (draft, _) = draft_on(&snapshot, 1 << 20);
    draft.fail(Error::NotFound);
    assert!(draft.check_usable().is_ok(), "an ordinary answer");
    draft.fail_half_done(Error::NotFound);
    assert!(matches!(draft.check_usable(), Err(Error::TxnFailed(_))));
}
