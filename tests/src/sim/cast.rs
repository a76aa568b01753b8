//! Who takes part: claimants and rivals, each on a machine of its own.

use std::time::{Duration, Instant, SystemTime};

use lease_proto::{Config, OnRelease, Patience, RequestId, WriteMethod};

use super::{
    Micros, SECOND,
    audit::Standing,
    claimant::Claimant,
    clock::Clock,
    evidence::{Evidence, UpTo},
    kept::StreamId,
    kinds::{Faults, Kind},
    load::Load,
    network::Link,
    oracle::Watched,
    plants::Bug,
    rivals::Rival,
};
use crate::random::Random;

/// Names a request in the world.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tag {
    Ours(RequestId),
    Stream(StreamId),
    Rival(u64),
}

/// Who plays.
#[derive(Debug)]
pub(crate) enum Player {
    Ours(Box<Claimant>),
    Rival(Box<dyn Rival>),
}

/// One participant and its machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) player: Player,
    pub(crate) clock: Clock,
    pub(crate) link: Link,
    pub(crate) paused_until: Micros,
    pub(crate) wake_at: Micros,
    pub(crate) life: u64,
    pub(crate) watched: Watched,
    pub(crate) evidence: Evidence,
    pub(crate) load: Load,
    /// The request under way, as the participant sees it.
    pub(crate) open: Option<Tag>,
    /// Which answer it heard last, and when.
    pub(crate) heard: Option<(Tag, Micros)>,
    /// The streams that it watches, and up to which version it knows the record besides.
    pub(crate) streams: Vec<Stream>,
    pub(crate) seen: UpTo,
    /// The write under way, by its number.
    pub(crate) writing: Option<u64>,
    /// It does not acquire for now, since it was told so.
    pub(crate) resting: bool,
    /// When it is to acquire again.
    pub(crate) acquires_at: Micros,
    /// It is gone for good.
    pub(crate) dead: bool,
}

/// A stream that a participant watches, or has asked for.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    /// Since when it is there.
    pub(crate) since: Option<Micros>,
    /// What was told of a line that is not whole yet.
    pub(crate) partial: Vec<u8>,
}

/// What one world's claimants have in common.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    seconds: u64,
    extra: u64,
    /// The renew deadline, in parts of a thousand of the duration.
    deadline: Option<u64>,
    method: WriteMethod,
    pub(super) release: OnRelease,
    twins: bool,
    stable: bool,
    observers: bool,
    watch: bool,
    watch_while_held: bool,
    pub(super) server_time: bool,
    /// From how many on they share streams, if they are kept in sets.
    pub(super) sharers: Option<usize>,
    /// Whether there is another claim in each set.
    pub(super) company: bool,
    /// How many priorities there are, and how many claimants of a hundred have one.
    pub(super) ranks: Option<(i32, u64)>,
    /// Whether releases name a successor.
    pub(super) heirs: bool,
}

impl Terms {
    /// The defaults.
    pub(crate) fn usual() -> Self {
        Self {
            seconds: 15,
            extra: 0,
            deadline: None,
            method: WriteMethod::Put,
            release: OnRelease::Clear,
            twins: false,
            stable: false,
            observers: true,
            watch: true,
            watch_while_held: false,
            server_time: true,
            sharers: None,
            company: false,
            ranks: None,
            heirs: false,
        }
    }

    pub(crate) fn draw(random: &mut Random, faults: &Faults) -> Self {
        let seconds = *pick(random, &[15, 15, 15, 15, 15, 15, 6, 3, 30, 60]);
        let has_rivals = [Kind::ClientGo, Kind::WallPeer, Kind::Patcher]
            .iter()
            .any(|kind| faults.has(*kind));
        Self {
            seconds,
            extra: if random.chance(10) { 500 } else { 0 },
            deadline: random.chance(25).then(|| random.between(500, 990)),
            method: if random.chance(25) {
                WriteMethod::Patch
            } else {
                WriteMethod::Put
            },
            release: pick(
                random,
                &[
                    OnRelease::Clear,
                    OnRelease::Clear,
                    OnRelease::Delete,
                    OnRelease::Expire,
                ],
            )
            .to_owned(),
            twins: faults.has(Kind::Twins),
            stable: random.chance(25),
            observers: has_rivals || random.chance(70),
            watch: random.chance(75),
            watch_while_held: random.chance(30),
            server_time: true,
            sharers: *pick(random, &[None, None, Some(1), Some(1), Some(2)]),
            company: random.chance(60),
            ranks: random.chance(25).then_some((3, 80)),
            heirs: random.chance(25),
        }
    }

    /// With claimants that are told of changes, or are not.
    pub(crate) fn watching(mut self, watch: bool) -> Self {
        self.watch = watch;
        self
    }

    /// With claimants that all wait by priority, of which there are so many.
    pub(crate) fn ranking(mut self, ranks: i32) -> Self {
        self.ranks = Some((ranks, 100));
        self
    }

