//! One client connection: its status model, its output, and the messages it sends, one after the other.

use std::io;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::FutureExt;
use smol::Async;

use super::commands::{self, Handler};
use super::connection::{Connection, OUTPUT_LIMIT};
use super::context::{Context, SessionState, Tail};
use super::dialect::{self, Answer};
use super::services::Services;
use crate::scpi::dual::DualFramer;
use crate::scpi::framing::{Frame, LineFramer};
use crate::scpi::grammar::{self, Unit};
use crate::scpi::legacy::{self, Grammar};
use crate::scpi::tree::PathState;
use crate::scpi::{Error, Reply};
use crate::store::StoredFile;

/// Messages and units run in a row before others get their turn.
const TURN: u32 = 32;
/// Time for the last replies when the station stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Piece in which files are sent.
const FILE_CHUNK: usize = 256 * 1024;

/// What a text port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextProtocol {
    /// SCPI alone.
    Scpi,
    /// The FE-PyCam2 dialect beside SCPI.
    Legacy,
}

enum Framer {
    Line(LineFramer),
    Dual(DualFramer),
}

enum Flow {
    Go,
    Close,
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    stream: Async<TcpStream>,
    services: Rc<Services>,
    protocol: TextProtocol,
) {
    let session = Rc::new(SessionState::of(stream.get_ref()));
    services.conditions.observe(&session);
    let connection = Connection::new(stream, services.clock.clone());
    let context = Context {
        services: services.clone(),
        session,
        reply: Reply::new(),
        tail: None,
        output_waits: false,
    };
    let framer = match protocol {
        TextProtocol::Scpi => Framer::Line(LineFramer::new()),
        TextProtocol::Legacy => Framer::Dual(DualFramer::new()),
    };
    let mut session = Session {
        in_a_row: 0,
        protocol,
        connection,
        context,
    };
    // When the station stops, what is being done ends within a second; then the replies go out.
    let stop = async {
        services.shutdown.wait().await;
        services.clock.sleep(FAREWELL).await;
        Ok(())
    };
    match session.run(framer).or(stop).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            services.server_health.count("stalled_clients");
            tracing::info!("client takes no output; closed");
        }
        Err(error) => tracing::debug!(%error, "connection ended"),
    }
    session.connection.close();
}

struct Session {
    /// Messages and units run since others had their turn.
    in_a_row: u32,
    protocol: TextProtocol,
    connection: Connection,
    context: Context,
}

