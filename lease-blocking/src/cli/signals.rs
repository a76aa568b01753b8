//! Signals that are not left to do what they do by themselves.

use std::{fs, io, thread};

use signal_hook::{
    consts::{
        SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
        SIGVTALRM, SIGWINCH, SIGXCPU,
    },
    iterator::Signals,
};

/// Hands each of these signals that comes to `hear`, on another thread, until that returns false.
///
/// Those that this process was started to ignore, as by nohup(1), it goes on to ignore, and so does the program.
pub(super) fn listen(
    to: &[i32],
    mut hear: impl FnMut(i32) -> bool + Send + 'static,
) -> io::Result<()> {
    let ignored = ignored();
    let heard = to
        .iter()
        .filter(|signal| ignored & (1 << (**signal - 1)) == 0);
    let mut signals = Signals::new(heard)?;
    let listen = move || {
        for signal in signals.forever() {
            if !hear(signal) {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("lease-signals".to_owned());
    thread.spawn(listen).map(|_| ())
}

/// A bit for each signal that is ignored, from the lowest on.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

/// Those that end a process.
pub(super) const ENDING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// Those that are passed on to the program.
pub(super) const PASSED_ON: [i32; 13] = [
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGWINCH, SIGXCPU,
];
