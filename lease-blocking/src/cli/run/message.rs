//! What `lease` and the process that guards its program say to each other, over a socket that ends when either does.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg,
        socketpair,
    },
    time::{ClockId, clock_gettime},
};

/// When the program has to stop, on the clock of [`now`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limit {
    /// It is told to stop.
    pub(super) told_at: Duration,
    /// It is killed.
    pub(super) killed_at: Duration,
}

/// What `lease` wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// The program is killed, with all that it has started.
    Kill,
    /// The program gets a signal, and so does its process group.
    Signal(i32),
    /// From now on the program may run until then. Without this it may run for as long as it likes.
    Until(Limit),
    /// The program may run for as long as it likes.
    Unlimited,
}

/// What has happened to the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Report {
    /// It has ended, with this status, and so has all that it had started.
    Ended(i32),
    /// It was killed, since its time was over.
    Killed,
    /// This process is it, and is the head of its process group.
    Started(i32),
    /// This signal has suspended it.
    Stopped(i32),
    /// It was told to stop.
    Told,
    /// Something that it has started belongs to another user and could not be killed.
    Unkillable,
}

/// What can be said in one piece.
pub(super) trait Message: Sized {
    fn encode(self) -> (u8, [u64; 2]);
    fn decode(kind: u8, values: [u64; 2]) -> Option<Self>;
}

impl Message for Order {
    fn encode(self) -> (u8, [u64; 2]) {
        let nanos = |at: Duration| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Self::Kill => (b'k', [0; 2]),
            Self::Signal(signal) => (b's', [value_of(signal), 0]),
            Self::Until(limit) => (b'u', [nanos(limit.told_at), nanos(limit.killed_at)]),
            Self::Unlimited => (b'*', [0; 2]),
        }
    }

    fn decode(kind: u8, [first, second]: [u64; 2]) -> Option<Self> {
        match kind {
            b'k' => Some(Self::Kill),
            b's' => number_of(first).map(Self::Signal),
            b'u' => Some(Self::Until(Limit {
                told_at: Duration::from_nanos(first),
                killed_at: Duration::from_nanos(second),
            })),
            b'*' => Some(Self::Unlimited),
            _ => None,
        }
    }
}

impl Message for Report {
    fn encode(self) -> (u8, [u64; 2]) {
        match self {
            Self::Ended(status) => (b'e', [value_of(status), 0]),
            Self::Killed => (b'k', [0; 2]),
            Self::Started(process) => (b'p', [value_of(process), 0]),
            Self::Stopped(signal) => (b's', [value_of(signal), 0]),
            Self::Told => (b't', [0; 2]),
            Self::Unkillable => (b'u', [0; 2]),
        }
    }

    fn decode(kind: u8, [first, _]: [u64; 2]) -> Option<Self> {
        match kind {
            b'e' => number_of(first).map(Self::Ended),
            b'k' => Some(Self::Killed),
            b'p' => number_of(first).map(Self::Started),
            b's' => number_of(first).map(Self::Stopped),
            b't' => Some(Self::Told),
            b'u' => Some(Self::Unkillable),
            _ => None,
        }
    }
}

/// What there was to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard<M> {
    Message(M),
    /// All was read that the other end has said.
    Nothing,
    /// The other end is gone.
    Gone,
}

/// One end of the socket.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(ours), theirs))
    }

    pub(super) fn new(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Never waits: whoever does not listen is stopped or gone, and that is noticed otherwise.
    pub(super) fn send(&self, message: impl Message) {
        let _gone = self.send_with(message, &[]);
    }

    pub(super) fn send_with(
        &self,
        message: impl Message,
        files: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let (kind, [first, second]) = message.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(files));
        }
        let (kind, first, second) = ([kind], first.to_le_bytes(), second.to_le_bytes());
        let parts = [
            IoSlice::new(&kind),
            IoSlice::new(&first),
            IoSlice::new(&second),
        ];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.0, &parts, &mut beside, flags)?;
        Ok(())
    }

    /// Waits for a message; `None` once the other end is gone.
    pub(super) fn receive<M: Message>(&self) -> Option<M> {
        let mut message = [0; LENGTH];
        loop {
            match recv(&self.0, &mut message, RecvFlags::empty()) {
                Ok((LENGTH, _)) => return parse(&message),
                // It is said once that the other end has not read all, ahead of what that has written.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// What there is to read, without waiting for it.
    pub(super) fn receive_now<M: Message>(&self) -> Heard<M> {
        let mut message = [0; LENGTH];
        loop {
            match recv(&self.0, &mut message, RecvFlags::DONTWAIT) {
                Ok((LENGTH, _)) => return parse(&message).map_or(Heard::Gone, Heard::Message),
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => return Heard::Nothing,
                Ok(_) | Err(_) => return Heard::Gone,
            }
        }
    }

    /// Waits for a message that a file comes with.
    pub(super) fn receive_with<M: Message>(&self) -> Option<(M, OwnedFd)> {
        let mut message = [0; LENGTH];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut message)];
        recvmsg(&self.0, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC).ok()?;
        let file = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        Some((parse(&message)?, file?))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The time since the machine was started, which counts that it was suspended, and is the same for all processes.
pub(super) fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

fn parse<M: Message>(message: &[u8; LENGTH]) -> Option<M> {
    let (kind, values) = message.split_first()?;
    let (first, second) = values.split_first_chunk::<8>()?;
    let second = second.first_chunk::<8>()?;
    M::decode(
        *kind,
        [u64::from_le_bytes(*first), u64::from_le_bytes(*second)],
    )
}

fn value_of(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

fn number_of(value: u64) -> Option<i32> {
    u32::try_from(value).ok().map(u32::cast_signed)
}

/// A kind, and two numbers.
const LENGTH: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_until_the_other_end_is_gone() {
        let (ours, theirs) = Channel::pair().expect("there are sockets");
        let theirs = Channel::new(theirs);
        let limit = Limit {
            told_at: Duration::from_nanos(1),
            killed_at: Duration::from_secs(1 << 30),
        };
        let orders = [
            Order::Kill,
            Order::Signal(15),
            Order::Until(limit),
            Order::Unlimited,
        ];
        for order in orders {
            assert_eq!(theirs.receive_now::<Order>(), Heard::Nothing);
            ours.send(order);
            ours.send(order);
            assert_eq!(theirs.receive(), Some(order));
            assert_eq!(theirs.receive_now(), Heard::Message(order));
        }
        let reports = [
            Report::Ended(-1),
            Report::Killed,
            Report::Started(7),
            Report::Stopped(20),
            Report::Told,
            Report::Unkillable,
        ];
        for report in reports {
            theirs.send(report);
        }
        // Unread.
        ours.send(Order::Kill);
        drop(theirs);
        for report in reports {
            assert_eq!(ours.receive(), Some(report));
        }
        assert_eq!(ours.receive::<Report>(), None);
        assert_eq!(ours.receive_now::<Report>(), Heard::Gone);
    }

    #[test]
    fn a_file_comes_with_a_message() {
        let (ours, theirs) = Channel::pair().expect("there are sockets");
        let (reader, writer) = io::pipe().expect("there are pipes");
        ours.send_with(Order::Unlimited, &[writer.as_fd()])
            .expect("it is sent");
        drop(writer);
        let (order, file) = Channel::new(theirs)
            .receive_with::<Order>()
            .expect("it was sent");
        assert_eq!(order, Order::Unlimited);
        io::Write::write_all(&mut std::fs::File::from(file), b"through").expect("it is open");
        assert_eq!(io::read_to_string(reader).expect("it is open"), "through");
    }
}
