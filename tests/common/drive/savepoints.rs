//! Savepoints and nested transactions of one write transaction, to the library and to the model.

use super::Cursors;
use crate::common::api::{status, Writes};
use crate::common::compare::agree;
use crate::common::model::State;
use crate::common::rng::Rng;

/// The deepest that transactions are nested.
const DEPTH: usize = 4;
/// The most savepoints and nested transactions that there are at once.
const MANY: usize = 12;

/// The savepoints that a transaction has, and the nested transactions that are open in it, in the order in which they
/// were begun.
#[derive(Default)]
pub struct Savepoints {
    begun: Vec<Begun>,
}

enum Begun {
    Savepoint(u64, State),
    Nested(State, Box<Cursors>),
}

impl Savepoints {
    /// Where the savepoints begin that the innermost transaction has.
    fn own(&self) -> usize {
        let nested = |begun: &Begun| matches!(begun, Begun::Nested(..));
        self.begun.iter().rposition(nested).map_or(0, |at| at + 1)
    }

    fn depth(&self) -> usize {
        let nested = |begun: &&Begun| matches!(begun, Begun::Nested(..));
        self.begun.iter().filter(nested).count()
    }

    /// Does something with them, and says what.
    pub fn step(
        &mut self,
        rng: &mut Rng,
        txn: &mut dyn Writes,
        (state, cursors): (&mut State, &mut Cursors),
    ) -> &'static str {
        let own = self.own();
        let many = self.begun.len() - own;
        match rng.below(8) {
            0..3 if self.begun.len() < MANY => {
                let savepoint = txn
                    .savepoint_create()
                    .unwrap_or_else(|fail| panic!("savepoint: {fail:?}"));
                self.begun.push(Begun::Savepoint(savepoint, state.clone()));
                "a savepoint"
            }
            3..5 if many > 0 => {
                let at = own + rng.index(many);
                self.begun.truncate(at + 1);
                let Begun::Savepoint(savepoint, saved) = &self.begun[at] else {
                    unreachable!("those behind the last nested one are savepoints");
                };
                agree("rollback", txn.savepoint_rollback(*savepoint), Ok(()));
                *state = saved.clone();
                cursors.refreshed(txn, state);
                "back to a savepoint"
            }
            5 if many > 0 => {
                let at = own + rng.index(many);
                let gone: Vec<Begun> = self.begun.drain(at..).collect();
                let numbers = gone.iter().filter_map(|begun| match begun {
                    Begun::Savepoint(savepoint, _) => Some(*savepoint),
                    Begun::Nested(..) => None,
                });
                let numbers: Vec<u64> = numbers.collect();
                agree("release", txn.savepoint_release(numbers[0]), Ok(()));
                for savepoint in numbers {
                    agree(
                        "a savepoint that is gone",
                        txn.savepoint_rollback(savepoint),
                        Err(status::INVALID),
                    );
                }
                "savepoints are released"
            }
            6 if self.depth() < DEPTH && self.begun.len() < MANY => {
                agree("nest", txn.nest(), Ok(()));
                let outside = self.begun.iter().rev().find_map(|begun| match begun {
                    Begun::Savepoint(savepoint, _) => Some(*savepoint),
                    Begun::Nested(..) => None,
                });
                if let Some(savepoint) = outside {
                    agree(
                        "a savepoint from outside",
                        txn.savepoint_rollback(savepoint),
                        Err(status::INVALID),
                    );
                }
                self.begun
                    .push(Begun::Nested(state.clone(), Box::new(std::mem::take(cursors))));
                "a nested transaction begins"
            }
            7 if own > 0 => self.end_nested(rng.percent(60), txn, (state, cursors)),
            _ => "no savepoint",
        }
    }

    /// Ends the innermost nested transaction.
    fn end_nested(
        &mut self,
        commit: bool,
        txn: &mut dyn Writes,
        (state, cursors): (&mut State, &mut Cursors),
    ) -> &'static str {
        self.begun.truncate(self.own());
        let Some(Begun::Nested(before, outside)) = self.begun.pop() else {
            unreachable!("the last one is nested");
        };
        cursors.close_all(txn);
        agree("the end of a nested transaction", txn.end_nested(commit), Ok(()));
        if !commit {
            *state = before;
        }
        *cursors = *outside;
        cursors.refreshed(txn, state);
        match commit {
            true => "a nested transaction is committed",
            false => "a nested transaction is undone",
        }
    }

    /// Ends all nested transactions.
    pub fn end_all(&mut self, rng: &mut Rng, txn: &mut dyn Writes, (state, cursors): (&mut State, &mut Cursors)) {
        while self.own() > 0 {
            self.end_nested(rng.percent(70), txn, (state, cursors));
        }
    }
}