    /// With a duration in whole seconds.
    pub(crate) fn lasting(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    pub(crate) fn config(&self, index: usize, random: &mut Random, mixed: bool) -> Config {
        let seconds = if mixed {
            *pick(random, &[3, 6, 15, 30])
        } else {
            self.seconds
        };
        let lease = Duration::from_millis(seconds * 1_000 + self.extra);
        // The first two of a world of twins have the same name, and none of them anything to tell them apart.
        let name = if self.twins { index / 2 * 2 } else { index };
        let mut config = Config::builder("default", "leader", format!("node-{name}"))
            .lease_duration(lease)
            .unique_identity(!self.twins && !self.stable)
            .whole_second_observers(self.observers || seconds < 3)
            .write_method(self.method)
            .on_release(self.release)
            .watch(self.watch)
            .watch_while_held(self.watch_while_held)
            .server_time(self.server_time);
        if let Some((ranks, percent)) = self.ranks
            && random.chance(percent)
        {
            let most = u64::from(ranks.unsigned_abs()).saturating_sub(1);
            config = config.priority(i32::try_from(random.between(0, most)).unwrap_or(0));
        }
        if let Some(permille) = self.deadline {
            let deadline = lease / 1_000 * u32::try_from(permille).unwrap_or(500);
            config = config
                .renew_deadline(deadline)
                .renew_interval(deadline / 2)
                .retry_period(deadline / 5);
        }
        config.build().expect("what is drawn is valid")
    }
}

impl Terms {
    /// Another Lease, for which sets have claims as well.
    pub(crate) fn another(&self, index: usize) -> Config {
        Config::builder("default", "another", format!("node-{index}"))
            .lease_duration(Duration::from_millis(self.seconds * 1_000 + self.extra))
            .watch(self.watch)
            .server_time(self.server_time)
            .build()
            .expect("what is drawn is valid")
    }
}

impl Node {
    pub(crate) fn new(player: Player, clock: Clock, life: u64) -> Self {
        Self {
            player,
            clock,
            link: Link::default(),
            paused_until: 0,
            wake_at: 0,
            life,
            watched: Watched::default(),
            evidence: Evidence::default(),
            load: Load::default(),
            open: None,
            heard: None,
            streams: Vec::new(),
            seen: UpTo::default(),
            writing: None,
            resting: false,
            acquires_at: 0,
            dead: false,
        }
    }

    /// The instant as the participant reads it.
    pub(crate) fn now(&self, now: Micros) -> Instant {
        match &self.player {
            Player::Ours(claimant) if claimant.bug() == Some(Bug::MonotonicClock) => {
                self.clock.monotonic(now)
            }
            Player::Ours(_) | Player::Rival(_) => self.clock.boot(now),
        }
    }

    pub(crate) fn wall(&self, now: Micros) -> SystemTime {
        self.clock.wall(now)
    }

    /// The stream with that name, if it watches that.
    pub(crate) fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    pub(crate) fn ours(&self) -> Option<&Claimant> {
        match &self.player {
            Player::Ours(claimant) => Some(claimant),
            Player::Rival(_) => None,
        }
    }

    pub(crate) fn ours_mut(&mut self) -> Option<&mut Claimant> {
        match &mut self.player {
            Player::Ours(claimant) => Some(claimant),
            Player::Rival(_) => None,
        }
    }

    /// Whether it may act as the holder; a rival that cannot run does not.
    pub(crate) fn believes(&self, now: Micros) -> bool {
        if self.dead {
            return false;
        }
        match &self.player {
            Player::Ours(claimant) => claimant.believes(self.now(now)),
            Player::Rival(rival) => self.paused_until <= now && rival.believes(self.wall(now)),
        }
    }

    /// The seconds that it publishes.
    pub(crate) fn seconds(&self) -> i64 {
        self.ours()
            .map_or(15, |claimant| claimant.config().published_seconds())
    }

    /// The whole seconds for which it waits at least where a record names none.
    pub(crate) fn wait_of_its_own(&self) -> i64 {
        let wait = self
            .ours()
            .map_or(15, |claimant| claimant.config().lease_duration().as_secs());
        wait.cast_signed()
    }

    pub(crate) fn standing(&self, node: usize, now: Micros) -> Standing<'_> {
        let identity = match &self.player {
            Player::Ours(claimant) => claimant.identity(),
            Player::Rival(rival) => rival.identity(),
        };
        Standing {
            node,
            life: self.life,
            identity,
            seconds: self.seconds(),
            believes: self.believes(now),
        }
    }

    /// Whether what it takes was free by everybody's rules.
    pub(crate) fn is_lawful(&self) -> bool {
        match &self.player {
            Player::Ours(_) => true,
            Player::Rival(rival) => rival.is_lawful() && self.watched.excused == 0,
        }
    }

    /// How long it pauses at most between two looks, in true time.
    pub(crate) fn retry_period(&self) -> Micros {
        let period = self
            .ours()
            .map(|claimant| claimant.config().retry_period().as_micros());
        period
            .and_then(|micros| u64::try_from(micros).ok())
            .unwrap_or(2 * SECOND)
    }

    /// In what time its requests are counted together: two renewals, with the defaults ten seconds.
    pub(crate) fn span(&self) -> Micros {
        let interval = self
            .ours()
            .map(|claimant| claimant.config().renew_interval().as_micros());
        let interval = interval.and_then(|micros| u64::try_from(micros).ok());
        let both = interval.map_or(Micros::MAX, |micros| 2 * micros);
        both.min(5 * self.retry_period()).min(10 * SECOND)
    }

    /// The patience that it next acquires with.
    pub(crate) fn patience(&self, random: &mut Random, faults: &Faults, now: Micros) -> Patience {
        if !faults.has(Kind::Impatience) {
            return Patience::Forever;
        }
        let within = Duration::from_micros(random.between(SECOND, 40 * SECOND));
        match random.between(0, 2) {
            0 => Patience::Once,
            1 => Patience::Until(self.now(now) + within),
            _ => Patience::Forever,
        }
    }
}

/// Draws one of several.
pub(crate) fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    let most = u64::try_from(from.len()).unwrap_or(1).saturating_sub(1);
    let index = usize::try_from(random.between(0, most)).unwrap_or(0);
    from.get(index).expect("it is drawn from what is not empty")
}
