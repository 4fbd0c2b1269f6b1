//! The pages that a transaction has written, and their checksums, for the record of its commit.

use super::commit::WrittenRun;
use crate::ids::{PageNo, Run};
use crate::util::crc32c;
use std::collections::BTreeMap;

/// What was written to pages that follow each other.
#[derive(Debug)]
enum Written {
    /// Tree pages, with the checksum of each.
    Pages(Vec<u32>),
    /// One piece of a value.
    Piece { pages: u64, bytes: u64, checksum: u32 },
}

impl Written {
    fn pages(&self) -> u64 {
        match self {
            Written::Pages(sums) => sums.len() as u64,
            Written::Piece { pages, .. } => *pages,
        }
    }
}

/// What a transaction has written. A commit that wrote too much gives up the list, and must then be synced before its
/// slot is written (I-2).
#[derive(Debug)]
pub(super) struct WrittenPages {
    /// What was written, by first page. No two entries overlap.
    runs: BTreeMap<PageNo, Written>,
    is_listed: bool,
}

impl Default for WrittenPages {
    fn default() -> WrittenPages {
        WrittenPages {
            runs: BTreeMap::new(),
            is_listed: true,
        }
    }
}

impl WrittenPages {
    /// Returns whether the list contains all that was written.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Gives up the list.
    pub fn unlist(&mut self) {
        self.is_listed = false;
        self.runs.clear();
    }

    /// Adds tree pages from `first` on, with these checksums.
    pub fn add_pages(&mut self, first: PageNo, sums: &[u32]) {
        if !self.is_listed {
            return;
        }
        match self.runs.range_mut(..first).next_back() {
            Some((from, Written::Pages(before))) if *from + before.len() as u64 == first => {
                before.extend_from_slice(sums)
            }
            _ => {
                self.runs.insert(first, Written::Pages(sums.to_vec()));
            }
        }
    }

    /// Adds a piece of a value, which has `bytes` bytes and occupies `run`.
    pub fn add_piece(&mut self, run: Run, bytes: u64, checksum: u32) {
        if self.is_listed {
            let pages = run.pages;
            self.runs.insert(run.first, Written::Piece { pages, bytes, checksum });
        }
    }

    /// Forgets what was written to pages that are given back or written again.
    pub fn forget(&mut self, run: Run) {
        let (first, end) = (run.first, run.end());
        while let Some((&from, entry)) = self.runs.range_mut(..end).next_back() {
            let to = from + entry.pages();
            if to <= first {
                break;
            }
            let is_inside = from >= first && to <= end;
            match entry {
                Written::Pages(sums) if !is_inside => {
                    let behind = match to > end {
                        true => sums.split_off((end - from) as usize),
                        false => Vec::new(),
                    };
                    sums.truncate(first.checked_sub(from).unwrap_or(0) as usize);
                    if sums.is_empty() {
                        self.runs.remove(&from);
                    }
                    if !behind.is_empty() {
                        self.runs.insert(end, Written::Pages(behind));
                    }
                }
                // The rest of a piece has no checksum of its own.
                Written::Piece { .. } if !is_inside => self.unlist(),
                _ => {
                    self.runs.remove(&from);
                }
            }
            if from < first {
                break;
            }
        }
    }

    /// Returns the list for the commit's record, in ascending order.
    pub fn runs(&self) -> Vec<WrittenRun> {
        let mut bytes = Vec::new();
        let run = |(&first, written): (&PageNo, &Written)| {
            let (piece, checksum) = match written {
                Written::Pages(sums) => {
                    bytes.clear();
                    bytes.reserve(4 * sums.len());
                    sums.iter().for_each(|s| bytes.extend_from_slice(&s.to_le_bytes()));
                    (0, crc32c(&bytes))
                }
                Written::Piece { bytes, checksum, .. } => (*bytes, *checksum),
            };
            WrittenRun {
                run: Run::new(first, written.pages()),
                piece,
                checksum,
            }
        };
        self.runs.iter().map(run).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, pages: u64) -> Run {
        Run::new(PageNo::new(first), pages)
    }

    /// Returns the first page, the number of pages and the bytes of the piece of each run.
    fn listed(written: &WrittenPages) -> Vec<(u64, u64, u64)> {
        let runs = written.runs();
        let run = |w: &WrittenRun| (w.run.first.get(), w.run.pages, w.piece);
        runs.iter().map(run).collect()
    }

    #[test]
    fn what_is_given_back_is_not_listed() {
        let mut written = WrittenPages::default();
        written.add_pages(PageNo::new(10), &[1, 2]);
        written.add_pages(PageNo::new(12), &[3, 4, 5]);
        written.add_piece(run(20, 3), 9000, 7);
        assert_eq!(listed(&written), [(10, 5, 0), (20, 3, 9000)]);
        written.forget(run(12, 1));
        assert_eq!(listed(&written), [(10, 2, 0), (13, 2, 0), (20, 3, 9000)]);
        written.forget(run(11, 3));
        assert_eq!(listed(&written), [(10, 1, 0), (14, 1, 0), (20, 3, 9000)]);
        written.forget(run(14, 9));
        assert_eq!(listed(&written), [(10, 1, 0)]);
        written.add_piece(run(30, 2), 5000, 7);
        written.forget(run(31, 1));
        assert!(!written.is_listed() && written.runs().is_empty());
        written.add_pages(PageNo::new(40), &[1]);
        assert!(written.runs().is_empty());
    }
}
