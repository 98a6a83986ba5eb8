//! The one request to the monitoring port of a server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;

/// Returns `true` if a server says that it serves, JetStream included.
pub(crate) async fn is_healthy(address: &str, port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, ask).await;
    answer.is_ok_and(|answer| {
        answer.is_ok_and(|text| text.lines().next().unwrap_or("").contains(" 200 "))
    })
}
