//! Holding a Kubernetes Lease from tasks on tokio, over hyper. The twin of `lease-blocking`: the same names, awaited.
//!
//! A Lease (`coordination.k8s.io/v1`) is a record in the Kubernetes API server that names its holder and for how long nobody
//! else may take it. Of all that claim it one holds it, and the others wait: as a lock around a piece of work, or as the
//! election of a leader. The protocol is [`lease_proto`]'s, here as [`proto`]; this crate adds connections, credentials,
//! clocks and tasks.
//!
//! # Quick start
//!
//! Work that is done by one at a time. The server is found as kubectl finds it, or as a pod does:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use lease_tokio::{Client, proto::Config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::try_default()?;
//! let config = Config::builder(client.namespace(), "nightly-report", "worker").build()?;
//! let guard = client.acquire_timeout(config, Duration::from_secs(300)).await?;
//! for part in 0..100 {
//!     guard.check()?; // a look at the clock: an error as soon as the Lease is not ours any more
//!     println!("part {part}");
//! }
//! guard.release().await;
//! # Ok(())
//! # }
//! ```
//!
//! The same without a cluster, with the feature `memory`, as in a test of your own:
//!
#![cfg_attr(feature = "memory", doc = "```")]
#![cfg_attr(not(feature = "memory"), doc = "```ignore")]
//! use lease_tokio::{AcquireError, Client, proto::Config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::in_memory();
//! let config = |name| Config::builder("default", "nightly-report", name).build();
//! let guard = client.acquire(config("first")?).await?;
//! assert!(guard.is_held());
//! let second = client.try_acquire(config("second")?).await;
//! assert!(matches!(second, Err(AcquireError::Held(_))));
//! guard.release().await;
//! assert!(client.try_acquire(config("second")?).await.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! # Which type for what
//!
//! | Need | Type |
//! |---|---|
//! | where the API server is and how to be let in; single Leases read and written | [`Client`] |
//! | a piece of work under a lock | [`Guard`], from [`Client::acquire`], [`Client::try_acquire`] or [`Client::acquire_timeout`] |
//! | work that must not go on without the Lease | [`Guard::run_while_held`] |
//! | a service that leads, loses and leads again | [`Keeper`], from [`Client::keep`] |
//! | health for `/healthz` | [`Keeper::health`] |
//! | thousands of Leases in one process | [`ClaimSet`], from [`Client::claim_set`]: a [`Keeper`] or [`Guard`] for each |
//! | work that is done once, whoever does it | [`Once`](proto::Once), left in the record by [`Guard::release_with`] or [`Keeper::release_with`] |
//! | the Lease left to one that you name | [`Guard::hand_over`], [`Keeper::hand_over`] |
//! | some that wait go before others | [`ConfigBuilder::priority`](proto::ConfigBuilder::priority) |
//! | a time that is not renewed | [`ConfigBuilder::renewable`](proto::ConfigBuilder::renewable) |
//! | each event in your own loop, beside other futures | [`Claim`], from [`Client::claim`] |
//! | another HTTP client, or none | [`Transport`] |
//!
//! # How it ends
//!
//! Losing the Lease is not an error of a call: [`Guard::check`] says so with [`Lost`], and [`Keeper`] as an event. Not getting
//! it is an [`AcquireError`], whose `advice` says what to do where something can be done; no client, or no answer to a plain
//! call, is an [`Error`]. Messages name what is wrong and what would be right, the chain of sources has what the libraries
//! below said, and none of them shows a secret. While requests fail nothing ends: they are tried again until the grant is
//! over, and `last_error` of the claim or its keeper says why the last one failed.
//!
//! Clean shutdown: stop the work first, then give the Lease up with [`Guard::release`] or [`Keeper::release`], so that the next
//! one need not wait for it to expire.
//! Dropping them does so in the background, which the end of the runtime cuts off. Bound it with `tokio::time::timeout`; see
//! [`Keeper`] for all of it with a `CancellationToken`.
//!
//! # What the claimant must be allowed
//!
//! `get`, `create`, `update` and `watch` on `leases`; without `watch` it looks at the record from time to time. `delete` only if
//! records are to be deleted on release, and `patch` in place of `update` with [`WriteMethod::Patch`](proto::WriteMethod::Patch).
//! `create` cannot be limited to a name. Waiting with a priority needs `create`, `get`, `update`, `list` and `delete` on Leases of any
//! name in the namespace; and for many claims of a [`ClaimSet`] to share a stream, `watch` must not be limited to names. Where
//! that is not granted they wait without.
//!
//! ```yaml
//! apiVersion: rbac.authorization.k8s.io/v1
//! kind: Role
//! metadata:
//!   name: lease-holder
//! rules:
//! - apiGroups: ["coordination.k8s.io"]
//!   resources: ["leases"]
//!   resourceNames: ["nightly-report"]
//!   verbs: ["get", "watch", "update"]
//! - apiGroups: ["coordination.k8s.io"]
//!   resources: ["leases"]
//!   verbs: ["create"]
//! ```
//!
//! # Credentials
//!
//! A token is read again when its file changes, and after a 401. A credential plugin of a kubeconfig is run only where
//! [`KubeconfigOptions::allow_exec`](proto::access::KubeconfigOptions::allow_exec) says so. It is given 60 s
//! ([`exec_timeout`](proto::access::KubeconfigOptions::exec_timeout)), whatever the request's own time, and is run again
//! before what it gave is over; a client certificate that it gives is presented by new connections. What it writes to standard
//! error is not shown, since there may be a secret in it.
//!
//! Relative paths, of files and of a plugin, are those of the directory that the program is in when its client is made.
//!
//! A kubeconfig's `insecure-skip-tls-verify` has whoever answers believed. A warning of it comes with the feature `tracing`,
//! and from the command `lease`; otherwise it is accepted without a word, and [`Client::skips_verification`] tells.
//!
//! # Features
//!
//! | Feature | Default | What it adds |
//! |---|---|---|
//! | `kubeconfig` | yes | reading kubeconfig files: `Client::try_default`, `Client::from_kubeconfig` |
//! | `embedded` | no | `Client::embedded`: Leases without a cluster, in a directory that the processes of one machine share |
//! | `memory` | no | `Client::in_memory` and `Memory`: Leases without a cluster, that misbehave when they are told to, for tests |
//! | `metrics` | no | the metrics below, through the facade `metrics` |
//! | `socks` | no | proxies that speak SOCKS 5 |
//! | `tracing` | no | the events below, through the facade `tracing` |
//!
//! # What is told
//!
//! With the feature `tracing`, with the target `lease`:
//!
//! | Level | What |
//! |---|---|
//! | ERROR | it cannot be acquired as things are |
//! | WARN | at risk, lost against its will, a colliding identity, a store that went back in time; a server that is not verified, credentials that are not renewed |
//! | INFO | acquired, released, recovered, whom it waits for, given up |
//! | DEBUG | renewals, looks, attempts that came to nothing, streams of changes that broke |
//! | TRACE | each answer, and how long it took |
//!
//! What is told of a claim stands in its span `lease`, with the fields `namespace`, `name` and `identity`; so does what other
//! libraries tell of its requests.
//!
//! With the feature `metrics`, each with the labels `namespace` and `name` of the Lease:
//!
//! | Metric | Type | What |
//! |---|---|---|
//! | `leader_election_master_status` | gauge | 1 while the Lease is held, else 0, as of the last event; client-go's, which has the label `name` alone |
//! | `lease_acquired_total` | counter | how often it was acquired |
//! | `lease_renewed_total` | counter | how often it was renewed |
//! | `lease_lost_total` | counter | how often it was lost, releases aside |
//! | `lease_trouble_total` | counter | attempts to acquire that came to nothing, and renewals that put the Lease at risk |
//! | `lease_answer_seconds` | histogram | how long answers took; also with the label `status`: the code, or `none` where none came |
//!
//! # What it does not cover
//!
//! No lock with a deadline can stop a process that was paused between looking at the clock and acting: a resource that refuses
//! lower fencing tokens ([`Guard::token`]) than it has seen is safe from it. Clocks are relied on to differ by less than 0.1 % in
//! their rates; of the time of day only that the machine's and the API server's are not both wrong, and that no longer with
//! [`ConfigBuilder::server_time`](proto::ConfigBuilder::server_time) turned off. Claimants that write without a compare-and-swap,
//! and people who edit the record, can break what is promised. The repository's README has all of it under "What it promises, and
//! what not". Of credentials these are not supported: `auth-provider` and impersonation in kubeconfigs, plugins that need a
//! terminal, and proxies that are themselves reached by TLS.
//!
//! Over HTTP/2 a server that has gone silent is noticed within seconds, by pings. Over HTTP/1.1 (a server or a proxy that speaks
//! nothing else, and plain `http`) a stream of changes that has gone silent looks like one on which nothing happens: that is
//! noticed only when the stream's own time is over, after some minutes, or when that of the holder is. A release is then seen
//! that late. Renewals have time limits of their own, and are not concerned.

mod calls;
mod claim;
mod client;
mod client_builder;
mod clock;
mod connector;
mod credentials;
mod echoes;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod first;
mod gathering;
mod guard;
mod http_transport;
mod keeper;
#[cfg(feature = "memory")]
mod memory;
mod names;
mod observe;
mod plugin;
mod plugin_cache;
mod set;
mod shared;
#[cfg(all(test, feature = "memory"))]
#[expect(clippy::unwrap_used, reason = "test code")]
mod suspended;
mod task;
mod tcp;
mod transport;
mod watch;
mod yielding;

pub use claim::Claim;
pub use client::{Client, is_in_cluster};
pub use client_builder::ClientBuilder;
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
pub use set::ClaimSet;
pub use transport::{BoxFuture, Chunks, Transport};
