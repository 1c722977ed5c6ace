//! `PARTicle:BATCh` and `PARTicle:UPLoad`: readings on their way to the cloud.

use super::system::adopt;
use super::{Handler, Row, Waiting, row};
use crate::base::error::Failure;
use crate::base::jobs::Job;
use crate::cloud::Cloud;
use crate::scpi::{Args, Error, Kind, Param};
use crate::server::context::Context;

const fn cloud_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("tinycloud", header, params, help, handler)
}

pub(super) const ROWS: &[Row] = &[
    cloud_row(
        "PARTicle:BATCh",
        &[],
        "make batches of the readings that are in none yet, also while uploads are disabled; an overlapped operation",
        Handler::Now(batch),
    ),
    cloud_row(
        "PARTicle:UPLoad",
        &[],
        "upload every batch that waits, at once; an overlapped operation that fails if any batch does",
        Handler::Now(upload),
    ),
    cloud_row(
        "PARTicle:UPLoad:STATe?",
        &[],
        "batches that wait, what the last pass did, and when the next comes, as JSON",
        Handler::Later(state),
    ),
    cloud_row(
        "PARTicle:UPLoad:REQueue",
        &[Param::new("batch", Kind::Text { max: 100 })],
        "upload a batch again that the server rejected; an overlapped operation",
        Handler::Now(requeue),
    ),
    cloud_row(
        "PARTicle:UPLoad:REGister",
        &[Param::new("pin", Kind::Text { max: 100 })],
        "exchange a pin of the cloud's web page for the station's key, from the station itself alone; an overlapped \
         operation",
        Handler::Now(register),
    ),
];

impl Context {
    /// Batches and uploads, or -241.
    fn cloud(&self) -> Result<Cloud, Error> {
        let cloud = self.services.cloud.clone();
        cloud
            .ok_or_else(|| Error::new(-241).with("the particle counter and the cloud are disabled"))
    }
}

fn start(
    context: &mut Context,
    order: impl FnOnce(&Cloud) -> Result<Job, Failure>,
) -> Result<(), Error> {
    let job = order(&context.cloud()?)?;
    adopt(context, &job);
    Ok(())
}

fn batch(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    start(context, Cloud::batch)
}

fn upload(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    start(context, Cloud::upload)
}

fn requeue(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    start(context, |cloud| cloud.requeue(args.text(0)))
}

/// Whoever registers the station decides whose account gets its readings: not for everybody on the network.
fn register(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    if !context.session.is_local {
        return Err(Error::new(-203).with("registering is for programs on the station itself"));
    }
    start(context, |cloud| cloud.register(args.text(0)))
}

fn state<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let report = context.cloud()?.report().await?;
        context.json(&report)
    })
}
