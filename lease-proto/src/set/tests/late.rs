//! Claims that come to a shared stream late: they have missed what it told before, and must read once.

use super::*;

impl World {
    /// Twenty claims that share a stream, and one whose look at its record is on its way and not true any more, of which the
    /// stream has told already.
    fn with_late(&mut self, lag: Duration, change: fn(&mut Self)) -> (Vec<ClaimId>, ClaimId) {
        let ids = self.waiting(20);
        self.write("late", "them");
        self.run_renewed(20, 2);
        self.lag = lag;
        let (late, now) = (self.add("late"), self.instant());
        self.set.acquire(late, Patience::Forever, now);
        self.run(MILLI * 5);
        change(self);
        self.run(MILLI * 10);
        self.lag = Duration::ZERO;
        (ids, late)
    }

    fn delete(&mut self, name: &str) {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/default/leases/{name}");
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        let wall = self.wall(0);
        let _answer = self.server.handle(&request, wall);
        assert!(self.server.lease("default", name).is_none());
        self.pump();
    }
}

#[test]
fn whoever_has_read_before_a_stream_was_opened_again_looks_once_more() {
    // Its answer comes when the next stream is open, and when that is on its way.
    for (lag, delay) in [(SECOND * 3, Duration::ZERO), (SECOND * 2, SECOND * 3)] {
        let mut w = World::new(SetLimits::default());
        let (_, late) = w.with_late(lag, |w| w.write("late", ""));
        w.delay = Box::new(move |_, path| {
            let is_watch = path.contains("watch=true");
            if is_watch { delay } else { Duration::ZERO }
        });
        w.cut_streams();
        w.run(SECOND * 3 / 2);
        assert_eq!((w.shared(), w.held(&[late])), (2, 0));
        w.run(SECOND * 3);
        assert_eq!(w.held(&[late]), 1);
    }
}

#[test]
fn whoever_could_not_read_does_not_count_as_told_when_the_stream_ends() {
    let mut w = World::new(SetLimits::default());
    let (_, late) = w.with_late(MILLI * 20, |w| w.write("late", ""));
    w.hang = Box::new(|method, path| method == "GET" && path.contains("/late"));
    w.run(MILLI * 100);
    assert_eq!(w.held(&[late]), 0, "it looks again, in vain");
    w.cut_streams();
    w.run(SECOND * 2);
    assert_eq!(w.shared(), 2);
    w.hang = Box::new(|_, _| false);
    w.run(SECOND * 6);
    assert_eq!((w.held(&[late]), w.own()), (1, 0));
}

#[test]
fn whoever_has_read_is_told_from_then_on_as_all_others_are() {
    let changes: [fn(&mut World); 2] = [|w| w.write("late", "them"), |w| w.delete("late")];
    for change in changes {
        let mut w = World::new(SetLimits::default());
        let (_, late) = w.with_late(MILLI * 20, change);
        let since = w.now;
        w.run(SECOND);
        w.renew(20);
        w.run(SECOND);
        assert_eq!((w.looks(since), w.held(&[late])), (1, 0));
        let version = w.version();
        w.cut_streams();
        w.run(SECOND * 2);
        let last = w.watches().last().copied().unwrap();
        assert!(
            last.ends_with(&format!("&resourceVersion={version}")),
            "{last}"
        );
    }
}

#[test]
fn what_was_asked_for_before_a_record_changed_unreadably_is_no_answer_to_that() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    w.run_renewed(20, 2);
    let odd = |w: &World| {
        let mut line = w.line("MODIFIED", "lease-3");
        line["object"]["spec"] = "none of yours".into();
        line.to_string()
    };
    w.lag = MILLI * 20;
    w.is_mute = true;
    w.write("lease-3", "them");
    let line = odd(&w);
    w.tell(&line);
    // It looks, and before it hears what that was the record is free.
    w.run(MILLI * 5);
    w.write("lease-3", "");
    let line = odd(&w);
    w.tell(&line);
    w.is_mute = false;
    w.run(SECOND);
    assert_eq!((w.held(&ids), w.shared()), (1, 1));
}
