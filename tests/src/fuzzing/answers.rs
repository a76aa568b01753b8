//! Any bytes as answers, to a claim that acquires, holds or releases.

use lease_proto::Config;

use super::{
    reader::Reader,
    run::Run,
    steps::{Body, Setup, Step, Wish},
};

/// How many answers one input may give.
const MANY: usize = 12;

/// Answers requests of a claim with what the bytes say: a status, headers, and a body that is anything, or what the
/// server would say with a part of it replaced.
///
/// # Panics
///
/// A promise of the claim is broken, or it panics itself.
pub fn answers(data: &[u8]) {
    let mut reader = Reader::new(data);
    let config = Config::builder("default", "leader", "me");
    let config = config.unique_identity(false).watch(false);
    let setup = Setup {
        config: config.build().expect("the defaults are valid"),
        reclaims: false,
        whole_seconds: true,
    };
    let mut run = Run::new(setup, None);
    let mut take = |step: &Step| {
        if let Err(broken) = run.take(step) {
            panic!("{broken}, at {step:?}");
        }
    };
    let ok = |body| Step::Answer(200, body, Vec::new());
    take(&Step::Acquire(Wish::Forever));
    let phase = reader.byte() % 6;
    if phase > 0 {
        // Another's lease of two seconds is seen, and its time passes.
        take(&ok(Body::Stored(Vec::new())));
        take(&Step::Sleep);
        take(&ok(Body::Stored(Vec::new())));
        take(&Step::Sleep);
    }
    if phase > 1 {
        take(&ok(Body::Written(Vec::new())));
    }
    match phase {
        3 => take(&Step::Sleep),
        4 => take(&Step::Verify),
        5 => take(&Step::Release),
        _ => {}
    }
    for _ in 0..MANY {
        if reader.is_empty() {
            break;
        }
        let how = reader.byte();
        if how & 0x20 != 0 {
            take(&Step::Pass(u64::from(reader.two()) * 100));
        }
        take(&answer(how, &mut reader));
        take(&Step::Sleep);
    }
}

fn answer(how: u8, reader: &mut Reader<'_>) -> Step {
    const CODES: [u16; 14] = [
        200, 200, 200, 201, 409, 404, 401, 403, 429, 500, 503, 504, 202, 422,
    ];
    const NAMES: [&str; 4] = ["retry-after", "date", "content-type", "warning"];
    let code = match reader.byte() {
        255 => 100 + reader.two() % 900,
        byte => CODES[usize::from(byte) % CODES.len()],
    };
    let mut headers = Vec::new();
    if how & 0x10 != 0 {
        headers.push((reader.pick(&NAMES), reader.short().to_vec()));
    }
    let body = match how % 4 {
        0 => Body::Bytes(reader.rest().to_vec()),
        1 => Body::Bytes(reader.short().to_vec()),
        more => {
            let at = usize::from(reader.two());
            let length = usize::from(reader.byte());
            Body::Spliced {
                written: more == 2,
                at,
                length,
                instead: reader.short().to_vec(),
            }
        }
    };
    Step::Answer(code, body, headers)
}
