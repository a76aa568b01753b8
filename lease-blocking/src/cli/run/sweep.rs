//! Kills what is left of a program, wherever it has gone.

use std::{
    collections::{HashMap, HashSet},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, wait},
};

use super::process::{self, Identity, Process};

/// What a sweep has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    /// How the program has ended, if it ended meanwhile.
    pub(super) status: Option<WaitStatus>,
    /// Whether there is something left, that belongs to another user.
    pub(super) has_left: bool,
}

/// Kills all descendants of this process, until it has no children.
///
/// This process must be the one that inherits orphans, so that whoever loses its parent becomes a child: without children there
/// are no descendants either, and that is when it ends.
pub(super) fn sweep(program: Option<Pid>) -> Swept {
    let mut status = None;
    let mut family = Family::default();
    let mut pause = SHORTEST;
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
        let pass = Pass::over(&mut family);
        if pass.children > 0 && pass.refused == pass.children {
            // What they go on to start would keep this busy for ever. Once may be one that has just ended.
            in_vain += 1;
            if in_vain == 3 {
                return Swept {
                    status,
                    has_left: true,
                };
            }
        } else {
            in_vain = 0;
            if pass.has_met_others {
                // It was started while the pass went by, and so may be others.
                pause = SHORTEST;
                continue;
            }
        }
        // All that there is has been killed, and has only not had its turn to die.
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}

/// Kills the descendants that this process has now, but for one, and waits for none.
pub(super) fn strike_all_but(spared: Pid) {
    Pass::over(&mut Family {
        spared: Some(spared),
        ..Family::default()
    });
}

/// The descendants of this process.
#[derive(Default)]
struct Family {
    spared: Option<Pid>,
    killed: HashSet<Identity>,
}

/// One look at all processes, that kills those which descend from this one and were not killed before.
///
/// It reaches the whole tree, however deep it is: level by level would take the longer the deeper it is, and there is little
/// time. Whoever is killed starts nobody more, from the instant of the signal and not only from its turn, so that stopping all
/// before would only be twice the work.
struct Pass<'a> {
    ours: Pid,
    family: &'a mut Family,
    relatives: HashSet<Pid>,
    /// By their parents, of which it is not known yet whose they are: numbers begin anew after the highest.
    strangers: HashMap<Pid, Vec<Process>>,
    seen: Seen,
}

/// What a pass has found.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    children: usize,
    /// How many of the children belong to another user.
    refused: usize,
    has_met_others: bool,
}

impl<'a> Pass<'a> {
    fn over(family: &'a mut Family) -> Seen {
        let mut pass = Self {
            ours: getpid(),
            family,
            relatives: HashSet::new(),
            strangers: HashMap::new(),
            seen: Seen::default(),
        };
        for (process, folder) in process::all() {
            pass.meet(process, &folder);
        }
        pass.seen
    }

    fn meet(&mut self, process: Process, folder: &OwnedFd) {
        if process.parent != self.ours && !self.relatives.contains(&process.parent) {
            let others = self.strangers.entry(process.parent).or_default();
            others.push(process);
            return;
        }
        // At once, and parents first: some go on by starting another and ending, or when a child ends.
        self.hit(process, |signal| process.signal_by(folder, signal));
        let mut parents = vec![process.pid];
        while let Some(parent) = parents.pop() {
            for process in self.strangers.remove(&parent).unwrap_or_default() {
                self.hit(process, |signal| process.signal(signal));
                parents.push(process.pid);
            }
        }
    }

    fn hit(&mut self, process: Process, send: impl FnOnce(Signal) -> Result<(), Errno>) {
        self.relatives.insert(process.pid);
        if self.family.spared == Some(process.pid) {
            return;
        }
        let is_child = process.parent == self.ours;
        self.seen.children += usize::from(is_child);
        if self.family.killed.contains(&process.identity()) {
            return;
        }
        match send(Signal::KILL) {
            Ok(()) => {
                self.family.killed.insert(process.identity());
                self.seen.has_met_others = true;
            }
            Err(Errno::PERM) => self.seen.refused += usize::from(is_child),
            Err(_) => {}
        }
    }
}

/// How long is waited for those to end that were killed.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);
