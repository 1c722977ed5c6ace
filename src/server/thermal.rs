//! Port 5001: the thermal camera's own protocol, as if each client had the camera to itself (design.md 5).
//!
//! ```text
//! 0x02 command 0x03 -> framer -> stream_on, stream_off, get_image: this client's own interest
//!                                get_wifi, set_wifi on a hardware link: answered here
//!                                all else: to the camera, one at a time, the answer to this client alone
//! images from the camera -> this client's queue, oldest out first -> written as they came
//! ```
//!
//! Commands are answered in order; images come between the answers. Images are taken from the queue only while all
//! earlier output is gone, so a slow client loses images there and holds up nobody.

use std::future::pending;
use std::io;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::FutureExt;
use smol::Async;

use super::connection::{Connection, OUTPUT_LIMIT};
use super::services::Services;
use crate::tcam::proto::command::StreamOn;
use crate::tcam::proto::{CamInfo, Command, Framer, Name, Rejection, Response, Wifi};
use crate::tcam::{Image, Interest, LinkKind, Subscription, TcamError, Thermal};

/// A request that comes before the camera is ready waits this long for it.
const HOLD: Duration = Duration::from_millis(1_500);
/// Time for the last output when the station stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Commands run in a row before others get their turn.
const TURN: u32 = 32;
/// Name of a camera that has not told its own.
const NAMELESS: &str = "tCam-Mini";

type Work<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a command comes to.
struct Reply {
    packet: Vec<u8>,
    /// Its images begin after the packet.
    stream: Option<Stream>,
}

/// A client's own stream.
struct Stream {
    images: Subscription,
    is_endless: bool,
}

enum Event {
    /// An image of the stream; `None` when it has ended.
    Image(Option<Rc<Image>>),
    /// The image of a `get_image`; `None` when there was none to be had.
    Single(Option<Rc<Image>>),
    Answer(Reply),
    /// All output is gone.
    Drained,
    Input,
    EndOfInput,
}

/// Serves a connection until it ends.
pub(super) async fn serve(stream: Async<TcpStream>, services: Rc<Services>) {
    let Some(thermal) = services.thermal.clone() else {
        return;
    };
    let mut client = Client {
        connection: Connection::new(stream, services.clock.clone()),
        thermal,
        services: services.clone(),
        input: Framer::camera(),
        overflows: 0,
        stream: None,
        single: None,
        answer: None,
        ended: false,
    };
    match AssertUnwindSafe(client.run()).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            services.server_health.count("stalled_clients");
            tracing::info!("client of the thermal camera takes no output; closed");
        }
        Ok(Err(error)) => tracing::debug!(%error, "connection ended"),
        Err(_) => {
            tracing::error!("serving the thermal camera panicked; this is a bug in Outpost");
            services.server_health.count("panics");
        }
    }
    client.connection.close();
}

struct Client {
    connection: Connection,
    thermal: Thermal,
    services: Rc<Services>,
    input: Framer,
    /// Over-long packets that were answered.
    overflows: u64,
    stream: Option<Stream>,
    single: Option<Work<Option<Rc<Image>>>>,
    /// The command at work; the next one waits for its end.
    answer: Option<Work<Reply>>,
    /// The client sends no more.
    ended: bool,
}

impl Client {
    async fn run(&mut self) -> io::Result<()> {
        let shutdown = self.services.shutdown.clone();
        loop {
            while self.run_commands()? {
                smol::future::yield_now().await;
            }
            if self.ended && self.answer.is_none() && self.single.is_none() && self.is_idle() {
                return self.connection.flush(0).await;
            }
            match shutdown.guard(self.event()).await {
                None => return self.farewell().await,
                Some(event) => self.take(event?)?,
            }
        }
    }

