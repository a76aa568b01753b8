//! What claims keep in memory, and what a renewal asks of the allocator.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use lease_proto::wire::Lease;
use lease_tests::echoes::Echoes;

/// What a claim may take beside the Lease as last read.
const BYTES_A_CLAIM: u64 = 1_024;
/// How often the allocator is asked for a renewal until it is rendered.
const ASKED: u64 = 22;
/// The same for its answer until it is settled, beside what reading the Lease takes.
const SETTLED: u64 = 2;

#[test]
fn a_claim_takes_a_kibibyte_beside_its_lease() {
    const CLAIMS: u64 = 2_000;
    let mut echoes = None;
    let all = measure(|| echoes = Some(Echoes::held(2_000)));
    let echoes = echoes.unwrap();
    // Their names, their versions, who wrote which field: the records themselves.
    let mut leases = Vec::with_capacity(2_000);
    let text = measure(|| {
        leases.extend(
            echoes
                .set
                .iter()
                .map(|(_, claim)| Box::new(claim.observed().cloned().unwrap())),
        );
    });
    let kept = |info: AllocationInfo| u64::try_from(info.bytes_current).unwrap() / CLAIMS;
    let (all, text) = (kept(all), kept(text));
    assert!(
        all - text <= BYTES_A_CLAIM,
        "{all} bytes a claim, {text} of them its Lease"
    );
}

#[test]
fn a_renewal_in_steady_state_allocates_what_the_answer_needs() {
    let mut echoes = Echoes::held(1);
    for _ in 0..10 {
        let end = echoes.now + Duration::from_secs(6);
        let mut request = None;
        let asked = measure(|| request = echoes.request(end));
        let (tag, request) = request.unwrap();
        let path = request.http.uri().to_string();
        assert!(path.contains("fieldManager=lease-proto&"), "{path}");
        let answer = echoes.answer(&request);
        let settled = measure(|| {
            echoes.set.handle_response(tag, &answer, echoes.now);
        });
        let needed = measure(|| {
            serde_json::from_slice::<Lease>(answer.body()).unwrap();
        });
        // Nothing of the Lease as last read is copied but its spec, to be changed.
        assert!(asked.count_total <= ASKED, "{}", asked.count_total);
        // The event, and a box for the Lease.
        let beside = settled.count_total - needed.count_total;
        assert!(beside <= SETTLED, "{beside} beside {}", needed.count_total);
    }
}
