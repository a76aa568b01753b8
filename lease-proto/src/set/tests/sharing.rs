//! One stream for all that wait in a namespace: who is told by it, and what happens without it.

use super::*;
use crate::server::{ApiServer, Rule};

impl World {
    /// So many claims that wait for somebody else, and the names of their Leases.
    pub(super) fn waiting(&mut self, count: usize) -> Vec<ClaimId> {
        self.renew(count);
        let ids = self.acquire(count);
        self.run(SECOND);
        ids
    }

    /// Renews all of these as somebody else.
    pub(super) fn renew(&mut self, count: usize) {
        for number in 0..count {
            self.write(&format!("lease-{number}"), "them");
        }
    }

    pub(super) fn run_renewed(&mut self, count: usize, times: usize) {
        for _ in 0..times {
            self.run(SECOND * 5);
            self.renew(count);
        }
    }

    pub(super) fn shared(&self) -> usize {
        self.watches()
            .iter()
            .filter(|path| !path.contains("fieldSelector"))
            .count()
    }

    pub(super) fn own(&self) -> usize {
        self.watches().len() - self.shared()
    }
}

#[test]
fn those_that_wait_in_one_namespace_share_one_stream_and_ask_for_nothing_else() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    assert_eq!(
        (w.shared(), w.own(), w.count("GET", Duration::ZERO)),
        (1, 0, 21)
    );
    let since = w.now;
    w.run_renewed(20, 12);
    assert_eq!(w.sent.iter().filter(|(at, _, _)| since < *at).count(), 0);
    w.write("lease-7", "");
    w.run(MILLI * 40);
    assert_eq!(w.held(&ids), 1, "what is given up is taken at once");
    assert_eq!(w.held(&ids[7..8]), 1);
    // Nobody renews the others any more.
    w.run(SECOND * 16);
    assert_eq!(w.held(&ids), 20);
    w.run(SECOND);
    assert_eq!((w.shared(), w.own()), (1, 0));
    assert!(
        w.server.watches().next().is_none(),
        "nobody waits, and nobody is told"
    );
}

#[test]
fn few_have_streams_of_their_own_as_far_as_that_is_allowed() {
    let mut w = World::new(SetLimits::default().streams(4).sharers(1_000));
    let ids = w.waiting(20);
    w.run_renewed(20, 4);
    assert_eq!((w.shared(), w.most_streams), (0, 3));
    for number in 0..20 {
        w.write(&format!("lease-{number}"), "");
    }
    w.run(SECOND * 4);
    assert_eq!(w.held(&ids), 20, "the others look from time to time");
}

#[test]
fn whoever_comes_later_looks_once_more_and_misses_nothing() {
    let mut w = World::new(SetLimits::default());
    w.waiting(20);
    w.write("late", "them");
    w.run_renewed(20, 2);
    // What the first look shows is not true any more when it comes, and the stream has said so before that.
    w.lag = MILLI * 20;
    let late = w.add("late");
    let now = w.instant();
    w.set.acquire(late, Patience::Forever, now);
    w.drive();
    w.run(MILLI * 5);
    w.write("late", "");
    let since = w.now;
    w.run(MILLI * 100);
    assert_eq!(w.held(&[late]), 1);
    assert_eq!((w.count("GET", since), w.own()), (1, 0));
}

#[test]
fn a_stream_that_ends_is_opened_again_from_where_it_was() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    w.run_renewed(20, 10);
    let since = w.now;
    w.cut_streams();
    w.drive();
    w.write("lease-3", "");
    w.run(SECOND);
    assert_eq!((w.held(&ids[3..4]), w.held(&ids)), (1, 1));
    assert_eq!(w.count("GET", since), 1, "the stream, and nothing else");
    let version = w
        .watches()
        .last()
        .unwrap()
        .rsplit_once("&resourceVersion=")
        .map(|(_, it)| it.parse::<u64>().unwrap());
    assert!(version.is_some_and(|version| version > 200), "{version:?}");
    w.write("lease-5", "");
    w.run(SECOND);
    assert_eq!((w.held(&ids), w.shared(), w.own()), (2, 2, 0));
}

#[test]
fn a_version_that_is_forgotten_makes_the_stream_begin_with_what_there_is() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    w.run_renewed(20, 10);
    w.cut_streams();
    w.drive();
    w.write("lease-3", "");
    w.write("lease-4", "");
    let version = w.server.resource_version();
    w.server.compact(version);
    w.run(SECOND * 4);
    assert_eq!(w.held(&ids), 2);
    assert!(!w.watches().last().unwrap().contains("resourceVersion="));
    assert_eq!(w.own(), 0);
}

#[test]
fn where_a_namespace_may_not_be_watched_claims_have_streams_of_their_own() {
    let names: Vec<_> = (0..20).map(|number| format!("lease-{number}")).collect();
    let server = ApiServer::builder()
        .admin("other", "other")
        .user("mine", "me");
    let server = server
        .rule(Rule::new("me").names(names))
        .history(100_000)
        .build();
    let mut w = World::before(server, SetLimits::default().streams(12));
    w.token = Some("mine");
    let ids = w.waiting(20);
    w.run_renewed(20, 6);
    assert_eq!((w.shared(), w.own(), w.most_streams), (1, 9, 9));
    for number in 0..20 {
        w.write(&format!("lease-{number}"), "");
    }
    w.run(SECOND * 4);
    assert_eq!(w.held(&ids), 20);
}

#[test]
fn a_stream_that_says_nothing_is_found_out() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    w.run_renewed(20, 1);
    w.is_mute = true;
    w.run_renewed(20, 2);
    assert_eq!(w.shared(), 1);
    w.run_renewed(20, 2);
    assert!(
        w.shared() > 1,
        "somebody has taken a Lease in vain, and heard nothing"
    );
    w.is_mute = false;
    w.run_renewed(20, 6);
    w.write("lease-7", "");
    w.run(SECOND);
    assert_eq!((w.held(&ids), w.own()), (1, 0));
}

#[test]
fn a_namespace_in_which_too_much_happens_is_not_watched_as_a_whole() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(10);
    assert_eq!((w.shared(), w.own()), (1, 0));
    for _ in 0..40 {
        for number in 0..50 {
            w.write(&format!("other-{number}"), "somebody");
        }
        w.run(MILLI * 500);
        w.renew(10);
    }
    assert_eq!((w.shared(), w.own()), (1, 10));
    w.write("lease-7", "");
    w.run(SECOND);
    assert_eq!(w.held(&ids), 1);
}

#[test]
fn without_streams_all_look_from_time_to_time() {
    let mut w = World::new(SetLimits::default());
    w.renew(20);
    let ids = w.acquire(20);
    let stream = loop {
        w.run(MILLI);
        if let Some(tag) = w.last_stream() {
            break tag;
        }
    };
    let now = w.instant();
    w.set.handle_no_stream(stream, now);
    w.run_renewed(20, 4);
    assert_eq!((w.shared(), w.own()), (1, 0));
    for number in 0..20 {
        w.write(&format!("lease-{number}"), "");
    }
    w.run(SECOND * 4);
    assert_eq!(w.held(&ids), 20);
}
