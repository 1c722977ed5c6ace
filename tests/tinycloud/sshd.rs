//! The file side of Tinycloud: a real `sshd` on loopback, behind a door that can fail.
//!
//! The user and password that Tinycloud asks for are no account of this machine, so every connection gets an `sshd`
//! (in its one-connection mode) that sees account files of the test's own, in a mount namespace of its own. That
//! takes root and an installed server; elsewhere the tests say so and pass.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{Fault, KEY, Tinycloud};

const SSHD: &str = "/usr/sbin/sshd";
/// What a client sends before the file, and a little less than that.
const GREETING_BYTES: usize = 4000;
/// A whole file on loopback takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn is_possible() -> bool {
    let isolated = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "none", "/run"])
        .output();
    let reason = if !Path::new(SSHD).exists() {
        "no OpenSSH server installed"
    } else if !isolated.is_ok_and(|output| output.status.success()) {
        "no right to make a mount namespace"
    } else if Command::new("openssl").arg("version").output().is_err() {
        "no openssl to hash a password"
    } else {
        return true;
    };
    println!("skipped: {reason}");
    false
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key, in place of one that is there.
pub fn new_host_key(folder: &Path, name: &str) {
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path));
}

/// One door to the folder that files arrive in.
#[derive(Clone)]
struct Door {
    server: Tinycloud,
    folder: PathBuf,
    password: Option<&'static str>,
}

/// Serves SSH for `server` until the test's process ends.
pub fn serve(server: &Tinycloud, folder: PathBuf, password: Option<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inbox = folder.join("quarantine").join(KEY).join("inbox");
    fs::create_dir_all(&inbox).unwrap();
    {
        let mut state = server.state();
        state.ssh_port = listener.local_addr().unwrap().port();
        state.destination = format!("{}/", folder.join("quarantine").display());
        state.inbox = Some(inbox);
    }
    for name in ["host_key", "other_key"] {
        if !folder.join(name).exists() {
            new_host_key(&folder, name);
        }
    }
    let config = "UsePAM no\nPasswordAuthentication yes\nPermitRootLogin yes\nPubkeyAuthentication no\n\
         StrictModes no\nPidFile none\nPrintMotd no\nSubsystem sftp internal-sftp\n";
    fs::write(folder.join("sshd_config"), config).unwrap();
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(
        folder.join("passwd"),
        format!("{accounts}{KEY}:x:0:0::/tmp:/bin/sh\n"),
    )
    .unwrap();
    let door = Door {
        server: server.clone(),
        folder,
        password,
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // One after the other: they share the account files.
            door.let_in(client);
        }
    });
}

impl Door {
    fn let_in(&self, client: TcpStream) {
        let fault = self.server.take_file_fault();
        let Some((id, size)) = self.expected() else {
            return;
        };
        let word = match (fault, self.password) {
            (Some(Fault::PasswordRefused), _) => "expired",
            (_, Some(word)) => word,
            _ => &id,
        };
        let (inside, mut child) = self.sshd(word, fault);
        let half = GREETING_BYTES + size / 2;
        let file = self.folder.join("quarantine").join(KEY).join("inbox");
        let file = file.join(format!("{id}.zip"));
        let mute = (fault == Some(Fault::AckLost)).then_some(half);
        let (mut from, mut to) = (inside.try_clone().unwrap(), client.try_clone().unwrap());
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = sent.clone();
        let back = std::thread::spawn(move || {
            copy(&mut from, &mut to, |_| {
                mute.is_none_or(|mute| seen.load(std::sync::atomic::Ordering::SeqCst) < mute)
            });
        });
        if fault == Some(Fault::AckLost) {
            cut_when_whole(file, size, &client);
        }
        let (mut from, mut to) = (client.try_clone().unwrap(), inside.try_clone().unwrap());
        let mut slow = fault == Some(Fault::SlowTransfer);
        copy(&mut from, &mut to, |n| {
            let before = sent.fetch_add(n, std::sync::atomic::Ordering::SeqCst);
            if slow && before + n > half {
                slow = false;
                self.server.stall();
            }
            !(fault == Some(Fault::CutAfterHalf) && before + n > half)
        });
        let _ = client.shutdown(Shutdown::Both);
        let _ = inside.shutdown(Shutdown::Both);
        back.join().unwrap();
        child.wait().unwrap();
    }

    /// The newest ticket without a file: its id, and the file's size.
    fn expected(&self) -> Option<(String, usize)> {
        let state = self.server.state();
        let mut tickets = state.tickets.iter().rev();
        let (id, ticket) = tickets.find(|(_, ticket)| ticket.uploads == 0)?;
        Some((id.clone(), ticket.form["zip_size"].parse().unwrap()))
    }

    /// A server for one connection, and the way to it.
    fn sshd(&self, word: &str, fault: Option<Fault>) -> (TcpStream, Child) {
        let hash = run(Command::new("openssl").args(["passwd", "-6", word]));
        let shadow = format!(
            "root:*:19000:0:99999:7:::\n{KEY}:{}:19000:0:99999:7:::\n",
            hash.trim()
        );
        fs::write(self.folder.join("shadow"), shadow).unwrap();
        let key = match fault {
            Some(Fault::HostKeyChanged) => "other_key",
            _ => "host_key",
        };
        let full = match fault {
            Some(Fault::NoSpace) => {
                format!("mount -t tmpfs -o size=4k none quarantine/{KEY}/inbox &&")
            }
            _ => String::new(),
        };
        let folder = self.folder.display();
        let script = format!(
            "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && cd {folder} && mount --bind passwd /etc/passwd && \
             mount --bind shadow /etc/shadow && {full} exec {SSHD} -i -f sshd_config -h {folder}/{key}"
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inside = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let input = OwnedFd::from(listener.accept().unwrap().0);
        let output = input.try_clone().unwrap();
        let child = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null())
            .spawn();
        (inside, child.unwrap())
    }
}

/// Ends the client's connection once the file is there, which the other program's `scp` writes: nobody tells of it here.
fn cut_when_whole(file: PathBuf, size: usize, client: &TcpStream) {
    let client = client.try_clone().unwrap();
    std::thread::spawn(move || {
        let end = Instant::now() + PATIENCE;
        let whole = || fs::metadata(&file).is_ok_and(|data| data.len() == size as u64);
        while !whole() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// Passes bytes on for as long as `go_on` wants, which is asked before each piece.
fn copy(from: &mut TcpStream, to: &mut TcpStream, mut go_on: impl FnMut(usize) -> bool) {
    let mut piece = [0; 2048];
    while let Ok(n) = from.read(&mut piece) {
        if n == 0 {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        if !go_on(n) || to.write_all(&piece[..n]).is_err() {
            return;
        }
    }
}
