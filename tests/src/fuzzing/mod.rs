//! What the fuzz targets do: each takes bytes, makes something of them, and panics if a promise is broken.
//!
//! The targets themselves, in `fuzz`, only call these; `tests/corpus.rs` replays what they found on an ordinary toolchain.

mod answers;
mod kubeconfig;
mod oracle;
mod reader;
mod record;
mod requests;
mod run;
mod scripts;
mod steps;
mod submissions;
mod times;

pub use self::{
    answers::answers,
    kubeconfig::kubeconfig,
    requests::requests,
    run::{Planted, Run},
    scripts::{scripts, scripts_with},
    steps::{Body, Change, Setup, Step, Wish},
    times::times,
};

/// A fuzz target: what is done with an input.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("answers", answers),
    ("kubeconfig", kubeconfig),
    ("requests", requests),
    ("scripts", scripts),
    ("times", times),
];
