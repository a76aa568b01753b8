//! Scripts of inputs, in any order, with an oracle that watches the claim.

use std::time::Duration;

use lease_proto::{Config, OnRelease, WriteMethod};
use serde_json::{Value, json};

use super::{
    reader::Reader,
    run::{Planted, Run},
    steps::{Body, Change, Setup, Step, Wish},
};

/// How many steps one input may have.
const MANY: usize = 80;

/// Does to a claim what the bytes say.
///
/// # Panics
///
/// A promise of the claim is broken.
pub fn scripts(data: &[u8]) {
    scripts_with(data, None);
}

/// Does to a claim what the bytes say, perhaps with a bug planted between it and the oracle.
///
/// # Panics
///
/// A promise is broken.
pub fn scripts_with(data: &[u8], bug: Option<Planted>) {
    let mut reader = Reader::new(data);
    let mut run = Run::new(setup(&mut reader), bug);
    let mut step = Step::Acquire(Wish::Forever);
    for _ in 0..MANY {
        if let Err(broken) = run.take(&step) {
            panic!("{broken}, at {step:?}");
        }
        if reader.is_empty() {
            return;
        }
        step = read_step(&mut reader);
    }
}

/// Reads a configuration; where the choices make none that can work, it is the default one.
fn setup(reader: &mut Reader<'_>) -> Setup {
    let seconds = Duration::from_secs;
    let flags = reader.byte();
    let (reclaims, whole_seconds) = (flags & 1 != 0, flags & 2 == 0);
    let builder = || {
        let builder = Config::builder("default", "leader", "me").watch(false);
        builder.unique_identity(flags & 12 == 12)
    };
    let lease = reader.pick(&[15_000_u64, 3_000, 1_000, 60_000, 4_321, 2_147_483_647_000]);
    let mut chosen = builder()
        .reclaim_own_identity(reclaims)
        .whole_second_observers(whole_seconds)
        .lease_duration(Duration::from_millis(lease));
    if flags & 16 != 0 {
        chosen = chosen.write_method(WriteMethod::Patch);
    }
    chosen = chosen.on_release(match flags >> 5 & 3 {
        0 => OnRelease::Clear,
        1 => OnRelease::Delete,
        _ => OnRelease::Expire,
    });
    if flags & 128 != 0 {
        let part =
            |reader: &mut Reader<'_>| Duration::from_millis(lease) / 256 * u32::from(reader.byte());
        let deadline = part(reader);
        chosen = chosen
            .renew_deadline(deadline)
            .renew_interval(part(reader).min(deadline))
            .retry_period(part(reader).min(deadline))
            .request_timeout(part(reader).min(deadline))
            .max_clock_skew(part(reader).min(seconds(2)))
            .acquire_retries(u32::from(reader.byte() % 4));
    }
    match chosen.build() {
        Ok(config) => Setup {
            config,
            reclaims,
            whole_seconds,
        },
        Err(_) => Setup {
            config: builder().build().expect("the defaults are valid"),
            reclaims: false,
            whole_seconds: true,
        },
    }
}

fn read_step(reader: &mut Reader<'_>) -> Step {
    match reader.byte() % 24 {
        0..=4 => Step::Sleep,
        5..=7 => Step::Answer(200, Body::Written(Vec::new()), Vec::new()),
        8 => Step::Answer(201, Body::Written(Vec::new()), Vec::new()),
        9 | 10 => Step::Answer(200, Body::Stored(Vec::new()), Vec::new()),
        11 | 12 => {
            let code = status(reader);
            let body = body(reader);
            let after = reader.pick(&["", "", "", "0", "1", "3", "86400", "18446744073709551615"]);
            let mut headers = Vec::new();
            if !after.is_empty() {
                headers.push(("retry-after", after.as_bytes().to_vec()));
            }
            Step::Answer(code, body, headers)
        }
        13 => Step::Answer(
            reader.pick(&[404, 409]),
            Body::Bytes(Vec::new()),
            Vec::new(),
        ),
        14 => Step::Fail,
        15 => Step::Pass(u64::from(reader.two()) * 100),
        16 => Step::Pass(reader.eight() % 10_000_000_000_000),
        17 => Step::Back(u64::from(reader.two()) * 500),
        18 => Step::Wall(match reader.byte() % 4 {
            0 => i64::from(i32::from_le_bytes(std::array::from_fn(|_| reader.byte()))),
            1 => 253_402_200_000 + i64::from(reader.two()) * 2,
            _ => 1_795_203_112 + i64::from(reader.byte() % 40),
        }),
        19 => Step::Stale(u64::from(reader.byte() % 40), status(reader), body(reader)),
        20 => Step::Acquire(match reader.byte() % 4 {
            0 => Wish::Once,
            1 => Wish::Until(u64::from(reader.two()) * 500),
            _ => Wish::Forever,
        }),
        21 => Step::Resume,
        22 => Step::Verify,
        _ => Step::Release,
    }
}

fn status(reader: &mut Reader<'_>) -> u16 {
    const CODES: [u16; 12] = [200, 200, 200, 201, 404, 409, 401, 403, 429, 500, 503, 422];
    match reader.byte() {
        255 => 200 + reader.two() % 400,
        byte => CODES[usize::from(byte) % CODES.len()],
    }
}

fn body(reader: &mut Reader<'_>) -> Body {
    let kind = reader.byte();
    let changes = |reader: &mut Reader<'_>| (0..kind >> 6).map(|_| change(reader)).collect();
    match kind % 4 {
        0 | 1 => Body::Written(changes(reader)),
        2 => Body::Stored(changes(reader)),
        _ => Body::Bytes(reader.short().to_vec()),
    }
}

fn change(reader: &mut Reader<'_>) -> Change {
    const TIMES: [&str; 7] = [
        "",
        "soon",
        "2026-11-20T19:31:57.250000Z",
        "2026-11-20T19:31:58Z",
        "0000-01-01T00:00:00Z",
        "9999-12-30T22:00:00.000000Z",
        "9999-12-30T21:59:59.999999Z",
    ];
    const NUMBERS: [i64; 8] = [0, 1, -7, 2, 2_147_483_647, i64::MAX, i64::MIN, 15];
    const TEXTS: [&str; 4] = ["", "other", "me", "third"];
    let field = reader.byte();
    let text = |choice: &str| {
        if choice == "null" {
            Value::Null
        } else {
            json!(choice)
        }
    };
    match field % 12 {
        0 | 1 => Change::OwnName,
        2 => Change::Spec("acquireTime", text(reader.pick(&TIMES))),
        3 => Change::Spec("renewTime", text(reader.pick(&TIMES))),
        4 => Change::Spec("leaseDurationSeconds", json!(reader.pick(&NUMBERS))),
        5 => Change::Spec("leaseTransitions", json!(reader.pick(&NUMBERS))),
        6 | 7 => Change::Spec("holderIdentity", text(reader.pick(&TEXTS))),
        8 => Change::Spec(
            reader.pick(&["strategy", "preferredHolder"]),
            text(reader.pick(&TEXTS)),
        ),
        9 => Change::Meta("resourceVersion", json!(reader.byte().to_string())),
        10 => {
            let odd = ["null", "", "abc", "18446744073709551616", "07", "u2"];
            let name = reader.pick(&["resourceVersion", "uid"]);
            Change::Meta(name, text(reader.pick(&odd)))
        }
        _ => Change::Spec(
            reader.pick(&["acquireTime", "renewTime", "leaseDurationSeconds"]),
            Value::Null,
        ),
    }
}
