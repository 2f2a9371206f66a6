//! The few protocol-buffer messages of an event file, encoded by hand.
//!
//! From TensorFlow's `event.proto` and `summary.proto`:
//!
//! ```text
//! Event         { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//! Summary       { repeated Value value = 1; }
//! Summary.Value { string tag = 1; float simple_value = 2; }
//! ```

/// How a field is encoded, the low three bits of its key.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// The first message of every event file.
pub fn file_version(wall_time: f64) -> Vec<u8> {
    let mut event = event(wall_time, 0);
    bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// Values by tag at a step.
pub fn scalars(wall_time: f64, step: u64, values: &[(String, f32)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in values {
        let mut value = Vec::new();
        bytes(&mut value, 1, tag.as_bytes());
        key(&mut value, 2, Wire::Fixed32);
        value.extend(number.to_le_bytes());
        bytes(&mut summary, 1, &value);
    }
    let mut event = event(wall_time, step);
    bytes(&mut event, 5, &summary);
    event
}

fn event(wall_time: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, Wire::Fixed64);
    event.extend(wall_time.to_le_bytes());
    key(&mut event, 2, Wire::Varint);
    varint(&mut event, step);
    event
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    key(out, field, Wire::Bytes);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn key(out: &mut Vec<u8>, field: u64, wire: Wire) {
    varint(out, field << 3 | wire as u64);
}

/// Seven bits a byte, lowest first; the high bit says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_encoded_as_the_format_documents() {
        let encoded = |value| {
            let mut out = Vec::new();
            varint(&mut out, value);
            out
        };
        assert_eq!(encoded(1), [1]);
        assert_eq!(encoded(127), [0x7f]);
        // The example of the protocol-buffer documentation.
        assert_eq!(encoded(150), [0x96, 0x01]);
        assert_eq!(encoded(u64::MAX).len(), 10);
    }

    #[test]
    fn a_message_has_the_bytes_worked_out_by_hand() {
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f][..], // field 1, fixed64: 1.5
            &[0x10, 0xac, 0x02],                       // field 2, varint: 300
            &[0x2a, 14],                               // field 5, 14 bytes
            &[0x0a, 12],                               // field 1 in it, 12 bytes
            &[0x0a, 5, b'r', b'l', b'/', b'k', b'l'],  // tag
            &[0x15, 0, 0, 0x80, 0xbe],                 // field 2, fixed32: -0.25
        ]
        .concat();
        assert_eq!(scalars(1.5, 300, &[("rl/kl".to_owned(), -0.25)]), expected);
    }
}
