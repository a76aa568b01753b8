//! What goes wrong in an episode.

use std::{fmt, str::FromStr, time::Duration};

use crate::{chaos::proxy::Mode, random::Random};

/// What goes wrong in an episode.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Kind {
    /// Somebody annotates the record ten times a second.
    Annotate,
    /// The API server is killed and started again.
    ApiserverRestart,
    /// The API server is stopped and continued.
    ApiserverStop,
    /// The token is replaced by one that the server does not know, and then by a good one.
    BadToken,
    /// Nothing goes through.
    BlackHole,
    /// What the server sends is late.
    DelayAnswers,
    /// What the claimant sends is late.
    DelayRequests,
    /// Somebody deletes the record under its holder.
    Delete,
    /// Requests are carried out, and their answers are lost.
    DropAnswers,
    /// etcd is killed and started again with the same data.
    EtcdRestart,
    /// etcd is stopped and continued.
    EtcdStop,
    /// Something that is not TLS answers.
    Garbage,
    /// Connections stand still; new ones work.
    Hang,
    /// SIGKILL; another one is started later.
    Kill,
    /// Every connection is reset.
    Reset,
    /// SIGSTOP, and SIGCONT later.
    Stop,
    /// SIGTERM: the holder releases; another one is started later.
    Terminate,
    /// A server with a certificate that nobody knows answers.
    WrongCertificate,
}

impl Kind {
    /// Those that concern one Lease.
    pub const LOCAL: [Self; 14] = [
        Self::Stop,
        Self::Kill,
        Self::BlackHole,
        Self::DropAnswers,
        Self::Reset,
        Self::Delete,
        Self::DelayAnswers,
        Self::BadToken,
        Self::Hang,
        Self::Annotate,
        Self::DelayRequests,
        Self::WrongCertificate,
        Self::Garbage,
        Self::Terminate,
    ];

    /// Those that concern all at once.
    pub const GLOBAL: [Self; 4] = [
        Self::ApiserverStop,
        Self::EtcdRestart,
        Self::ApiserverRestart,
        Self::EtcdStop,
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::LOCAL.into_iter().chain(Self::GLOBAL)
    }

    /// Tells whether it concerns all Leases at once.
    pub fn is_global(self) -> bool {
        Self::GLOBAL.contains(&self)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Annotate => "annotate",
            Self::ApiserverRestart => "apiserver-restart",
            Self::ApiserverStop => "apiserver-stop",
            Self::BadToken => "bad-token",
            Self::BlackHole => "black-hole",
            Self::DelayAnswers => "delay-answers",
            Self::DelayRequests => "delay-requests",
            Self::Delete => "delete",
            Self::DropAnswers => "drop-answers",
            Self::EtcdRestart => "etcd-restart",
            Self::EtcdStop => "etcd-stop",
            Self::Garbage => "garbage",
            Self::Hang => "hang",
            Self::Kill => "kill",
            Self::Reset => "reset",
            Self::Stop => "stop",
            Self::Terminate => "terminate",
            Self::WrongCertificate => "wrong-certificate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|kind| kind.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::all().map(Self::name).collect();
            format!(
                "there is no kind {text:?} of episodes; there are {}",
                known.join(", ")
            )
        })
    }
}

/// Whom it concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    All,
    Holder,
    Waiter,
}

/// What goes wrong, with whom, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Episode {
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    /// For how long.
    pub(crate) during: Duration,
    /// How late what is late is.
    pub(crate) late: Duration,
    /// What the proxies of all others do meanwhile.
    pub(crate) also: Option<Mode>,
    /// Before another claimant takes the place of one that has ended.
    pub(crate) absent: Duration,
}

impl Episode {
    /// Draws the rest of an episode of that kind, on a Lease of `ttl` seconds.
    pub(crate) fn draw(kind: Kind, ttl: u64, random: &mut Random) -> Self {
        let ttl = ttl * 1_000;
        let target = match random.between(0, 9) {
            0..6 => Target::Holder,
            6..8 => Target::All,
            _ => Target::Waiter,
        };
        // Whoever is cut off when a record is deleted cannot know that it was not released.
        let also = (kind != Kind::Delete && random.chance(30)).then(|| {
            let late = Duration::from_millis(random.between(ttl / 10, ttl));
            match random.between(0, 4) {
                0 => Mode::DelayAnswers(late),
                1 => Mode::DelayRequests(late),
                2 => Mode::DropAnswers,
                3 => Mode::Hang,
                _ => Mode::Reset,
            }
        });
        let mut draw = |least, most| Duration::from_millis(random.between(least, most));
        Self {
            kind,
            target,
            // Shorter than any deadline, longer than all, and all between.
            during: draw(ttl / 5, 2 * ttl),
            late: draw(ttl / 10, ttl),
            absent: draw(0, ttl),
            also,
        }
    }

    /// What the proxies do meanwhile, if it is about them.
    pub(crate) fn mode(&self) -> Option<Mode> {
        match self.kind {
            Kind::BlackHole => Some(Mode::BlackHole),
            Kind::DelayAnswers => Some(Mode::DelayAnswers(self.late)),
            Kind::DelayRequests => Some(Mode::DelayRequests(self.late)),
            Kind::DropAnswers => Some(Mode::DropAnswers),
            Kind::Garbage => Some(Mode::Garbage),
            Kind::Hang => Some(Mode::Hang),
            Kind::Reset => Some(Mode::Reset),
            Kind::WrongCertificate => Some(Mode::WrongCertificate),
            Kind::Annotate
            | Kind::ApiserverRestart
            | Kind::ApiserverStop
            | Kind::BadToken
            | Kind::Delete
            | Kind::EtcdRestart
            | Kind::EtcdStop
            | Kind::Kill
            | Kind::Stop
            | Kind::Terminate => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_name() {
        for kind in Kind::all() {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let unknown = "nonsense".parse::<Kind>().expect_err("there is none");
        assert!(unknown.contains("black-hole"), "{unknown}");
    }
}
