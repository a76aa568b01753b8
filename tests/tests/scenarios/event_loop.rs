//! The example of an event loop as a claimant: its loop on a thread, told what to do through its poll.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use lease_proto::{
    AcquireError, Claim, Config, Event, GaveUp, Grant, Loss, Patience, Released, Trouble,
    access::{Access, TransportError},
};
use mio::{Poll, Token, Waker};

use crate::{
    claimant::{Claimant, Held, SOON, Tries},
    driving::{Told, drive},
    remote::Server,
};

/// Claims through the loop of the example.
#[derive(Clone, Debug)]
pub(crate) struct EventLoop(pub(crate) Access);

/// A loop under way.
struct Running {
    identity: String,
    told: mpsc::Receiver<Told>,
    orders: mpsc::Sender<Order>,
    waker: Waker,
    grant: Arc<Mutex<Option<Grant>>>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Release,
    Vanish,
}

impl Claimant for EventLoop {
    fn hold(&self, config: Config, tries: Tries) -> Result<Box<dyn Held>, AcquireError> {
        Ok(Box::new(self.acquire(config, tries)?))
    }

    fn vanish(&self, config: Config) -> Result<(), AcquireError> {
        self.acquire(config, Tries::For(SOON))?.order(Order::Vanish);
        Ok(())
    }
}

impl EventLoop {
    fn acquire(&self, config: Config, tries: Tries) -> Result<Running, AcquireError> {
        let server = Server::new(&self.0);
        let server = server.map_err(|error| {
            let reason = Arc::new(TransportError::Other(error));
            AcquireError::new(GaveUp::Trouble(Trouble::NoAnswer), Some(reason))
        })?;
        let running = run(server, config, tries);
        let mut reason = None;
        while let Ok(told) = running.told.recv() {
            match told {
                Told::Event(Event::Acquired(_)) => return Ok(running),
                Told::Event(Event::GaveUp(why)) => return Err(AcquireError::new(why, reason)),
                Told::Event(Event::Failed(failure)) => return Err(AcquireError::Failed(failure)),
                Told::NoAnswer(error) => {
                    reason = Some(Arc::new(TransportError::Other(error.into())));
                }
                Told::Event(_) | Told::Woken => {}
            }
        }
        Err(AcquireError::GaveUp(GaveUp::Stopped))
    }
}

fn run(mut server: Server, config: Config, tries: Tries) -> Running {
    let mut poll = Poll::new().unwrap();
    let (tell, told) = mpsc::channel();
    let (orders, ordered) = mpsc::channel();
    let seed = u64::from(std::process::id()) ^ u64::from(Instant::now().elapsed().subsec_nanos());
    let mut claim = Claim::new(config, seed, Instant::now());
    let running = Running {
        identity: claim.identity().to_string(),
        told,
        orders,
        // The sockets have the token 0.
        waker: Waker::new(poll.registry(), Token(1)).unwrap(),
        grant: Arc::default(),
    };
    let grant = Arc::clone(&running.grant);
    let patience = match tries {
        Tries::Once => Patience::Once,
        Tries::For(time) => Patience::Until(Instant::now() + time),
    };
    claim.acquire(patience, Instant::now());
    thread::spawn(move || {
        let application = |claim: &mut Claim, news| {
            for order in ordered.try_iter() {
                match order {
                    Order::Release => claim.release(Instant::now()),
                    Order::Vanish => return ControlFlow::Break(()),
                }
            }
            *grant.lock().unwrap_or_else(PoisonError::into_inner) =
                claim.grant(Instant::now()).copied();
            let _nobody_listens = tell.send(news);
            ControlFlow::Continue(())
        };
        drive(&mut claim, &mut server, &mut poll, application).unwrap();
    });
    running
}

impl Running {
    fn order(&self, order: Order) {
        let _already_over = self.orders.send(order);
        self.waker.wake().unwrap();
    }
}

impl Held for Running {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn token(&self) -> u128 {
        let grant = self.grant.lock().unwrap();
        let token = grant.expect("it is held").token;
        token.expect("the server's versions are numbers").get()
    }

    fn is_held(&self) -> bool {
        let grant = self.grant.lock().unwrap();
        grant.is_some_and(|grant| Instant::now() < grant.valid_until)
    }

    fn lost(&self, within: Duration) -> Option<Loss> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Told::Event(Event::Lost(loss)) = self.told.recv_timeout(left).ok()? {
                return Some(loss);
            }
        }
    }

    fn release(self: Box<Self>) -> Option<Released> {
        self.order(Order::Release);
        loop {
            if let Told::Event(Event::Released(released)) = self.told.recv().ok()? {
                return Some(released);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_over = self.orders.send(Order::Release);
        let _already_over = self.waker.wake();
    }
}
