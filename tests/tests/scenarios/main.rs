//! One list of scenarios, played over every way to an API server: each transport, each wire, and the stores within a process;
//! with the API server of lease-proto in this process, and with a real one.
//!
//! The real one is named by the environment (`.ci/cluster` sets it up). Without it its part is reported as ignored, and a line
//! says so.
//!
//! Beside it stand the faults, met by claims over each transport. Where each is tested, for both drivers unless it says
//! otherwise; `clients` and `drivers` are the suites of these names, and what is in `faults.rs` runs for hyper, ureq,
//! `kube::Client`, reqwest and the event loop, and once more over HTTP/2 for those that speak it, hyper and reqwest. The event
//! loop, written by hand, speaks HTTP/1.0, over plain TCP and over TLS: HTTP/2 by hand would be a library of its own. It looks
//! names up before it begins. reqwest's example is given its token and reads no files; `kube::Client` reads them by itself.
//!
//! | fault | one request | a claim |
//! |---|---|---|
//! | connection refused | `clients::exchange::a_refused_connection_names_the_server` | `a_refused_connection_is_tried_again` |
//! | DNS failure | `clients::exchange::a_name_that_is_not_found_says_so` | `a_name_that_is_not_found_is_said` |
//! | an address of several that does not answer | `lease_tokio::tcp`, `lease_blocking::http_transport` (unit tests) | |
//! | TLS name mismatch | `clients::tls::a_certificate_for_another_name_is_refused_unless_that_name_is_asked_for` | `a_certificate_for_another_name_is_said` |
//! | expired certificate | `clients::tls::an_expired_certificate_is_refused` | `an_expired_certificate_is_said` |
//! | wrong CA | `clients::tls::a_wrong_authority_is_refused` | `a_certificate_by_another_authority_is_said` |
//! | an unverified server | `clients::tls::an_unverified_server_is_accepted_only_where_that_is_asked_for` | warned of: `observing`, and the command's `a_server_that_is_not_verified_is_warned_of` |
//! | redirects | `clients::exchange::a_redirect_is_an_answer` | `a_redirect` |
//! | a body that never ends | `clients::exchange::a_dripping_body_is_given_up_in_time`, `a_body_over_the_cap_is_an_error_of_its_own` | `a_body_that_never_ends`, `a_body_of_more_than_anybody_reads` |
//! | a header section that never ends | `clients::exchange::a_dripping_head_is_given_up_in_time`, `a_head_without_end_is_given_up` | `a_header_section_that_never_ends`, `a_header_section_of_more_than_anybody_reads` |
//! | 1xx answers | `clients::exchange::interim_answers_are_passed_over` | `interim_answers` |
//! | 1xx answers without end | `clients::exchange::interim_answers_without_end_are_given_up`, `lease_tokio::yielding` (unit test) | |
//! | gzip nobody asked for | `clients::exchange::what_is_compressed_comes_as_it_is` | `a_body_compressed_though_nobody_asked_for_it` |
//! | a page of a load balancer | `clients::exchange::status_codes_are_answers` | `a_page_of_a_load_balancer`, `…_without_servers` |
//! | a server that closes after every answer | `clients::exchange::a_server_that_closes_after_every_answer_is_connected_to_again` | `a_server_that_closes_after_every_answer` |
//! | a token file that vanishes and returns | `clients::credentials::a_token_file_that_is_away_for_a_moment_is_no_failure` | `a_token_file_that_vanishes_and_returns_costs_nothing` (both drivers and the event loop), `a_token_file_that_vanishes_and_returns_is_read_in_a_while` (`kube::Client`) |
//! | two processes with the same identity | | `two_of_the_same_identity_exclude_each_other` |
//! | a dead HTTP/2 connection | `clients::http2::a_connection_that_went_silent_is_not_used_again_after_a_timeout` | `a_connection_that_goes_dead_is_noticed_in_time` (hyper) |
//! | silence, half an answer, no HTTP | `clients::exchange`; `drivers::a_server_that_hangs_costs_the_lease_in_time` | `silence`, `an_answer_cut_short`, `another_protocol` |

