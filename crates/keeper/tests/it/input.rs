//! Input that clients write.

use execution_engine::StdinSource;
use execution_engine_journal::Kind;
use execution_engine_keeper::*;
use test_support::soon;
use uuid::Uuid;

use crate::support::*;

fn piece(offset: u64, bytes: &[u8], eof: bool) -> InputPiece {
    InputPiece { writer: "test".into(), offset, bytes: bytes.to_vec(), eof }
}

/// Waits until a program has taken its input up to a place.
async fn until_taken(notices: &Notices, end: u64) {
    soon("the program reads", async {
        loop {
            let notice = notices.next().await.expect("the keeper lives");
            if matches!(notice, Notice::Progress { input, .. } if input >= end) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn input_waits_for_the_program_piece_by_piece_and_is_bounded() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let go = keeper.state.path().join("go");
    let mut spec = shell(format!("until [ -e '{}' ]; do sleep 0.01; done; exec cat", go.display()));
    spec.options.stdin = StdinSource::Piped;
    let id = spec.request.id;
    start_spec(&client, &spec).await;
    let bytes: Vec<u8> =
        (0..2_000_000_u32).map(|number| (number * 7 + number / 251) as u8).collect();
    // From before the end of what was taken, each time: that is not written twice.
    let next = |taken: u64| {
        let begin = taken.saturating_sub(1000);
        let rest = &bytes[begin as usize..];
        let now = &rest[..rest.len().min(100_000)];
        piece(begin, now, now.len() == rest.len())
    };
    let give = async |taken: u64| client.input(id, &next(taken)).await.unwrap().unwrap();
    // More than a pipe holds and a keeper keeps is not taken before the program reads.
    let mut taken = give(0).await;
    for _ in 0..100 {
        taken = give(taken.offset).await;
    }
    assert!(taken.end <= (1 << 20) + 65_536, "{taken:?}");
    std::fs::write(&go, "").unwrap();
    while taken.offset < bytes.len() as u64 {
        until_taken(&notices, taken.end).await;
        taken = give(taken.offset).await;
        assert_eq!(taken.offset, taken.end);
    }
    ended(&notices, id).await;
    assert!(output(&keeper.records(id), Kind::Stdout) == bytes, "bytes are lost or repeated");
    let late = client.input(id, &piece(0, b"x", false)).await;
    assert!(late.is_ok_and(|taken| taken.is_some_and(|taken| taken.offset == 1)), "it is known");
}

#[tokio::test]
async fn input_is_refused_where_nothing_reads_it() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let code = async |id, piece| client.input(id, &piece).await.unwrap_err().code().unwrap();
    assert_eq!(client.input(Uuid::new_v4(), &piece(0, b"x", false)).await.unwrap(), None);
    let other = start(&client, "exec sleep 600").await;
    assert_eq!(code(other, piece(0, b"x", false)).await, ErrorCode::NoInput);
    let mut spec = shell("exec <&-; exec sleep 600");
    spec.options.stdin = StdinSource::Piped;
    let id = spec.request.id;
    start_spec(&client, &spec).await;
    assert_eq!(code(id, piece(3, b"x", false)).await, ErrorCode::InputMoved);
    let mut end = 0;
    let refusal = soon("it reads no more", async {
        loop {
            match client.input(id, &piece(end, b"x", false)).await {
                Ok(taken) => end = taken.unwrap().end,
                Err(error) => return error,
            }
        }
    });
    assert_eq!(refusal.await.code(), Some(ErrorCode::InputClosed));
}
