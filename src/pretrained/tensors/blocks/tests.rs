//! Each type against an encoder that puts every element's bits where the format's definition says, one element
//! at a time, and against values of ggml's own Python package.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use half::f16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::Seed;

/// A block in the making.
struct Block(Vec<u8>);

impl Block {
    fn half(&mut self, at: usize, value: f16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets bits from bit `from` of byte `at` up.
    fn bits(&mut self, at: usize, from: usize, bits: u8) {
        self.0[at] |= bits << from;
    }
}

/// Puts a random number into an element's place in a block, and gives the value that it stands for.
type Put = Box<dyn FnMut(&mut Block, usize, &mut ChaCha8Rng) -> f32>;

fn scale(rng: &mut ChaCha8Rng) -> f16 {
    f16::from_f32(rng.random_range(-2.0..2.0))
}

/// A block of random numbers, and the values that it stands for.
fn encode(dtype: Dtype, rng: &mut ChaCha8Rng) -> (Vec<u8>, Vec<f32>) {
    let (elements, bytes) = dtype.block().unwrap();
    let mut block = Block(vec![0; bytes]);
    let (d, m) = (scale(rng), scale(rng));
    let (d32, m32) = (d.to_f32(), m.to_f32());
    // The highest bit of a five-bit number, by its place in a block of 32.
    let fifth = |block: &mut Block, at: usize, j: usize, q: u8| block.bits(at + j / 8, j % 8, q >> 4);
    let mut value: Put = match dtype {
        Dtype::Q4_0 => Box::new(move |block, j, rng| {
            let q = rng.random_range(0..16_u8);
            block.bits(2 + j % 16, j / 16 * 4, q);
            (f32::from(q) - 8.0) * d32
        }),
        Dtype::Q4_1 => Box::new(move |block, j, rng| {
            let q = rng.random_range(0..16_u8);
            block.bits(4 + j % 16, j / 16 * 4, q);
            f32::from(q) * d32 + m32
        }),
        Dtype::Q5_0 => Box::new(move |block, j, rng| {
            let q = rng.random_range(0..32_u8);
            block.bits(6 + j % 16, j / 16 * 4, q & 15);
            fifth(block, 2, j, q);
            (f32::from(q) - 16.0) * d32
        }),
        Dtype::Q5_1 => Box::new(move |block, j, rng| {
            let q = rng.random_range(0..32_u8);
            block.bits(8 + j % 16, j / 16 * 4, q & 15);
            fifth(block, 4, j, q);
            f32::from(q) * d32 + m32
        }),
        Dtype::Q8_0 => Box::new(move |block, j, rng| {
            let q = rng.random::<i8>();
            block.bits(2 + j, 0, q.cast_unsigned());
            f32::from(q) * d32
        }),
        Dtype::Q4_K | Dtype::Q5_K => {
            let scales: Vec<[u8; 2]> =
                (0..8).map(|_| [rng.random_range(0..64), rng.random_range(0..64)]).collect();
            for (sub, pair) in scales.iter().enumerate() {
                for (which, &six) in pair.iter().enumerate() {
                    if sub < 4 {
                        block.bits(4 + 4 * which + sub, 0, six);
                    } else {
                        block.bits(4 + 8 + sub - 4, 4 * which, six & 15);
                        block.bits(4 + 4 * which + sub - 4, 6, six >> 4);
                    }
                }
            }
            let five = dtype == Dtype::Q5_K;
            Box::new(move |block, e, rng| {
                let (sub, j) = (e / 32, e % 32);
                let q = rng.random_range(0..if five { 32 } else { 16_u8 });
                let low = if five { 48 } else { 16 };
                block.bits(low + sub / 2 * 32 + j, sub % 2 * 4, q & 15);
                if five {
                    block.bits(16 + j, sub, q >> 4);
                }
                let [s, n] = scales[sub];
                d32 * f32::from(s) * f32::from(q) - m32 * f32::from(n)
            })
        }
        Dtype::Q6_K => {
            let scales: Vec<i8> = (0..16).map(|_| rng.random()).collect();
            for (sub, scale) in scales.iter().enumerate() {
                block.bits(192 + sub, 0, scale.cast_unsigned());
            }
            Box::new(move |block, e, rng| {
                let (half, r) = (e / 128, e % 128);
                let q = rng.random_range(0..64_u8);
                block.bits(64 * half + r % 64, r / 64 * 4, q & 15);
                block.bits(128 + 32 * half + r % 32, r / 32 * 2, q >> 4);
                d32 * f32::from(scales[e / 16]) * (f32::from(q) - 32.0)
            })
        }
        _ => unreachable!("{dtype} has no blocks"),
    };
    let values = (0..elements).map(|e| value(&mut block, e, rng)).collect();
    match dtype {
        Dtype::Q6_K => block.half(208, d),
        Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q8_0 => block.half(0, d),
        _ => {
            block.half(0, d);
            block.half(2, m);
        }
    }
    (block.0, values)
}

const QUANTIZED: [Dtype; 8] =
    [Dtype::Q4_0, Dtype::Q4_1, Dtype::Q5_0, Dtype::Q5_1, Dtype::Q8_0, Dtype::Q4_K, Dtype::Q5_K, Dtype::Q6_K];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn blocks_have_the_values_that_were_put_into_them() {
    for (place, dtype) in (0..).zip(QUANTIZED) {
        let mut rng = Seed::root(1).index(place).rng();
        let (bytes, values): (Vec<_>, Vec<_>) = (0..20).map(|_| encode(dtype, &mut rng)).unzip();
        let (bytes, values) = (bytes.concat(), values.concat());
        let mut out = vec![f32::NAN; values.len()];
        dequantize(dtype, &bytes, &mut out);
        assert_eq!(bits(&out), bits(&values), "{dtype}");
    }
}

#[test]
fn floating_point() {
    for len in [0, 1, 2, 255, 256, 257, 700] {
        let mut rng = Seed::root(2).index(len).rng();
        let numbers: Vec<f32> = (0..len).map(|_| rng.random_range(-9.0..9.0)).collect();
        let mut out = vec![f32::NAN; numbers.len()];
        dequantize(Dtype::F32, &numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>(), &mut out);
        assert_eq!(out, numbers);
        // The upper half of a number, cut off.
        let upper = |x: &f32| x.to_bits() >> 16;
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| [upper(x) as u8, (upper(x) >> 8) as u8]).collect();
        dequantize(Dtype::BF16, &bytes, &mut out);
        assert_eq!(bits(&out), numbers.iter().map(|x| upper(x) << 16).collect::<Vec<_>>());
        // 1.f · 2^e, for exponents and fractions that half precision has.
        let halves: Vec<(u16, f32)> = (0..len)
            .map(|_| {
                let (e, f) = (rng.random_range(1..31_u16), rng.random_range(0..1024_u16));
                (e << 10 | f, (1.0 + f32::from(f) / 1024.0) * 2_f32.powi(i32::from(e) - 15))
            })
            .collect();
        let bytes: Vec<u8> = halves.iter().flat_map(|(bits, _)| bits.to_le_bytes()).collect();
        dequantize(Dtype::F16, &bytes, &mut out);
        assert_eq!(out, halves.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    }
}

/// `ggml_blocks.json` has blocks, from real models where one was at hand, and what `gguf` makes of them.
#[test]
fn blocks_have_the_values_that_ggml_gives_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ggml_blocks.json");
    let recorded: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let bytes = |dtype: Dtype, what: &str| {
        BASE64_STANDARD.decode(recorded[dtype.to_string()][what].as_str().unwrap()).unwrap()
    };
    for dtype in QUANTIZED.into_iter().chain([Dtype::F16, Dtype::BF16]) {
        let (blocks, values) = (bytes(dtype, "blocks"), bytes(dtype, "values"));
        let (elements, size) = dtype.block().unwrap();
        assert!(blocks.len() >= 2 * size, "{dtype} has {} bytes", blocks.len());
        assert_eq!(values.len() / 4, blocks.len() / size * elements);
        let mut out = vec![f32::NAN; values.len() / 4];
        dequantize(dtype, &blocks, &mut out);
        let values: Vec<u32> = values.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        assert_eq!(bits(&out), values, "{dtype}");
    }
}
