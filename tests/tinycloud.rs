//! Batches and uploads against a Tinycloud of our own: HTTP here, files by a stand-in or by a real `sshd`.

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
#[path = "tinycloud/sshd.rs"]
mod sshd;
