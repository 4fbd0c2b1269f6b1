//! Edits where a walk or a queue stands, each in one durable transaction: what programs do that do not know their keys.

use crate::data::Data;
use crate::driver::{Read, Session, Store, Way, Write};
use crate::keys::Keys;
use crate::measured::{check, written};
use crate::outcome::{Outcome, Sum};
use crate::rows::Work;

/// Key number `i` behind all others. The value is chosen by its last bytes.
fn behind(i: usize) -> [u8; 24] {
    let mut key = [0xff; 24];
    key[16..].copy_from_slice(&(i as u64).to_be_bytes());
    key
}

/// Adds what is there afterwards, not timed.
fn checked<S: Store>(store: &S, done: Outcome) -> Outcome {
    Outcome {
        sum: done.sum.wrapping_add(check(store)),
        ..done
    }
}

fn pop<S: Store>(store: &S, n: usize) -> Outcome {
    let (mut session, mut sum) = (store.session(), Sum::default());
    written(store, n, || {
        session.write(true, |write| {
            for i in 0..n {
                write.take(i % 2 == 1, |key, value| sum.see(key, value));
            }
        });
        sum.0
    })
}

fn queue<S: Store>(store: &S, data: &Data, n: usize, version: u64) -> Outcome {
    let (mut session, mut sum) = (store.session(), Sum::default());
    written(store, n, || {
        session.write(true, |write| {
            for i in 0..n {
                let key = behind(i);
                write.append(&key, data.value(&key, version));
                write.take(false, |key, value| sum.see(key, value));
            }
        });
        sum.0
    })
}

/// Deletes every other entry that a walk comes by.
fn retain<S: Store>(store: &S, range: Option<(&[u8], &[u8])>) -> Outcome {
    let (mut session, mut sum, mut walked) = (store.session(), Sum::default(), 0);
    let done = written(store, 0, || {
        session.write(true, |write| {
            write.retain(range, &mut |key, value| {
                sum.see(key, value);
                walked += 1;
                walked % 2 == 1
            });
        });
        sum.0
    });
    Outcome {
        operations: walked,
        ..done
    }
}

fn replace<S: Store>(store: &S, data: &Data, n: usize, version: u64) -> Outcome {
    let (mut session, mut sum) = (store.session(), Sum::default());
    let from = data.sorted.get(data.sorted.len() / 3);
    written(store, n, || {
        session.write(true, |write| {
            write.replace(from, n, &mut |key, value| {
                sum.see(key, value);
                data.value(key, version)
            });
        });
        sum.0
    })
}

/// Does one of the rows of such edits.
pub fn edit<S: Store>(store: &S, work: Work, data: &Data, version: u64) -> Outcome {
    let n = data.random.len();
    if S::LACKS.contains(&work) {
        without_take(store, work, data, version);
        return Outcome::default();
    }
    let done = match work {
        Work::Pop => pop(store, n / 10),
        Work::Queue => queue(store, data, n / 10, version),
        Work::Retain => retain(store, None),
        Work::Extract => retain(store, Some((data.sorted.get(n / 4), data.sorted.get(n / 4 * 3)))),
        Work::CursorUpdate => replace(store, data, n / 10, version),
        _ => unreachable!("only rows of edits where a walk or a queue stands"),
    };
    checked(store, done)
}

/// Leaves behind what `pop` or `queue` do, for an engine that cannot do them: the rows behind them compare what they
/// see.
fn without_take<S: Store>(store: &S, work: Work, data: &Data, version: u64) {
    const BACKWARD: Way = Way {
        backward: true,
        keys_only: true,
    };
    let n = data.random.len() / 10;
    let (first, mut last) = if work == Work::Queue {
        (n, 0)
    } else {
        (n.div_ceil(2), n / 2)
    };
    let (mut session, mut gone) = (store.session(), Keys::default());
    session.read(|read| {
        read.seek(&[], first, &mut |key, _| gone.push(key));
        read.scan(BACKWARD, &mut |key, _| {
            if last > 0 {
                gone.push(key);
                last -= 1;
            }
        });
    });
    session.write(true, |write| {
        gone.iter().for_each(|key| write.delete(key));
        if work == Work::Queue {
            for i in 0..n {
                let key = behind(i);
                write.put(&key, data.value(&key, version));
            }
        }
    });
    store.finish_background_work();
}
