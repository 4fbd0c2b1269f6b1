//! Tests of meta slots: what reads back, and what is refused.

use super::features::Features;
use super::meta::*;
use super::{Extent, Ptr, Root, Roots};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::util::bytes::{get_u16, get_u32, get_u48, get_u64, put_u32};
use crate::util::crc32c;

fn sample() -> Meta {
    let root = |page| Root {
        ptr: Ptr {
            page: PageNo::new(page).into(),
            birth: CommitId::new(7),
            entries: 3,
            checksum: 0xABCD_EF01,
        },
        height: 2,
        has_long: true,
    };
    Meta {
        page_size: 4096,
        uuid: [9; 16],
        id: CommitId::new(8),
        base: CommitId::new(6),
        folded: CommitId::new(2),
        time: 1,
        timeline: 0x1234_5678_9ABC_DEF0,
        closed: true,
        pages: 50,
        dead: 4,
        parked: 3,
        roots: Roots::from_all([10, 11, 12, 13].map(root)),
        features: Features {
            ignorable: 1 << 31,
            ..Features::default()
        },
        spills: vec![Spill {
            extent: Extent::new(Run::new(PageNo::new(20), 2), CommitId::new(8)),
            bytes: 5000,
            checksum: 77,
        }],
        inline: vec![1, 2, 3],
    }
}

#[test]
fn a_slot_reads_back() {
    let meta = sample();
    let b = meta.encode();
    assert!(matches!(Meta::decode(&b), Ok(Slot::Valid(m)) if *m == meta));
    let mut over = [0; SLOT_BYTES];
    for inline in [vec![7; 2000], vec![8; 3000], Vec::new(), vec![1, 2, 3]] {
        Meta { inline, ..meta.clone() }.write(&mut over);
    }
    assert!(over == *b, "what was there before shows");
    assert!(meta.fits(50 * 4096) && !meta.fits(50 * 4096 - 1));
    assert!(matches!(Meta::decode(&[0; SLOT_BYTES]), Ok(Slot::Empty)));
    assert!(matches!(Meta::decode(&[7; SLOT_BYTES]), Ok(Slot::Foreign)));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = *sample().encode();
    for bit in 0..SLOT_BYTES * 8 {
        let mut b = good;
        b[bit / 8] ^= 1 << (bit % 8);
        assert!(!matches!(Meta::decode(&b), Ok(Slot::Valid(_)) | Err(_)), "bit {bit}");
    }
}

/// Decodes the sample with some bytes changed and the checksum repaired.
fn changed(changes: &[(usize, u8)]) -> Result<Slot> {
    let mut b = *sample().encode();
    changes.iter().for_each(|(at, value)| b[*at] = *value);
    let crc = crc32c(&b[..field::CRC]);
    put_u32(&mut b, field::CRC, crc);
    Meta::decode(&b)
}

#[test]
fn fields_lie_where_the_format_says() {
    let b = sample().encode();
    assert_eq!((field::RECORDS, get_u16(&b[..], 30), RECORDS_MAX), (352, 352, 3740));
    assert_eq!((get_u64(&b[..], 144), get_u32(&b[..], 152)), (0x1234_5678_9ABC_DEF0, 1));
    assert_eq!((get_u16(&b[..], 248), get_u16(&b[..], 250)), (1, 3));
    assert_eq!([256, 280, 304, 328].map(|at| get_u48(&b[..], at)), [10, 11, 12, 13]);
    assert_eq!(
        (get_u32(&b[..], 16), get_u64(&b[..], 96)),
        (4, 3),
        "the feature of snapshots"
    );
    assert_eq!((b[274], b[275], get_u32(&b[..], 276)), (2, 1, 0xABCD_EF01));
    assert_eq!(
        (get_u48(&b[..], 352), get_u48(&b[..], 366), get_u32(&b[..], 372)),
        (20, 8, 77)
    );
    assert_eq!(b[376..380], [1, 2, 3, 0]);
}

#[test]
fn a_right_checksum_does_not_make_nonsense_valid() {
    let old = [(8, 0), (30, 0)].map(|(at, value)| changed(&[(at, value), (31, 0)]));
    assert!(old.iter().all(|slot| matches!(slot, Err(Error::TooOld(_)))));
    for (at, value) in [
        (8, 2),
        (12, 1),
        (28, 2),
        (29, 16),
        (156, 12),
        (157, 32),
        (158, 1),
        (159, 1),
    ] {
        assert!(
            matches!(changed(&[(at, value)]), Err(Error::TooNew(_))),
            "byte {at} = {value}"
        );
    }
    let nonsense = [
        // Page size, ids, page counts.
        (25, 17),
        (48, 0),
        (56, 8),
        (64, 9),
        (80, 3),
        (85, 1),
        (88, 47),
        // A root: page, birth, height, flags.
        (256, 60),
        (256, 3),
        (261, 1),
        (262, 0),
        (262, 9),
        (274, 65),
        (274, 0),
        (275, 2),
        // How many records there are, an extent of some, and what is behind them.
        (249, 9),
        (352, 49),
        (358, 40),
        (358, 0),
        (363, 255),
        (366, 9),
        (366, 0),
        (379, 1),
        (4091, 1),
        // More parked pages than there are, and snapshots without their feature.
        (96, 43),
        (16, 0),
        // T.
        (30, 97),
    ];
    let zeros = (104..144).chain(160..248).chain(252..256);
    for (at, value) in nonsense.into_iter().chain(zeros.map(|at| (at, 1))) {
        let slot = changed(&[(at, value)]);
        assert!(matches!(slot, Err(Error::Corrupt(_))), "byte {at} = {value}: {slot:?}");
    }
}

#[test]
fn what_later_versions_may_add_is_passed_over() {
    // The high flags may be ignored. Low ones and features of writers forbid writing.
    assert!(matches!(changed(&[(154, 1)]), Ok(Slot::Valid(m)) if *m == sample()));
    let features = |changes: &[(usize, u8)]| match changed(changes) {
        Ok(Slot::Valid(meta)) => meta.features,
        other => panic!("{other:?}"),
    };
    assert!(features(&[(153, 1)]).forbid_writing() && !features(&[]).forbid_writing());
    let more = [(16, 5), (104, 1), (143, 1)];
    assert!(features(&more).forbid_writing());
    assert!(
        matches!(changed(&[(16, 5), (160, 1)]), Err(Error::Corrupt(_))),
        "no such feature"
    );
    // There may be more roots: the records move.
    let (mut b, mut moved) = (*sample().encode(), [0; SLOT_BYTES]);
    moved[..352].copy_from_slice(&b[..352]);
    moved[400..4000].copy_from_slice(&b[352..3952]);
    (moved[16], moved[352], moved[30], moved[31]) = (5, 7, 144, 1);
    std::mem::swap(&mut b, &mut moved);
    let crc = crc32c(&b[..field::CRC]);
    put_u32(&mut b, field::CRC, crc);
    assert!(matches!(Meta::decode(&b), Ok(Slot::Valid(m)) if m.spills == sample().spills && m.inline == [1, 2, 3]));
}
