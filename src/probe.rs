//! What is asked of running things, and what the answers mean: HTTP from outside and inside, the environment of a process, errors in logs; it changes nothing.

pub mod http;
pub mod inside;
pub mod environment;
pub mod stdio;
pub mod model;
pub mod bundle;
pub mod schema;
pub mod logs;

pub use environment::{Environment, Origin, VariableVerdict, Verdict, environment, environment_of, judge_environment};
pub use http::{HttpAsk, HttpSeen, http_through_forward, listens};
pub use inside::{Caller, Inside, Silence, http_from_inside};
pub use logs::{LogError, Weight, errors_in};
pub use stdio::{Spoken, SpokenTool, Stdio, stdio_inside};
