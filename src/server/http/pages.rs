//! What each path answers.

use std::rc::Rc;

use hyper::body::Bytes;
use hyper::{Response, StatusCode};

use super::files::FileBody;
use super::reply::{Body, HTML, content, file, not_found, refusal};
use super::text::percent_decode;
use super::{metrics, page};
use crate::base::error::{Failure, Kind};
use crate::server::services::Services;

/// Shown where a client did not say how it reached the station.
const NAMELESS: &str = "STATION";

/// Answers a GET of `path` from a client that reached the station as `host`.
pub(super) async fn answer(
    services: Rc<Services>,
    path: String,
    host: Option<String>,
) -> Response<Body> {
    let answered = match path.as_str() {
        "/" => Ok(content(HTML, station(&services, host.as_deref()))),
        "/health.json" => health(&services),
        "/metrics" => Ok(content(metrics::KIND, measure(&services).await)),
        "/images" | "/images/" => images(&services).await,
        path => match path.strip_prefix("/images/") {
            Some(name) => image(&services, name).await,
            None => Ok(not_found()),
        },
    };
    answered.unwrap_or_else(|failure| {
        let status = match failure.kind {
            Kind::NotFound | Kind::BadName => StatusCode::NOT_FOUND,
            Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        refusal(status, &failure.message)
    })
}

fn station(services: &Services, host: Option<&str>) -> String {
    let board: serde_json::Value = serde_json::from_str(&services.board).unwrap_or_default();
    page::station(&page::Station {
        identity: &services.identity,
        board: board["name"].as_str().unwrap_or_default(),
        is_simulated: board["simulated"].as_bool().unwrap_or_default(),
        time: services.clock.utc(),
        health: &services.health.reports(None),
        endpoints: services.endpoints.get().map_or(&[], Vec::as_slice),
        sockets: services.websockets.iter().map(|(path, _)| *path).collect(),
        host: host.unwrap_or(NAMELESS),
        images: &services.paths.images,
    })
}

fn health(services: &Services) -> Result<Response<Body>, Failure> {
    let json = serde_json::to_vec(&services.health.reports(None))
        .map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
    Ok(content("application/json", json))
}

async fn measure(services: &Services) -> Bytes {
    let disk = services.ramdisk.clone();
    let usage = services.pool.run(move || disk.usage()).await;
    let text = metrics::text(&metrics::Measured {
        identity: &services.identity,
        health: &services.health.reports(None),
        storage: usage.ok().and_then(Result::ok),
        unfinished_jobs: services.jobs.unfinished().len(),
        resident_bytes: resident_bytes(),
    });
    text.into()
}

/// Resident memory of this process.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

async fn images(services: &Services) -> Result<Response<Body>, Failure> {
    let disk = services.ramdisk.clone();
    let folder = services.paths.images.clone();
    // A long listing is put together where it holds up nobody.
    let list = move || {
        disk.catalog()
            .map(|catalog| page::images(&catalog, &folder))
    };
    let listed = services.pool.run(list).await?;
    let text = listed.map_err(|error| Failure::from_error(error.kind(), &error))?;
    Ok(content(HTML, text))
}

/// A file of the image folder, by its plain name.
async fn image(services: &Services, segment: &str) -> Result<Response<Body>, Failure> {
    let plain = |name: &String| !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    let Some(name) = percent_decode(segment).filter(plain) else {
        return Ok(not_found());
    };
    let kind = kind_of(&name);
    let disk = services.ramdisk.clone();
    let opened = services.pool.run(move || disk.open_file(&name)).await?;
    let stored = opened.map_err(|error| Failure::from_error(error.kind(), &error))?;
    Ok(file(kind, FileBody::new(stored, services.pool.clone())))
}

/// What browsers may show; all else is theirs to save.
fn kind_of(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("png") => "image/png",
        Some("log" | "txt" | "csv" | "toml") => super::reply::TEXT,
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
