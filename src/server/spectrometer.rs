//! Port 8000: the spectrometer's own protocol over TLS, as if each client had the instrument to itself (design.md 5).
//!
//! ```text
//! TLS -> lines -> get_exposure, get_calibration: what is set
//!                 set_exposure, set_cal:         for the client in control; ignored otherwise, for there is no reply
//!                 take_spectrum:                 an exposure, shared with whoever else waits for the next one
//!                 get_spectrum:                  the frame of this client's own last take
//! ```
//!
//! Each reply is one write and one flush, which makes one TLS record: the vendor's client takes what one receive returns
//! for a message. There are no error replies: where the instrument cannot be asked, nothing is said.

mod websocket;

use std::io;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{or, pending};
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_lite::{FutureExt, future};
use futures_rustls::TlsAcceptor;
use smol::Async;

use super::connection::STALL_LIMIT;
use super::services::Services;
use crate::base::clock::Clock;
use crate::msp1000::proto::{Command, CommandDecoder, CommandError, Reply};
use crate::msp1000::{Client, Frame, Spectrometer, SpectrometerError};

pub use self::websocket::serve as serve_websocket;

/// A request that comes before the instrument is ready waits this long for it.
const HOLD: Duration = Duration::from_millis(1_500);
/// For a handshake: whoever connects and says nothing holds a seat.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Time for the last output when the station stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Commands that may wait for the end of an exposure, in bytes; a client that sends more waits itself.
const MAX_PENDING: usize = 16 * 1024;
/// One read; several commands fit.
const INPUT_CHUNK: usize = 1024;

/// Serves a connection until it ends.
pub(super) async fn serve(stream: Async<TcpStream>, services: Rc<Services>) {
    let (Some(spectrometer), Some(tls)) = (
        services.spectrometer.clone(),
        services.spectrometer_tls.clone(),
    ) else {
        return;
    };
    let Ok(peer) = stream.get_ref().peer_addr() else {
        return;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let handshake = services.clock.timeout(HANDSHAKE_LIMIT, handshake);
    let stream = match services.shutdown.guard(handshake).await.flatten() {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            services.server_health.count("failed_handshakes");
            tracing::debug!(%error, "no TLS with a client of the spectrometer");
            return;
        }
        None => return,
    };
    let client = spectrometer.client(format!("msp1000 {peer}"));
    let mut session = Session::new(stream, client, services.clock.clone());
    let run = async {
        let ended = services.shutdown.guard(session.run()).await;
        let clock = services.clock.clone();
        // The end is told in order, which the vendor's client does not do itself.
        let _ = clock.timeout(FAREWELL, session.stream.close()).await;
        ended.unwrap_or(Ok(()))
    };
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            services.server_health.count("stalled_clients");
            tracing::info!("client of the spectrometer takes no output; closed");
        }
        Ok(Err(error)) => tracing::debug!(%error, "connection ended"),
        Err(_) => {
            tracing::error!("serving the spectrometer panicked; this is a bug in Outpost");
            services.server_health.count("panics");
        }
    }
    let overlong = session.overlong;
    services.server_health.add("overlong_messages", overlong);
}

/// A client of the protocol on a stream.
struct Session<S> {
    stream: S,
    clock: Clock,
    decoder: CommandDecoder,
    buffer: [u8; INPUT_CHUNK],
    output: Vec<u8>,
    desk: Desk,
    overlong: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(stream: S, client: Client, clock: Clock) -> Self {
        Self {
            stream,
            clock,
            decoder: CommandDecoder::new(),
            buffer: [0; INPUT_CHUNK],
            output: Vec::new(),
            desk: Desk::new(client),
            overlong: 0,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            while let Some(command) = self.decoder.next() {
                match command {
                    Ok(command) => self.obey(command).await?,
                    // As the instrument does with what is no command.
                    Err(CommandError::TooLong) => self.overlong += 1,
                    Err(_) => {}
                }
                future::yield_now().await;
            }
            let count = self.stream.read(&mut self.buffer).await?;
            if count == 0 {
                return Ok(());
            }
            self.decoder.push(&self.buffer[..count]);
        }
    }

    async fn obey(&mut self, command: Command) -> io::Result<()> {
        let Self {
            stream,
            decoder,
            buffer,
            desk,
            ..
        } = self;
        let work = async { Ok::<_, io::Error>(desk.obey(command).await) };
        // A client that leaves during an exposure must not keep its control until the end of it.
        let listen = async {
            while decoder.pending() < MAX_PENDING {
                match stream.read(buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => decoder.push(&buffer[..count]),
                }
            }
            pending().await
        };
        match or(work, listen).await? {
            Ok(Some(reply)) => self.send(&reply).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, command = command.word(), "a client's command failed");
                Ok(())
            }
        }
    }

    async fn send(&mut self, reply: &Answer) -> io::Result<()> {
        self.output.clear();
        reply.encode(&mut self.output);
        let (stream, output) = (&mut self.stream, &self.output);
        let send = async {
            stream.write_all(output).await?;
            stream.flush().await
        };
        let sent = self.clock.timeout(STALL_LIMIT, send).await;
        sent.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// What a command is answered with.
enum Answer {
    Line(Reply),
    Frame(Rc<Frame>),
}

impl Answer {
    /// As it goes over the wire.
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Line(reply) => reply.encode(out),
            Self::Frame(frame) => {
                out.extend_from_slice(b"spectrum:");
                frame.raw.write_le_bytes(out);
                out.push(b'\n');
            }
        }
    }
}

/// One client's dealings with the instrument, whatever carries them.
struct Desk {
    client: Client,
    /// Of its own last take: no more than one is kept.
    own: Option<Rc<Frame>>,
}

impl Desk {
    fn new(client: Client) -> Self {
        Self { client, own: None }
    }

    fn spectrometer(&self) -> &Spectrometer {
        self.client.spectrometer()
    }

    /// Runs a command; set commands have no answer.
    async fn obey(&mut self, command: Command) -> Result<Option<Answer>, SpectrometerError> {
        self.client.touch();
        self.spectrometer().wait_connected(HOLD).await;
        let reply = match command {
            Command::GetExposure => Reply::Exposure(self.spectrometer().exposure_ms().await?),
            Command::GetCalibration => Reply::Calibration(self.spectrometer().calibration().await?),
            // The instrument would ignore it, which must not be taken for lost control.
            Command::SetExposure(0) => return Ok(None),
            Command::SetExposure(ms) => {
                self.client.set_exposure(ms).await?;
                return Ok(None);
            }
            Command::SetCalibration(calibration) => {
                self.client.set_calibration(calibration).await?;
                return Ok(None);
            }
            Command::TakeSpectrum => {
                self.own = Some(self.client.take().await?);
                Reply::SpectrumComplete
            }
            Command::GetSpectrum => return self.frame().await.map(Answer::Frame).map(Some),
        };
        Ok(Some(Answer::Line(reply)))
    }

    /// This client's frame; without a take of its own the newest there is, as the instrument would send.
    async fn frame(&mut self) -> Result<Rc<Frame>, SpectrometerError> {
        if let Some(own) = &self.own {
            return Ok(own.clone());
        }
        if let Some(latest) = self.spectrometer().latest() {
            return Ok(latest);
        }
        self.client.take().await
    }
}
