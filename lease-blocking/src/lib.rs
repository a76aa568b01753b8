//! Holding a Kubernetes Lease from ordinary threads. The twin of `lease-tokio`: the same names, without a runtime.

mod abort;
mod calls;
mod claim;
mod client;
mod clock;
mod credentials;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod guard;
mod http_transport;
mod keeper;
#[cfg(feature = "memory")]
mod memory;
mod observe;
mod plugin;
mod shared;
mod tenure;
mod threads;
mod tls;
mod transport;
mod veil;
mod watch;

pub use claim::Claim;
pub use client::{Client, ClientBuilder, is_in_cluster};
pub use clock::Clock;
#[cfg(feature = "embedded")]
pub use embedded::default_directory;
pub use error::Error;
pub use guard::Guard;
pub use keeper::Keeper;
pub use lease_proto as proto;
#[cfg(feature = "kubeconfig")]
pub use lease_proto::access::KubeconfigOptions;
pub use lease_proto::access::{CredentialsError, Secret, TlsProblem, TransportError};
pub use lease_proto::plain::{ApiError, Preconditions};
#[cfg(feature = "embedded")]
pub use lease_proto::server::directory::EmbeddedError;
pub use lease_proto::{AcquireError, Lost, State, Unhealthy, VerifyError};
#[cfg(feature = "memory")]
pub use memory::Memory;
pub use tenure::{LostWork, Tenure};
pub use transport::{Chunks, Transport};
