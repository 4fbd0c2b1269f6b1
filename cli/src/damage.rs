//! Damage that a command meets which shows what is left: it goes on, and tells of the damage in the end.

use crate::exit::{Exit, Failure, Outcome};

/// The damage that was met.
#[derive(Debug, Default)]
pub struct Damage {
    failures: Vec<Failure>,
}

impl Damage {
    /// Returns what was found, or `None` if it is damaged, which is noted. Other failures end the command.
    pub fn pass<T>(&mut self, found: Outcome<T>) -> Outcome<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.exit() == Exit::Damage => {
                // One page may be met on several ways.
                if !self.failures.iter().any(|other| other.message() == failure.message()) {
                    self.failures.push(failure);
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Returns what is to be said of the damage, in the order in which it was met.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(Failure::message)
    }

    /// Tells of the damage, and returns how the command ends.
    pub fn tell(self) -> Exit {
        let exit = self.failures.first().map_or(Exit::Done, Failure::exit);
        for failure in self.failures {
            failure.tell();
        }
        exit
    }
}
