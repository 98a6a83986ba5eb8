//! A place between a verb and the service, for what happens between two requests.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use uuid::Uuid;

use crate::support::{Host, PATIENCE, until};

/// Passes requests on, but for those to hold, and answers.
pub(crate) struct Proxy {
    path: PathBuf,
    held: Receiver<Sender<()>>,
    /// The requests that were answered.
    answered: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Creates one that holds each request whose head begins with a text.
    pub(crate) fn holding(host: &Host, head: String) -> Self {
        // Another one of the same test may be there.
        let path = host.dir().join(format!("proxy-{}.sock", Uuid::new_v4().simple()));
        let listener = UnixListener::bind(&path).unwrap();
        let service = host.socket();
        let (sender, held) = mpsc::channel();
        let sender = Arc::new(Mutex::new(sender));
        // It ends with the test: nothing connects then.
        let answered = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&answered);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&service).unwrap());
                let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let asked = Arc::new(Mutex::new(String::new()));
                let (question, all) = (Arc::clone(&asked), Arc::clone(&all));
                thread::spawn(move || {
                    pass_on(answers.0, answers.1, |_| {
                        all.lock().unwrap().push(question.lock().unwrap().clone());
                    });
                });
                let (head, sender) = (head.clone(), Arc::clone(&sender));
                thread::spawn(move || {
                    pass_on(client, server, |bytes| {
                        *asked.lock().unwrap() = String::from_utf8_lossy(bytes).into_owned();
                        if bytes.starts_with(head.as_bytes()) {
                            let (go, wait) = mpsc::channel();
                            let _ended = sender.lock().unwrap().send(go);
                            let _dropped: Result<(), _> = wait.recv();
                        }
                    });
                });
            }
        });
        Self { path, held, answered }
    }

    /// Returns a command line of the program that asks here.
    pub(crate) fn command(&self, host: &Host, args: &[&str]) -> Command {
        let mut command = host.command(args);
        command.env("EXENG_SOCKET", &self.path);
        command
    }

    /// Waits for a request that is held. It is passed on when what this returns is dropped.
    pub(crate) fn held(&self) -> Sender<()> {
        self.held.recv_timeout(PATIENCE).expect("a request is held")
    }

    /// Waits until a request whose head begins with a text is answered.
    pub(crate) fn answered(&self, head: &str) {
        until("it is answered", || {
            self.answered.lock().unwrap().iter().any(|request| request.starts_with(head))
        });
    }
}

/// Passes on what is read until its end, and gives it to a function before.
fn pass_on(mut from: UnixStream, mut to: UnixStream, before: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        before(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(Shutdown::Write);
}
