//! `MMEMory` subtree, `SRV:ARCHV` and `SRV:PATH`: files on the RAM disk.

use std::ops::ControlFlow;
use std::rc::Rc;

use super::system::adopt;
use super::{Handler, Row, Waiting, store_row};
use crate::base::conditions::Condition;
use crate::base::error::{Failure, Kind as FailureKind};
use crate::base::jobs::Job;
use crate::scpi::{Args, Error, Kind, Param};
use crate::server::context::{Context, Tail};
use crate::server::services::Services;
use crate::store::{ArchiveOptions, MAX_STEM_BYTES, StoreError, create_archive, is_plain_stem};

const NAME: &[Param] = &[Param::new("name", Kind::Text { max: 4096 })];
const ARCHIVE: &[Param] = &[
    Param::new("folder", Kind::Text { max: 4096 }),
    Param::new("file", Kind::Text { max: 4096 }),
    Param::new("compress", Kind::Bool),
    Param::new("multicore", Kind::Bool),
    Param::new("suppress_parents", Kind::Bool),
];

/// A definite-length block has nine digits for its length.
const BLOCK_LIMIT: u64 = 999_999_999;

pub(super) const ROWS: &[Row] = &[
    store_row(
        "MMEMory:CATalog?",
        &[],
        "used,free,\"name,type,size\",... of the image folder, in bytes",
        Handler::Later(catalog),
    ),
    store_row(
        "MMEMory:DATA?",
        NAME,
        "a file as a block",
        Handler::Later(data),
    ),
    store_row(
        "MMEMory:DELete",
        NAME,
        "delete a file",
        Handler::Later(delete),
    ),
    store_row(
        "MMEMory:FREE?",
        &[],
        "free,used of the RAM disk, in bytes",
        Handler::Later(free),
    ),
    store_row(
        "SRV:ARCHV",
        ARCHIVE,
        "tar a folder of the RAM disk; an overlapped operation",
        Handler::Later(archive),
    ),
    store_row(
        "SRV:PATH:RDDIR?",
        &[],
        "folder of the RAM disk",
        Handler::Now(|c, _| path(c, |p| &p.ramdisk)),
    ),
    store_row(
        "SRV:PATH:IMDIR?",
        &[],
        "image folder",
        Handler::Now(|c, _| path(c, |p| &p.images)),
    ),
    store_row(
        "SRV:PATH:SDDIR?",
        &[],
        "folder on the SD card; a label only",
        Handler::Now(|c, _| path(c, |p| &p.sdcard)),
    ),
];

fn catalog<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let disk = context.services.ramdisk.clone();
        let work = move || Ok::<_, StoreError>((disk.usage()?, disk.catalog()?));
        let (usage, catalog) = context.services.pool.run(work).await??;
        context.reply.integer(usage.used).integer(usage.free);
        for entry in catalog.entries {
            context.reply.string(&format!(
                "{},{},{}",
                entry.name,
                entry.kind.mnemonic(),
                entry.size
            ));
        }
        if catalog.omitted > 0 {
            let error =
                Error::new(-223).with(format!("{} more files are not listed", catalog.omitted));
            context.session.status.borrow_mut().error(error);
        }
        Ok(())
    })
}

fn data<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (disk, name) = (context.services.ramdisk.clone(), args.text(0).to_owned());
        let file = context
            .services
            .pool
            .run(move || disk.open_file(&name))
            .await??;
        if file.size > BLOCK_LIMIT {
            let detail = format!(
                "{} bytes, a block has at most {BLOCK_LIMIT}: fetch it by scp",
                file.size
            );
            return Err(Error::new(-223).with(detail));
        }
        context.reply.block_header(file.size);
        context.tail = Some(Tail::File(file));
        Ok(())
    })
}

fn delete<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (disk, name) = (context.services.ramdisk.clone(), args.text(0).to_owned());
        Ok(context
            .services
            .pool
            .run(move || disk.delete(&name))
            .await??)
    })
}

fn free<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let disk = context.services.ramdisk.clone();
        let usage = context.services.pool.run(move || disk.usage()).await??;
        context.reply.integer(usage.free).integer(usage.used);
        Ok(())
    })
}

fn path(
    context: &mut Context,
    which: fn(&crate::server::LegacyPaths) -> &String,
) -> Result<(), Error> {
    let services = context.services.clone();
    context.reply.string(which(&services.paths));
    Ok(())
}

fn archive<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (disk, folder) = (context.services.ramdisk.clone(), args.text(0).to_owned());
        context
            .services
            .pool
            .run(move || disk.resolve(&folder))
            .await??;
        let options = ArchiveOptions {
            compress: args.bool(2),
            multicore: args.bool(3),
            suppress_parents: args.bool(4),
        };
        let job = start_archive(&context.services, args.text(0), args.text(1), options);
        adopt(context, &job);
        Ok(())
    })
}

/// Starts writing an archive of a folder.
pub(in crate::server) fn start_archive(
    services: &Rc<Services>,
    folder: &str,
    file: &str,
    options: ArchiveOptions,
) -> Job {
    let job = services.jobs.enter(format!("archive {file}"));
    let services = services.clone();
    let running = job.clone();
    let executor = services.executor.clone();
    let (folder, file) = (folder.to_owned(), file.to_owned());
    let work = async move {
        let _archiving = services.conditions.raise(Condition::Archiving);
        running.begin();
        let result = write_archive(&services, &running, folder, file, options).await;
        running.finish(result);
    };
    executor.spawn(work).detach();
    job
}

async fn write_archive(
    services: &Services,
    job: &Job,
    folder: String,
    file: String,
    options: ArchiveOptions,
) -> Result<(), Failure> {
    let (disk, progress) = (services.ramdisk.clone(), job.progress());
    let shutdown = services.shutdown.clone();
    let work = move || {
        create_archive(&disk, &folder, &file, options, &mut |at| {
            progress.set(at.bytes_done as f64 / at.bytes_total.max(1) as f64);
            match progress.is_aborted() || shutdown.is_given() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    };
    match services.archives.run(work).await? {
        Ok(_) => Ok(()),
        Err(error) if job.is_aborted() => Err(Failure::from_error(FailureKind::Aborted, &error)),
        Err(error) => Err(Failure::from_error(error.kind(), &error)),
    }
}

/// Refuses the name of a file to be written that is not the beginning of a plain file name; `whose` begins the sentence.
pub(super) fn check_stem(whose: &str, name: &str) -> Result<(), Error> {
    match is_plain_stem(name) {
        true => Ok(()),
        false => Err(Error::new(-257).with(format!(
            "{whose}'s name has 1 to {MAX_STEM_BYTES} letters, digits and ._-+=#, and no dot first"
        ))),
    }
}
