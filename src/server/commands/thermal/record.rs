//! `THERmal:RECord`: images to a `.tmjsn` file.

use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use smol::lock::SemaphoreGuardArc;

use super::super::Waiting;
use super::super::system::adopt;
use crate::base::conditions::{Condition, Raised};
use crate::base::error::{Failure, Kind};
use crate::base::jobs::Job;
use crate::scpi::{Args, Error};
use crate::server::commands::files::check_stem;
use crate::server::context::Context;
use crate::server::services::{RECORDINGS, Services};
use crate::store::{NewFile, Reservation, StoreError, disk_size};
use crate::tcam::proto::file::RecordingWriter;
use crate::tcam::proto::spi::MAX_READ;
use crate::tcam::{Image, Interest, Subscription, TcamError};

/// Room for the end of a file.
const END_BYTES: u64 = 512;
/// The camera may be restarted within this time, beyond the time between images.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn record<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let thermal = context.thermal()?;
        let (name, images) = (args.text(0), args.integer(1) as u32);
        let delay = Duration::from_secs_f64(args.optional_real(2).unwrap_or(0.0));
        check_stem("a recording", name)?;
        if !thermal.is_connected() {
            return Err(super::absent(&thermal));
        }
        let services = Rc::clone(&context.services);
        let place = services.recordings.try_acquire_arc().ok_or_else(|| {
            Error::new(-213).with(format!("{RECORDINGS} recordings are being made"))
        })?;
        let path = services.ramdisk.images().join(format!("{name}.tmjsn"));
        let disk = services.ramdisk.clone();
        let open = move || {
            let bytes = u64::from(images) * MAX_READ as u64 + END_BYTES;
            let reservation = disk.reserve(disk_size(bytes))?;
            Ok::<_, StoreError>((NewFile::create(&path)?, reservation))
        };
        let (file, reservation) = services.pool.run(open).await??;
        let job = services.jobs.enter(format!("record {name}"));
        let recording = Recording {
            services,
            job: job.clone(),
            stream: thermal.subscribe(Interest {
                delay,
                frames: Some(images),
            }),
            patience: delay + PATIENCE,
            writer: RecordingWriter::new(),
            images,
            file: Some(file),
            reservation,
            _place: place,
        };
        let measuring = context.services.conditions.raise(Condition::Measuring);
        job.begin();
        context
            .services
            .executor
            .spawn(recording.run(measuring))
            .detach();
        adopt(context, &job);
        Ok(())
    })
}

/// A recording under way.
struct Recording {
    services: Rc<Services>,
    job: Job,
    stream: Subscription,
    patience: Duration,
    writer: RecordingWriter,
    images: u32,
    /// `None` after a write that failed, and while the pool has it.
    file: Option<NewFile>,
    /// Space for the whole file, held to the end.
    reservation: Reservation,
    /// One of the few at a time.
    _place: SemaphoreGuardArc,
}

impl Recording {
    async fn run(mut self, measuring: Raised) {
        let job = self.job.clone();
        let mut result = Ok(());
        while result.is_ok() && self.writer.num_frames() < self.images.into() {
            let aborted = async {
                job.aborted().await;
                Err(Failure::new(Kind::Aborted, "ended by the user"))
            };
            let next = futures_lite::future::or(aborted, self.next()).await;
            result = match next {
                Ok(image) => self.add(&image).await,
                Err(failure) => Err(failure),
            };
        }
        // What was recorded until an abort or a failure of the camera is a whole recording, only shorter.
        let closed = self.close().await;
        drop(measuring);
        job.finish(result.and(closed));
    }

    async fn next(&mut self) -> Result<Rc<Image>, Failure> {
        let clock = self.services.clock.clone();
        let next = clock.timeout(self.patience, self.stream.next()).await;
        let (have, all) = (self.writer.num_frames(), self.images);
        match next {
            Some(Some(image)) => Ok(image),
            Some(None) => Err(TcamError::Stopping.into()),
            None => Err(Failure::new(
                Kind::TimedOut,
                format!(
                    "no image for {} s; {have} of {all} are recorded",
                    self.patience.as_secs()
                ),
            )),
        }
    }

    async fn add(&mut self, image: &Image) -> Result<(), Failure> {
        let metadata = image.metadata().map_err(TcamError::from)?;
        let mut bytes = Vec::with_capacity(image.packet.len());
        self.writer.image(&metadata, image.text(), &mut bytes);
        self.write(bytes).await?;
        let done = self.writer.num_frames() as f64 / f64::from(self.images);
        self.job.progress().set(done);
        Ok(())
    }

    /// Writes on the pool. A file that cannot be written is removed.
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let work = move || match file.write_all(&bytes) {
            Ok(()) => Ok(file),
            Err(error) => Err(StoreError::from_io(&file.path(), error)),
        };
        let written = self.services.pool.run_in_turn(work).await?;
        self.file = Some(written.map_err(failure)?);
        Ok(())
    }

    /// Writes the end and puts the file in place; without an image there is none.
    async fn close(mut self) -> Result<(), Failure> {
        if self.writer.num_frames() == 0 {
            return Ok(());
        }
        let mut end = Vec::new();
        std::mem::take(&mut self.writer).finish(&mut end);
        self.write(end).await?;
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let committed = self
            .services
            .pool
            .run_in_turn(move || file.commit())
            .await?;
        drop(self.reservation);
        committed.map_err(failure)
    }
}

fn failure(error: StoreError) -> Failure {
    Failure::from_error(error.kind(), &error)
}
