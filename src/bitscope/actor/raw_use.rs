//! The device in the hands of a program that speaks its language: datagrams in, reply datagrams out.
//!
//! The holder is an address. It has the device until it was quiet for a minute and somebody else wants it, or until
//! another address sends a leading `!` while nothing of the holder's is outstanding. One datagram is at work at a time,
//! so that what comes back belongs to it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Actor;
use super::ledger::Ledger;
use crate::base::error::{Failure, Kind};
use crate::bitscope::driver::{Raw, Scope, ScopeError};
use crate::bitscope::proto::datagram::{REPLY_DATA, ReplyHeader};
use crate::bitscope::{Datagram, Order, PATIENCE, Work, aborted, busy};

/// Which adaptor replies say they come from.
const LIA_ID: u16 = 1;
/// After so long a silence the holder has gone, if somebody else wants the device.
const IDLE: Duration = Duration::from_secs(60);
/// A pause that ends a reply datagram.
const FLUSH: Duration = Duration::from_millis(1);
/// A pause after which what the device owes is lost.
const LOST: Duration = Duration::from_secs(1);
/// Bytes sent before their echo is waited for: less than any buffer on the way holds.
const PIECE: usize = 512;
/// Bytes of the holder's datagrams that may wait.
const WAITING: usize = 256 * 1024;

/// The datagram at work.
struct Answer {
    cmd_id: u8,
    data_seq: u8,
    /// What of its commands was not sent yet.
    unsent: VecDeque<u8>,
    /// What came back and was not sent yet.
    data: Vec<u8>,
}

/// The device lent out.
pub(super) struct RawUse<'a> {
    actor: &'a Actor,
    holder: SocketAddr,
    ledger: Ledger,
    waiting: VecDeque<Datagram>,
    answer: Option<Answer>,
    /// When something last came from the holder; when something last went to the device or came from it.
    heard: Instant,
    moved: Instant,
    /// Waits for the device.
    order: Option<Order>,
}

enum Wake {
    Received(Result<Vec<u8>, ScopeError>),
    Datagram(Option<Datagram>),
    Order(Option<Order>),
    Released,
    Time,
}

impl<'a> RawUse<'a> {
    pub(super) fn new(actor: &'a Actor, first: Datagram) -> Self {
        let now = actor.shared.clock.now();
        Self {
            actor,
            holder: first.source,
            ledger: Ledger::new(),
            waiting: VecDeque::from([first]),
            answer: None,
            heard: now,
            moved: now,
            order: None,
        }
    }

    /// Until the device is wanted back and free: for this order, or because it was told to. It was reset then.
    pub(super) async fn run(mut self, scope: &mut Scope) -> Result<Option<Order>, ScopeError> {
        let shared = &self.actor.shared;
        // Meant for whoever had the device before.
        let _ = self.actor.released.try_recv();
        shared.health.count("raw_users");
        shared.controller.set(Some(self.holder));
        let ended = self.serve(scope).await;
        shared.controller.set(None);
        let failed = |error: &ScopeError| Failure::new(Kind::Absent, error.to_string());
        if let Err(error) = &ended
            && let Some(order) = self.order.take()
        {
            order.refuse(failed(error));
        }
        ended.map(|()| self.order)
    }

    async fn serve(&mut self, scope: &mut Scope) -> Result<(), ScopeError> {
        let mut raw = scope.raw_mode().await?;
        loop {
            self.go_on(&mut raw).await?;
            match self.wake(&mut raw).await {
                Wake::Received(bytes) => self.take(&bytes?).await,
                Wake::Datagram(Some(datagram)) => self.admit(datagram).await,
                Wake::Order(Some(order)) => self.order = Some(order),
                Wake::Datagram(None) | Wake::Order(None) => return Ok(()),
                Wake::Released => return raw.finish().await,
                Wake::Time => {
                    if self.look_at_time().await {
                        return raw.finish().await;
                    }
                }
            }
        }
    }

    /// Sends what may be sent now.
    async fn go_on(&mut self, raw: &mut Raw<'_>) -> Result<(), ScopeError> {
        let leads = |datagram: &Datagram| datagram.commands.first() == Some(&b'!');
        let next_leads = self.waiting.front().is_some_and(leads);
        let is_over = self.is_sent() && self.ledger.is_even();
        if (is_over || next_leads)
            && let Some(next) = self.waiting.pop_front()
        {
            self.flush().await;
            if self.ledger.traces() {
                raw.keep_answers();
            }
            self.answer = Some(Answer {
                cmd_id: next.cmd_id,
                data_seq: 0,
                unsent: next.commands.into(),
                data: Vec::new(),
            });
            self.ledger.give_up();
        }
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        if answer.unsent.is_empty() || !self.ledger.is_even() {
            return Ok(());
        }
        let count = answer.unsent.len().min(PIECE);
        let piece: Vec<u8> = answer.unsent.drain(..count).collect();
        self.ledger.sent(&piece);
        raw.send(&piece).await?;
        self.moved = self.actor.shared.clock.now();
        Ok(())
    }

