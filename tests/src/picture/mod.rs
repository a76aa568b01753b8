//! Pictures of what happened between claimants and the API server: who believed that it held the Lease, and who did.

mod events;
mod seen;
mod svg;

/// Microseconds since the beginning.
pub type Micros = u64;

/// What happened, as far as it is drawn.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Picture {
    /// What it shows, in a line.
    pub title: String,
    /// The claimants, from top to bottom.
    pub lanes: Vec<String>,
    /// Whom the record named, and until when at most.
    pub records: Vec<Record>,
    /// When a claimant believed that it held the Lease.
    pub beliefs: Vec<Belief>,
    /// Requests and their answers.
    pub requests: Vec<Request>,
    /// Whether the requests are those that a server tells of, and not all that were sent.
    pub is_by_server: bool,
    /// What went wrong.
    pub faults: Vec<Fault>,
    /// The promise that was broken, if one was.
    pub broken: Option<Broken>,
}

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Broken {
    /// When.
    pub at: Micros,
    /// Which, and by whom.
    pub what: String,
}

/// The record from some instant on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Since when it is so.
    pub at: Micros,
    /// Whom it names, by lane; `None` is nobody, or somebody else.
    pub holder: Option<usize>,
    /// When it runs out, unless it is renewed.
    pub expires: Micros,
}

/// A time in which a claimant believed that it held the Lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Belief {
    /// Who.
    pub lane: usize,
    /// Since when.
    pub from: Micros,
    /// Until when; `None` if it still did at the end.
    pub until: Option<Micros>,
}

/// A request, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// Who asked.
    pub lane: usize,
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// When it was sent; by a server's account, when it arrived.
    pub sent: Micros,
    /// When it reached a server, if it did.
    pub arrived: Option<Micros>,
    /// How it was answered.
    pub status: Option<u16>,
    /// When the answer was heard, if it was; by a server's account, when it was sent.
    pub heard: Option<Micros>,
}

/// Something that went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// To whom; `None` is the servers, or everybody.
    pub lane: Option<usize>,
    /// What, in a word or two.
    pub what: String,
    /// When it began.
    pub from: Micros,
    /// When it ended, if it lasted.
    pub until: Option<Micros>,
}

impl Picture {
    /// Begins a picture with these claimants.
    pub fn new(title: impl Into<String>, lanes: Vec<String>) -> Self {
        Self {
            title: title.into(),
            lanes,
            ..Self::default()
        }
    }

    /// Takes note that a claimant has sent a request, and returns its number.
    pub fn ask(&mut self, lane: usize, method: &str, at: Micros) -> usize {
        self.requests.push(Request {
            lane,
            method: method.to_owned(),
            sent: at,
            arrived: None,
            status: None,
            heard: None,
        });
        self.requests.len() - 1
    }

    /// Takes note whether a claimant believes now that it holds the Lease.
    pub fn believe(&mut self, lane: usize, believes: bool, at: Micros) {
        let last = self.beliefs.iter_mut().rev().find(|it| it.lane == lane);
        match (last.filter(|it| it.until.is_none()), believes) {
            (Some(last), false) => last.until = Some(at),
            (None, true) => self.beliefs.push(Belief {
                lane,
                from: at,
                until: None,
            }),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// Takes note of what the record says now.
    pub fn record(&mut self, holder: Option<usize>, at: Micros, expires: Micros) {
        self.records.push(Record {
            at,
            holder,
            expires,
        });
    }

    /// Takes note of something that went wrong.
    pub fn fault(
        &mut self,
        lane: Option<usize>,
        what: impl Into<String>,
        from: Micros,
        until: Option<Micros>,
    ) {
        self.faults.push(Fault {
            lane,
            what: what.into(),
            from,
            until,
        });
    }

    /// Takes note that a promise was broken.
    pub fn break_promise(&mut self, at: Micros, what: impl Into<String>) {
        let what = what.into();
        self.broken = Some(Broken { at, what });
    }

    /// Draws what happened from one instant to another, as SVG.
    pub fn svg(&self, from: Micros, until: Micros) -> String {
        svg::draw(self, from, until.max(from.saturating_add(1)))
    }
}
