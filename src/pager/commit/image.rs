//! The head and the end of a file that holds one snapshot with its pages where they are. They make a database of a
//! copy of the pages.
//!
//! The copy's commit has the snapshot's id. It lists every page that the snapshot does not use as dead, in one record
//! that the first writer folds into a space tree. A second slot describes the same trees under the next id, as it
//! does after a database was closed, so that damage to one slot loses nothing. Nothing is listed for recovery to
//! verify, so whoever makes the copy must make it durable before it is used.

use super::record::{CommitRecord, FREED_PAGES_MAX};
use crate::error::{Error, Result};
use crate::file::Identity;
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{Meta, Spill, RECORDS_MAX, SLOT_BYTES};
use crate::page::{meta_pages, Extent, Root, Roots};
use crate::pager::core::Pager;
use crate::pager::descriptor::Descriptor;
use crate::pager::identity::{new_timeline, new_uuid, now};
use crate::util::crc32c;
use std::fs::Permissions;

/// The bytes in a slot that are kept for the record of the second slot's own commit.
const OWN: usize = 16;

/// The bytes before and behind the pages of the snapshot.
#[derive(Debug)]
pub struct Image {
    /// The meta pages, complete.
    pub head: Vec<u8>,
    /// Whole pages behind the last one copied. There may be none.
    pub end: Vec<u8>,
}

impl Pager {
    /// Returns the image of a snapshot that uses no page from `end` on, and below `end` none of the runs `dead`,
    /// which ascend.
    ///
    /// # Errors
    /// `Limit`: there are more dead runs than a record can list, or no id is left. `TooNew`: the file has features
    /// whose pages this version does not know.
    pub fn image(&self, snapshot: &Descriptor, end: PageNo, dead: &[Run]) -> Result<Image> {
        let id = snapshot.id;
        if id >= CommitId::MAX {
            return Err(Error::Limit(
                "commit ids are used up; copy the database into a new file".into(),
            ));
        }
        if self.features.forbid_writing() {
            // What is in the pages of these features is not reached, and would be missing in the copy.
            return Err(Error::TooNew(
                "unknown features forbid copying its pages; make a compact copy".into(),
            ));
        }
        let most = FREED_PAGES_MAX;
        let freed = dead.iter().flat_map(|run| {
            let parts = (0..run.pages).step_by(most as usize);
            parts.map(|at| Extent::new(Run::new(run.first + at, (run.pages - at).min(most)), CommitId::NONE))
        });
        let record = CommitRecord {
            id,
            freed: freed.collect(),
            ..CommitRecord::default()
        };
        let (mut bytes, mut own) = (Vec::new(), Vec::new());
        record.encode(CommitId::NONE, CommitId::NONE, &mut bytes);
        let next = CommitRecord {
            id: id.next(),
            ..CommitRecord::default()
        };
        next.encode(CommitId::NONE, CommitId::NONE, &mut own);
        debug_assert!(own.len() <= OWN);
        let size = self.page_size;
        let (mut spills, mut behind) = (Vec::new(), Vec::new());
        let inline = if bytes.len() + OWN <= RECORDS_MAX {
            bytes
        } else {
            let long = u32::try_from(bytes.len())
                .map_err(|_| Error::Limit("too many pieces of free space; copy the database into a new file".into()))?;
            behind = bytes;
            let checksum = crc32c(&behind);
            behind.resize(behind.len().next_multiple_of(size), 0);
            spills.push(Spill {
                extent: Extent::new(Run::new(end, (behind.len() / size) as u64), id),
                bytes: long,
                checksum,
            });
            Vec::new()
        };
        // Both are the commit before the snapshot's, so that nothing is listed and the one record counts as not
        // folded.
        let before = CommitId::new(id.get() - 1);
        let first = Meta {
            page_size: size as u32,
            uuid: new_uuid(),
            features: self.features,
            id,
            base: before,
            folded: before,
            time: now(),
            timeline: new_timeline(),
            closed: false,
            pages: end.get() + (behind.len() / size) as u64,
            dead: dead.iter().map(|run| run.pages).sum(),
            parked: 0,
            // The copy has no space tree. The record says what is dead in it.
            roots: Roots {
                space: Root::default(),
                snapshots: Root::default(),
                ..snapshot.roots
            },
            spills,
            inline,
        };
        let second = Meta {
            id: id.next(),
            base: id,
            closed: true,
            inline: [&first.inline[..], &own].concat(),
            ..first.clone()
        };
        let mut head = vec![0; meta_pages(size) as usize * size];
        head[..SLOT_BYTES].copy_from_slice(&first.encode()[..]);
        head[SLOT_BYTES..2 * SLOT_BYTES].copy_from_slice(&second.encode()[..]);
        Ok(Image { head, end: behind })
    }

    /// Returns device and inode of the file, or `None` if the database is in memory.
    pub fn identity(&self) -> Option<Identity> {
        self.storage.identity()
    }

    /// Returns the permissions of the file, or `None` if the database is in memory.
    pub fn permissions(&self) -> Option<Permissions> {
        self.storage.permissions()
    }
}
