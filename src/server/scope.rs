//! Port 15500: the datagrams of a bitscope-server, for programs that speak the BitScope's language themselves.
//!
//! Who may control the device is the actor's decision; this carries datagrams. The language knows no refusal, so a
//! program that may not control the device hears nothing, which the station counts and logs.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::Async;

use super::services::Services;
use crate::bitscope::Oscilloscope;
use crate::bitscope::proto::datagram::MAX_DATAGRAM;

/// Between two datagrams of one answer: programs exist that hold one datagram only until they have read it.
const PAUSE: Duration = Duration::from_millis(1);
/// After an error that is nobody's in particular.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// A bound port.
pub struct ScopePort {
    socket: Async<UdpSocket>,
}

impl ScopePort {
    /// Binds a port; 0 for any.
    ///
    /// # Errors
    /// Those of the system: in use, not permitted, address not of this machine.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Async::<UdpSocket>::bind(address)?;
        Ok(Self { socket })
    }

    /// Address really bound.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// Carries datagrams until the station stops.
    pub async fn run(self, services: Rc<Services>) {
        let Some(scope) = services.scope.clone() else {
            return;
        };
        let work = futures_lite::future::race(
            self.receive(&services, &scope),
            self.answer(&services, &scope),
        );
        services.shutdown.guard(work).await;
    }

    async fn receive(&self, services: &Services, scope: &Oscilloscope) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((count, source)) => scope.forward(source, &buffer[..count]),
                Err(error) => {
                    tracing::debug!(%error, "cannot receive a datagram");
                    services.clock.sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    async fn answer(&self, services: &Services, scope: &Oscilloscope) {
        let mut last: Option<(SocketAddr, Instant)> = None;
        while let Some((to, datagram)) = scope.next_reply().await {
            if let Some((before, when)) = last
                && before == to
                && datagram.get(3).is_some_and(|data_seq| *data_seq > 0)
            {
                services.clock.sleep_until(when + PAUSE).await;
            }
            // A program that is gone loses its answer, as it would anywhere.
            if let Err(error) = self.socket.send_to(&datagram, to).await {
                tracing::debug!(%error, %to, "cannot send a datagram");
            }
            last = Some((to, services.clock.now()));
        }
    }
}
