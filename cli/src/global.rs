//! The options that all commands have.

use clap::Args;
use std::time::Duration;

/// The options that all commands have.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Says nothing but errors: no progress, no summary.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How many seconds to wait for others, such as the process that has the write transaction. Opening waits one at
    /// least.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    pub wait: Duration,
}

/// Reads a number of seconds, which may have a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(number).map_err(|_| "it is not a time that can be waited for".to_string())
}
