//! Records of output that lies in an object, as readers of each version take them.

use bytes::Bytes;
use ciborium::Value;
use execution_engine_fleet::{
    MAX_PART_BYTES, Output, OutputObject, RecordError, Stream, decode, encode,
};

fn output(size: u64) -> Output {
    let object = OutputObject { name: "x/7/1".to_owned(), size, sha256: [7; 32] };
    Output {
        attempt: 1,
        fence: 7,
        from: 100,
        missed: Vec::new(),
        runs: vec![(Stream::Stdout, 5), (Stream::Stderr, u32::try_from(size).unwrap() - 5)],
        bytes: Bytes::new(),
        object: Some(object),
        started: None,
    }
}

#[test]
fn a_record_names_the_object_with_its_bytes() {
    for size in [6, MAX_PART_BYTES as u64] {
        let output = output(size);
        assert_eq!(decode::<Output>(&encode(&output).unwrap()).unwrap(), output);
    }
}

/// The version before objects knows no field `object`, and passes over it.
#[test]
fn an_earlier_reader_counts_the_bytes_of_an_object_as_missing() {
    let bytes = encode(&output(6)).unwrap();
    let mut fields: Vec<(Value, Value)> =
        ciborium::from_reader::<Value, _>(&bytes[1..]).unwrap().into_map().unwrap();
    fields.retain(|(name, _)| name.as_text() != Some("object"));
    let mut seen = vec![bytes[0]];
    ciborium::into_writer(&Value::Map(fields), &mut seen).unwrap();
    // It ignores the record, and what follows tells that there is a gap.
    let error = decode::<Output>(&seen).unwrap_err();
    assert!(matches!(error, RecordError::Invalid { field: "runs", .. }), "{error}");
}

#[test]
fn an_object_of_no_size_or_beside_bytes_is_no_record() {
    let mut cases = vec![
        (output(MAX_PART_BYTES as u64 + 1), "object.size"),
        (Output { bytes: Bytes::from_static(b"123456"), ..output(6) }, "bytes"),
        (Output { runs: vec![(Stream::Stdout, 5)], ..output(6) }, "runs"),
    ];
    let mut empty = Output { runs: Vec::new(), ..output(6) };
    empty.object.as_mut().unwrap().size = 0;
    cases.push((empty, "object.size"));
    for (output, name) in cases {
        let error = encode(&output).unwrap_err();
        assert!(matches!(error, RecordError::Invalid { field, .. } if field == name), "{error}");
    }
}