    /// After the end of input an endless stream is for nobody, but a counted one may be awaited.
    fn is_idle(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.is_endless)
    }

    /// Waits for whatever comes first.
    async fn event(&mut self) -> io::Result<Event> {
        let Self {
            connection,
            input,
            stream,
            single,
            answer,
            ended,
            ..
        } = self;
        let clear = connection.unsent() == 0;
        let busy = answer.is_some();
        let image = async {
            match stream {
                Some(stream) if clear => Ok(Event::Image(stream.images.next().await)),
                _ => pending().await,
            }
        };
        let single = async {
            match single {
                Some(work) if clear => Ok(Event::Single(work.await)),
                _ => pending().await,
            }
        };
        let answer = async {
            match answer {
                Some(work) => Ok(Event::Answer(work.await)),
                None => pending().await,
            }
        };
        let traffic = async {
            if !clear {
                connection.flush(0).await?;
                return Ok(Event::Drained);
            }
            // What is not read is held back by TCP: a client cannot have more under way than one command.
            if busy || *ended {
                return pending().await;
            }
            match connection.receive(None).await? {
                None | Some([]) => Ok(Event::EndOfInput),
                Some(bytes) => {
                    input.push(bytes);
                    Ok(Event::Input)
                }
            }
        };
        // Images first: they are few, and input without end must not keep them.
        image.or(single).or(answer).or(traffic).await
    }

    fn take(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Image(Some(image)) => return self.connection.send(&image.packet),
            Event::Image(None) => self.stream = None,
            Event::Single(image) => {
                self.single = None;
                if let Some(image) = image {
                    return self.connection.send(&image.packet);
                }
            }
            Event::Answer(reply) => {
                self.answer = None;
                if reply.stream.is_some() {
                    self.stream = reply.stream;
                }
                return self.connection.send(&reply.packet);
            }
            Event::EndOfInput => self.ended = true,
            Event::Drained | Event::Input => {}
        }
        Ok(())
    }

    /// Runs what was received, up to a command that has to wait; whether it stopped only to let others run.
    fn run_commands(&mut self) -> io::Result<bool> {
        for _ in 0..TURN {
            if self.answer.is_some() || self.connection.unsent() > OUTPUT_LIMIT {
                return Ok(false);
            }
            let parsed = self
                .input
                .next()
                .map(|packet| Command::parse(packet.text()));
            self.answer_overflows()?;
            match parsed {
                None => return Ok(false),
                Some(Ok(command)) => self.obey(command)?,
                Some(Err(rejection)) => self.say(CamInfo::from(&rejection))?,
            }
        }
        Ok(true)
    }

    /// The camera says of an over-long packet that it is not JSON.
    fn answer_overflows(&mut self) -> io::Result<()> {
        let overflows = self.input.counters().overflows;
        while self.overflows < overflows {
            self.overflows += 1;
            self.services.server_health.count("overlong_messages");
            self.say(CamInfo::from(&Rejection::NotJson))?;
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> io::Result<()> {
        let name = command.name();
        let on_hardware = self.thermal.link_kind() == LinkKind::Hardware;
        match command {
            Command::GetImage => {
                self.stream = None;
                self.single.get_or_insert_with(|| single(&self.thermal));
            }
            Command::StreamOff => {
                self.stream = None;
                self.say(CamInfo::ack(name))?;
            }
            Command::StreamOn(wanted) => self.answer = Some(stream(&self.thermal, wanted)),
            Command::FwUpdateRequest(_) | Command::FwSegment(_) => {
                self.say(CamInfo::from(&Rejection::Unsupported))?;
            }
            Command::GetWifi if on_hardware => self.send(&Response::Wifi(self.wifi()))?,
            // Reading the command checked it.
            Command::SetWifi(_) if on_hardware => self.say(CamInfo::ack(name))?,
            command => self.answer = Some(forward(&self.thermal, command)),
        }
        Ok(())
    }

    /// As the camera leaves the factory: it has no network of its own while it hangs on this board.
    fn wifi(&self) -> Wifi {
        let status = self.thermal.status();
        let name = status
            .as_ref()
            .map_or(NAMELESS, |status| &status.metadata.camera);
        Wifi::factory(name)
    }

    fn say(&mut self, info: CamInfo) -> io::Result<()> {
        self.send(&Response::CamInfo(info))
    }

    fn send(&mut self, response: &Response<'_>) -> io::Result<()> {
        self.connection.send(&encode(response))
    }

    async fn farewell(&mut self) -> io::Result<()> {
        let clock = self.services.clock.clone();
        let flush = self.connection.flush(0);
        clock.timeout(FAREWELL, flush).await.unwrap_or(Ok(()))
    }
}

/// The next image. The camera has no way to say that there is none: neither has this.
fn single(thermal: &Thermal) -> Work<Option<Rc<Image>>> {
    let thermal = thermal.clone();
    Box::pin(async move {
        thermal.wait_connected(HOLD).await;
        let image = thermal.image().await;
        image
            .inspect_err(|error| tracing::debug!(%error, "no image for a client"))
            .ok()
    })
}

fn stream(thermal: &Thermal, wanted: StreamOn) -> Work<Reply> {
    let thermal = thermal.clone();
    Box::pin(async move {
        if !thermal.wait_connected(HOLD).await {
            return info(CamInfo::nack(Name::StreamOn));
        }
        let interest = Interest {
            delay: Duration::from_millis(wanted.delay_msec.into()),
            frames: (wanted.num_frames > 0).then_some(wanted.num_frames),
        };
        let stream = Stream {
            images: thermal.subscribe(interest),
            is_endless: interest.frames.is_none(),
        };
        Reply {
            stream: Some(stream),
            ..info(CamInfo::ack(Name::StreamOn))
        }
    })
}

/// To the camera and back.
fn forward(thermal: &Thermal, command: Command) -> Work<Reply> {
    let thermal = thermal.clone();
    Box::pin(async move {
        let name = command.name();
        thermal.wait_connected(HOLD).await;
        match thermal.request(command).await {
            Ok(response) => Reply {
                packet: encode(&response),
                stream: None,
            },
            Err(TcamError::Refused { info: said, .. }) => info(said),
            Err(error) => {
                tracing::debug!(%error, "a client's command failed");
                info(CamInfo::nack(name))
            }
        }
    })
}

fn info(info: CamInfo) -> Reply {
    Reply {
        packet: encode(&Response::CamInfo(info)),
        stream: None,
    }
}

fn encode(response: &Response<'_>) -> Vec<u8> {
    let mut packet = Vec::new();
    response.write_packet(&mut packet);
    packet
}
