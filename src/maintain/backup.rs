//! A backup copies a snapshot while others read and write.
//!
//! It has one of two forms. The *image* has every page where the snapshot has it, zeros (in a file: holes) where the
//! snapshot reaches nothing, and a head of its own. It is written from its first byte to its last, so it can go down a
//! pipe. The *compact* copy is a new database into which the entries are put in order, so it has no dead pages, and its
//! leaves are full.
//!
//! Before an image is written, every page and every long value is verified against the checksum that leads to it, and
//! the sum of each page is kept; the bytes that are copied are compared with these sums once more. Nothing is opened by
//! path: the pages come from the file that this transaction reads, whatever its path names by now.

use super::fault::Fault;
use super::job::{Job, JobPages};
use super::trees::CommitTrees;
use crate::catalogue;
use crate::db::{Cursor, Db, Options, PutMode, Range, ReadTxn, Reader, WriteOptions, WriteTxn};
use crate::error::{Error, Result};
use crate::file::fresh::{identity_of, Fresh};
use crate::ids::{PageNo, Run, TableId};
use crate::page::{meta_pages, Extent, PageSource, Prefetch, Root, PIECE};
use crate::pager::{Durability, Image, View};
use crate::tree::read::check::{Checker, PageSet, Reached};
use crate::util::crc32c;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

/// The options of a backup.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackupOptions {
    /// Whether the entries are put into a new database, in order, instead of copying pages. The copy then has no dead
    /// pages, and its leaves are full.
    pub compact: bool,
    /// Whether a file that is there already is replaced.
    pub overwrite: bool,
}

/// A callback that takes the bytes of a streamed backup, in order.
pub type OnBytes<'f> = &'f mut dyn FnMut(&[u8]) -> Result<()>;

impl ReadTxn {
    /// Copies this snapshot to a new file, which appears under its name when it is whole and durable. Others can read
    /// and write meanwhile.
    ///
    /// # Errors
    /// `FileExists`: there is a file already, and `overwrite` is not set; `NoFile`: there is no such directory;
    /// `Access`; `NoSpace`; `Io`; `Cancelled`; `Corrupt`: a page is damaged, and no copy is made; `Invalid`: the
    /// target is the database itself; `NotADatabase`: the target is a device, a pipe, a directory or the like;
    /// `TooNew`: a newer version uses the file in a way that only a compact copy is possible; `Forked`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv::{BackupOptions, Db, Job, Options};
    ///
    /// # let folder = std::env::temp_dir().join(format!("kv-doc-backup-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).map_err(|e| kv::Error::io("create", e))?;
    /// let db = Db::open(&folder.join("db.kv"), &Options::default())?;
    /// let compact = BackupOptions { compact: true, ..BackupOptions::default() };
    /// db.begin_read()?.backup(&folder.join("copy.kv"), compact, &Job::silent())?;
    /// # drop(db);
    /// # std::fs::remove_dir_all(&folder).map_err(|e| kv::Error::io("remove", e))?;
    /// # Ok::<(), kv::Error>(())
    /// ```
    pub fn backup(&self, target: &Path, options: BackupOptions, job: &Job<'_>) -> Result<()> {
        let own = self.snapshot().pager().identity();
        if own.is_some() && own == identity_of(target)? {
            return Err(Error::Invalid(
                "the target of a backup is the database itself; give another name",
            ));
        }
        let copied = self.copy_to(target, options, job);
        copied.map_err(|e| self.with_table_name(e))
    }

