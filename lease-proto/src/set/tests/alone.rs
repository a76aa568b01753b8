//! A set of one claim beside the same claim without a set: the same inputs give the same outputs.

use super::*;
use crate::server::ApiServer;

/// A world in which whatever happens to a set of one happens to a claim as well, which must say the same.
fn with_twin(config: &Config) -> (World, ClaimId) {
    let mut w = World::before(
        ApiServer::builder().history(100_000).build(),
        SetLimits::default(),
    );
    let now = w.instant();
    let id = w.set.add(config.clone(), now);
    let mut seeds = Random::new(World::SEED);
    w.twin = Some(Claim::one_of_many(config.clone(), seeds.next(), now));
    (w, id)
}

impl World {
    fn both(&mut self, id: ClaimId, command: fn(&mut Claim, Instant)) {
        let now = self.instant();
        self.set.command(id, now, command);
        command(self.twin.as_mut().unwrap(), now);
    }
}

#[test]
fn a_set_of_one_says_what_its_claim_would_say_alone() {
    let settings: [fn(ConfigBuilder) -> ConfigBuilder; 4] = [
        |config| config,
        |config| config.server_time(false),
        |config| config.watch(false),
        |config| config.watch_while_held(true),
    ];
    for setting in settings {
        let config = Config::builder("default", "lease-0", "me");
        let (mut w, id) = with_twin(&setting(config).build().unwrap());
        w.write_by("lease-proto", "lease-0", "them");
        w.run(SECOND * 12);
        w.both(id, |claim, now| claim.acquire(Patience::Forever, now));
        w.run(SECOND * 6);
        w.write_by("lease-proto", "lease-0", "them");
        w.run(SECOND * 6);
        w.cut_streams();
        (w.wall_error, w.server_error) = (-3_600, 30);
        w.run(SECOND * 3);
        w.write("lease-0", "others");
        w.run(SECOND * 2);
        w.wall_error = 10;
        w.write("lease-0", "");
        w.run(SECOND * 30);
        assert_eq!(w.held(&[id]), 1);
        w.lag = SECOND * 4;
        w.run(SECOND * 10);
        w.hang = Box::new(|_, _| true);
        w.run(SECOND * 30);
        assert_eq!(w.losses(), 1);
        w.both(id, |claim, now| claim.acquire(Patience::Forever, now));
        w.run(SECOND * 30);
        w.hang = Box::new(|_, _| false);
        w.lag = Duration::ZERO;
        w.run(SECOND * 30);
        assert_eq!(w.held(&[id]), 1);
        w.both(id, Claim::verify);
        w.run(SECOND);
        w.both(id, Claim::release);
        w.run(SECOND);
        assert_eq!((w.held(&[id]), w.wait), (0, None));
        assert!(w.sent.len() > 20, "{}", w.sent.len());
    }
}
