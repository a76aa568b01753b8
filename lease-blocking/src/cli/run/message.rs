//! What `lease` and the process that guards its program say to each other, over a socket that ends when either does.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg,
        socketpair,
    },
};

/// What `lease` wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// The program is killed, with all that it has started.
    Kill,
    /// The program gets a signal, and so does its process group.
    Signal(i32),
    /// The program is run; its standard input comes with this, and the timers of its deadline.
    Start,
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
    fn encode(self) -> (u8, u64);
    fn decode(kind: u8, value: u64) -> Option<Self>;
}

impl Message for Order {
    fn encode(self) -> (u8, u64) {
        match self {
            Self::Kill => (b'k', 0),
            Self::Signal(signal) => (b's', value_of(signal)),
            Self::Start => (b'p', 0),
        }
    }

    fn decode(kind: u8, value: u64) -> Option<Self> {
        match kind {
            b'k' => Some(Self::Kill),
            b's' => number_of(value).map(Self::Signal),
            b'p' => Some(Self::Start),
            _ => None,
        }
    }
}

impl Message for Report {
    fn encode(self) -> (u8, u64) {
        match self {
            Self::Ended(status) => (b'e', value_of(status)),
            Self::Killed => (b'k', 0),
            Self::Started(process) => (b'p', value_of(process)),
            Self::Stopped(signal) => (b's', value_of(signal)),
            Self::Told => (b't', 0),
            Self::Unkillable => (b'u', 0),
        }
    }

    fn decode(kind: u8, value: u64) -> Option<Self> {
        match kind {
            b'e' => number_of(value).map(Self::Ended),
            b'k' => Some(Self::Killed),
            b'p' => number_of(value).map(Self::Started),
            b's' => number_of(value).map(Self::Stopped),
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
        let (kind, value) = message.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(files));
        }
        let (kind, value) = ([kind], value.to_le_bytes());
        let parts = [IoSlice::new(&kind), IoSlice::new(&value)];
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

    /// Waits for a message that files come with.
    pub(super) fn receive_with<M: Message>(&self) -> Option<(M, [OwnedFd; FILES])> {
        let mut message = [0; LENGTH];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut message)];
        recvmsg(&self.0, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC).ok()?;
        let files = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files.collect::<Vec<_>>()),
            _ => None,
        });
        Some((parse(&message)?, files?.try_into().ok()?))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse<M: Message>(message: &[u8; LENGTH]) -> Option<M> {
    let (kind, value) = message.split_first()?;
    M::decode(*kind, u64::from_le_bytes(value.try_into().ok()?))
}

fn value_of(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

fn number_of(value: u64) -> Option<i32> {
    u32::try_from(value).ok().map(u32::cast_signed)
}

/// A kind, and a number.
const LENGTH: usize = 9;
/// How many files come with the first order.
const FILES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_until_the_other_end_is_gone() {
        let (ours, theirs) = Channel::pair().expect("there are sockets");
        let theirs = Channel::new(theirs);
        let orders = [Order::Kill, Order::Signal(15), Order::Start];
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
    fn files_come_with_a_message() {
        let (ours, theirs) = Channel::pair().expect("there are sockets");
        let (reader, writer) = io::pipe().expect("there are pipes");
        ours.send_with(
            Order::Start,
            &[writer.as_fd(), reader.as_fd(), reader.as_fd()],
        )
        .expect("it is sent");
        drop(writer);
        let (order, [file, ..]) = Channel::new(theirs)
            .receive_with::<Order>()
            .expect("it was sent");
        assert_eq!(order, Order::Start);
        io::Write::write_all(&mut std::fs::File::from(file), b"through").expect("it is open");
        assert_eq!(io::read_to_string(reader).expect("it is open"), "through");
    }
}