    fn copy_to(&self, target: &Path, options: BackupOptions, job: &Job<'_>) -> Result<()> {
        self.snapshot().pager().check_fork()?;
        let fresh = Fresh::given(target, options.overwrite, self.snapshot().pager().permissions())?;
        if options.compact {
            let rebuilt = self.rebuild(&fresh, job);
            rebuilt.map_err(|e| e.of_file_instead(fresh.path(), target))?;
        } else {
            let mut file = fresh.create()?;
            let reached = self.snapshot_pages(job)?;
            self.image(&reached, job, &mut |part| match part {
                Part::Bytes(bytes) => file.write(bytes).map_err(|e| e.of_file(target)),
                Part::Zeros(pages) => {
                    file.zeros(pages * reached.page_size);
                    Ok(())
                }
            })?;
            file.finish().map_err(|e| e.of_file(target))?;
        }
        job.finish()?;
        fresh.publish()
    }

    /// Gives the copy to `write`, from its first byte to its last. A compact copy is made in a temporary file first.
    ///
    /// # Errors
    /// Those of [`ReadTxn::backup`], and those that `write` returns.
    pub fn backup_to(&self, options: BackupOptions, job: &Job<'_>, write: OnBytes<'_>) -> Result<()> {
        self.snapshot().pager().check_fork()?;
        if options.compact {
            // The temporary file gets no name that anybody hears of, so messages are about its directory.
            let folder = std::env::temp_dir();
            let name = folder.join("kv-backup");
            let in_folder = |e: Error| {
                let e = e.of_file_instead(&name, &folder);
                match e.file() == Some(&folder) {
                    true => e.explained("the directory for temporary files (TMPDIR)"),
                    false => e,
                }
            };
            // Others may reach that directory who may not reach the database.
            let fresh = Fresh::new(&name, true).map_err(in_folder)?.private();
            let rebuilt = self.rebuild(&fresh, job);
            let rebuilt = rebuilt.and_then(|()| Db::open(fresh.path(), &existing()));
            let db = rebuilt.map_err(|e| self.with_table_name(in_folder(e.of_file_instead(fresh.path(), &folder))))?;
            return db.begin_read()?.stream(job, write);
        }
        let copied = self.stream(job, write);
        copied.map_err(|e| self.with_table_name(e))
    }

    fn stream(&self, job: &Job<'_>, write: OnBytes<'_>) -> Result<()> {
        let reached = self.snapshot_pages(job)?;
        let zeros = [0; ZEROS];
        self.image(&reached, job, &mut |part| match part {
            Part::Bytes(bytes) => write(bytes),
            Part::Zeros(pages) => {
                let mut left = pages * reached.page_size;
                while left > 0 {
                    let n = left.min(ZEROS as u64);
                    write(&zeros[..n as usize])?;
                    job.advance(0)?;
                    left -= n;
                }
                Ok(())
            }
        })?;
        job.finish()
    }

