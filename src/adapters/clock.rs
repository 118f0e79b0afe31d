//! The system's clock.

use crate::evidence::Time;
use crate::ports::Clock;

/// The time as this machine has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::now()
    }
}
