//! For how long claims are kept, and what is asked of them meanwhile.

use crate::Parting;

use super::*;
use crate::claim::Failure;

struct Kept {
    set: ClaimSet,
    roster: Roster,
    id: ClaimId,
    now: Instant,
    ended: Vec<ClaimId>,
}

impl Kept {
    /// One claim that acquires its Lease, if it is to.
    fn new(plan: Plan, acquires: bool) -> Self {
        let now = World::new(SetLimits::default()).instant();
        let mut set = ClaimSet::new(SetLimits::default(), 7, now);
        let id = set.add(config("one-0"), now);
        if acquires {
            set.acquire(id, Patience::Forever, now);
        }
        let mut roster = Roster::default();
        roster.enter(id, plan);
        Self {
            set,
            roster,
            id,
            now,
            ended: Vec::new(),
        }
    }

    fn settle(&mut self) -> bool {
        let ended = |id| self.ended.push(id);
        self.roster.settle(&mut self.set, self.now, ended)
    }

    fn is_at_rest(&self) -> bool {
        self.set.get(self.id).unwrap().is_at_rest()
    }

    fn fails(&mut self, has_held: bool) {
        let event = Event::Failed(Failure::Controlled {
            strategy: "OldestEmulationVersion".to_owned(),
        });
        self.roster
            .heard(&mut self.set, self.id, &event, has_held, self.now);
    }
}

#[test]
fn a_look_waits_until_no_request_is_under_way_whose_answer_would_be_older() {
    let mut kept = Kept::new(Plan::Forever, true);
    kept.roster.asks(kept.id);
    kept.roster.look(kept.id, 1);
    kept.roster.look(kept.id, 2);
    assert!(!kept.settle());
    assert_eq!(kept.roster.looked(kept.id), 0);
    kept.roster.asks_no_more(kept.id);
    assert!(kept.settle());
    assert_eq!(kept.roster.looked(kept.id), 2);
    assert!(!kept.settle());
}

#[test]
fn whoever_is_at_rest_and_kept_for_ever_begins_again_after_a_pause() {
    let mut kept = Kept::new(Plan::Forever, false);
    kept.roster.asks_no_more(kept.id);
    assert!(!kept.settle());
    let pause = kept.set.get(kept.id).unwrap().config().retry_period();
    assert_eq!(kept.roster.next(), Some(kept.now + pause));
    assert!(kept.is_at_rest());
    kept.now += pause;
    assert!(kept.settle());
    assert!(!kept.is_at_rest());
    assert_eq!((kept.roster.next(), kept.ended.len()), (None, 0));
}

#[test]
fn whoever_is_told_to_stop_while_it_rests_does_not_begin_again() {
    let mut kept = Kept::new(Plan::Forever, false);
    kept.roster.asks_no_more(kept.id);
    kept.settle();
    kept.roster.stop(kept.id, Parting::default());
    while kept.settle() {}
    assert_eq!(kept.ended, [kept.id]);
    assert!(kept.set.is_empty());
    kept.now += SECOND * 60;
    assert!(!kept.settle());
    assert!(kept.set.is_empty());
}

#[test]
fn whoever_is_kept_once_is_over_at_rest_and_not_before() {
    for plan in [Plan::Once, Plan::OnceOrFail] {
        let mut kept = Kept::new(plan, true);
        kept.roster.asks_no_more(kept.id);
        assert!(!kept.settle());
        assert_eq!(kept.ended, []);
        let mut kept = Kept::new(plan, false);
        kept.roster.asks_no_more(kept.id);
        assert!(kept.settle());
        assert_eq!(
            (kept.ended.as_slice(), kept.set.len()),
            ([kept.id].as_slice(), 0)
        );
    }
}

#[test]
fn what_cannot_succeed_ends_a_campaign_that_is_to_end_so_and_no_tenure() {
    for (plan, has_held, ends) in [
        (Plan::OnceOrFail, false, true),
        (Plan::OnceOrFail, true, false),
        (Plan::Once, false, false),
        (Plan::Forever, false, false),
    ] {
        let mut kept = Kept::new(plan, true);
        kept.fails(has_held);
        while kept.settle() {}
        assert_eq!(kept.ended.len(), usize::from(ends), "{plan:?}");
    }
}

#[test]
fn whoever_gives_up_is_over_even_if_it_never_learns_what_became_of_its_write() {
    use crate::server::{Answer, ApiServer};

    let mut kept = Kept::new(Plan::Once, false);
    let (id, start) = (kept.id, kept.now);
    let patience = Patience::Until(start + 3 * SECOND);
    kept.set.acquire(id, patience, start);
    let (mut server, mut has_written) = (ApiServer::new(), false);
    while kept.ended.is_empty() && kept.now < start + 60 * SECOND {
        let wall = SystemTime::UNIX_EPOCH + (kept.now - start);
        match kept.set.poll_output(kept.now, wall) {
            SetOutput::Request(tag, request) => {
                kept.roster.asks(id);
                if request.http.method() == "POST" {
                    has_written = true;
                    kept.set.handle_failure(tag, kept.now);
                } else if has_written {
                    let busy = http::Response::builder().status(429);
                    let busy = busy.header("retry-after", "1").body(Vec::new());
                    kept.set.handle_response(tag, &busy.unwrap(), kept.now);
                } else if let Answer::Whole(answer) = server.handle(&request.http, wall) {
                    kept.set.handle_response(tag, &answer, kept.now);
                }
                kept.roster.asks_no_more(id);
            }
            SetOutput::Event(id, event) => {
                kept.roster
                    .heard(&mut kept.set, id, &event, false, kept.now);
            }
            SetOutput::Cancel(_) => {}
            SetOutput::Wait(_) | SetOutput::Done if kept.settle() => {}
            SetOutput::Wait(until) => {
                kept.now = until.min(kept.roster.next().unwrap_or(until));
            }
            SetOutput::Done => kept.now = kept.roster.next().unwrap_or(start + 60 * SECOND),
        }
    }
    assert!(has_written);
    assert_eq!(kept.ended, [id]);
    assert!(kept.now <= start + 15 * SECOND, "{:?}", kept.now - start);
}
