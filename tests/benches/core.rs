//! What the protocol itself costs: a renewal, its JSON, and a step of sets of different sizes.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    cell::RefCell,
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use divan::Bencher;
use http::Response;
use lease_proto::{Claim, Config, Output, Patience, Request, RequestId, Tag, wire::Lease};
use lease_tests::echoes::{Echoes, echo};

const FAR: Duration = Duration::from_secs(1_000_000);

fn main() {
    divan::main();
}

/// One renewal: its answer is read and settled, the next one polled for and rendered.
#[divan::bench]
fn renewal(bencher: Bencher<'_, '_>) {
    let one = RefCell::new(One::held());
    bencher
        .with_inputs(|| one.borrow_mut().answer())
        .bench_local_values(|(id, answer)| one.borrow_mut().renew(id, &answer));
}

/// Of that, reading the Lease in the answer.
#[divan::bench]
fn renewal_read(bencher: Bencher<'_, '_>) {
    let (_, answer) = One::held().answer();
    bencher.bench_local(|| serde_json::from_slice::<Lease>(black_box(answer.body())).unwrap());
}

/// And writing the next one.
#[divan::bench]
fn renewal_written(bencher: Bencher<'_, '_>) {
    let (_, answer) = One::held().answer();
    let lease: Lease = serde_json::from_slice(answer.body()).unwrap();
    bencher.bench_local(|| serde_json::to_vec(black_box(&lease)).unwrap());
}

/// The same as a renewal, of one claim after another of a set.
#[divan::bench(args = [10, 100, 1_000, 10_000, 100_000])]
fn step_of_set(bencher: Bencher<'_, '_>, claims: usize) {
    let mut set = Echoes::held(claims);
    let first = next(&mut set);
    let set = RefCell::new((set, first));
    bencher
        .with_inputs(|| {
            let (set, (tag, request)) = &mut *set.borrow_mut();
            (*tag, set.answer(request))
        })
        .bench_local_values(|(tag, answer)| {
            let (set, request) = &mut *set.borrow_mut();
            set.set.handle_response(tag, &answer, set.now);
            *request = next(set);
        });
}

fn next(set: &mut Echoes) -> (Tag, Request) {
    set.request(set.now + FAR).unwrap()
}

/// A claim that holds, and has just written.
struct One {
    claim: Claim,
    now: Instant,
    wall: SystemTime,
    version: u64,
    request: Option<Request>,
}

impl One {
    fn held() -> Self {
        let config = Config::builder("default", "leader", "worker-7c9d");
        let now = Instant::now();
        let mut claim = Claim::new(config.build().unwrap(), 7, now);
        claim.acquire(Patience::Forever, now);
        let mut one = Self {
            claim,
            now,
            wall: SystemTime::now(),
            version: 1_000_000,
            request: None,
        };
        one.poll();
        for _ in 0..10 {
            let (id, answer) = one.answer();
            one.renew(id, &answer);
        }
        assert!(one.claim.is_held(one.now));
        one
    }

    fn answer(&mut self) -> (RequestId, Response<Vec<u8>>) {
        self.version += 1;
        let request = self.request.take().unwrap();
        (request.id, echo(&request, self.version, self.wall))
    }

    fn renew(&mut self, id: RequestId, answer: &Response<Vec<u8>>) {
        self.claim.handle_response(id, answer, self.now);
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            match self.claim.poll_output(self.now, self.wall) {
                Output::Request(request) => {
                    self.request = Some(request);
                    return;
                }
                Output::Wait(until) => {
                    self.wall += until - self.now;
                    self.now = until;
                }
                Output::Event(_) | Output::Cancel(_) | Output::Done => {}
            }
        }
    }
}
