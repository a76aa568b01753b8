//! What can be chosen on the command line.

use std::path::PathBuf;

use clap::{Parser, builder::TypedValueParser};

use crate::chaos::{episode::Kind, fenced::Plant};

/// Has chaos happen to real claimants of a real kube-apiserver, and looks for two that hold a Lease at once.
///
/// The server is the one that the environment names: run it as `.ci/cluster cargo run --release -p lease-tests --bin chaos`.
#[derive(Clone, Debug, Eq, Parser, PartialEq)]
#[command(name = "chaos")]
#[non_exhaustive]
pub struct Options {
    /// How many episodes there are at least; 12 take less than a minute
    #[arg(long, default_value_t = 12)]
    pub episodes: usize,
    /// How many Leases are contended for side by side
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=20).map(usize::from))]
    pub arenas: usize,
    /// What all chance is drawn from; the time if it is left out
    #[arg(long)]
    pub seed: Option<u64>,
    /// The only kind of episodes that there is
    #[arg(long, value_name = "KIND")]
    pub only: Option<Kind>,
    /// A bug that our claimants have: then the run must find violations
    #[arg(long, value_name = "BUG")]
    pub plant: Option<Plant>,
    /// A directory for a picture of each episode; what broke a promise is drawn without it, too
    #[arg(long, value_name = "DIRECTORY")]
    pub pictures: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(["chaos"].into_iter().chain(arguments.split_whitespace()))
    }

    #[test]
    fn arguments_are_read_and_others_are_refused() {
        let options = read("").expect("all have defaults");
        assert_eq!((options.episodes, options.only), (12, None));
        let options = read("--episodes 7 --only kill --seed 3").expect("they are known");
        assert_eq!(
            (options.episodes, options.only, options.seed),
            (7, Some(Kind::Kill), Some(3))
        );
        for wrong in [
            "--episodes",
            "--only nothing",
            "--plant nothing",
            "--arenas 0",
            "7",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
