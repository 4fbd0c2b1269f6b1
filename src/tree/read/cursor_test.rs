//! The cursor against a model of what a cursor promises, over two versions of a tree between which it is switched.

use super::cursor::{CursorState, TreeCursor, TreeView};
use super::limits::Limits;
use crate::page::leaf::Stored;
use crate::page::{PageSource, Root};
use crate::tree::read::read_test::limits;
use crate::tree::testing::{key, model, Builder, Frozen, Model, Rnd, KINDS};

/// Where a cursor stands, by the book.
#[derive(Debug, Clone, PartialEq)]
enum At {
    BeforeFirst,
    On(Vec<u8>),
    Gap(Vec<u8>),
    AfterLast,
}

struct Book {
    limits: Limits,
    at: At,
}

impl Book {
    fn inside<'m>(&'m self, model: &'m Model) -> impl DoubleEndedIterator<Item = &'m Vec<u8>> {
        model.keys().filter(|k| self.limits.contains(k))
    }

    fn set(&mut self, found: Option<Vec<u8>>, otherwise: At) -> bool {
        let yes = found.is_some();
        self.at = found.map_or(otherwise, At::On);
        yes
    }

    fn forward(&mut self, model: &Model) -> bool {
        let next = match &self.at {
            At::AfterLast => return false,
            At::BeforeFirst => self.inside(model).next().cloned(),
            At::On(k) | At::Gap(k) => self.inside(model).find(|x| *x > k).cloned(),
        };
        self.set(next, At::AfterLast)
    }

    fn backward(&mut self, model: &Model) -> bool {
        let prev = match &self.at {
            At::BeforeFirst => return false,
            At::AfterLast => self.inside(model).next_back().cloned(),
            At::On(k) | At::Gap(k) => self.inside(model).rfind(|x| *x < k).cloned(),
        };
        self.set(prev, At::BeforeFirst)
    }

    fn look(&mut self, model: &Model) -> bool {
        if let At::On(k) | At::Gap(k) = &self.at {
            let here = self.limits.contains(k) && model.contains_key(k);
            self.at = if here { At::On(k.clone()) } else { At::Gap(k.clone()) };
            return here;
        }
        false
    }

    fn rank(&self, model: &Model, reverse: bool) -> u64 {
        self.inside(model)
            .filter(|k| match &self.at {
                At::BeforeFirst => reverse,
                At::AfterLast => !reverse,
                At::On(x) | At::Gap(x) if reverse => *k > x,
                At::On(x) | At::Gap(x) => *k < x,
            })
            .count() as u64
    }
}

fn same(cursor: &TreeCursor, book: &Book) {
    let at = match cursor.state() {
        CursorState::BeforeFirst => At::BeforeFirst,
        CursorState::AfterLast => At::AfterLast,
        CursorState::OnEntry => At::On(cursor.key().to_vec()),
        CursorState::InGap => At::Gap(cursor.key().to_vec()),
    };
    assert_eq!(at, book.at, "{:?}", book.limits);
}

fn run(kind: u32, n: usize, seed: u64) {
    let mut rnd = Rnd(seed);
    let first = model(kind, n, &mut rnd);
    let mut second = first.clone();
    second.retain(|_, _| rnd.below(3) > 0);
    second.extend(model(kind, n / 3, &mut rnd));
    let mut builder = Builder::new(4096);
    let trees: Vec<(Model, Root)> = [first, second]
        .into_iter()
        .map(|m| {
            let root = builder.build(&m, &mut rnd);
            (m, root)
        })
        .collect();
    let frozen = builder.freeze();
    let mut probes: Vec<Vec<u8>> = trees.iter().flat_map(|t| t.0.keys().cloned()).collect();
    probes.extend((0..20).map(|_| key(kind, &mut rnd)));
    for _ in 0..60 {
        let limits = limits(&probes, &mut rnd);
        steps(&&frozen, &trees, limits, &probes, &mut rnd);
    }
}

