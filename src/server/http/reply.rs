//! Answers: status, kind of content, body, and the headers that keep browsers from doing more than showing them.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::files::FileBody;

/// Bytes at hand, or a file that is read while it is sent.
pub(super) type Body = Either<Full<Bytes>, FileBody>;

/// Plain text for people.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// A page.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// Sent with every answer. The pages hold no script and name no other place, and none may be made to.
const GUARDS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// An answer with its content.
pub(super) fn content(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    with_body(kind, Either::Left(Full::new(body.into())))
}

/// An answer whose content is a file.
pub(super) fn file(kind: &'static str, body: FileBody) -> Response<Body> {
    with_body(kind, Either::Right(body))
}

/// A refusal that says why, in one sentence.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = content(TEXT, format!("{why}\n"));
    *response.status_mut() = status;
    response
}

/// No such page.
pub(super) fn not_found() -> Response<Body> {
    refusal(
        StatusCode::NOT_FOUND,
        "there is no such page; / lists what there is",
    )
}

/// Headers alone.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

fn with_body(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
