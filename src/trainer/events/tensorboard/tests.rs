use std::fs;

use super::*;
use crate::trainer::events::Events;

/// What a reader that knows nothing of the writer finds in one record.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    wall_time: f64,
    step: u64,
    file_version: String,
    values: Vec<(String, u32)>,
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message by number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            wire => {
                let len = match wire {
                    1 => 8,
                    2 => varint(&mut bytes) as usize,
                    5 => 4,
                    wire => panic!("wire type {wire}"),
                };
                let (content, rest) = bytes.split_at(len);
                bytes = rest;
                Field::Bytes(content)
            }
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn decode(record: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    for field in fields(record) {
        match field {
            (1, Field::Bytes(time)) => decoded.wall_time = f64::from_le_bytes(time.try_into().unwrap()),
            (2, Field::Number(step)) => decoded.step = step,
            (3, Field::Bytes(text)) => decoded.file_version = String::from_utf8(text.to_vec()).unwrap(),
            (5, Field::Bytes(summary)) => {
                for (number, value) in fields(summary) {
                    let Field::Bytes(value) = value else { panic!() };
                    let value = fields(value);
                    let [(1, Field::Bytes(tag)), (2, Field::Bytes(simple))] = value[..] else { panic!() };
                    let bits = u32::from_le_bytes(simple.try_into().unwrap());
                    decoded.values.push((String::from_utf8(tag.to_vec()).unwrap(), bits));
                    assert_eq!(number, 1);
                }
            }
            (number, _) => panic!("field {number}"),
        }
    }
    decoded
}

fn records(path: &Path) -> Vec<Decoded> {
    let bytes = fs::read(path).unwrap();
    let mut file = &bytes[..];
    let mut records = Vec::new();
    while let Some(record) = record::read(&mut file).unwrap() {
        records.push(decode(&record));
    }
    assert!(file.is_empty());
    records
}

#[test]
fn the_checksum_agrees_with_published_vectors() {
    // RFC 3720, B.4: 32 bytes of zeros, of ones, rising and falling.
    let rising: Vec<u8> = (0..32).collect();
    let falling: Vec<u8> = (0..32).rev().collect();
    for (data, crc) in [
        (&[0; 32][..], 0x8a91_36aa_u32),
        (&[0xff; 32], 0x62a8_ab43),
        (&rising, 0x46dd_794e),
        (&falling, 0x113f_db5c),
    ] {
        assert_eq!(record::masked_crc32c(data), crc.rotate_right(15).wrapping_add(0xa282_ead8));
    }
    // The 12 bytes that event files begin with, whose first record has 24 bytes of data.
    assert_eq!(record::frame(&[0; 24])[..12], *b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22");
}

#[test]
fn a_frame_is_length_checksum_data_checksum() {
    let frame = record::frame(b"123456789");
    assert_eq!(frame[..8], [9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&frame[12..21], b"123456789");
    // CRC-32C of "123456789" is the catalogue's check value.
    assert_eq!(frame[21..], 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
    assert_eq!(frame.len(), 25);
}

#[test]
fn what_is_written_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.out.tfevents.pspo");
    let mut events = Events::default().with(TensorBoard::open(&path, 0).unwrap());
    events.scalars("rl", 3, &[("kl", 0.5), ("loss", f64::NAN)]).unwrap();
    events.message("rl", 3, "not here").unwrap();
    events.seconds("rl", 300, &[("update", 1e300)]).unwrap();

    let records = records(&path);
    assert_eq!(records.len(), 3);
    assert_eq!((records[0].file_version.as_str(), records[0].step), ("brain.Event:2", 0));
    let bits = |value: f32| value.to_bits();
    let metrics = [("rl/kl".to_owned(), bits(0.5)), ("rl/loss".to_owned(), bits(f32::NAN))];
    assert_eq!((records[1].step, &records[1].values[..]), (3, &metrics[..]));
    let seconds = [("rl/seconds/update".to_owned(), bits(f32::INFINITY))];
    assert_eq!((records[2].step, &records[2].values[..]), (300, &seconds[..]));
    assert!(records.iter().all(|record| record.wall_time > 1.6e9), "after 2020");
}

#[test]
fn a_resumed_file_goes_on_where_the_mark_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.out.tfevents.pspo");
    let mut events = Events::default().with(TensorBoard::open(&path, 0).unwrap());
    events.scalar("rl", 1, "kl", 1.0).unwrap();
    let mark = events.mark().unwrap();
    events.scalar("rl", 2, "kl", 2.0).unwrap();
    drop(events);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();

    let mut resumed = Events::default().with(TensorBoard::open(&path, mark.records("tensorboard")).unwrap());
    resumed.scalar("rl", 2, "kl", 3.0).unwrap();
    let values: Vec<_> = records(&path).into_iter().flat_map(|record| record.values).collect();
    let expected = [1.0, 3.0].map(|value: f32| ("rl/kl".to_owned(), value.to_bits()));
    assert_eq!(values, expected);
    assert!(matches!(TensorBoard::open(&path, 4), Err(EventError::Short { got: 3, needed: 4, .. })));
}

#[test]
fn a_damaged_file_ends_where_the_damage_is() {
    let mut bytes = [record::frame(b"one"), record::frame(b"two"), record::frame(b"three")].concat();
    let record = record::frame(b"one").len();
    assert_eq!(record::measure(&bytes[..], 9).unwrap(), (3, bytes.len() as u64));
    assert_eq!(record::measure(&bytes[..], 2).unwrap(), (2, 2 * record as u64));
    // A length that promises more than there is memory.
    bytes[record + 7] = 0xff;
    assert_eq!(record::measure(&bytes[..], 9).unwrap(), (1, record as u64));
    bytes[record + 7] = 0;
    bytes[record + 12] ^= 1;
    assert_eq!(record::measure(&bytes[..], 9).unwrap(), (1, record as u64));
}
