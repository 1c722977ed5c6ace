//! A Tinycloud that can fail in every way: the HTTP side on a thread, the file side as a function.

#[path = "fault.rs"]
mod fault;
#[path = "request.rs"]
mod request;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use md5::{Digest, Md5};
use outpost::base::clock::Clock;
use outpost::store::upload::{Delivery, SendError};

pub use self::fault::Fault;
use self::fault::Place;
use self::request::{Request, read_request};

pub const KEY: &str = "0123456789abcdef0123";
pub const PIN: &str = "4711";
const TICKET: Duration = Duration::from_secs(600);
/// Anything that takes longer is a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server does with a `source_ref` that it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeated {
    #[default]
    NewId,
    SameId,
    Conflict,
}

#[derive(Debug, Default)]
pub struct Ticket {
    pub form: HashMap<String, String>,
    pub status: String,
    until_ms: i64,
    pub uploads: usize,
}

#[derive(Default)]
pub struct State {
    pub tickets: BTreeMap<String, Ticket>,
    pub requests: Vec<String>,
    pub problems: Vec<String>,
    /// How often each (gadget, rdg_no) has arrived in an accepted batch.
    pub rows: BTreeMap<(String, i64), usize>,
    pub repeated: Repeated,
    pub ssh_port: u16,
    pub destination: String,
    /// Where files arrive by SSH; looked at when a status is asked for.
    pub inbox: Option<PathBuf>,
    /// How slow a slow answer or transfer is.
    pub pause: Duration,
    /// Whether it stays slow until it is told otherwise.
    held: bool,
    /// How often it was slow so far.
    pub stalls: usize,
    /// What happens while the next status is looked up.
    pub meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// Every form of a request, in order.
    pub forms: Vec<HashMap<String, String>>,
    faults: HashMap<Place, VecDeque<Fault>>,
    issued: u128,
}

#[derive(Clone)]
pub struct Tinycloud {
    state: Arc<Mutex<State>>,
    /// Told when it becomes slow, and when it may go on.
    pace: Arc<Condvar>,
    address: SocketAddr,
    clock: Clock,
}

