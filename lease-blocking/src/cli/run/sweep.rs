//! Kills what is left of a program, wherever it has gone.

use std::{fs, thread, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait},
};

/// What a sweep has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    /// How the program has ended, if it ended meanwhile.
    pub(super) status: Option<WaitStatus>,
    /// Whether there is something left, that belongs to another user.
    pub(super) has_left: bool,
}

/// Kills all children of this process, and theirs, until there are none.
///
/// This process must be the one that inherits orphans, so that whoever loses its parent becomes a child. A child's number
/// belongs to nobody else before this process has waited for it, so nothing else can be hit. Whoever is killed starts nothing
/// more: so that without children there are no descendants either, and that is when it ends.
pub(super) fn sweep(program: Option<Pid>) -> Swept {
    let mut status = None;
    let mut pause = Duration::from_millis(1);
    let mut in_vain = 0;
    loop {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((child, ended))) if Some(child) == program => status = Some(ended),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => {
                    return Swept {
                        status,
                        has_left: false,
                    };
                }
            }
        }
        let children = children();
        let refused = children
            .iter()
            .filter(|child| kill_process(**child, Signal::KILL) == Err(Errno::PERM))
            .count();
        // Once may be one that has just ended, and was not waited for yet.
        in_vain = match refused {
            0 => 0,
            _ if refused < children.len() => 0,
            _ => in_vain + 1,
        };
        if in_vain == 3 {
            return Swept {
                status,
                has_left: true,
            };
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The children of this process, of all its threads.
fn children() -> Vec<Pid> {
    let ours = getpid();
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let processes = entries.filter_map(|entry| {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number)
    });
    processes
        .filter(|process| parent_of(*process) == Some(ours))
        .collect()
}

fn parent_of(process: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name stands in parentheses, and may have some of its own.
    let (_, fields) = stat.rsplit_once(')')?;
    let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
    Pid::from_raw(parent)
}
