//! One connection to the instrument: handshake, commands in, replies out.

use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_lite::future::or;
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use smol::Async;

use super::faults::{Fault, Faults};
use super::instrument::{ConnectionId, Instrument};
use super::simulator::Tls;
use crate::base::clock::Clock;
use crate::msp1000::proto::{Command, CommandDecoder, Reply};

/// Between two pieces of a reply.
const CHUNK_PAUSE: Duration = Duration::from_millis(2);
/// For a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Commands that may wait for the end of an exposure, in bytes; a client that sends more waits itself.
const MAX_PENDING: usize = 64 * 1024;

/// A fatal alert "protocol version" by a server of TLS 1.0.
const TOO_OLD: [u8; 7] = [0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 70];

/// What all connections use.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) faults: Faults,
    pub(super) tls: Option<Tls>,
    pub(super) instrument: RefCell<Instrument>,
    pub(super) exposures: Arc<AtomicU64>,
}

/// Frees the control when the connection ends, however it does.
struct Registration {
    shared: Rc<Shared>,
    id: ConnectionId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.instrument.borrow_mut().disconnect(self.id);
    }
}

/// Serves a connection until it ends; why it does is of no interest to an instrument.
pub(super) async fn serve(mut stream: Async<TcpStream>, shared: Rc<Shared>) {
    let _ = stream.get_ref().set_nodelay(true);
    let Some(tls) = &shared.tls else {
        let _ = talk(stream, shared).await;
        return;
    };
    if shared.faults.is_on(Fault::OldTls) {
        let _ = refuse(&mut stream).await;
        return;
    }
    let Ok(config) = tls.config(&shared.faults) else {
        return;
    };
    let handshake = TlsAcceptor::from(config).accept(stream);
    if let Some(Ok(stream)) = shared.clock.timeout(HANDSHAKE_LIMIT, handshake).await {
        let _ = talk(stream, shared).await;
    }
}

async fn refuse(stream: &mut Async<TcpStream>) -> io::Result<()> {
    let mut hello = [0; 4096];
    let _ = stream.read(&mut hello).await?;
    stream.write_all(&TOO_OLD).await?;
    stream.get_ref().shutdown(Shutdown::Write)?;
    // What is not read would turn the end into a reset, and the alert would be lost.
    while stream.read(&mut hello).await? > 0 {}
    Ok(())
}

