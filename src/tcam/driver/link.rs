//! An open link: commands out, events in, on whichever wires.
//!
//! ```text
//! network   0x02 image 0x03 ---------------------------> Event::Image
//! hardware  {"image_ready" : V} -> one SPI read of V ---> Event::Image, or Event::Damaged
//! both      any other packet ---------------------------> Event::Response
//! ```
//! The camera says nothing while an announced image waits, for a second at most. So the read starts as soon as the
//! announcement is there, on a thread of the blocking pool, whatever else goes on.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::Task;

use super::{ImageBus, Port};
use crate::base::clock::Clock;
use crate::base::error::Failure;
use crate::base::trace::{Direction, Trace};
use crate::tcam::image::{Image, ImagePool};
use crate::tcam::proto::image::ImageError;
use crate::tcam::proto::packet::Counters;
use crate::tcam::proto::spi::SpiError;
use crate::tcam::proto::{Announcement, Command, Framer, ImageText, Response};

/// How long the camera keeps an announced image.
const OFFER: Duration = Duration::from_millis(1000);
/// Events and reads in a row before others get their turn: a camera that never stops talking must not stop the station.
const TURN: u32 = 16;
/// Room to read into: a third of an image, or more announcements than a second brings.
const READ: usize = 16 * 1024;

/// What a link tells.
#[derive(Debug)]
pub(in crate::tcam) enum Event {
    /// A packet that is no image.
    Response(Response<'static>),
    /// An image that passed every check.
    Image(Rc<Image>),
    /// An image is on its way.
    Announced,
    /// An image came and is no use.
    Damaged(Damage),
    /// A packet that cannot be understood.
    Malformed(String),
}

/// Why an image is no use.
#[derive(Debug, thiserror::Error)]
pub(in crate::tcam) enum Damage {
    /// It did not pass the checks of what comes over SPI.
    #[error(transparent)]
    Spi(#[from] SpiError),
    /// Its text cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The SPI device failed.
    #[error(transparent)]
    Bus(#[from] Failure),
    /// The camera took it back before it was read.
    #[error("the image was fetched {0} ms after its announcement, the camera keeps it for 1000 ms")]
    Late(u128),
    /// The camera announced the next one before it was read.
    #[error("the image was not fetched before the next was announced")]
    Replaced,
}

/// A link to a camera.
pub(in crate::tcam) struct Link {
    port: Port,
    framer: Framer,
    out: Vec<u8>,
    sent: usize,
    images: Option<Images>,
    deaf: bool,
    /// Events and reads since others had their turn.
    taken: u32,
    pool: ImagePool,
    sequence: u64,
    clock: Clock,
    trace: Trace,
}

/// The SPI side of the hardware link.
struct Images {
    /// Away while a read is under way.
    bus: Option<ImageBus>,
    reading: Option<Reading>,
    /// Announced while another image was being read.
    next: Option<(Announcement, Instant)>,
}

struct Reading {
    announcement: Announcement,
    announced_at: Instant,
    /// Its packet is away with the task.
    image: Rc<Image>,
    task: Task<Fetched>,
}

type Fetched = (ImageBus, Vec<u8>, Result<(), Failure>);

enum Step {
    Received,
    Fetched(Fetched),
}

impl Link {
    /// A link on open wires. `images` is there on the hardware link.
    pub(in crate::tcam) fn new(
        port: Port,
        images: Option<ImageBus>,
        clock: Clock,
        trace: Trace,
    ) -> Self {
        let images = images.map(|bus| Images {
            bus: Some(bus),
            reading: None,
            next: None,
        });
        Self {
            port,
            framer: Framer::host(),
            out: Vec::new(),
            sent: 0,
            images,
            deaf: false,
            taken: 0,
            pool: ImagePool::default(),
            sequence: 0,
            clock,
            trace,
        }
    }

    /// Numbers images from here on; a new link goes on where the last one ended.
    pub(in crate::tcam) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Puts a command on its way; [`Link::event`] writes it.
    pub(in crate::tcam) fn submit(&mut self, command: &Command) {
        let start = self.out.len();
        command.write_packet(&mut self.out);
        let text = &self.out[start + 1..self.out.len() - 1];
        self.trace
            .note(Direction::Sent, || String::from_utf8_lossy(text).into());
    }

    /// Forgets what came in, and ignores images until told otherwise.
    pub(in crate::tcam) fn set_deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
        if deaf {
            self.framer.clear();
            if let Some(images) = &mut self.images {
                images.next = None;
            }
        }
    }

    /// What happened to the packets so far.
    pub(in crate::tcam) fn counters(&self) -> Counters {
        self.framer.counters()
    }

    /// Gives memory back when no more images are expected for a while.
    pub(in crate::tcam) fn rest(&mut self) {
        self.pool.release();
    }

    /// Ends the link in order: a camera on the network waits for that.
    pub(in crate::tcam) async fn close(&mut self) {
        let _ = poll_fn(|cx| self.port.as_mut().poll_close(cx)).await;
    }

    /// The next event. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// The device is unplugged, the connection closed.
    pub(in crate::tcam) async fn event(&mut self) -> io::Result<Event> {
        loop {
            self.taken += 1;
            if self.taken >= TURN {
                self.taken = 0;
                futures_lite::future::yield_now().await;
            }
            if let Some(event) = self.take_packet() {
                return Ok(event);
            }
            if let Some(damage) = self.start_reading() {
                return Ok(Event::Damaged(damage));
            }
            match poll_fn(|cx| self.poll_step(cx)).await? {
                Step::Received => {}
                Step::Fetched(fetched) => {
                    if let Some(event) = self.finish_reading(fetched) {
                        return Ok(event);
                    }
                }
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        if let Poll::Ready(Err(error)) = self.poll_out(cx) {
            return Poll::Ready(Err(error));
        }
        let reading = self.images.as_mut().and_then(|i| i.reading.as_mut());
        if let Some(reading) = reading
            && let Poll::Ready(fetched) = Pin::new(&mut reading.task).poll(cx)
        {
            return Poll::Ready(Ok(Step::Fetched(fetched)));
        }
        let space = self.framer.space(READ);
        match self.port.as_mut().poll_read(cx, space) {
            Poll::Ready(Ok(0)) => {
                let text = "the camera closed the connection";
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, text);
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(count)) => {
                self.framer.filled(count);
                Poll::Ready(Ok(Step::Received))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            match self.port.as_mut().poll_write(cx, &self.out[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// The next packet as an event; `None` when there is none, or none that matters.
    fn take_packet(&mut self) -> Option<Event> {
        loop {
            let packet = self.framer.next()?;
            let text = packet.text();
            let response = match Response::decode(text) {
                Ok(response) => response,
                Err(error) => {
                    let shown = || String::from_utf8_lossy(&text[..text.len().min(256)]).into();
                    self.trace.note(Direction::Received, shown);
                    return Some(Event::Malformed(error.to_string()));
                }
            };
            match response {
                Response::Image(_) if self.deaf => {}
                Response::Image(_) => {
                    let mut image = self.pool.take();
                    let unshared = unshared(&mut image);
                    unshared.packet.clear();
                    unshared.packet.extend_from_slice(packet.framed());
                    return Some(self.hand_out(image));
                }
                response => {
                    self.trace.note(Direction::Received, || {
                        String::from_utf8_lossy(text).into_owned()
                    });
                    match (response, &mut self.images) {
                        (Response::ImageReady(_), _) if self.deaf => {}
                        (Response::ImageReady(length), Some(images)) => {
                            return Some(match Announcement::new(length) {
                                // One that still waits to be read is gone on the camera's side.
                                Ok(announcement) => {
                                    let next = (announcement, self.clock.now());
                                    match images.next.replace(next) {
                                        Some(_) => Event::Damaged(Damage::Replaced),
                                        None => Event::Announced,
                                    }
                                }
                                Err(error) => Event::Damaged(error.into()),
                            });
                        }
                        (response, _) => return owned(response).map(Event::Response),
                    }
                }
            }
        }
    }

    /// Starts to read the announced image if the bus is free.
    fn start_reading(&mut self) -> Option<Damage> {
        let images = self.images.as_mut()?;
        let (bus, (announcement, announced_at)) = match (images.bus.take(), images.next.take()) {
            (Some(bus), Some(next)) => (bus, next),
            (bus, next) => {
                (images.bus, images.next) = (bus, next);
                return None;
            }
        };
        let age = self.clock.now().saturating_duration_since(announced_at);
        if age >= OFFER {
            images.bus = Some(bus);
            return Some(Damage::Late(age.as_millis()));
        }
        let mut image = self.pool.take();
        let mut buffer = std::mem::take(&mut unshared(&mut image).packet);
        buffer.resize(announcement.read_len(), 0);
        // Not through the station's own limits: an archive or upload must not keep the image waiting.
        let task = smol::unblock(move || {
            let mut bus = bus;
            let result = (bus.read)(&mut buffer);
            (bus, buffer, result)
        });
        images.reading = Some(Reading {
            announcement,
            announced_at,
            image,
            task,
        });
        None
    }

    fn finish_reading(&mut self, (bus, buffer, result): Fetched) -> Option<Event> {
        let images = self.images.as_mut()?;
        images.bus = Some(bus);
        let mut reading = images.reading.take()?;
        let announcement = reading.announcement;
        unshared(&mut reading.image).packet = buffer;
        let checked = result.map_err(Damage::from).and_then(|()| {
            let packet = announcement.packet(&reading.image.packet)?;
            Ok(packet.len())
        });
        let length = match checked {
            Ok(length) => length,
            Err(damage) => {
                self.pool.keep(reading.image);
                let now = self.clock.now();
                let age = now.saturating_duration_since(reading.announced_at);
                let damage = match age >= OFFER {
                    true => Damage::Late(age.as_millis()),
                    false => damage,
                };
                return Some(Event::Damaged(damage));
            }
        };
        unshared(&mut reading.image).packet.truncate(length);
        if self.deaf {
            self.pool.keep(reading.image);
            return None;
        }
        Some(self.hand_out(reading.image))
    }

    /// Decodes an image whose packet is complete.
    fn hand_out(&mut self, mut image: Rc<Image>) -> Event {
        let length = image.packet.len();
        self.trace
            .note(Direction::Received, || format!("image, {length} bytes"));
        let unshared = unshared(&mut image);
        let text = unshared.packet.get(1..length - 1).unwrap_or_default();
        let read = ImageText::parse(text).and_then(|text| unshared.frame.read(&text));
        unshared.received = self.clock.utc();
        unshared.sequence = self.sequence + 1;
        self.pool.keep(image.clone());
        match read {
            Ok(()) => {
                self.sequence += 1;
                Event::Image(image)
            }
            Err(error) => Event::Damaged(error.into()),
        }
    }
}

fn unshared(image: &mut Rc<Image>) -> &mut Image {
    Rc::get_mut(image).expect("sole owner because the pool gives out images that nobody holds")
}

/// A response that borrows nothing; images do not come here.
fn owned(response: Response<'_>) -> Option<Response<'static>> {
    Some(match response {
        Response::Status(status) => Response::Status(status),
        Response::Config(config) => Response::Config(config),
        Response::Wifi(wifi) => Response::Wifi(wifi),
        Response::CciReg(reg) => Response::CciReg(reg),
        Response::CamInfo(info) => Response::CamInfo(info),
        Response::ImageReady(length) => Response::ImageReady(length),
        Response::Image(_) => return None,
        Response::GetFw(piece) => Response::GetFw(piece),
        Response::VideoInfo(info) => Response::VideoInfo(info),
        Response::Other { key } => Response::Other { key },
    })
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{or, yield_now};
    use futures_lite::io::{AsyncRead, AsyncWrite};
    use jiff::Timestamp;

    use super::*;

    /// A camera that always has something more to say; it says at most this often.
    struct Babbler {
        text: &'static [u8],
        left: u32,
    }

    impl AsyncRead for Babbler {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            buffer[..self.text.len()].copy_from_slice(self.text);
            Poll::Ready(Ok(self.text.len()))
        }
    }

    impl AsyncWrite for Babbler {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_camera_that_never_stops_talking_leaves_others_their_turn() {
        let message = b"\x02{\"cam_info\":{\"info_value\":5,\"info_string\":\"debug\"}}\x03";
        for text in [&message[..], b"junk, and no packet in it"] {
            let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
            let port = Babbler { text, left: 1000 };
            let trace = Trace::new(clock.clone());
            let mut link = Link::new(Box::pin(port), None, clock, trace);
            let listen = async {
                while link.event().await.is_ok() {}
                "the camera fell silent first"
            };
            let others = async {
                for _ in 0..3 {
                    yield_now().await;
                }
                "others had their turns"
            };
            let first = smol::block_on(or(listen, others));
            assert_eq!(first, "others had their turns");
        }
    }
}
