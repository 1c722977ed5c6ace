//! `/msp1000` on the HTTP port: the spectrometer's commands in messages, and news without being asked.
//!
//! | message of the client | answer |
//! |---|---|
//! | `get_exposure`, `get_calibration`, `take_spectrum` | the reply's line, as text |
//! | `get_spectrum` | binary: `spectrum:` and 7388 bytes |
//! | `set_exposure<ms>`, `set_cal<c1>,<c2>,<c3>,<c4>` | an event, sent to every client |
//! | `control?` | `{"control":"yes"}` or `"no"`, with `holder` and `since` |
//! | `take_control`, `release_control` | the same |
//! | anything else | `{"event":"error","command":...,"error":...}` |
//!
//! Events are JSON objects with `event`: `exposure`, `calibration`, `control`, `control_lost`, `connection`, `error`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use futures_lite::future::{or, pending};
use serde_json::{Value, json};
use smol::channel::Receiver;

use super::{Answer, Desk};
use crate::msp1000::proto::{Command, Reply};
use crate::msp1000::{Frame, Notice, SpectrometerError};
use crate::server::http::{Message, WebSocket};
use crate::server::services::Services;

/// Messages that may wait for the end of an exposure; a client that sends more waits itself.
const MAX_PENDING: usize = 32;
/// As much of a client's words as an error repeats.
const SHOWN: usize = 60;

type Work =
    Pin<Box<dyn Future<Output = (Desk, Command, Result<Option<Answer>, SpectrometerError>)>>>;

/// Serves a WebSocket until it ends.
pub fn serve(socket: WebSocket, services: Rc<Services>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let Some(spectrometer) = services.spectrometer.clone() else {
            return socket.close().await;
        };
        let name = format!("websocket {}", socket.peer());
        let (client, notices) = spectrometer.listening_client(name);
        let mut session = Session {
            socket,
            notices,
            desk: Some(Desk::new(client)),
            work: None,
            waiting: VecDeque::new(),
        };
        match session.run().await {
            Ok(()) => session.socket.close().await,
            Err(error) => tracing::debug!(%error, "connection ended"),
        }
    })
}

struct Session {
    socket: WebSocket,
    notices: Receiver<Notice>,
    /// `None` while a command has it.
    desk: Option<Desk>,
    work: Option<Work>,
    waiting: VecDeque<Message>,
}

enum Event {
    Message(Option<Message>),
    Done(Desk, Command, Result<Option<Answer>, SpectrometerError>),
    Notice(Notice),
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        loop {
            while let Some(desk) = self.desk.take() {
                match self.waiting.pop_front() {
                    Some(message) => self.begin(desk, message).await?,
                    None => {
                        self.desk = Some(desk);
                        break;
                    }
                }
            }
            match self.event().await? {
                Event::Message(Some(message)) => self.waiting.push_back(message),
                Event::Message(None) => return Ok(()),
                Event::Notice(notice) => self.say(&json!(notice)).await?,
                Event::Done(desk, command, result) => {
                    self.work = None;
                    self.desk = Some(desk);
                    self.finish(command, result).await?;
                }
            }
        }
    }

    async fn event(&mut self) -> io::Result<Event> {
        let Self {
            socket,
            notices,
            work,
            waiting,
            ..
        } = self;
        let done = async {
            match work {
                Some(work) => {
                    let (desk, command, result) = work.await;
                    Ok(Event::Done(desk, command, result))
                }
                None => pending().await,
            }
        };
        let notice = async {
            match notices.recv().await {
                Ok(notice) => Ok(Event::Notice(notice)),
                Err(_) => pending().await,
            }
        };
        let message = async {
            match waiting.len() < MAX_PENDING {
                true => socket.receive().await.map(Event::Message),
                false => pending().await,
            }
        };
        or(done, or(notice, message)).await
    }

    /// Begins with a message: commands for the instrument take their time, all else is done at once.
    async fn begin(&mut self, desk: Desk, message: Message) -> io::Result<()> {
        let text = match &message {
            Message::Text(text) => text.trim(),
            Message::Binary(_) => "",
        };
        desk.client.touch();
        match text {
            "take_control" => desk.client.take_control(),
            "release_control" => desk.client.release_control(),
            _ => {}
        }
        if let "control?" | "take_control" | "release_control" = text {
            let control = control(&desk);
            self.desk = Some(desk);
            return self.say(&control).await;
        }
        match Command::parse(text.as_bytes()) {
            Ok(command) => {
                let mut desk = desk;
                self.work = Some(Box::pin(async move {
                    let result = desk.obey(command).await;
                    (desk, command, result)
                }));
                Ok(())
            }
            Err(error) => {
                self.desk = Some(desk);
                let command: String = text.chars().take(SHOWN).collect();
                self.complain(&command, &error).await
            }
        }
    }

    async fn finish(
        &mut self,
        command: Command,
        result: Result<Option<Answer>, SpectrometerError>,
    ) -> io::Result<()> {
        match result {
            Ok(Some(Answer::Line(reply))) => self.socket.send(Message::Text(line(&reply))).await,
            Ok(Some(Answer::Frame(frame))) => self.send_frame(&frame).await,
            Ok(None) => Ok(()),
            Err(error) => self.complain(command.word(), &error).await,
        }
    }

    async fn send_frame(&mut self, frame: &Frame) -> io::Result<()> {
        let mut message = b"spectrum:".to_vec();
        frame.raw.write_le_bytes(&mut message);
        self.socket.send(Message::Binary(message.into())).await
    }

    async fn complain(&mut self, command: &str, error: &dyn std::error::Error) -> io::Result<()> {
        let error = error.to_string();
        self.say(&json!({"event": "error", "command": command, "error": error}))
            .await
    }

    async fn say(&mut self, value: &Value) -> io::Result<()> {
        self.socket.send(Message::Text(value.to_string())).await
    }
}

/// A reply without the end of its line.
fn line(reply: &Reply) -> String {
    let mut line = Vec::new();
    reply.encode(&mut line);
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

fn control(desk: &Desk) -> Value {
    let answer = match desk.client.has_control() {
        true => "yes",
        false => "no",
    };
    let holder = desk.spectrometer().holder();
    json!({
        "control": answer,
        "holder": holder.as_ref().map(|holder| &holder.name),
        "since": holder.as_ref().map(|holder| holder.since),
    })
}