    async fn wake(&self, raw: &mut Raw<'_>) -> Wake {
        let (actor, may_order) = (self.actor, self.order.is_none());
        let due = self.due();
        let received = async { Wake::Received(raw.receive().await) };
        let datagram = async { Wake::Datagram(actor.datagrams.recv().await.ok()) };
        let order = async {
            match may_order {
                true => Wake::Order(actor.order().await),
                false => std::future::pending().await,
            }
        };
        let released = async {
            let _ = actor.released.recv().await;
            Wake::Released
        };
        let time = async {
            match due {
                Some(due) => actor.shared.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
            Wake::Time
        };
        let forgotten = async {
            match self.order.as_ref().map(|order| &order.work) {
                Some(Work::Capture { job, .. }) => job.aborted().await,
                _ => std::future::pending().await,
            }
            Wake::Time
        };
        let time = futures_lite::future::race(time, forgotten);
        let device = futures_lite::future::race(received, datagram);
        let people = futures_lite::future::race(order, released);
        let any = futures_lite::future::race(device, people);
        futures_lite::future::race(any, time).await
    }

    /// When something is to be done though nothing happens.
    fn due(&self) -> Option<Instant> {
        let flush = self
            .answer
            .as_ref()
            .filter(|answer| !answer.data.is_empty());
        let lost = !(self.ledger.is_even() && self.is_sent());
        let order = self.order.as_ref().map(|order| {
            let patience = order.issued + PATIENCE;
            match self.ledger.traces() {
                true => patience,
                false => patience.min(self.heard + IDLE),
            }
        });
        let times = [
            flush.map(|_| self.moved + FLUSH),
            lost.then_some(self.moved + LOST),
            order,
        ];
        times.into_iter().flatten().min()
    }

    /// Does what is due; whether the device is to be given back.
    async fn look_at_time(&mut self) -> bool {
        let now = self.actor.shared.clock.now();
        if now >= self.moved + FLUSH {
            self.flush().await;
        }
        if now >= self.moved + LOST {
            self.ledger.give_up();
        }
        if self.order.as_ref().is_some_and(Order::is_forgotten) {
            let forgotten = self.order.take();
            forgotten
                .into_iter()
                .for_each(|order| order.refuse(aborted()));
        }
        if self.order.is_some() && self.is_idle(now) {
            return true;
        }
        if let Some(order) = self.order.take_if(|order| now >= order.issued + PATIENCE) {
            order.refuse(busy(&format!("the program at {}", self.holder)));
        }
        false
    }

    /// Bytes of the device.
    async fn take(&mut self, bytes: &[u8]) {
        self.moved = self.actor.shared.clock.now();
        self.ledger.received(bytes.len());
        if let Some(answer) = &mut self.answer {
            answer.data.extend_from_slice(bytes);
        }
        while self
            .answer
            .as_ref()
            .is_some_and(|a| a.data.len() >= REPLY_DATA)
        {
            self.reply(REPLY_DATA).await;
        }
        // All that is to come has come.
        if self.is_sent() && self.ledger.is_even() && !self.ledger.traces() {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        if let Some(answer) = &self.answer
            && !answer.data.is_empty()
        {
            self.reply(answer.data.len()).await;
        }
    }

    /// Sends the first bytes of what came back.
    async fn reply(&mut self, count: usize) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        let header = ReplyHeader {
            lia_id: LIA_ID,
            cmd_id: answer.cmd_id,
            data_seq: answer.data_seq,
        };
        answer.data_seq = answer.data_seq.wrapping_add(1);
        let mut datagram = header.encode().to_vec();
        datagram.extend(answer.data.drain(..count));
        let health = &self.actor.shared.health;
        // Whoever sends them depends on nothing but the network, which loses what it cannot take.
        match self.actor.replies.send((self.holder, datagram)).await {
            Ok(()) => health.count("reply_datagrams"),
            Err(_) => health.count("datagrams_lost"),
        }
    }

    /// Queues a datagram of the holder, or lets another address become the holder, by the rule.
    async fn admit(&mut self, datagram: Datagram) {
        let shared = &self.actor.shared;
        let now = shared.clock.now();
        if datagram.due < now {
            return shared.health.count("datagrams_late");
        }
        if datagram.source != self.holder {
            let leads = datagram.commands.first() == Some(&b'!');
            let is_free = self.is_idle(now) || (leads && !self.is_outstanding());
            if !is_free {
                tracing::debug!(source = %datagram.source, holder = %self.holder, "another program has the oscilloscope");
                return shared.health.count("datagrams_refused");
            }
            self.flush().await;
            self.answer = None;
            self.waiting.clear();
            self.holder = datagram.source;
            shared.health.count("raw_users");
            shared.controller.set(Some(self.holder));
        }
        self.heard = now;
        let waiting: usize = self
            .waiting
            .iter()
            .map(|datagram| datagram.commands.len())
            .sum();
        match waiting + datagram.commands.len() > WAITING {
            true => shared.health.count("datagrams_lost"),
            false => self.waiting.push_back(datagram),
        }
    }

    fn is_sent(&self) -> bool {
        self.answer
            .as_ref()
            .is_none_or(|answer| answer.unsent.is_empty())
    }

    fn is_outstanding(&self) -> bool {
        !self.is_sent()
            || !self.ledger.is_even()
            || self.ledger.traces()
            || !self.waiting.is_empty()
    }

    fn is_idle(&self, now: Instant) -> bool {
        now >= self.heard + IDLE && !self.ledger.traces()
    }
}
