//! The head and the end of a file that holds one snapshot, its pages where they are: what makes a copy of the pages a
//! database.
//!
//! The copy's commit has the snapshot's id and lists every page that the snapshot does not reach as dead, in one record
//! that the first writer folds into a space tree. A second slot describes the same trees under the next id, as closing
//! a database does, so that damage to one slot loses nothing. Nothing is listed for recovery to verify: whoever makes
//! the copy must make it durable before it is used.

use super::records::{Freed, Record};
use crate::error::{Error, Result};
use crate::file::Identity;
use crate::page::meta::{Meta, Spill, SLOT, TAIL_MAX};
use crate::page::{meta_pages, U48_MAX};
use crate::pager::{new_uuid, now, Descriptor, Pager};
use crate::util::crc32c;

/// Room in a slot for the record of the second slot's own commit.
const OWN: usize = 16;

/// What lies before and behind the pages.
#[derive(Debug)]
pub struct Image {
    /// The meta pages, whole.
    pub head: Vec<u8>,
    /// Whole pages behind the last one copied; maybe none.
    pub end: Vec<u8>,
}

impl Pager {
    /// The image of a snapshot that reaches no page from `end` on, and below it none of the runs `dead`, ascending
    /// (first page, pages).
    ///
    /// # Errors
    /// `Limit`: more dead runs than a record can list, or no id left.
    pub fn image(&self, snapshot: &Descriptor, end: u64, dead: &[(u64, u64)]) -> Result<Image> {
        let id = snapshot.id;
        if id >= U48_MAX {
            return Err(Error::Limit("commit ids are used up"));
        }
        let most = u64::from(u32::MAX);
        let freed = dead.iter().flat_map(|&(page, pages)| {
            (page..page + pages).step_by(most as usize).map(move |at| Freed {
                page: at,
                pages: (page + pages - at).min(most),
                birth: 0,
            })
        });
        let record = Record {
            id,
            freed: freed.collect(),
            ..Record::default()
        };
        let (mut bytes, mut own) = (Vec::new(), Vec::new());
        record.encode(0, 0, &mut bytes);
        let next = Record {
            id: id + 1,
            ..Record::default()
        };
        next.encode(0, 0, &mut own);
        debug_assert!(own.len() <= OWN);
        let size = self.page_size;
        let (mut spills, mut behind) = (Vec::new(), Vec::new());
        let inline = if bytes.len() + OWN <= TAIL_MAX {
            bytes
        } else {
            let long = u32::try_from(bytes.len()).map_err(|_| Error::Limit("too many pieces of free space"))?;
            behind = bytes;
            let checksum = crc32c(&behind);
            behind.resize(behind.len().next_multiple_of(size), 0);
            spills.push(Spill {
                page: end,
                pages: (behind.len() / size) as u64,
                bytes: long,
                checksum,
                birth: id,
            });
            Vec::new()
        };
        let first = Meta {
            page_size: size as u32,
            uuid: new_uuid(),
            write: self.features.0,
            may: self.features.1,
            id,
            base: id - 1,
            folded: id - 1,
            time: now(),
            pages: end + (behind.len() / size) as u64,
            dead: dead.iter().map(|(_, pages)| pages).sum(),
            main: snapshot.main,
            catalogue: snapshot.catalogue,
            spills,
            inline,
            ..Meta::default()
        };
        let second = Meta {
            id: id + 1,
            base: id,
            inline: [&first.inline[..], &own].concat(),
            ..first.clone()
        };
        let mut head = vec![0; meta_pages(size) as usize * size];
        head[..SLOT].copy_from_slice(&first.encode()[..]);
        head[SLOT..2 * SLOT].copy_from_slice(&second.encode()[..]);
        Ok(Image { head, end: behind })
    }

    /// Device and inode of the file; `None`: in memory.
    pub fn identity(&self) -> Option<Identity> {
        self.storage.identity()
    }
}