struct Conversation<S> {
    stream: S,
    shared: Rc<Shared>,
    id: ConnectionId,
    decoder: CommandDecoder,
    buffer: [u8; 1024],
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, shared: Rc<Shared>) -> io::Result<()> {
    let id = shared.instrument.borrow_mut().connect();
    let _registration = Registration {
        shared: shared.clone(),
        id,
    };
    let mut conversation = Conversation {
        stream,
        shared,
        id,
        decoder: CommandDecoder::new(),
        buffer: [0; 1024],
    };
    conversation.run().await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    async fn run(&mut self) -> io::Result<()> {
        loop {
            while let Some(command) = self.decoder.next() {
                // Lines that are no command are ignored.
                let Ok(command) = command else { continue };
                if self.shared.faults.strike_last(Fault::DropAfter) {
                    return Ok(());
                }
                if let Some(bytes) = self.obey(command).await? {
                    self.send(bytes).await?;
                }
            }
            self.read().await?;
        }
    }

    /// Ends with an error when the connection does.
    async fn read(&mut self) -> io::Result<()> {
        let count = self.stream.read(&mut self.buffer).await?;
        self.decoder.push(&self.buffer[..count]);
        match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Waits, and notices when the connection ends meanwhile.
    async fn wait(&mut self, time: Duration) -> io::Result<()> {
        let clock = self.shared.clock.clone();
        let over = async {
            clock.sleep(time).await;
            Ok(())
        };
        let listen = async {
            while self.decoder.pending() < MAX_PENDING {
                self.read().await?;
            }
            std::future::pending().await
        };
        or(over, listen).await
    }

    async fn obey(&mut self, command: Command) -> io::Result<Option<Vec<u8>>> {
        let shared = self.shared.clone();
        let instrument = || shared.instrument.borrow_mut();
        let reply = match command {
            Command::GetExposure => Reply::Exposure(instrument().exposure_ms()),
            Command::GetCalibration => Reply::Calibration(instrument().calibration()),
            Command::SetExposure(ms) => {
                instrument().set_exposure(self.id, ms);
                return Ok(self.set_answer());
            }
            Command::SetCalibration(calibration) => {
                instrument().set_calibration(self.id, calibration);
                return Ok(self.set_answer());
            }
            Command::TakeSpectrum => {
                let ms = instrument().exposure_ms();
                self.wait(Duration::from_millis(ms.into())).await?;
                instrument().expose(ms);
                shared.exposures.store(instrument().exposures(), Relaxed);
                Reply::SpectrumComplete
            }
            Command::GetSpectrum => Reply::Spectrum(instrument().last_frame().clone()),
        };
        Ok(Some(self.encode(&reply)))
    }

    fn set_answer(&self) -> Option<Vec<u8>> {
        let faults = &self.shared.faults;
        faults.is_on(Fault::AnswerSet).then(|| {
            let mut line = b"ok\r\n".to_vec();
            end_text(&mut line, faults);
            line
        })
    }

    /// A reply with the faults that change its bytes.
    fn encode(&self, reply: &Reply) -> Vec<u8> {
        let faults = &self.shared.faults;
        let mut bytes = Vec::new();
        if faults.strike(Fault::Junk) {
            bytes.extend_from_slice(b"\x07\xff noise 17:exposure:\x00\r\n");
        }
        match reply {
            Reply::Exposure(_) if faults.strike(Fault::BadNumber) => {
                bytes.extend_from_slice(b"exposure:many\r\n");
            }
            Reply::Calibration(_) if faults.strike(Fault::BadNumber) => {
                bytes.extend_from_slice(b"calibration:1,2,nan,4\r\n");
            }
            reply => reply.encode(&mut bytes),
        }
        match reply {
            Reply::Spectrum(_) => match faults.number(Fault::FrameEnd) {
                0 => {}
                1 => {
                    bytes.pop();
                    bytes.extend_from_slice(b"\r\n");
                }
                _ => drop(bytes.pop()),
            },
            reply => {
                if matches!(reply, Reply::Calibration(_)) && faults.is_on(Fault::LongCal) {
                    bytes.truncate(bytes.len() - 2);
                    bytes.extend_from_slice(b",0.5\r\n");
                }
                end_text(&mut bytes, faults);
            }
        }
        bytes
    }

    /// One write, unless a fault has it otherwise.
    async fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let faults = self.shared.faults.clone();
        if faults.is_on(Fault::Silent) {
            return Ok(());
        }
        match faults.number(Fault::DelayMs) {
            0 => {}
            ms => self.wait(Duration::from_millis(ms)).await?,
        }
        if bytes.len() > 1000 && faults.strike(Fault::CutFrame) {
            self.stream.write_all(&bytes[..bytes.len() / 2]).await?;
            self.stream.flush().await?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let piece = match faults.number(Fault::Chunk) {
            0 => bytes.len(),
            piece => usize::try_from(piece).unwrap_or(usize::MAX),
        };
        for (index, piece) in bytes.chunks(piece).enumerate() {
            if index > 0 {
                self.wait(CHUNK_PAUSE).await?;
            }
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }
}

/// Ends a line, CR LF until now, as the present faults want.
fn end_text(line: &mut Vec<u8>, faults: &Faults) {
    match faults.number(Fault::Eol) {
        0 => {}
        form => {
            line.truncate(line.len() - 2);
            if form == 1 {
                line.push(b'\n');
            }
        }
    }
}
