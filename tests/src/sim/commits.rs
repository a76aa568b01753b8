//! A new version of the record, and what it means for everybody.

use std::sync::Arc;

use super::{
    Micros, SECOND, Violation, World,
    audit::{self, Meaning, Since, Standing},
    exchange::Message,
    record::{Author, Record},
};

/// For how long after a restore versions may meet their doubles: whoever was frozen meanwhile still knows them.
const AFTERMATH: Micros = 600 * SECOND;

/// How many versions are remembered: more than are ever under way at once.
const VERSIONS: usize = 1_024;

impl World {
    /// The store has a new version, written by `author`.
    pub(super) fn committed(
        &mut self,
        author: Author,
        message: Option<&Message>,
    ) -> Result<(), Violation> {
        let before = self.record.take();
        let lease = self.servers.lease();
        let dated = message
            .filter(|message| self.nodes[message.node].ours().is_some())
            .map(|message| message.departed);
        self.record =
            lease.map(|lease| Arc::new(Record::read(&lease, author, dated, before.as_deref())));
        let after = self.record.clone();
        self.counts.commits += 1;
        let renewed = |record: &Option<Arc<Record>>| record.as_ref().map(|it| it.renewed.clone());
        if renewed(&before) != renewed(&after) {
            self.renewed_at = self.now;
        }
        self.draw_record();
        if let Some(record) = &after {
            self.longest = self.longest.max(record.seconds(0) * SECOND);
        }
        self.note(format_args!("the record is {after:?}"));
        if let (Author::Node(index, life), Some(message)) = (author, message)
            && self.nodes[index].ours().is_some()
        {
            self.check_write(index, life, message, before.as_ref(), after.as_ref())?;
        } else if let Author::Node(index, _) = author {
            let name = self.nodes[index].standing(index, self.now).identity;
            let names = |record: &Option<Arc<Record>>| {
                let holder = record.as_ref().and_then(|record| record.holder.as_deref());
                holder == Some(name)
            };
            self.counts.rival_tenures += u64::from(names(&after) && !names(&before));
        }
        if let (Author::ThirdParty, Some(record)) = (author, &after)
            && let Author::Node(index, life) = record.signed_by
            && self.nodes[index].life == life
        {
            self.nodes[index]
                .watched
                .lengthen(record.seconds(0), record.version);
        }
        if let Some(record) = &after {
            self.history.push_front(Arc::clone(record));
            self.history.truncate(VERSIONS);
        }
        self.tell_holders(author, before.as_ref(), after.as_ref())?;
        self.pump();
        Ok(())
    }

    /// The store has gone back to `record`.
    pub(super) fn went_back(&mut self, record: Option<Arc<Record>>) {
        let same = match (&self.record, &record) {
            (Some(now), Some(then)) => now.says_the_same(then),
            (None, None) => true,
            _ => false,
        };
        self.record = record;
        self.highest = None;
        self.history.clear();
        self.restored_at = Some(self.now);
        for node in &mut self.nodes {
            node.watched.restored = true;
            if !same {
                node.watched.rob(self.now);
                self.counts.robbed += 1;
            }
        }
    }

    /// Whether the store went back not long ago, so that a version may stand for two records.
    pub(super) fn is_doubled(&self) -> bool {
        self.restored_at.is_some_and(|at| self.now < at + AFTERMATH)
    }

