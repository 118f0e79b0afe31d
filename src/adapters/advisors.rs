//! Gordon, kubectl-ai and kagent as their documentation tells how to ask them; each gets text, gives text, and nothing to act with.

pub mod gordon;
pub mod kagent;
pub mod kubectl_ai;

pub use gordon::Gordon;
pub use kagent::Kagent;
pub use kubectl_ai::KubectlAi;

use crate::failure::{Code, Failure};
use crate::ports::{AdvisorRefusal, AdvisorRefusalCode};
use std::time::Duration;

/// How long a look at an advisor's program may take.
const LOOK: Duration = Duration::from_secs(2);
/// The most that is kept of an answer.
const KEPT: usize = 1024 * 1024;

/// A program that could not be asked, as the reason why there is no proposal.
fn refused(failure: &Failure) -> AdvisorRefusal {
    let code = match failure.code {
        Code::ProgramMissing => AdvisorRefusalCode::Absent,
        Code::Deadline => AdvisorRefusalCode::TimedOut,
        _ => AdvisorRefusalCode::Unreadable,
    };
    AdvisorRefusal::new(code, &failure.to_string())
}
