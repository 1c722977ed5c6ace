//! `SPECtrometer` subtree: the MSP1000. Exposure and calibration are the instrument's and shared; dark, averaging and
//! smoothing belong to the connection.

mod measure;
mod save;
mod setting;

use std::rc::Rc;

use smol::channel::{self, Receiver, Sender};

use self::measure::{Measurement, Recipe};
use super::system::adopt;
use super::{Handler, Row, Waiting, row};
use crate::base::error::{Failure, Kind as FailureKind};
use crate::base::jobs::Job;
use crate::msp1000::proto::{Dark, PeakFinder, Smoothing};
use crate::msp1000::{Client, Spectrometer};
use crate::scpi::{Args, Error, Kind, Param, Range};
use crate::server::context::Context;

const fn spectrometer_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("msp1000", header, params, help, handler)
}

/// Rows of this subtree that measure; settings are in a file of their own.
const MEASURING: &[Row] = &[
    spectrometer_row(
        "SPECtrometer:LIST?",
        &[],
        "instruments that announce themselves or are in use, as JSON; 3.5 s where listening is on demand",
        Handler::Later(list),
    ),
    spectrometer_row(
        "SPECtrometer:STATus?",
        &[],
        "link, settings, control, last frame and this connection's processing, as JSON",
        Handler::Now(status),
    ),
    spectrometer_row(
        "SPECtrometer:CONNect",
        &[],
        "connect now instead of at the next try",
        Handler::Now(connect),
    ),
    spectrometer_row(
        "SPECtrometer:MEASure?",
        &[],
        "a new spectrum: mean of AVERage frames, less bias and dark, smoothed; block of 3648 little-endian f32, counts",
        Handler::Later(measure),
    ),
    spectrometer_row(
        "SPECtrometer:ACQuire",
        &[],
        "the same for SPECtrometer:DATA?; an overlapped operation",
        Handler::Now(acquire),
    ),
    spectrometer_row(
        "SPECtrometer:DATA?",
        &[],
        "this connection's last spectrum, as MEASure? has it",
        Handler::Now(data),
    ),
    spectrometer_row(
        "SPECtrometer:RAW?",
        &[],
        "a new frame as it is read out: block of 3694 little-endian u16",
        Handler::Later(raw),
    ),
    spectrometer_row(
        "SPECtrometer:WAVelength?",
        &[],
        "wavelength of each of the 3648 pixels in nm: block of little-endian f64",
        Handler::Later(wavelengths),
    ),
    spectrometer_row(
        "SPECtrometer:PEAKs?",
        &[],
        "lines in a new spectrum, as JSON",
        Handler::Later(peaks),
    ),
    spectrometer_row(
        "SPECtrometer:SAVE",
        &[
            Param::new("name", Kind::Text { max: 255 }),
            Param::new("format", Kind::Choice(&["CSV", "NPY", "PNG"])),
        ],
        "write this connection's last spectrum, or a new one, to a file in the image folder",
        Handler::Later(save::save),
    ),
    spectrometer_row(
        "SPECtrometer:DARK",
        &[],
        "take the dark that is subtracted from now on, of AVERage frames: no light, please",
        Handler::Later(take_dark),
    ),
    spectrometer_row(
        "SPECtrometer:DARK?",
        &[],
        "whether this connection has a dark",
        Handler::Now(has_dark),
    ),
    spectrometer_row(
        "SPECtrometer:DARK:CLEar",
        &[],
        "subtract no dark",
        Handler::Now(clear_dark),
    ),
];

pub(super) const TABLES: [&[Row]; 2] = [MEASURING, setting::ROWS];

/// A connection's part in the spectrometer.
pub(in crate::server) struct Bench {
    client: Rc<Client>,
    dark: Option<Rc<Dark>>,
    average: u32,
    smoothing: Smoothing,
    last: Option<Rc<Measurement>>,
    acquisition: Option<Job>,
    /// Closed when the connection has ended.
    presence: (Sender<()>, Receiver<()>),
}

impl Bench {
    /// Back to one frame without dark and smoothing. What is shared stays: it is not this connection's alone.
    pub(in crate::server) fn reset(&mut self) {
        self.dark = None;
        self.average = setting::AVERAGE.2 as u32;
        self.smoothing = Smoothing::Off;
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            average: self.average,
            dark: self.dark.clone(),
            smoothing: self.smoothing,
        }
    }
}

impl Context {
    /// The spectrometer, or -241.
    fn spectrometer(&self) -> Result<Spectrometer, Error> {
        let spectrometer = self.services.spectrometer.clone();
        spectrometer.ok_or_else(|| Error::new(-241).with("the spectrometer is disabled"))
    }

    /// This connection's part in it; with that the connection is one of its clients.
    fn bench<T>(&self, use_it: impl FnOnce(&mut Bench) -> T) -> Result<T, Error> {
        let spectrometer = self.spectrometer()?;
        let mut bench = self.session.spectrometer.borrow_mut();
        let bench = bench.get_or_insert_with(|| {
            let peer = self.session.peer;
            let peer = peer.map_or_else(String::new, |peer| format!(" {peer}"));
            Bench {
                client: Rc::new(spectrometer.client(format!("scpi{peer}"))),
                dark: None,
                average: setting::AVERAGE.2 as u32,
                smoothing: Smoothing::Off,
                last: None,
                acquisition: None,
                presence: channel::bounded(1),
            }
        });
        bench.client.touch();
        Ok(use_it(bench))
    }

    fn spectrometer_client(&self) -> Result<Rc<Client>, Error> {
        self.bench(|bench| bench.client.clone())
    }

