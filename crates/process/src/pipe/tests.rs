//! Reading and writing pipes on tokio: what readiness means.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::task::Poll;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn pipe(flags: PipeFlags) -> (PipeReader, OwnedFd) {
    let flags = flags | PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (read, write) = pipe_with(flags).unwrap();
    (PipeReader::new(read), write)
}

/// Reads once, into an empty buffer.
async fn read(pipe: &mut PipeReader) -> Vec<u8> {
    let mut buffer = Vec::new();
    let found = timeout(PATIENCE, poll_fn(|cx| pipe.poll_read(cx, &mut buffer))).await;
    assert_eq!(found.expect("waited too long").unwrap(), buffer.len());
    buffer
}

async fn is_pending(pipe: &mut PipeReader) -> bool {
    poll_fn(|cx| Poll::Ready(pipe.poll_read(cx, &mut Vec::new()).is_pending())).await
}

#[tokio::test]
async fn new_data_is_reported_each_time_and_so_is_the_end() {
    let (mut pipe, end) = pipe(PipeFlags::empty());
    pipe.register().unwrap();
    for _ in 0..3 {
        assert!(is_pending(&mut pipe).await);
        rustix::io::write(&end, b"x").unwrap();
        assert_eq!(read(&mut pipe).await, b"x");
    }
    drop(end);
    assert_eq!(read(&mut pipe).await, b"");
}

#[tokio::test]
async fn an_end_that_is_reported_with_the_data_before_it_is_not_lost() {
    for bytes in [1, 3 * rustix::param::page_size()] {
        let (mut pipe, end) = pipe(PipeFlags::empty());
        rustix::io::write(&end, &vec![b'x'; bytes]).unwrap();
        drop(end);
        assert_eq!(read(&mut pipe).await.len(), bytes);
        assert_eq!(read(&mut pipe).await, b"");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn each_packet_of_a_pipe_of_packets_is_read_without_another_report() {
    let (mut pipe, end) = pipe(PipeFlags::DIRECT);
    let page = vec![b'x'; rustix::param::page_size()];
    for packet in [&page[..], b"a", &page, b"b"] {
        rustix::io::write(&end, packet).unwrap();
    }
    for packet in [&page[..], b"a", &page, b"b"] {
        assert_eq!(read(&mut pipe).await, packet);
    }
    assert!(is_pending(&mut pipe).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn packets_behind_other_output_are_read_without_another_report() {
    let (mut pipe, end) = pipe(PipeFlags::empty());
    let output = vec![b'x'; 3 * rustix::param::page_size()];
    rustix::io::write(&end, &output).unwrap();
    rustix::fs::fcntl_setfl(&end, rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::NONBLOCK)
        .unwrap();
    rustix::io::write(&end, b"a").unwrap();
    rustix::io::write(&end, b"b").unwrap();
    assert_eq!(read(&mut pipe).await, [&output[..], b"a"].concat());
    assert_eq!(read(&mut pipe).await, b"b");
    assert!(is_pending(&mut pipe).await);
}

#[tokio::test]
async fn a_read_that_does_not_wait_needs_no_report() {
    let (mut pipe, end) = pipe(PipeFlags::empty());
    let mut buffer = Vec::new();
    assert_eq!(pipe.read_now(&mut buffer).unwrap(), ReadNow::Empty);
    rustix::io::write(&end, b"now").unwrap();
    assert_eq!(pipe.read_now(&mut buffer).unwrap(), ReadNow::Data(3));
    drop(end);
    assert_eq!(pipe.read_now(&mut buffer).unwrap(), ReadNow::End);
    assert_eq!(buffer, b"now");
}

#[tokio::test]
async fn all_that_is_written_is_read_by_the_traits_of_tokio() {
    let (mut reader, end) = pipe(PipeFlags::empty());
    let mut writer = PipeWriter::new(end);
    // Several pipes full, but not so much that the pipe grows: another test counts those.
    let text: Vec<u8> = (0..300_000).map(|index: u32| index.to_le_bytes()[1]).collect();
    let mut read = Vec::new();
    let write = async {
        writer.write_all(&text).await.unwrap();
        drop(writer);
    };
    let both = async { tokio::join!(write, reader.read_to_end(&mut read)) };
    timeout(PATIENCE, both).await.expect("waited too long").1.unwrap();
    assert!(read == text);
}

#[tokio::test]
async fn a_write_without_a_reader_fails() {
    let (reader, end) = pipe(PipeFlags::empty());
    let mut writer = PipeWriter::new(end);
    drop(reader);
    let written = writer.write_all(b"x").await;
    assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
}
