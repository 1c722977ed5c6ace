//! Batches and uploads against a Tinycloud of our own: HTTP here, files by a stand-in or by a real `sshd`.

// Each test program uses its own part.
#[allow(dead_code)]
#[path = "tinycloud/server.rs"]
mod server;
#[path = "tinycloud/support.rs"]
mod support;

#[path = "tinycloud/batches.rs"]
mod batches;
#[path = "tinycloud/exactly_once.rs"]
mod exactly_once;
#[path = "tinycloud/faults.rs"]
mod faults;
#[path = "tinycloud/ssh.rs"]
mod ssh;
#[allow(dead_code)]
#[path = "tinycloud/sshd.rs"]
mod sshd;
#[path = "tinycloud/tls.rs"]
mod tls;