impl Session {
    async fn run(&mut self, mut framer: Framer) -> io::Result<()> {
        let shutdown = self.context.services.shutdown.clone();
        let settle = self.context.services.legacy_settle;
        let mut ended = false;
        loop {
            while let Some(frame) = framer.next() {
                if let Flow::Close = self.handle(frame).await? {
                    return self.farewell().await;
                }
                self.connection.flush(OUTPUT_LIMIT).await?;
                self.take_turn().await;
                if shutdown.is_given() {
                    return self.farewell().await;
                }
            }
            if ended {
                return self.connection.flush(0).await;
            }
            let pause = framer.waiting_to_settle().then_some(settle);
            match shutdown.guard(self.connection.receive(pause)).await {
                None => return self.farewell().await,
                Some(Ok(None)) => framer.settle(),
                Some(Ok(Some([]))) => {
                    framer.end();
                    ended = true;
                }
                Some(Ok(Some(bytes))) => framer.push(bytes),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Lets others run once in a while, however much this client sends at a time.
    async fn take_turn(&mut self) {
        self.in_a_row += 1;
        if self.in_a_row >= TURN {
            self.in_a_row = 0;
            smol::future::yield_now().await;
        }
    }

    async fn farewell(&mut self) -> io::Result<()> {
        self.connection.flush(0).await
    }

    /// Runs one frame and sends its reply. A bug in a handler costs this message, not the station.
    async fn handle(&mut self, frame: Frame<'_>) -> io::Result<Flow> {
        let unterminated = match frame {
            Frame::Message { terminated, .. } | Frame::Overrun { terminated, .. } => !terminated,
            Frame::Unfinished { .. } => false,
        };
        match AssertUnwindSafe(self.dispatch(frame)).catch_unwind().await {
            Ok(flow) => flow,
            Err(_) => {
                tracing::error!("a command handler panicked; this is a bug in Outpost");
                self.context.services.server_health.count("panics");
                self.context.reply.clear();
                self.context.tail = None;
                self.fail(Error::new(-310).with("a bug in Outpost; the log tells more"));
                if self.protocol == TextProtocol::Legacy && unterminated {
                    self.say(legacy::NAK.as_bytes(), false)?;
                }
                Ok(Flow::Go)
            }
        }
    }

    async fn dispatch(&mut self, frame: Frame<'_>) -> io::Result<Flow> {
        match (frame, self.protocol) {
            (Frame::Unfinished { bytes }, _) => {
                tracing::info!(
                    bytes = bytes.len(),
                    "client left within a message; it is not run"
                );
            }
            (Frame::Overrun { terminated, legacy }, protocol) => {
                self.context
                    .services
                    .server_health
                    .count("overlong_messages");
                self.fail(Error::new(-363));
                if protocol == TextProtocol::Legacy && (legacy || !terminated) {
                    self.say(legacy::NAK.as_bytes(), terminated)?;
                }
            }
            (Frame::Message { bytes, .. }, TextProtocol::Scpi) => {
                self.run_message(bytes).await?;
                self.answer(b"\n")?;
            }
            (Frame::Message { bytes, terminated }, TextProtocol::Legacy) => {
                return self.dispatch_dual(bytes, terminated).await;
            }
        }
        Ok(Flow::Go)
    }

    /// Port 5060: the end of the message decides first, then its header (scpi.md 11.4).
    async fn dispatch_dual(&mut self, message: &[u8], terminated: bool) -> io::Result<Flow> {
        match legacy::classify(message, terminated) {
            Grammar::Unknown => {
                self.fail(
                    Error::new(-113).with(String::from_utf8_lossy(legacy::first_word(message))),
                );
                self.say(legacy::UNKNOWN.as_bytes(), terminated)?;
            }
            Grammar::Legacy { header, arguments } => {
                let answer = {
                    let run = dialect::run(&mut self.context, header, arguments);
                    with_output(&mut self.connection, run).await?
                };
                match answer {
                    Ok(Answer::Ack) => self.say(legacy::ACK.as_bytes(), terminated)?,
                    Ok(Answer::Text(text)) => self.say(&text, terminated)?,
                    Ok(Answer::Close) => {
                        self.say(legacy::ACK.as_bytes(), terminated)?;
                        return Ok(Flow::Close);
                    }
                    Err(error) => {
                        self.fail(error);
                        self.say(legacy::NAK.as_bytes(), terminated)?;
                    }
                }
            }
            Grammar::Scpi => {
                let error = self.run_message(message).await?;
                let answered = self.context.reply.answered();
                let unknown = error.as_ref().is_some_and(|error| error.number() == -113);
                if !terminated && !answered {
                    self.say(legacy::verdict(error.as_ref()).as_bytes(), false)?;
                } else if terminated && !answered && unknown && legacy::is_bare_word(message) {
                    self.say(legacy::UNKNOWN.as_bytes(), true)?;
                } else {
                    self.answer(if terminated { b"\n" } else { b"" })?;
                }
            }
        }
        Ok(Flow::Go)
    }

    /// Runs the units of a SCPI message; gives the first error.
    async fn run_message(&mut self, message: &[u8]) -> io::Result<Option<Error>> {
        let mut path = PathState::default();
        let mut first = None;
        for unit in grammar::units(message) {
            self.context.reply.begin_unit();
            let result = match unit {
                Ok(unit) => self.run_unit(&mut path, &unit).await?,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                self.context.reply.abandon_unit();
                self.context.tail = None;
                first.get_or_insert(error.clone());
                self.fail(error);
            }
            if let Some(tail) = self.context.tail.take() {
                self.send_tail(tail).await?;
            }
            if self.context.reply.bytes().len() > OUTPUT_LIMIT {
                self.send_part().await?;
            }
            self.take_turn().await;
        }
        Ok(first)
    }

    async fn run_unit(
        &mut self,
        path: &mut PathState,
        unit: &Unit<'_>,
    ) -> io::Result<Result<(), Error>> {
        let services = self.context.services.clone();
        let live = |command: &commands::Row, index| commands::live_range(&services, command, index);
        let (found, args) = match services.tree.resolve(path, unit, &live) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        self.context.output_waits = self.connection.unsent() > 0;
        match found.command.handler {
            Handler::Now(run) => Ok(run(&mut self.context, &args)),
            Handler::Later(run) => {
                with_output(&mut self.connection, run(&mut self.context, &args)).await
            }
        }
    }

    /// Sends what the message has answered so far together with the data of a block. A block that fits one piece
    /// stays in the reply and goes out with its terminator: clients that receive once get it whole.
    async fn send_tail(&mut self, tail: Tail) -> io::Result<()> {
        match tail {
            Tail::Bytes(bytes, _reservation) => {
                let mut pieces = bytes.chunks(FILE_CHUNK);
                if let Some(first) = pieces.next() {
                    self.context.reply.raw().extend_from_slice(first);
                }
                for piece in pieces {
                    self.send_part().await?;
                    self.context.reply.raw().extend_from_slice(piece);
                }
                Ok(())
            }
            Tail::File(file) => self.send_file(file).await,
        }
    }

    async fn send_file(&mut self, stored: StoredFile) -> io::Result<()> {
        let pool = self.context.services.pool.clone();
        let (mut file, mut left) = (stored.file, stored.size);
        let mut chunk = Vec::new();
        while left > 0 {
            if !chunk.is_empty() {
                self.send_part().await?;
            }
            let want = left.min(FILE_CHUNK as u64) as usize;
            let read = pool.run_in_turn(move || {
                chunk.resize(want, 0);
                let result = io::Read::read_exact(&mut file, &mut chunk);
                (file, chunk, result)
            });
            let result;
            (file, chunk, result) = read.await.map_err(io::Error::other)?;
            // A file cut short under our hands leaves a block that cannot be completed: only closing is honest.
            result?;
            self.context.reply.raw().extend_from_slice(&chunk);
            left -= want as u64;
        }
        Ok(())
    }

    /// Sends a part of a message that is too large for one write.
    async fn send_part(&mut self) -> io::Result<()> {
        self.connection.send(self.context.reply.bytes())?;
        self.context.reply.continue_after_sending();
        self.connection.flush(OUTPUT_LIMIT).await
    }

    fn fail(&self, error: Error) {
        tracing::debug!(%error, "command refused");
        self.context.session.status.borrow_mut().error(error);
    }

    fn answer(&mut self, terminator: &[u8]) -> io::Result<()> {
        let reply = &mut self.context.reply;
        let sent = match reply.end_message(terminator) {
            true => self.connection.send(reply.bytes()),
            false => Ok(()),
        };
        reply.clear();
        sent
    }

    fn say(&mut self, text: &[u8], terminated: bool) -> io::Result<()> {
        let reply = &mut self.context.reply;
        reply.clear();
        let out = reply.raw();
        out.extend_from_slice(text);
        if terminated {
            out.push(b'\n');
        }
        let sent = self.connection.send(out);
        reply.clear();
        sent
    }
}

/// Runs a command while earlier replies go out.
async fn with_output<T>(
    connection: &mut Connection,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    let output = async {
        connection.flush(0).await?;
        std::future::pending().await
    };
    async { Ok(work.await) }.or(output).await
}

impl Framer {
    fn next(&mut self) -> Option<Frame<'_>> {
        match self {
            Framer::Line(framer) => framer.next(),
            Framer::Dual(framer) => framer.next(),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        match self {
            Framer::Line(framer) => framer.push(bytes),
            Framer::Dual(framer) => framer.push(bytes),
        }
    }

    fn end(&mut self) {
        match self {
            Framer::Line(framer) => framer.end(),
            Framer::Dual(framer) => framer.end(),
        }
    }

    fn settle(&mut self) {
        if let Framer::Dual(framer) = self {
            framer.settle();
        }
    }

    fn waiting_to_settle(&self) -> bool {
        matches!(self, Framer::Dual(framer) if framer.waiting_to_settle())
    }
}
