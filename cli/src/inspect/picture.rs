//! Drawing what the pages of a file are used for: a cell for each so many pages, in the order of the file.

use kv_engine::{PageRun, PageUse};

/// The kinds of pages, in the order of the legend: the use, its name, its cell in Unicode and in ASCII, and its colour
/// as terminals number it. The last is what is not known because of damage.
pub const KINDS: [(Option<PageUse>, &str, char, char, u8); 8] = [
    (Some(PageUse::Leaf), "leaves", '█', '#', 32),
    (Some(PageUse::Branch), "branches", '▒', '+', 33),
    (Some(PageUse::Overflow), "overflow", '▓', '=', 34),
    (Some(PageUse::Own), "own", '░', 'o', 35),
    (Some(PageUse::Meta), "head", '■', 'H', 36),
    (Some(PageUse::Parked), "parked", '▪', ':', 94),
    (Some(PageUse::Dead), "dead", '·', '.', 90),
    (None, "not known", '?', '?', 31),
];

/// The kind of which nothing is known.
pub const UNKNOWN: usize = KINDS.len() - 1;

/// Returns which of the kinds a use is.
pub fn kind_of(usage: PageUse) -> usize {
    KINDS
        .iter()
        .position(|(kind, ..)| *kind == Some(usage))
        .unwrap_or(UNKNOWN)
}

/// How cells are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether cells are blocks of Unicode; otherwise they are ASCII.
    pub unicode: bool,
    /// Whether cells have colours.
    pub colour: bool,
}

/// A picture that is being drawn.
#[derive(Debug)]
pub struct Picture {
    /// How many pages a cell stands for.
    pub pages_per_cell: u64,
    pages: u64,
    width: usize,
    /// How many pages of each kind a cell has.
    cells: Vec<[u64; KINDS.len()]>,
}

/// The most rows of a picture.
const ROWS: u64 = 24;

impl Picture {
    /// Begins a picture of this many pages, with this many cells in a row.
    pub fn new(pages: u64, width: usize) -> Picture {
        let pages_per_cell = pages.div_ceil(width as u64 * ROWS).max(1);
        let cells = pages.div_ceil(pages_per_cell) as usize;
        Picture {
            pages_per_cell,
            pages,
            width,
            cells: vec![[0; KINDS.len()]; cells],
        }
    }

    /// Adds pages that are used for the same.
    pub fn add(&mut self, run: PageRun) {
        let kind = kind_of(run.usage);
        let mut at = run.first.get();
        let end = at + run.pages;
        while at < end {
            let cell = at / self.pages_per_cell;
            let behind = end.min((cell + 1) * self.pages_per_cell);
            if let Some(cell) = self.cells.get_mut(cell as usize) {
                cell[kind] += behind - at;
            }
            at = behind;
        }
    }

    /// Returns the kind of which each cell has most pages.
    pub fn kinds(&self) -> impl Iterator<Item = usize> + '_ {
        let cells = self.cells.iter().enumerate();
        cells.map(|(at, cell)| {
            let left = self.pages.saturating_sub(at as u64 * self.pages_per_cell);
            most(cell, left.min(self.pages_per_cell))
        })
    }

    /// Returns the rows. A cell shows the kind of which it has most pages.
    pub fn rows(&self, style: Style) -> Vec<String> {
        let row = |cells: &[usize]| {
            let mut text = String::new();
            let mut colour = None;
            for kind in cells {
                let (_, _, block, letter, number) = KINDS[*kind];
                if style.colour && colour != Some(number) {
                    text.push_str(&format!("\x1b[{number}m"));
                    colour = Some(number);
                }
                text.push(if style.unicode { block } else { letter });
            }
            if colour.is_some() {
                text.push_str("\x1b[0m");
            }
            text
        };
        let cells: Vec<usize> = self.kinds().collect();
        cells.chunks(self.width).map(row).collect()
    }
}

/// Returns the kind of which a cell of so many pages has most; among equals the first of the legend. Nothing is known
/// of pages that were not added.
fn most(cell: &[u64; KINDS.len()], pages: u64) -> usize {
    let mut cell = *cell;
    cell[UNKNOWN] += pages.saturating_sub(cell.iter().sum());
    (0..KINDS.len())
        .rev()
        .max_by_key(|kind| cell[*kind])
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv_engine::PageNo;

    const PLAIN: Style = Style {
        unicode: false,
        colour: false,
    };

    fn run(first: u64, pages: u64, usage: PageUse) -> PageRun {
        PageRun {
            first: PageNo::new(first),
            pages,
            usage,
            table: None,
        }
    }

    #[test]
    fn small_files_have_a_cell_for_each_page_and_large_ones_the_most_frequent_use() {
        let mut small = Picture::new(7, 4);
        for run in [
            run(0, 2, PageUse::Meta),
            run(2, 1, PageUse::Branch),
            run(3, 3, PageUse::Leaf),
            run(6, 1, PageUse::Dead),
        ] {
            small.add(run);
        }
        assert_eq!(small.rows(PLAIN), ["HH+#", "##."]);
        let unicode = Style { unicode: true, ..PLAIN };
        assert_eq!(small.rows(unicode), ["■■▒█", "██·"]);
        let colour = Style { colour: true, ..PLAIN };
        assert_eq!(small.rows(colour)[1], "\x1b[32m##\x1b[90m.\x1b[0m");
        let mut large = Picture::new(10 * 4 * ROWS, 4);
        assert_eq!(large.pages_per_cell, 10);
        large.add(run(0, 14, PageUse::Leaf));
        large.add(run(14, 6, PageUse::Dead));
        large.add(run(20, 10 * 4 * ROWS - 20, PageUse::Overflow));
        let rows = large.rows(PLAIN);
        assert_eq!(
            (rows.len(), rows[0].as_str(), rows[1].as_str()),
            (ROWS as usize, "#.==", "====")
        );
    }

    #[test]
    fn a_cell_of_which_most_is_not_known_says_so() {
        let mut picture = Picture::new(10 * 4 * ROWS - 3, 4);
        assert_eq!(picture.pages_per_cell, 10);
        picture.add(run(0, 4, PageUse::Leaf));
        picture.add(run(10, 5, PageUse::Leaf));
        // The last cell has seven pages.
        picture.add(run(10 * 4 * ROWS - 10, 4, PageUse::Dead));
        let rows = picture.rows(PLAIN);
        assert_eq!((rows[0].as_str(), rows[23].as_str()), ("?#??", "???."));
    }
}