fn steps(source: &&Frozen, trees: &[(Model, Root)], limits: Limits, probes: &[Vec<u8>], rnd: &mut Rnd) {
    let mut cursor = TreeCursor::new(limits.clone());
    let mut book = Book {
        limits,
        at: At::BeforeFirst,
    };
    let mut version = 0;
    for _ in 0..120 {
        if rnd.below(12) == 0 {
            version += 1;
        }
        let (model, root) = &trees[version as usize % 2];
        let t = TreeView { source, root, version };
        let probe = &probes[rnd.below(probes.len() as u64) as usize];
        let or_equal = rnd.below(2) == 0;
        let before = book.at.clone();
        let what = rnd.below(24);
        let (got, want) = match what {
            0..=6 => (cursor.forward(&t), book.forward(model)),
            7..=13 => (cursor.backward(&t), book.backward(model)),
            14 => (cursor.first(&t), {
                book.at = At::BeforeFirst;
                book.forward(model)
            }),
            15 => (cursor.last(&t), {
                book.at = At::AfterLast;
                book.backward(model)
            }),
            16 => (cursor.look(&t), book.look(model)),
            17 => (cursor.exactly(&t, probe), {
                book.at = At::Gap(probe.clone());
                book.look(model)
            }),
            18 => (cursor.at_or_after(&t, probe, or_equal), {
                let found = book
                    .inside(model)
                    .find(|k| *k > probe || or_equal && *k == probe)
                    .cloned();
                book.set(found, At::AfterLast)
            }),
            19 => (cursor.at_or_before(&t, probe, or_equal), {
                let found = book
                    .inside(model)
                    .rfind(|k| *k < probe || or_equal && *k == probe)
                    .cloned();
                book.set(found, At::BeforeFirst)
            }),
            20 => {
                let n = rnd.below(model.len() as u64 + 2);
                let n = if rnd.below(2) == 0 { n % 5 } else { n };
                let found = if or_equal {
                    book.inside(model).rev().nth(n as usize).cloned()
                } else {
                    book.inside(model).nth(n as usize).cloned()
                };
                let otherwise = if or_equal { At::BeforeFirst } else { At::AfterLast };
                (cursor.nth(&t, or_equal, n), book.set(found, otherwise))
            }
            21 => {
                assert_eq!(cursor.rank(&t, or_equal).unwrap(), book.rank(model, or_equal));
                assert_eq!(cursor.count(&t).unwrap(), book.inside(model).count() as u64);
                continue;
            }
            22 => {
                if let At::On(k) = &book.at {
                    book.at = At::Gap(k.clone());
                    cursor.deleted();
                }
                continue;
            }
            _ => {
                many(&mut cursor, &mut book, &t, model, or_equal, rnd);
                continue;
            }
        };
        let told = format!(
            "step {what} ({or_equal}) from {before:?}, probe {probe:?}, within {:?}",
            book.limits
        );
        assert_eq!(got.unwrap(), want, "{told}: {:?} {:?}", cursor.state(), book.at);
        same(&cursor, &book);
        if let At::On(k) = &book.at {
            if cursor.look(&t).unwrap() {
                let value = &model[k];
                match cursor.value(&t).unwrap() {
                    Stored::Inline(v) => assert_eq!(v, value.as_slice()),
                    Stored::Chain(_) => assert!(value.len() > 1000),
                }
            }
            book.look(model);
        }
    }
}

fn many<'s, S: PageSource<'s>>(
    cursor: &mut TreeCursor,
    book: &mut Book,
    t: &TreeView<'_, S>,
    model: &Model,
    reverse: bool,
    rnd: &mut Rnd,
) {
    let (limit, refuse) = (rnd.below(200), rnd.below(150));
    let mut got = Vec::new();
    let taken = cursor
        .take_many(t, reverse, limit, &mut |key, value| {
            if got.len() as u64 == refuse {
                return false;
            }
            got.push((key.to_vec(), value.bytes().len()));
            true
        })
        .unwrap();
    book.look(model);
    let mut want = Vec::new();
    while (want.len() as u64) < limit {
        let before = book.at.clone();
        let more = if reverse {
            book.backward(model)
        } else {
            book.forward(model)
        };
        let At::On(k) = &book.at else {
            assert!(!more);
            break;
        };
        if want.len() as u64 == refuse {
            book.at = before;
            break;
        }
        want.push(k.clone());
    }
    assert_eq!(taken, want.len() as u64);
    assert!(got.iter().map(|g| &g.0).eq(want.iter()));
    same(cursor, book);
}

#[test]
fn a_cursor_keeps_the_promises_of_a_cursor() {
    for kind in 0..KINDS {
        for n in [1, 5, 60, 700] {
            run(kind, n, 31 * n as u64 + kind as u64);
        }
    }
}