    fn check_write(
        &mut self,
        index: usize,
        life: u64,
        message: &Message,
        before: Option<&Arc<Record>>,
        after: Option<&Arc<Record>>,
    ) -> Result<(), Violation> {
        let node = &self.nodes[index];
        let standing = Standing {
            life,
            ..node.standing(index, self.now)
        };
        let mine = Author::Node(index, life);
        let (own, departed) = (message.own, message.departed);
        let goes_by_clocks = self.suspect.is_one() && message.evidence.regressed().is_none();
        let may_take = before.is_none_or(|before| {
            before.holder.is_none()
                || message.evidence.allows(before, message.sent)
                || (goes_by_clocks && before.is_over(own, departed))
        });
        let may_create = message.evidence.allows_creation(message.sent, |record| {
            goes_by_clocks && record.is_over(own, departed)
        });
        if let Some(after) = after
            && node.watched.excused == 0
        {
            audit::check_date(&standing, &message.request, after, departed)?;
        }
        // Whoever has read since, and knows that the store went back, cannot mistake one double for the other.
        let knows = message.evidence.regressed() > self.restored_at;
        if knows || !self.is_doubled() {
            audit::check_right(&standing, before, after, may_take, may_create, message.sent)?;
        }
        if !self.is_doubled()
            && let (Some(before), Some(after)) = (before, after)
        {
            let since = (node.life == life).then_some(&node.watched.since);
            audit::check_change(&standing, before, after, since)?;
        }
        let was_mine =
            before.is_some_and(|before| before.signed_by == mine && before.holder.is_some());
        let is_taken = before.is_some_and(|before| before.holder.is_some()) && !was_mine;
        let is_current = node.life == life;
        let (Some(after), true) = (after, is_current) else {
            return Ok(());
        };
        if after.holder.is_some() {
            self.counts.taken_over += u64::from(is_taken);
            let node = &mut self.nodes[index];
            // What it wrote was shortened on its way in: others wait for less than it was promised.
            if after.duration < Some(node.seconds()) {
                node.watched.rob(self.now);
            } else {
                node.watched.restore(message.departed);
            }
            if !was_mine && !node.watched.holding {
                node.watched.since = Since::new(after);
            }
            if let Some(number) = message.number {
                let seconds = after.seconds(0);
                node.watched
                    .carry_out(number, &after.uid, after.version, seconds);
            }
        }
        Ok(())
    }

    /// What the new version means for those that may act as the holder.
    fn tell_holders(
        &mut self,
        author: Author,
        before: Option<&Arc<Record>>,
        after: Option<&Arc<Record>>,
    ) -> Result<(), Violation> {
        let is_lawful = match author {
            Author::Node(index, _) => {
                let (node, name) = (
                    &self.nodes[index],
                    self.nodes[index].standing(index, self.now).identity,
                );
                let held_by =
                    |record: Option<&Arc<Record>>| record.and_then(|record| record.holder.clone());
                // A rival that releases does not look whose Lease it is by then.
                let frees = held_by(after).is_none()
                    && held_by(before).is_some_and(|holder| holder != name);
                node.is_lawful() && !self.is_doubled() && (node.ours().is_some() || !frees)
            }
            Author::ThirdParty => false,
        };
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.ours().is_none() {
                continue;
            }
            let standing = node.standing(index, self.now);
            let meaning = audit::meaning(&standing, before, after, author, is_lawful);
            let mut since = node.watched.since.clone();
            since.note(&standing, after.map(Arc::as_ref));
            let (is_bound, is_held) = (node.watched.is_bound(), standing.believes);
            self.nodes[index].watched.since = since;
            match meaning {
                Meaning::Nothing => {}
                Meaning::Robbed => {
                    self.nodes[index].watched.rob(self.now);
                    self.counts.robbed += u64::from(is_held);
                }
                Meaning::Overlap if is_bound => {
                    let what =
                        format!("acts as the holder while {author:?} makes the record {after:?}");
                    return Err(Violation::new("I2", index, what));
                }
                Meaning::Overlap => {}
            }
        }
        Ok(())
    }

    /// Whoever has seen that its record was shortened believes no longer than those who wait have to wait now.
    pub(super) fn check_clamp(
        &mut self,
        index: usize,
        record: Option<&Record>,
    ) -> Result<(), Violation> {
        let node = &self.nodes[index];
        let (Some(record), Some(claimant)) = (record, node.ours()) else {
            return Ok(());
        };
        let mine = Author::Node(index, node.life);
        let named = record.duration.filter(|named| *named < node.seconds());
        let Some(named) = named.filter(|_| record.signed_by == mine && record.holder.is_some())
        else {
            return Ok(());
        };
        let (seconds, watched) = (named.max(0).unsigned_abs(), &node.watched);
        let most = watched.may_believe_until(seconds, &record.uid, record.version);
        if most.is_some_and(|most| claimant.believes(most.max(node.now(self.now)))) {
            let what = format!("believes in more than the {seconds} s that it saw its record name");
            return Err(Violation::new("I5", index, what));
        }
        // It knows now, so it is not excused any more if it acts beside a successor.
        if self.record.as_deref() == Some(record) {
            self.nodes[index].watched.robbed = false;
        }
        Ok(())
    }
}
