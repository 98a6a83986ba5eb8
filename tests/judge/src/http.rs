//! As much HTTP/1.1 over a unix socket as the judges need, written from the standard.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes that is not a stream.
const PATIENCE: Duration = Duration::from_secs(120);

/// The socket of a service.
#[derive(Debug, Clone)]
pub struct Socket {
    path: PathBuf,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Reads the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
}

impl Socket {
    /// Names a socket; it need not be there.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Connects for one request after the other.
    pub fn connect(&self) -> io::Result<Connection> {
        let stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(stream) })
    }

    /// Sends one request on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        self.connect()?.request(method, target, headers, body)
    }

    /// Gets a resource.
    pub fn get(&self, target: &str) -> io::Result<Answer> {
        self.request("GET", target, &[], None)
    }

    /// Follows the events of an execution behind a cursor. `None` says that there is none behind it.
    pub fn events(&self, id: &str, after: u64) -> io::Result<Option<Events>> {
        let mut connection = self.connect()?;
        let target = format!("/v1/executions/{id}/events?after={after}");
        connection.send("GET", &target, &[], None)?;
        let head = connection.head()?;
        match head.status {
            204 => Ok(None),
            200 => Ok(Some(Events { body: BufReader::new(connection.body(&head)?) })),
            status => {
                let mut text = String::new();
                connection.body(&head)?.read_to_string(&mut text)?;
                Err(io::Error::other(format!("status {status}: {text}")))
            }
        }
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<UnixStream>,
}

#[derive(Debug)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Connection {
    /// Sends a request and reads the whole answer.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        self.send(method, target, headers, body)?;
        let head = self.head()?;
        let mut body = Vec::new();
        if head.status != 204 {
            Body { framing: Framing::of(&head)?, reader: &mut self.reader }
                .read_to_end(&mut body)?;
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<()> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.reader.get_mut().write_all(request.as_bytes())
    }

    fn head(&mut self) -> io::Result<Head> {
        let first = line(&mut self.reader)?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("no status line: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut self.reader)?;
            if line.is_empty() {
                return Ok(Head { status, headers });
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| invalid(format!("no header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
    }

    fn body(self, head: &Head) -> io::Result<Body<BufReader<UnixStream>>> {
        Ok(Body { framing: Framing::of(head)?, reader: self.reader })
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Reads a line without its end. The end of the connection is an error: the service died.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_string()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[derive(Debug)]
enum Framing {
    /// Bytes left of the body.
    Length(u64),
    /// Bytes left of the chunk; None before its header.
    Chunked(Option<u64>),
    Ended,
}

impl Framing {
    fn of(head: &Head) -> io::Result<Self> {
        if header(&head.headers, "transfer-encoding") == Some("chunked") {
            return Ok(Self::Chunked(None));
        }
        let length = header(&head.headers, "content-length").and_then(|text| text.parse().ok());
        length.map(Self::Length).ok_or_else(|| invalid("a body without a length".to_string()))
    }
}

/// The body of an answer. It ends early only with an error, so what was read without one is whole.
#[derive(Debug)]
struct Body<R> {
    framing: Framing,
    reader: R,
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunked(None) = self.framing {
            let size = line(&mut self.reader)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|error| invalid(error.to_string()))?;
            self.framing = if size == 0 {
                line(&mut self.reader)?;
                Framing::Ended
            } else {
                Framing::Chunked(Some(size))
            };
        }
        let left = match &mut self.framing {
            Framing::Ended | Framing::Length(0) => return Ok(0),
            Framing::Length(left) | Framing::Chunked(Some(left)) => left,
            Framing::Chunked(None) => unreachable!("its header was read"),
        };
        if into.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(into.len());
        let read = self.reader.read(&mut into[..most])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        *left -= read as u64;
        if *left == 0 && matches!(self.framing, Framing::Chunked(_)) {
            line(&mut self.reader)?;
            self.framing = Framing::Chunked(None);
        }
        Ok(read)
    }
}

/// Events of an execution, as they arrive.
#[derive(Debug)]
pub struct Events {
    body: BufReader<Body<BufReader<UnixStream>>>,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id, from which one goes on behind it.
    pub cursor: u64,
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: Value,
}

impl Events {
    /// Waits for the next event; `None` at the end of the stream.
    ///
    /// Fails if the service dies. An event that did not arrive whole is not returned.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        let (mut cursor, mut name, mut data) = (None, String::new(), None::<String>);
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(text) = line.strip_prefix("id:") {
                let id = text.trim().parse().map_err(|_| invalid(format!("no cursor: {text}")))?;
                cursor = Some(id);
            } else if let Some(text) = line.strip_prefix("event:") {
                name = text.trim().to_string();
            } else if let Some(text) = line.strip_prefix("data:") {
                let text = text.strip_prefix(' ').unwrap_or(text);
                data = Some(data.map_or_else(|| text.to_string(), |all| format!("{all}\n{text}")));
            } else if line.is_empty() {
                // A comment that keeps the connection alive has no data.
                let Some(text) = data.take() else { continue };
                let data = serde_json::from_str(&text)?;
                let cursor = cursor.ok_or_else(|| invalid(format!("no cursor: {name} {text}")))?;
                return Ok(Some(Event { cursor, name, data }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(framing: Framing, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        Body { framing, reader: bytes }.read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn bodies_are_whole_or_an_error() {
        assert_eq!(body(Framing::Length(3), b"abcd").unwrap(), b"abc");
        assert_eq!(body(Framing::Length(3), b"ab").unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let chunks = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(body(Framing::Chunked(None), chunks).unwrap(), b"abc");
        for end in 0..chunks.len() {
            let kind = body(Framing::Chunked(None), &chunks[..end]).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::UnexpectedEof, "{end}");
        }
    }
}