    /// A new spectrum, kept as the connection's last.
    async fn measure(&self) -> Result<Rc<Measurement>, Error> {
        let (client, recipe) = self.bench(|bench| (bench.client.clone(), bench.recipe()))?;
        let measured = recipe.measure(&client, |_| {}).await?;
        let measured = Rc::new(measured);
        self.bench(|bench| bench.last = Some(measured.clone()))?;
        Ok(measured)
    }
}

fn list<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let list = context.spectrometer()?.list().await;
        context.json(&list)
    })
}

fn status(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.spectrometer()?.report();
    let mut report = serde_json::json!(report);
    let session = context.session.clone();
    if let Some(bench) = &*session.spectrometer.borrow() {
        let dark = bench.dark.as_ref().map(|dark| {
            serde_json::json!({
                "exposure_ms": dark.exposure_ms(),
                "taken": dark.time(),
                "serial": dark.serial(),
            })
        });
        report["connection"] = serde_json::json!({
            "control": bench.client.has_control(),
            "average": bench.average,
            "smoothing": setting::words(bench.smoothing),
            "dark": dark,
        });
    }
    context.json(&report)
}

fn connect(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.spectrometer()?.connect();
    Ok(())
}

fn measure<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let measured = context.measure().await?;
        context.reply.block(&measured.f32_le());
        Ok(())
    })
}

fn data(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let last = context.bench(|bench| bench.last.clone())?;
    let none =
        || Error::new(-230).with("this connection has no spectrum yet: SPEC:MEAS? or SPEC:ACQ");
    context.reply.block(&last.ok_or_else(none)?.f32_le());
    Ok(())
}

fn acquire(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let spectrometer = context.spectrometer()?;
    if !spectrometer.is_connected() {
        return Err(spectrometer.absence().into());
    }
    let busy = |bench: &mut Bench| {
        let running = bench.acquisition.as_ref();
        running.is_some_and(|job| !job.state().is_over())
    };
    if context.bench(busy)? {
        return Err(Error::new(-213).with("this connection is acquiring a spectrum"));
    }
    let (client, recipe) = context.bench(|bench| (bench.client.clone(), bench.recipe()))?;
    let presence = context.bench(|bench| bench.presence.1.clone())?;
    let jobs = &context.services.jobs;
    let job = jobs.enter(format!("acquire {} spectra", recipe.average));
    context.bench(|bench| bench.acquisition = Some(job.clone()))?;
    job.begin();
    let session = Rc::downgrade(&context.session);
    let running = job.clone();
    let work = async move {
        let result = run(&running, &client, &recipe, &presence).await;
        drop(client);
        let result = result.map(|measured| {
            if let Some(session) = session.upgrade()
                && let Some(bench) = &mut *session.spectrometer.borrow_mut()
            {
                bench.last = Some(Rc::new(measured));
            }
        });
        running.finish(result);
    };
    context.services.executor.spawn(work).detach();
    adopt(context, &job);
    Ok(())
}

/// Measures until it is told to end, or its connection has ended: nobody is left to fetch the result then, and the
/// client's control must not last until the end of an exposure.
async fn run(
    job: &Job,
    client: &Client,
    recipe: &Recipe,
    presence: &Receiver<()>,
) -> Result<Measurement, Failure> {
    let aborted = async {
        job.aborted().await;
        Err(Failure::new(FailureKind::Aborted, "ended by the user"))
    };
    let left = async {
        let _ = presence.recv().await;
        job.abort();
        let text = "its connection has ended";
        Err(Failure::new(FailureKind::Aborted, text))
    };
    let progress = job.progress();
    let measured = recipe.measure(client, |done| progress.set(done));
    let ended = futures_lite::future::or(aborted, left);
    futures_lite::future::or(ended, measured).await
}

fn raw<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let frame = context.spectrometer_client()?.take().await?;
        let mut bytes = Vec::new();
        frame.raw.write_le_bytes(&mut bytes);
        context.reply.block(&bytes);
        Ok(())
    })
}

fn wavelengths<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let calibration = context.spectrometer()?.calibration().await?;
        let wavelengths = calibration.wavelengths_nm();
        let bytes: Vec<u8> = wavelengths.iter().flat_map(|nm| nm.to_le_bytes()).collect();
        context.reply.block(&bytes);
        Ok(())
    })
}

fn peaks<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let measured = context.measure().await?;
        let found = PeakFinder::default().find(&measured.values, &measured.calibration);
        let found = found.map_err(|error| Error::new(-221).with(error.to_string()))?;
        let json = |peak: &crate::msp1000::proto::Peak| {
            serde_json::json!({
                "pixel": peak.pixel,
                "position_pixel": peak.position,
                "wavelength_nm": peak.wavelength_nm,
                "height_counts": peak.height,
                "prominence_counts": peak.prominence,
                "fwhm_nm": peak.fwhm_nm,
            })
        };
        let peaks: Vec<_> = found.iter().map(json).collect();
        context.json(&peaks)
    })
}

fn take_dark<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (client, recipe) = context.bench(|bench| (bench.client.clone(), bench.recipe()))?;
        let dark = Rc::new(recipe.dark(&client).await?);
        context.bench(|bench| bench.dark = Some(dark))
    })
}

fn has_dark(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.spectrometer()?;
    let session = context.session.clone();
    let bench = session.spectrometer.borrow();
    let has = bench.as_ref().is_some_and(|bench| bench.dark.is_some());
    context.reply.boolean(has);
    Ok(())
}

fn clear_dark(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.bench(|bench| bench.dark = None)
}

/// A word with its parameter types, for rows of both files.
const fn whole(min: f64, max: f64) -> Kind {
    Kind::Integer {
        range: Range::Plain(min, max),
        unit: None,
    }
}
