//! Zones: the units in which the space tree is loaded.

use crate::ids::{PageNo, Run};

/// The number of pages in a zone. Dead extents do not cross borders of zones, so that zones can be loaded one by one.
pub(super) const ZONE_PAGES: u64 = 1 << 16;

/// The number of a zone. Zone `n` begins with page `n * 2^16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneNo(u64);

impl ZoneNo {
    /// Returns the zone in which a page lies.
    #[inline(always)]
    pub const fn of(page: PageNo) -> ZoneNo {
        ZoneNo(page.get() / ZONE_PAGES)
    }

    /// Returns the zones from the first one of the file to `last`.
    pub(super) fn up_to(last: ZoneNo) -> impl Iterator<Item = ZoneNo> {
        (0..=last.0).map(ZoneNo)
    }

    /// Returns the first page of the zone.
    #[inline(always)]
    pub const fn first(self) -> PageNo {
        PageNo::new(self.0 * ZONE_PAGES)
    }

    /// Returns the page behind the last one of the zone.
    #[inline(always)]
    pub const fn end(self) -> PageNo {
        PageNo::new((self.0 + 1) * ZONE_PAGES)
    }

    /// Returns the pages of the zone.
    pub fn run(self) -> Run {
        Run::new(self.first(), ZONE_PAGES)
    }
}
