//! Batches and uploads, on schedule and on demand: what makes the store's uploader work.
//!
//! The uploader blocks, so each piece of its work runs on a thread of its own, one at a time. What it knows is in the
//! database; a station that ends anywhere is taken up there at its next start.

mod actor;
mod report;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{self, Sender};

use crate::base::clock::Clock;
use crate::base::conditions::{Condition, Conditions, Raised};
use crate::base::error::{Failure, Kind};
use crate::base::health::Health;
use crate::base::jobs::{Job, Jobs};
use crate::base::orders::{self, Refused};
use crate::base::shutdown::Shutdown;
use crate::base::trace::Trace;
use crate::store::readings::{ClockState, StoreHandle};
use crate::store::upload::UploadSettings;

use actor::Actor;
pub use report::{LastBatching, LastPass, MadeBatch, OpenBatch, Report, Survey, UploadedBatch};

/// Commands that may wait.
const ORDERS: usize = 8;

/// How batches and uploads are run.
pub struct Options {
    /// Whether they run on schedule. Batches are made by command in any case.
    pub enabled: bool,
    /// The uploader's settings.
    pub upload: UploadSettings,
    /// Between batches.
    pub batch_interval: Duration,
    /// Between passes over the batches, when nothing calls for an earlier one.
    pub upload_interval: Duration,
    /// What this machine is registered as.
    pub device_id: String,
    /// What is known of the time.
    pub clock_state: Box<dyn Fn() -> ClockState>,
}

/// What is needed of the station.
pub struct Station {
    /// Time.
    pub clock: Clock,
    /// For the bit of an upload.
    pub conditions: Conditions,
    /// Own entry in the health book.
    pub health: Health,
    /// Exchanges with the server.
    pub trace: Trace,
    /// Commands become jobs.
    pub jobs: Jobs,
    /// Told when the station stops.
    pub shutdown: Shutdown,
    /// The readings.
    pub store: StoreHandle,
}

/// The way to batches and uploads. Main thread only; clones are alike.
#[derive(Clone)]
pub struct Cloud(Rc<Shared>);

struct Shared {
    jobs: Jobs,
    conditions: Conditions,
    health: Health,
    store: StoreHandle,
    upload: UploadSettings,
    enabled: bool,
    orders: Sender<Order>,
    state: RefCell<report::State>,
}

/// What is to be done.
#[derive(Debug, Clone)]
enum Work {
    /// Batches of what is new.
    Batch,
    /// A pass over all batches that are not at their end.
    Upload,
    /// A pass over those whose time has come.
    UploadDue,
    /// A rejected batch back into the queue.
    Requeue(String),
    /// A pin for a gateway key.
    Register(String),
}

struct Order {
    work: Work,
    job: Job,
    /// OPER 9, from the command on.
    _uploading: Option<Raised>,
}

impl Cloud {
    /// The handle, and what runs it. The future ends after `station.shutdown`: what is on its way is cut short, and
    /// resumed at the next start.
    pub fn new(options: Options, station: Station) -> (Self, impl Future<Output = ()> + use<>) {
        let (orders, inbox) = channel::bounded(ORDERS);
        let cloud = Cloud(Rc::new(Shared {
            jobs: station.jobs.clone(),
            conditions: station.conditions.clone(),
            health: station.health.clone(),
            store: station.store.clone(),
            upload: options.upload.clone(),
            enabled: options.enabled,
            orders,
            state: RefCell::default(),
        }));
        let actor = Actor::new(options, station, inbox, Rc::downgrade(&cloud.0));
        (cloud, actor.run())
    }

    /// Makes batches of what is new. Works also when uploads are disabled.
    ///
    /// # Errors
    /// Too many commands wait.
    pub fn batch(&self) -> Result<Job, Failure> {
        self.order("batch readings", Work::Batch)
    }

    /// Takes every batch as far as it goes, whatever its waiting time.
    ///
    /// # Errors
    /// Uploads are disabled, or too many commands wait.
    pub fn upload(&self) -> Result<Job, Failure> {
        self.check_enabled()?;
        self.order("upload batches", Work::Upload)
    }

    /// Puts a rejected batch back in the queue.
    ///
    /// # Errors
    /// Uploads are disabled, or too many commands wait.
    pub fn requeue(&self, source_ref: &str) -> Result<Job, Failure> {
        self.check_enabled()?;
        let name = format!("queue {source_ref} again");
        self.order(&name, Work::Requeue(source_ref.to_owned()))
    }

    /// Exchanges a pin for a gateway key, which is kept in the key file.
    ///
    /// # Errors
    /// No server is configured, or too many commands wait.
    pub fn register(&self, pin: &str) -> Result<Job, Failure> {
        if self.0.upload.api.api.is_empty() {
            return Err(Failure::new(Kind::Absent, "tinycloud.api is not set"));
        }
        self.order("register the station", Work::Register(pin.to_owned()))
    }

    /// Batches and times now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn report(&self) -> Result<Report, Failure> {
        let survey = self.0.store.call(Survey::take).await;
        let survey = survey.map_err(|error| Failure::from_error(error.kind(), &error))?;
        let state = self.0.state.borrow();
        Ok(Report::new(self.0.enabled, &self.0.upload, survey, &state))
    }

    fn check_enabled(&self) -> Result<(), Failure> {
        match self.0.enabled {
            true => Ok(()),
            false => Err(Failure::new(Kind::Absent, DISABLED)),
        }
    }

    fn order(&self, name: &str, work: Work) -> Result<Job, Failure> {
        let uploading = matches!(work, Work::Upload);
        let job = self.0.jobs.enter(name);
        let order = Order {
            work,
            job: job.clone(),
            _uploading: uploading.then(|| self.0.conditions.raise(Condition::Uploading)),
        };
        let put = orders::put(&self.0.orders, &self.0.health, order);
        put.map_err(|error| {
            self.0.jobs.forget(&job);
            match error {
                Refused::Full(waiting) => {
                    let text = format!("{waiting} commands for batches and uploads already wait");
                    Failure::new(Kind::Busy, text)
                }
                Refused::Stopping => Failure::new(Kind::Aborted, "the station is stopping"),
            }
        })?;
        Ok(job)
    }
}

/// The refusal where uploads are switched off.
pub const DISABLED: &str = "uploads are disabled: tinycloud.enabled is false";
