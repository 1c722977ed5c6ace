//! The work done here, where no station runs.

use std::fs;

use crate::app::cloud::{open_store, settings, this_device};
use crate::base::clock::Clock;
use crate::cli::Failure;
use crate::cloud::{DISABLED, LastBatching, LastPass, Report, Survey};
use crate::config::Loaded;
use crate::store::readings::{ClockState, StoreHandle};
use crate::store::upload::{Api, Pass, Scope, UploadError, UploadSettings, Uploader, register};

/// The settings; the database is opened when it is needed.
pub(super) struct Direct<'a>(pub(super) &'a Loaded);

impl Direct<'_> {
    fn settings(&self) -> UploadSettings {
        settings(self.0)
    }

    /// Whether there have been readings yet: looking must not make a database.
    fn has_readings(&self) -> bool {
        self.0.config.opc.database.exists()
    }

    pub(super) fn register(&self, pin: &str) -> Result<(), Failure> {
        let settings = self.settings();
        let file = &settings.key_file;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let registered = Api::new(&settings.api)
            .map_err(UploadError::from)
            .and_then(|api| register(&api, &this_device(), pin, file));
        registered.map(drop).map_err(|error| told(&error))
    }

    pub(super) fn batch(&self) -> Result<LastBatching, Failure> {
        let time = Clock::real().utc();
        let result = match self.has_readings() {
            true => self.with_uploader(|uploader, clock| uploader.make_batches(clock))?,
            false => Ok(Vec::new()),
        };
        Ok(LastBatching::new(time, &self.settings(), &result))
    }

    pub(super) fn upload(&self) -> Result<LastPass, Failure> {
        self.check_enabled()?;
        let result = match self.has_readings() {
            true => self.with_uploader(|uploader, _| uploader.pass(Scope::All))?,
            false => Ok(Pass::default()),
        };
        Ok(LastPass::new(Clock::real().utc(), &result))
    }

    pub(super) fn requeue(&self, reference: &str) -> Result<(), Failure> {
        self.check_enabled()?;
        self.with_uploader(|uploader, _| uploader.requeue(reference))?
            .map_err(|error| told(&error))
    }

    pub(super) fn mark_sent(&self) -> Result<u64, Failure> {
        if !self.has_readings() {
            return Ok(0);
        }
        self.with_uploader(|uploader, _| uploader.mark_sent())?
            .map_err(|error| told(&error))
    }

    pub(super) fn report(&self) -> Result<Report, Failure> {
        let survey = match self.has_readings() {
            true => self.with_store(|store, _| store.call_blocking(Survey::take))?,
            false => Ok(Survey::default()),
        };
        let survey = survey.map_err(|error| told(&error))?;
        let enabled = self.0.config.tinycloud.enabled;
        Ok(Report::at_rest(enabled, &self.settings(), survey))
    }

    fn check_enabled(&self) -> Result<(), Failure> {
        match self.0.config.tinycloud.enabled {
            true => Ok(()),
            false => Err(Failure::Failed(DISABLED.into())),
        }
    }

    fn with_uploader<T>(
        &self,
        work: impl FnOnce(&mut Uploader, &ClockState) -> T,
    ) -> Result<T, Failure> {
        self.with_store(|store, clock| {
            let mut uploader = Uploader::new(self.settings(), store.clone(), Clock::real());
            work(&mut uploader, clock)
        })
    }

    fn with_store<T>(
        &self,
        work: impl FnOnce(&StoreHandle, &ClockState) -> T,
    ) -> Result<T, Failure> {
        let (store, clock) = open_store(self.0).map_err(|error| told(&error))?;
        let done = work(&store.handle(), &clock);
        store.close();
        Ok(done)
    }
}

fn told(error: &dyn std::error::Error) -> Failure {
    let failure = crate::base::error::Failure::from_error(crate::base::error::Kind::Storage, error);
    Failure::Failed(failure.message)
}
