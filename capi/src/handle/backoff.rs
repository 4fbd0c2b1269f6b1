//! Waiting for another thread that will be done soon.

use kv_engine::Uncancelled;

/// Waits a little longer each time.
#[derive(Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    /// Waits: first it spins, then it lets other threads run, then it sleeps.
    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        match self.0 {
            0..=64 => std::hint::spin_loop(),
            65..=256 => std::thread::yield_now(),
            _ => {
                let _uncancelled = Uncancelled::new();
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        }
    }
}