#![expect(clippy::print_stderr, reason = "what was not run is said loudly")]
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../clients/certificates.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod certificates;
mod claimant;
#[path = "../live/cluster.rs"]
#[expect(dead_code, reason = "the live suite uses the rest")]
mod cluster;
mod connecting;
// The examples themselves, so that what is shown is what is tested.
#[path = "../../../lease-proto/examples/event_loop/connection.rs"]
mod connection;
#[path = "../../../lease-proto/examples/event_loop/driving.rs"]
mod driving;
mod event_loop;
#[path = "../../../lease-proto/examples/event_loop/exchange.rs"]
mod exchange;
mod faults;
mod front;
mod http2;
#[path = "../../../lease-tokio/examples/kube_client/transport.rs"]
mod kube_transport;
mod list;
#[path = "../../../lease-proto/examples/event_loop/remote.rs"]
mod remote;
#[path = "../../../lease-tokio/examples/reqwest_client/transport.rs"]
mod reqwest_transport;
#[path = "../clients/server.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod server;
mod serving;
mod token_files;
mod transports;
mod worlds;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

use self::{
    cluster::Cluster,
    faults::{FAULTS, ODDITIES},
    list::{ALL, Case},
    serving::Wire,
    transports::Transport,
    worlds::World,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Scenarios mostly wait, so many are played at once, each on a Lease of its own.
    arguments.test_threads = arguments.test_threads.or(Some(32));
    let cluster = Cluster::from_environment();
    if cluster.is_none() && !arguments.list {
        eprintln!(
            "SKIPPED: the scenarios were not played with a real API server, since LEASE_LIVE_SERVER names none; \
             .ci/cluster starts one: .ci/cluster cargo test -p lease-tests --all-features --test scenarios"
        );
        if std::env::var_os("LEASE_LIVE_REQUIRED").is_some() {
            eprintln!("LEASE_LIVE_REQUIRED is set, so that is a failure");
            return ExitCode::FAILURE;
        }
    }
    let mut worlds = worlds::in_process();
    worlds.extend(worlds::stores());
    if let Some(cluster) = &cluster {
        worlds.extend(worlds::live(cluster));
    }
    let mut trials = Vec::new();
    for world in worlds.into_iter().map(Arc::new) {
        trials.extend(ALL.iter().filter_map(|scenario| {
            let case = Case::new(&world, scenario)?;
            Some(Trial::test(case.name(), move || {
                case.play();
                Ok(())
            }))
        }));
    }
    trials.extend(faults());
    if cluster.is_none() {
        let nothing = Trial::test("live", || Ok(()));
        trials.push(nothing.with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Each fault for each transport, over each version of HTTP that it speaks.
fn faults() -> Vec<Trial> {
    let mut trials = Vec::new();
    let http1 = Transport::ALL.map(|transport| (transport, Wire::Http1, transport.to_string()));
    let http2 = Transport::ALL
        .into_iter()
        .filter(|transport| transport.speaks_http2());
    let http2 = http2.map(|transport| (transport, Wire::Http2, format!("{transport}-http2")));
    for (transport, wire, way) in http1.into_iter().chain(http2) {
        let mut trial = |name: &str, play: Box<dyn FnOnce() + Send>| {
            let play = move || {
                play();
                Ok(())
            };
            trials.push(Trial::test(format!("faults::{way}::{name}"), play));
        };
        for fault in FAULTS {
            trial(
                fault.name,
                Box::new(move || faults::is_survived(transport, wire, fault)),
            );
        }
        for (name, odd) in ODDITIES {
            trial(
                name,
                Box::new(move || faults::costs_nothing(transport, wire, *odd)),
            );
        }
        for (name, play, by) in token_files::TOKEN_FILES {
            if by.contains(&transport) {
                trial(name, Box::new(move || play(transport, wire)));
            }
        }
        // The transports of the examples have what pings their clients choose to send.
        if transport == Transport::Hyper && wire == Wire::Http2 {
            let play = connecting::a_connection_that_goes_dead_is_noticed_in_time;
            trial(
                "a_connection_that_goes_dead_is_noticed_in_time",
                Box::new(move || play(transport, wire)),
            );
        }
        for (name, play) in connecting::CONNECTIONS {
            trial(name, Box::new(move || play(transport, wire)));
        }
    }
    trials
}
