//! The program run away from the machine's settings, and a tiny station for it to talk with.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

/// Runs the program away from the settings of the machine and its user.
pub fn outpost(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(arguments)
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env_remove("HOME")
        .output()
        .unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code, standard output, standard error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = outpost(arguments);
    let code = output.status.code();
    let code = code.unwrap_or_else(|| panic!("{}: {}", output.status, stderr(&output)));
    (code, stdout(&output), stderr(&output))
}

pub fn said(code: i32, out: &str, err: &str) -> (i32, String, String) {
    (code, out.into(), err.into())
}

/// A station that serves one connection: `answer` gives the reply to a message, `Err` an entry of the error queue.
pub fn station(
    mut answer: impl FnMut(&str) -> Result<Option<Vec<u8>>, &'static str> + Send + 'static,
) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut errors = Vec::new();
        let mut messages = Vec::new();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let reply = match line.as_str() {
                "SYST:VERS?" => Some(b"1999.0\n".to_vec()),
                "SYST:ERR?" if errors.is_empty() => Some(b"0,\"No error\"\n".to_vec()),
                "SYST:ERR?" => Some(format!("{}\n", errors.remove(0)).into_bytes()),
                message => answer(message).unwrap_or_else(|error| {
                    errors.push(error);
                    None
                }),
            };
            messages.push(line);
            if let Some(reply) = reply {
                writer.write_all(&reply).unwrap();
            }
        }
        messages
    });
    (port, thread)
}

pub fn block(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.len().to_string();
    let mut reply = format!("#{}{digits}", digits.len()).into_bytes();
    reply.extend_from_slice(bytes);
    reply.push(b'\n');
    reply
}
