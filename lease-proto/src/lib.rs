//! Holding a Kubernetes Lease, without the I/O.

mod call;
mod claim;
mod config;
mod refusal;
pub mod wire;

pub use call::{MAX_BODY, Request, RequestId};
pub use claim::{
    Claim, Event, Failure, FencingToken, GaveUp, Grant, Loss, Output, Patience, Released, Trouble,
    Waiting,
};
pub use config::{Config, ConfigBuilder, ConfigError, OnRelease, WriteMethod};
pub use refusal::{Refusal, Verb};
pub use wire::{Identity, LeaseName, NameError, Namespace};
