//! What `--help` says beneath the flags.
//!
//! Paragraphs are one line each, which the parser breaks where the terminal ends; examples fit into 100 columns.

use super::exit_code;

/// Of the command itself.
pub(super) fn all() -> String {
    format!(
        "{EXAMPLES}\n\n{}\n\n{}\n\n{}",
        exit_code::OURS,
        exit_code::RUN,
        exit_code::RULE
    )
}

pub(super) fn run() -> String {
    format!("{RUN}\n\n{}", exit_code::RUN)
}

pub(super) fn acquire() -> String {
    format!("{ACQUIRE}\n\n{}", exit_code::OURS)
}

pub(super) fn renew() -> String {
    exit_code::OURS.to_owned()
}

pub(super) fn release() -> String {
    format!("{RELEASE}\n\n{}", exit_code::OURS)
}

pub(super) fn status() -> String {
    format!("{STATUS}\n\n{}", exit_code::OURS)
}

pub(super) fn list() -> String {
    format!("{LIST}\n\n{}", exit_code::OURS)
}

pub(super) fn watch() -> String {
    format!("{WATCH}\n\n{}", exit_code::OURS)
}

const EXAMPLES: &str = "\
Examples:
  A CronJob, of which one runs at a time whatever its schedule and its retries do:
    containers:
    - name: report
      image: report
      command: [lease, run, nightly-report, --timeout=10m, --, /report]

  A migration that each replica starts, and one does at a time; in an init container or a script:
    lease run db-migration --ttl 30s -- ./migrate --if-needed

  A leader that is replaced within 30s when it dies, and at once when it ends:
    lease run my-service --ttl 30s -- ./leader

  Without a program to run, held from one command to the next:
    token=$(lease acquire nightly --holder backup --ttl 2h --wait --timeout 5m) || exit
    lease renew nightly --holder backup
    lease release nightly --holder backup

  A hand-over to a process of that name, for which others hold back for a minute:
    lease release nightly --holder backup --to report --for 1m
    lease acquire nightly --holder report --wait";

const RUN: &str = "\
The program gets LEASE_NAME, LEASE_NAMESPACE, LEASE_HOLDER, LEASE_TOKEN and LEASE_TRANSITIONS. It runs \
in a process group of its own, has the terminal, and gets the signals that lease gets, but for those \
that lease was started to ignore (nohup).

When the lease cannot be kept (with --not-renewable: when its ttl ends), the program and all that it has \
started are dead before anybody else can hold it: they get SIGTERM --grace before it runs out, and SIGKILL a quarter of a second before. A process \
between lease and the program sees to that, so it is done too if lease is killed (then at once), stopped \
or stuck; and it inherits what leaves the program's process group, session or parent. What the program \
leaves behind when it ends is killed before the lease is released. While it is suspended (Ctrl-Z) nothing \
is renewed, so it has to go on in time. While the process between is stopped (SIGSTOP), the lease is renewed, and lease waits for \
it even when the program has ended; when the lease is lost, lease kills both. All of this is done by way of /proc, without which nothing is run.

Not covered, and for that there is LEASE_TOKEN, which a resource can check: what runs as another user \
(sudo) or is started by others on demand (systemd, docker); what the program has started, if lease and \
the process between are both killed with SIGKILL, or one of them while the other is stopped; the program, while both are stopped; what \
the kernel does not let die while it waits for a disk; thousands of processes on a busy machine, which \
run nothing any more once they are killed, but may take longer than that quarter of a second to be gone; and after the machine was suspended, or its \
virtual machine paused, the instant until the process between gets its turn.

Examples:
  lease run db-migration -- ./migrate                    one at a time, in all of the cluster
  lease run nightly --timeout 10m -- ./report            give up after ten minutes
  lease run nightly --no-wait --conflict-exit-code 0 -- ./report
                                                         leave it out while the last one goes on
  lease run worker --ttl 30s -- ./leader                 a leader that is replaced within 30s
  lease run db-migration --once v42 -- ./migrate         once for this version, whoever comes first
  lease run demo --embedded -- sh -c 'echo $LEASE_TOKEN' no cluster at all";

const ACQUIRE: &str = "\
Who holds it already gets it again, with a new token. The token is for whatever is written to meanwhile: \
it refuses those that are lower than one that it has seen.

Examples:
  lease acquire nightly --holder backup --ttl 2h              held by another: exit code 5, at once
  lease acquire nightly --holder backup --wait --timeout 5m   exit code 3 after five minutes";

const RELEASE: &str = "\
With --force the record is changed only if nobody has written it since it was shown.

Examples:
  lease release nightly --holder backup
  lease release nightly --holder backup --to report --for 1m   a hand-over
  lease release nightly --holder backup --to audit             mistyped: to this one instead
  lease release nightly --force                                its holder is dead, or it was left to
                                                               one that does not exist";

const STATUS: &str = "\
JSON and YAML have these members, and may get more. What is unknown is null.
  name, namespace        of the lease
  phase                  Available, Held or Expired, by this machine's clock
  holder                 who holds it or has held it last; null if it was given back
  acquireTime, renewTime as they stand in the record
  leaseDurationSeconds   for how long after renewTime it lasts
  expires                when that is over
  transitions            how often it went from one holder to another
  renewals               how often its holder has renewed it, if that is counted
  renewable              whether it is renewed; if not it ends with its duration
  successor              whom it was left to, who may take it at once
  candidates             who waits by priority, the first before all others, each with identity,
                         priority and since; null where that is not known
  candidateFor           null, but where this lease announces that its holder waits for another
  done                   what run --once has recorded, with key, by and at
  resourceVersion        of the record; a string
  waiterSeconds          how long those have to wait who wait already, if it is not renewed;
                         where it was left to a successor, how long others hold back
  newcomerSeconds        and those who begin now
Of list they stand in items, of watch in lease beside time and change; acquire adds token, a string.

Examples:
  lease status nightly                          who has it, since when, and who can get it when
  lease status nightly --quiet; [ $? -eq 1 ] && ./report
                                                nobody has it: 1 says that, and nothing else does
  lease status nightly -o json | jq -r .holder";

const LIST: &str = "\
Those who wait by priority announce that in leases of their own, which are left out; with --candidates they \
are shown, in the phase Candidate.

Phases are told by this machine's clock, and by what the records say: a lease is taken by those who wait by \
stricter rules.

Examples:
  lease list                      those of the namespace
  lease list -A -o wide           all, with durations, transitions and versions
  lease list -o json | jq -r '.items[] | select(.phase == \"Expired\") | .name'";

const WATCH: &str = "\
It begins with what there is, and goes on until it is stopped, through restarts of the API server. \
Without permission to watch it looks every two seconds.

Changes as JSON names them: found, acquired, takenOver, renewed, released, expired, changed, deleted.

Examples:
  lease watch                     who gets what, in the namespace
  lease watch db-migration        how often its holder renews it, and when it is free
  lease watch -A -o json | jq -r 'select(.change == \"takenOver\") | .lease.name'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_must_not_break_fits_into_a_hundred_columns() {
        for help in [
            all(),
            run(),
            acquire(),
            renew(),
            release(),
            status(),
            list(),
            watch(),
        ] {
            let broken = help
                .lines()
                .find(|line| line.starts_with(' ') && line.chars().count() > 100);
            assert_eq!(broken, None);
        }
    }
}
