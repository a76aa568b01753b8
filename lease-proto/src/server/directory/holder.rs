//! Which process has a file locked, as Linux tells in `/proc/locks`.

/// Finds the process that has a file locked with `flock`, in what `/proc/locks` says; nothing where it is not told.
///
/// A file is known by the numbers of its device and its own. Processes of other containers are not told of.
pub fn holder(locks: &str, major: u32, minor: u32, inode: u64) -> Option<u32> {
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        // Its number, which those who wait share with whom they wait for; they have an arrow after it.
        let (_number, kind) = (words.next()?, words.next()?);
        let (_advisory, _write, process) = (words.next()?, words.next()?, words.next()?);
        let is_it = kind == "FLOCK" && words.next()? == file;
        is_it.then(|| process.parse().ok().filter(|it| *it > 0))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 fe:00:77 0 EOF
2: -> FLOCK  ADVISORY  WRITE 12 fe:00:77 0 EOF
3: FLOCK  ADVISORY  WRITE -1 fe:00:78 0 EOF
4: FLOCK  ADVISORY  WRITE 13 103:1a:79 0 EOF
5: LEASE
";

    #[test]
    fn the_holder_is_told_from_those_who_wait() {
        assert_eq!(holder(LOCKS, 0xfe, 0, 77), Some(4711));
        assert_eq!(holder(LOCKS, 0x103, 0x1a, 79), Some(13));
        // In another container, or nobody.
        for inode in [78, 79, 7] {
            assert_eq!(holder(LOCKS, 0xfe, 0, inode), None);
        }
        assert_eq!(holder("", 0xfe, 0, 77), None);
    }
}
