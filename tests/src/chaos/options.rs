//! What can be chosen on the command line.

use std::{collections::VecDeque, env};

use crate::{
    chaos::{episode::Kind, fenced::Plant},
    contender::Error,
};

/// What can be chosen on the command line.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// How many episodes there are at least. Defaults to 12, which is less than a minute.
    pub episodes: usize,
    /// How many Leases are contended for side by side. Defaults to 6.
    pub arenas: usize,
    /// What all chance is drawn from. Defaults to the time.
    pub seed: Option<u64>,
    /// The only kind of episodes that there is. Defaults to all.
    pub only: Option<Kind>,
    /// A bug that our claimants have: then the run must find violations.
    pub plant: Option<Plant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            episodes: 12,
            arenas: 6,
            seed: None,
            only: None,
            plant: None,
        }
    }
}

impl Options {
    /// How to call the program.
    pub const USAGE: &str =
        "chaos [--episodes N] [--arenas N] [--seed S] [--only KIND] [--plant ignore-lost]";

    /// Reads the arguments of the process.
    ///
    /// # Errors
    ///
    /// Says which is unknown or unfit.
    pub fn from_arguments() -> Result<Self, Error> {
        Self::read(env::args().skip(1).collect())
    }

    fn read(mut arguments: VecDeque<String>) -> Result<Self, Error> {
        let mut options = Self::default();
        while let Some(name) = arguments.pop_front() {
            let mut value = || {
                let value = arguments.pop_front();
                value.ok_or_else(|| format!("{name} needs a value: {}", Self::USAGE))
            };
            match name.as_str() {
                "--episodes" => options.episodes = value()?.parse()?,
                "--arenas" => options.arenas = value()?.parse()?,
                "--seed" => options.seed = Some(value()?.parse()?),
                "--only" => options.only = Some(value()?.parse()?),
                "--plant" if value()? == Plant::IGNORE_LOST => {
                    options.plant = Some(Plant::IgnoreLost)
                }
                _ => return Err(format!("{name} is not known: {}", Self::USAGE).into()),
            }
        }
        if options.arenas == 0 || options.arenas > 20 {
            return Err(format!("--arenas is {}, and must be from 1 to 20", options.arenas).into());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Options, Error> {
        Options::read(arguments.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn arguments_are_read_and_others_are_refused() {
        assert_eq!(read("").expect("all have defaults"), Options::default());
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
