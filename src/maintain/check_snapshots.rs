//! Checking what named snapshots hold: their trees, as far as these are not those of the newest commit, and that no
//! page of them is free for other uses.

use super::check::{Check, JobView};
use super::fault::Fault;
use super::job::JobPages;
use super::trees::CommitTrees;
use crate::catalogue::snapshot::{self, SnapshotRecord};
use crate::error::{Error, FaultKind, Result};
use crate::ids::{PageNo, TableId};
use crate::page::Extent;
use crate::pager::{Descriptor, Pager, Parked, Snapshot};
use crate::tree::read::check::{Checker, PageSet, Reached, SeenPages};
use crate::util::shown::Quoted;
use std::cell::Cell;
use std::sync::Arc;

impl Check<'_, '_> {
    /// Checks that every parked extent is seen by a snapshot that is recorded (I-23), or it would never be given back,
    /// and that it was parked by now.
    pub(super) fn holders(&mut self, view: JobView<'_, '_, '_>, desc: &Descriptor, parked: &[Parked]) {
        if let Some(later) = parked.iter().find(|parked| parked.fold > desc.id) {
            let what = "pages are parked for a snapshot by a commit that was not made yet";
            self.found(&Fault::contradiction(
                Some(later.extent.run.first),
                TableId::SPACE,
                what,
            ));
        }
        let recorded = match snapshot::recorded(&view, &desc.roots.snapshots, desc.id) {
            Ok(recorded) => recorded,
            // That the list cannot be read is told where it is read for the snapshots in it.
            Err(_) => return,
        };
        let is_seen = |parked: &&Parked| {
            let first = recorded.from(parked.extent.birth);
            first.is_some_and(|commit| commit <= parked.holder)
        };
        if let Some(lost) = parked.iter().find(|parked| !is_seen(parked)) {
            let what = "pages are parked for a snapshot that is not recorded";
            self.found(&Fault::contradiction(Some(lost.extent.run.first), TableId::SPACE, what));
        }
    }

    /// Checks the trees of every named snapshot. Pages in `in_use` were checked as those of the newest commit. All
    /// others that a snapshot reaches must be in `gone`: dead for the newest commit, or parked. Others may drop
    /// snapshots meanwhile, so each is held while it is checked, and passed over if it is gone.
    ///
    /// # Errors
    /// Those of beginning to read, but for damage, which is a fault.
    pub(super) fn snapshots(
        &mut self,
        view: JobView<'_, '_, '_>,
        desc: &Descriptor,
        (in_use, gone): (SeenPages, PageSet),
        pager: &Arc<Pager>,
    ) -> Result<()> {
        let mut all: Vec<(Vec<u8>, SnapshotRecord)> = Vec::new();
        let mut is_later = false;
        let read = snapshot::each(&view, &desc.roots.snapshots, |key, record| {
            if snapshot::is_name(key) && !record.mark {
                Error::or_room(&mut all, 1, "the list of snapshots")?;
                all.push((key.to_vec(), record));
            } else if !snapshot::is_name(key) {
                // A drop is later than the commit whose state was dropped.
                is_later |= record.dropped > Some(desc.id);
            }
            Ok(true)
        });
        if is_later {
            let what = "a snapshot was dropped by a commit that was not made yet";
            self.found(&Fault::contradiction(None, TableId::SNAPSHOTS, what));
        }
        if let Err(error) = read {
            self.failed(TableId::SNAPSHOTS, &error);
        }
        let mut seen = in_use;
        for (name, record) in &all {
            if record.commit > desc.id {
                let what = format!("the snapshot {} is of a commit that was not made yet", Quoted(name));
                self.found(&Fault::contradiction(None, TableId::SNAPSHOTS, &what));
                continue;
            }
            let held = pager.begin_read_at(|newest| {
                let now = snapshot::find(&newest.view(), &newest.desc().roots.snapshots, name)?;
                let same = now.filter(|now| now.commit == record.commit && !now.mark);
                same.map(|now| Some(now.descriptor())).ok_or(Error::NotFound)
            });
            match held {
                Ok(reader) => seen = self.state(&reader, seen, &gone),
                Err(Error::NotFound) => {}
                Err(error @ Error::Corrupt(_)) => self.failed(TableId::SNAPSHOTS, &error),
                // That is no fault of the file.
                Err(error) => return Err(error),
            }
            if self.stopped || self.job.is_stopped() {
                break;
            }
        }
        Ok(())
    }

    /// Checks the trees of a snapshot, of which others have reached `seen`. Returns what was reached by then.
    fn state(&mut self, reader: &Snapshot, seen: SeenPages, gone: &PageSet) -> SeenPages {
        self.report.snapshots += 1;
        let view = JobPages {
            source: reader.view(),
            job: self.job,
        };
        let CommitTrees { all, faults } = match CommitTrees::of(&view, reader.desc()) {
            Ok(trees) => trees,
            Err(error) => {
                self.failed(TableId::CATALOGUE, &error);
                return seen;
            }
        };
        let (current, reused) = (Cell::new(TableId::MAIN), Cell::new(None));
        let job = self.job;
        let mut on_fault =
            |page: PageNo, kind: FaultKind, what: &str| self.found(&Fault::at(page, current.get(), kind, what));
        let mut on_run = |extent: Extent, _: Reached| {
            let lost = extent.run.iter().find(|page| !gone.contains(*page));
            reused.set(reused.get().or(lost));
        };
        let mut checker = Checker::new(true, &mut on_fault, &mut on_run);
        checker.share(seen);
        for (table, root) in &all {
            current.set(*table);
            checker.tree(&view, root, *table);
            if checker.is_stopped() {
                break;
            }
        }
        if checker.lacks_memory() {
            job.lack_memory();
        }
        let seen = checker.into_seen();
        for fault in &faults {
            self.found_again(fault);
        }
        if let Some(page) = reused.get() {
            let what = "a page of a snapshot is in no list of what is kept for snapshots";
            self.found(&Fault::contradiction(Some(page), TableId::SPACE, what));
        }
        seen
    }
}
