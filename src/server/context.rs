//! What a command handler works with: the station's services, and what belongs to its connection.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;

use super::commands::{Bench, ImageStream};
use super::errors::scpi_error;
use super::services::Services;
use crate::base::conditions::{News, Observer, Register};
use crate::base::jobs::Job;
use crate::camera::Camera;
use crate::scpi::{Error, Reply, Status};
use crate::store::{Reservation, StoredFile};

/// What belongs to a connection and outlives a single command.
#[derive(Default)]
pub struct SessionState {
    pub(super) status: RefCell<Status>,
    /// Overlapped operations this connection started.
    jobs: RefCell<Vec<Job>>,
    /// Id of the newest one, 0 before the first.
    pub(super) last_job: Cell<u32>,
    /// Waits for the operations that a `*OPC` follows.
    pub(super) completion: RefCell<Option<smol::Task<()>>>,
    /// The other end.
    pub(super) peer: Option<SocketAddr>,
    /// Whether the other end is a program on this machine.
    pub(super) is_local: bool,
    /// Its part in the spectrometer, from its first command for it on.
    pub(super) spectrometer: RefCell<Option<Bench>>,
    /// Its stream of thermal images.
    pub(super) images: RefCell<Option<ImageStream>>,
}

impl SessionState {
    /// Of this connection.
    pub(super) fn of(stream: &TcpStream) -> Self {
        let peer = stream.peer_addr().ok();
        let local = stream.local_addr().ok();
        Self {
            peer,
            is_local: peer
                .zip(local)
                .is_some_and(|(peer, local)| is_one_machine(peer.ip(), local.ip())),
            ..Self::default()
        }
    }

    /// Unfinished operations of this connection.
    pub(super) fn pending_jobs(&self) -> Vec<Job> {
        let mut jobs = self.jobs.borrow_mut();
        jobs.retain(|job| !job.state().is_over());
        jobs.clone()
    }

    pub(super) fn add_job(&self, job: Job) {
        self.last_job.set(job.id());
        self.pending_jobs();
        self.jobs.borrow_mut().push(job);
    }
}

/// Whether both ends of a connection are on one machine.
fn is_one_machine(peer: IpAddr, local: IpAddr) -> bool {
    let (peer, local) = (peer.to_canonical(), local.to_canonical());
    peer.is_loopback() || peer == local
}

impl Observer for SessionState {
    fn note(&self, news: &News<'_>) {
        let mut status = self.status.borrow_mut();
        match *news {
            News::Changed(Register::Operation, was, is) => status.oper.note_condition(was, is),
            News::Changed(Register::Questionable, was, is) => status.ques.note_condition(was, is),
            News::Fault(failure) => status.fault(scpi_error(failure)),
        }
    }
}

/// What a handler works with.
pub struct Context {
    pub(super) services: Rc<Services>,
    pub(super) session: Rc<SessionState>,
    pub(super) reply: Reply,
    /// Data that follow the block header the handler wrote.
    pub(super) tail: Option<Tail>,
    /// Earlier replies of this connection are still unsent.
    pub(super) output_waits: bool,
}

/// Data of a block too large to be copied into the reply.
pub enum Tail {
    File(StoredFile),
    Bytes(Vec<u8>, Reservation),
}

impl Context {
    /// The camera, or -241.
    pub(super) fn camera(&self) -> Result<Camera, Error> {
        self.services
            .camera
            .clone()
            .ok_or_else(|| Error::new(-241).with("the camera is disabled"))
    }

    /// Answers with one block of JSON.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), Error> {
        let text =
            serde_json::to_vec(value).map_err(|error| Error::new(-310).with(error.to_string()))?;
        self.reply.block(&text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_of_this_machine_are_local() {
        for (peer, local, wanted) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("192.168.1.9", "192.168.1.9", true),
            ("::ffff:192.168.1.9", "192.168.1.9", true),
            ("192.168.1.8", "192.168.1.9", false),
            ("::ffff:192.168.1.8", "::ffff:192.168.1.9", false),
            ("fe80::1", "fe80::2", false),
        ] {
            let one = is_one_machine(peer.parse().unwrap(), local.parse().unwrap());
            assert_eq!(one, wanted, "{peer} to {local}");
        }
    }
}