    fn job_pages<'a, 'j, 'f>(&'a self, job: &'j Job<'f>) -> JobPages<'j, 'f, View<'a>> {
        JobPages {
            source: self.snapshot().view(),
            job,
        }
    }

    /// Walks and verifies the snapshot. Returns which pages it reaches, and their sums.
    fn snapshot_pages(&self, job: &Job<'_>) -> Result<SnapshotPages> {
        let desc = *self.snapshot().desc();
        let view = self.job_pages(job);
        let size = view.page_size() as u64;
        // Each page counts twice: once when it is verified, and once when it is copied.
        job.expect(2 * desc.pages);
        let CommitTrees { all: trees, faults } = CommitTrees::of(&view, &desc)?;
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault.into_error());
        }
        let mut reached = SnapshotPages {
            pages: PageSet::new(),
            sums: BTreeMap::new(),
            end: PageNo::new(meta_pages(size as usize)),
            page_size: size,
        };
        let current = Cell::new(TableId::MAIN);
        let (mut damage, mut failed) = (None, None);
        let mut on_fault = |page: PageNo, kind, what: &str| {
            damage.get_or_insert_with(|| Fault::at(page, current.get(), kind, what).into_error());
            false
        };
        let mut on_run = |extent: Extent, _what: Reached| {
            let taken = reached
                .take(&view, extent.run)
                .and_then(|()| job.advance(extent.run.pages));
            if let Err(error) = taken {
                failed.get_or_insert(error);
            }
        };
        let mut checker = Checker::new(true, &mut on_fault, &mut on_run);
        for (table, root) in &trees {
            current.set(*table);
            checker.tree(&view, root, *table);
            if checker.is_stopped() {
                break;
            }
        }
        if checker.lacks_memory() {
            job.lack_memory();
        }
        if job.is_stopped() {
            return Err(job.end());
        }
        match failed.or(damage) {
            Some(error) => Err(error),
            None => Ok(reached),
        }
    }

    /// Gives the parts of the image to `put`, in order.
    fn image(&self, reached: &SnapshotPages, job: &Job<'_>, put: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<()> {
        let snapshot = self.snapshot();
        let first = PageNo::new(meta_pages(reached.page_size as usize));
        let size = reached.page_size;
        let dead = reached.dead(first)?;
        let Image { head, end } = snapshot.pager().image(snapshot.desc(), reached.end, &dead)?;
        put(Part::Bytes(&head))?;
        let view = snapshot.view();
        let mut page = first;
        // The empty run at the end makes the loop copy the pages behind the last hole.
        for hole in dead.into_iter().chain([Run::new(reached.end, 0)]) {
            while page < hole.first {
                let n = (hole.first - page).min(PIECE / size);
                let run = Run::new(page, n);
                view.will_copy(&mut std::iter::once(run));
                let bytes = view.raw(page, n * size)?;
                for (number, bytes) in run.iter().zip(bytes.chunks_exact(size as usize)) {
                    if reached.sum(number) != crc32c(bytes) {
                        return Err(Error::corrupt(number, "a page changed while it was copied"));
                    }
                }
                put(Part::Bytes(bytes))?;
                job.advance(n)?;
                page += n;
            }
            if hole.pages > 0 {
                put(Part::Zeros(hole.pages))?;
                page += hole.pages;
            }
        }
        if !end.is_empty() {
            put(Part::Bytes(&end))?;
        }
        Ok(())
    }

    /// Puts every entry of every table into a new database, which is durable when this returns.
    fn rebuild(&self, fresh: &Fresh, job: &Job<'_>) -> Result<()> {
        let desc = *self.snapshot().desc();
        job.expect(desc.pages);
        let view = self.job_pages(job);
        let options = Options {
            page_size: view.page_size() as u32,
            durability: Durability::Full,
            ..Options::default()
        };
        fresh.create_to_be_opened()?;
        let db = Db::open(fresh.path(), &options)?;
        fresh.set_permissions();
        let mut txn = db.begin_write(WriteOptions::default())?;
        // A cursor meets records that no lookup finds if the catalogue is damaged, so it is verified like every tree.
        self.verify(TableId::CATALOGUE, &desc.roots.catalogue, job)?;
        let mut tables: Vec<(TableId, Root)> = vec![(TableId::MAIN, desc.roots.main)];
        let read = catalogue::each_table(&view, &desc.roots.catalogue, |number, record, _| {
            // The list of names is made anew.
            if number != TableId::NAMES {
                txn.table_restore(number, &record)?;
            }
            if number > TableId::NAMES {
                Error::or_room(&mut tables, 1, "the list of tables")?;
                tables.push((number, record.root));
            }
            Ok(())
        });
        read.map_err(|e| e.in_table(TableId::CATALOGUE))?;
        for (table, root) in tables {
            // Every page of the tree is verified before entries are read from it, because cursors do not compute every
            // checksum anew.
            self.verify(table, &root, job)?;
            copy_table(&mut &*self, table, &mut txn, job)?;
        }
        txn.commit()?;
        drop(db);
        Ok(())
    }

    fn verify(&self, table: TableId, root: &Root, job: &Job<'_>) -> Result<()> {
        let mut damage = None;
        let mut on_fault = |page: PageNo, kind, what: &str| {
            damage.get_or_insert_with(|| Fault::at(page, table, kind, what).into_error());
            false
        };
        let mut on_run = |extent: Extent, _: Reached| {
            // The result can be ignored: once the job is cancelled, the next page is not read.
            let _ = job.advance(extent.run.pages);
        };
        let mut checker = Checker::new(true, &mut on_fault, &mut on_run);
        checker.tree(&self.job_pages(job), root, table);
        if checker.lacks_memory() {
            job.lack_memory();
        }
        match damage {
            _ if job.is_stopped() => Err(job.end()),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

fn existing() -> Options {
    Options {
        existing: true,
        ..Options::default()
    }
}

/// Puts every entry of a table into the table of the same number.
fn copy_table<R: Reader + ?Sized>(from: &mut R, table: TableId, to: &mut WriteTxn, job: &Job<'_>) -> Result<()> {
    let mut cursor = Cursor::new(from, table, &Range::default())?;
    let mut buffer = Vec::new();
    while cursor.next(from)? {
        let key = Error::or_copy(cursor.key(), "a copy of a key")?;
        let len = from.value_info(table, &key)?.map_or(0, |info| info.len);
        if len <= PIECE {
            to.put(table, &key, cursor.value(from)?, PutMode::Set)?;
        } else {
            let mut writer = to.writer(table, &key, len, PutMode::Set)?;
            let mut at = 0;
            while at < len {
                let part = (len - at).min(PIECE) as usize;
                let lacking = part.saturating_sub(buffer.len());
                Error::or_room(&mut buffer, lacking, "a part of a value")?;
                buffer.resize(part, 0);
                from.read_value(table, &key, at, &mut buffer)?;
                writer.write(to, &buffer)?;
                at += buffer.len() as u64;
                job.advance(0)?;
            }
            writer.finish(to)?;
        }
        job.advance(0)?;
    }
    Ok(())
}

/// A part of an image.
enum Part<'a> {
    Bytes(&'a [u8]),
    /// The number of pages that are zero.
    Zeros(u64),
}

/// The number of zeros that are handed to a stream at once.
const ZEROS: usize = 16 << 10;
/// The number of pages whose sums are kept in one array.
const GROUP: u64 = 1024;

/// Returns the group of a page, and its index there.
fn group_of(page: PageNo) -> (u64, usize) {
    (page.get() / GROUP, (page.get() % GROUP) as usize)
}

/// The pages that a snapshot reaches, and their sums: a bit and four bytes per page.
struct SnapshotPages {
    pages: PageSet,
    sums: BTreeMap<u64, Box<[u32; GROUP as usize]>>,
    /// The page behind the last one that is reached.
    end: PageNo,
    page_size: u64,
}

impl SnapshotPages {
    fn take<'s, S: PageSource<'s>>(&mut self, source: &S, run: Run) -> Result<()> {
        for page in run.iter() {
            let sum = crc32c(source.raw(page, self.page_size)?);
            self.pages.insert(page);
            let (group, at) = group_of(page);
            let group = self.sums.entry(group);
            group.or_insert_with(|| Box::new([0; GROUP as usize]))[at] = sum;
        }
        self.end = self.end.max(run.end());
        Ok(())
    }

    fn sum(&self, page: PageNo) -> u32 {
        let (group, at) = group_of(page);
        self.sums.get(&group).map_or(0, |group| group[at])
    }

    /// Returns the runs between `first` and the end that are not reached, in ascending order.
    fn dead(&self, first: PageNo) -> Result<Vec<Run>> {
        let mut dead: Vec<Run> = Vec::new();
        let pages = Run::new(first, self.end - first);
        for page in pages.iter().filter(|page| !self.pages.contains(*page)) {
            match dead.last_mut() {
                Some(run) if run.end() == page => run.pages += 1,
                _ => {
                    Error::or_room(&mut dead, 1, "the list of unused pages")?;
                    dead.push(Run::new(page, 1));
                }
            }
        }
        Ok(dead)
    }
}