impl Tinycloud {
    pub fn start(clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Tinycloud {
            state: Arc::default(),
            pace: Arc::default(),
            address: listener.local_addr().unwrap(),
            clock: clock.clone(),
        };
        server.state().ssh_port = 22;
        server.state().destination = "/quarantine/".into();
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.serve(stream);
            }
        });
        server
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn api(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    pub fn fail_next(&self, fault: Fault) {
        let mut state = self.state();
        state
            .faults
            .entry(fault.place())
            .or_default()
            .push_back(fault);
    }

    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Whether any fault has not struck yet.
    pub fn has_faults(&self) -> bool {
        self.state()
            .faults
            .values()
            .any(|faults| !faults.is_empty())
    }

    /// Rows that arrived, and how many of them more than once.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        let twice = state.rows.values().filter(|&&n| n > 1).count();
        (state.rows.len(), twice)
    }

    /// The next fault of a file's way.
    pub fn take_file_fault(&self) -> Option<Fault> {
        self.take_fault(Place::File)
    }

    /// Takes its time, as it is told to.
    pub fn stall(&self) {
        let pause = {
            let mut state = self.state();
            state.stalls += 1;
            state.pause
        };
        self.pace.notify_all();
        // The slowness itself.
        std::thread::sleep(pause);
        let held = |state: &mut State| state.held;
        drop(self.pace.wait_timeout_while(self.state(), PATIENCE, held));
    }

    /// Whatever is slow from now on stays so until [`release`](Self::release).
    pub fn hold(&self) {
        self.state().held = true;
    }

    pub fn release(&self) {
        self.state().held = false;
        self.pace.notify_all();
    }

    /// Waits until it has been slow more often than `times`.
    pub fn wait_for_stall_after(&self, times: usize) {
        let waiting = |state: &mut State| state.stalls <= times;
        let waited = self
            .pace
            .wait_timeout_while(self.state(), PATIENCE, waiting);
        assert!(
            !waited.unwrap().1.timed_out(),
            "nothing was asked of the server"
        );
    }

    fn take_fault(&self, place: Place) -> Option<Fault> {
        self.state().faults.get_mut(&place)?.pop_front()
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(request) = read_request(&stream) else {
            return;
        };
        self.state().requests.push(request.line.clone());
        if !request.form.is_empty() {
            self.state().forms.push(request.form.clone());
        }
        if let Some((code, body)) = self.answer(&request) {
            let location = if code == 302 {
                "Location: /elsewhere\r\n"
            } else {
                ""
            };
            let head = format!(
                "HTTP/1.1 {code} X\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    }

    /// `None`: the connection is closed without an answer.
    fn answer(&self, request: &Request) -> Option<(u16, String)> {
        let mut parts = request.line.split(' ');
        let (method, path) = (parts.next()?, parts.next()?);
        if method == "POST" && path == "/api/v1/activate/" {
            let known = request.form.get("pin").is_some_and(|pin| pin == PIN);
            return Some(match known && request.form.contains_key("device_id") {
                true => (200, format!("{{\"key\": \"{KEY}\"}}")),
                false => (400, "{}".into()),
            });
        }
        if method == "POST" && path == "/api/v1/quarantine_request/" {
            return self.quarantine(request);
        }
        if let Some(id) = path.strip_prefix("/api/v1/upload_status/") {
            return self.status(request, id.trim_end_matches('/'));
        }
        Some((404, String::new()))
    }

    fn quarantine(&self, request: &Request) -> Option<(u16, String)> {
        let fault = self.take_fault(Place::Request);
        match fault {
            Some(Fault::Request500) => return Some((500, "oops".into())),
            Some(Fault::RequestClosed) => return None,
            Some(Fault::RequestHtml) => return Some((200, "<html>sign in</html>".into())),
            Some(Fault::RequestSlow) => self.stall(),
            Some(Fault::Request409) => return Some((409, "{}".into())),
            Some(Fault::RequestBadTicket) => {
                return Some((200, "{\"batchid\": \"../x\", \"domain\": \"h\"}".into()));
            }
            Some(Fault::Redirect) => return Some((302, String::new())),
            _ => {}
        }
        if request.authorization != format!("Bearer {KEY}")
            || request.form.get("key").is_none_or(|key| key != KEY)
        {
            return Some((403, "{}".into()));
        }
        let wanted = [
            "batch_mode",
            "batch_type",
            "filelist",
            "source_ref",
            "zip_md5",
            "zip_size",
        ];
        if wanted.iter().any(|name| !request.form.contains_key(*name)) {
            return Some((400, "{}".into()));
        }
        let until_ms = (self.clock.utc() + TICKET).as_millisecond();
        let mut state = self.state();
        let same = |ticket: &Ticket| ticket.form["source_ref"] == request.form["source_ref"];
        let known = state
            .tickets
            .iter()
            .find(|(_, t)| same(t))
            .map(|(id, _)| id.clone());
        let id = match (state.repeated, known) {
            (Repeated::Conflict, Some(_)) => return Some((409, "{}".into())),
            (Repeated::SameId, Some(id)) => {
                state.tickets.get_mut(&id).unwrap().until_ms = until_ms;
                id
            }
            _ => {
                state.issued += 1;
                let id = format!("{:032x}", 0x45de_83af_u128 << 96 | state.issued);
                let ticket = Ticket {
                    form: request.form.clone(),
                    status: "Requested".into(),
                    until_ms,
                    uploads: 0,
                };
                state.tickets.insert(id.clone(), ticket);
                id
            }
        };
        let reply = format!(
            "{{\"batchid\": \"{id}\", \"domain\": \"127.0.0.1\", \"port\": {}, \"destination\": \"{}\"}}",
            state.ssh_port, state.destination
        );
        (fault != Some(Fault::RequestReplyLost)).then_some((200, reply))
    }

    fn status(&self, request: &Request, id: &str) -> Option<(u16, String)> {
        let meanwhile = self.state().meanwhile.take();
        if let Some(happen) = meanwhile {
            happen();
        }
        let fault = self.take_fault(Place::Status);
        match fault {
            Some(Fault::Status500) => return Some((500, String::new())),
            Some(Fault::Status404) => return Some((404, String::new())),
            Some(Fault::StatusClosed) => return None,
            Some(Fault::StatusUploading) => {
                return Some((200, "{\"status\": \"Uploading\"}".into()));
            }
            _ => {}
        }
        if request.authorization != format!("Bearer {KEY}") {
            return Some((403, String::new()));
        }
        let inbox = self.state().inbox.clone();
        let file = inbox.map(|inbox| inbox.join(format!("{id}.zip")));
        // A part of a file is nothing yet.
        let whole = |file: &PathBuf| {
            let size = std::fs::metadata(file).map(|data| data.len().to_string());
            let state = self.state();
            let ticket = state.tickets.get(id);
            ticket.is_some_and(|ticket| size.is_ok_and(|size| ticket.form["zip_size"] == size))
        };
        if let Some(file) = file.filter(whole) {
            self.arrived(id, &file);
            std::fs::remove_file(&file).unwrap();
        }
        if fault == Some(Fault::StatusRejected) {
            self.reject(id);
        }
        match self.state().tickets.get(id) {
            Some(ticket) => Some((200, format!("{{\"status\": \"{}\"}}", ticket.status))),
            None => Some((404, String::new())),
        }
    }

    /// Only what has arrived can be rejected; its rows do not count then.
    fn reject(&self, id: &str) {
        let mut state = self.state();
        if let Some(ticket) = state.tickets.get_mut(id)
            && ticket.uploads > 0
        {
            ticket.status = "Rejected".into();
        }
    }

    /// The file side's stand-in.
    pub fn take_file(&self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        let failed = |text: &str| SendError::Failed(text.into());
        assert_eq!(delivery.user, KEY);
        assert_eq!(delivery.folder, format!("/quarantine/{KEY}/inbox/"));
        let id = delivery.ticket.batchid.clone();
        assert_eq!(
            delivery.file.file_name().unwrap().to_str().unwrap(),
            format!("{id}.zip")
        );
        let now = self.clock.utc().as_millisecond();
        let good = self
            .state()
            .tickets
            .get(&id)
            .is_some_and(|ticket| now < ticket.until_ms);
        match self.take_fault(Place::File) {
            _ if !good => return Err(SendError::PasswordRefused),
            Some(Fault::PasswordRefused) => return Err(SendError::PasswordRefused),
            Some(Fault::CutAfterHalf) => return Err(failed("Connection reset by peer")),
            Some(Fault::NoSpace) => return Err(failed("No space left on device")),
            Some(Fault::HostKeyChanged) => {
                return Err(SendError::HostKeyChanged {
                    domain: "127.0.0.1".into(),
                    known_hosts: "known_hosts".into(),
                });
            }
            Some(Fault::AckLost) => {
                self.arrived(&id, delivery.file);
                return Err(failed("Connection reset by peer"));
            }
            _ => {}
        }
        self.arrived(&id, delivery.file);
        Ok(())
    }

    /// Looks a whole file through, as the server does after its last byte.
    pub fn arrived(&self, id: &str, file: &Path) {
        let bytes = std::fs::read(file).unwrap();
        let md5: String = Md5::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let mut state = self.state();
        let State {
            tickets,
            problems,
            rows,
            ..
        } = &mut *state;
        let ticket = tickets.get_mut(id).unwrap();
        ticket.uploads += 1;
        let mut expect = |what: &str, good: bool| {
            if !good {
                problems.push(format!("{id}: {what}"));
            }
        };
        expect(
            "zip_size",
            ticket.form["zip_size"] == bytes.len().to_string(),
        );
        expect("zip_md5", ticket.form["zip_md5"] == md5);
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
        let names: Vec<String> = zip
            .file_names()
            .map(|name| name.unwrap().into_owned())
            .collect();
        expect("filelist", names.join(",") == ticket.form["filelist"]);
        let mut csv = String::new();
        zip.by_index(0).unwrap().read_to_string(&mut csv).unwrap();
        let mut lines = csv.split("\r\n").filter(|line| !line.is_empty());
        expect(
            "headings",
            lines
                .next()
                .is_some_and(|line| line.starts_with("rdg_no,timestamp,gadget_id,")),
        );
        // An overwrite under the same id is the same batch.
        if ticket.uploads == 1 {
            ticket.status = "Unprocessed".into();
            for line in lines {
                let fields: Vec<&str> = line.split(',').collect();
                expect("45 columns", fields.len() == 45);
                let row = (fields[2].to_owned(), fields[0].parse().unwrap());
                *rows.entry(row).or_default() += 1;
            }
        }
    }
}
