//! A writer of GGUF files, which remembers where it put each number that says how much of something follows.

use std::ops::Range;

use pspo::pretrained::tensors::Dtype;

/// The numbers of the types of values.
pub const U8: u32 = 0;
pub const I32: u32 = 5;
pub const U32: u32 = 4;
pub const STRING: u32 = 8;
pub const ARRAY: u32 = 9;

#[derive(Clone, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
    /// Lengths, counts, types, sides and offsets.
    pub fields: Vec<Range<usize>>,
}

impl Writer {
    pub fn field32(&mut self, value: u32) {
        self.fields.push(self.bytes.len()..self.bytes.len() + 4);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn field64(&mut self, value: u64) {
        self.fields.push(self.bytes.len()..self.bytes.len() + 8);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn string(&mut self, text: &str) {
        self.field64(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }
}

/// A file in the making: keys as their bytes behind the name, tensors with their sides innermost first.
#[derive(Clone)]
pub struct File {
    pub version: u32,
    pub keys: Vec<(String, Writer)>,
    pub tensors: Vec<Tensor>,
    pub alignment: u64,
}

#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub sides: Vec<u64>,
    pub kind: u32,
    pub data: Vec<u8>,
    /// Instead of the next place that is free.
    pub offset: Option<u64>,
}

impl File {
    pub fn new() -> Self {
        Self { version: 3, keys: Vec::new(), tensors: Vec::new(), alignment: 32 }
    }

    /// Adds a key of a type with whatever bytes `value` writes.
    pub fn key(mut self, key: &str, kind: u32, value: impl FnOnce(&mut Writer)) -> Self {
        let mut writer = Writer::default();
        writer.field32(kind);
        value(&mut writer);
        self.keys.push((key.to_owned(), writer));
        self
    }

    pub fn text(self, key: &str, text: &str) -> Self {
        self.key(key, STRING, |writer| writer.string(text))
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.key(key, U32, |writer| writer.bytes.extend(value.to_le_bytes()))
    }

    pub fn texts(self, key: &str, texts: &[String]) -> Self {
        self.key(key, ARRAY, |writer| {
            writer.field32(STRING);
            writer.field64(texts.len() as u64);
            texts.iter().for_each(|text| writer.string(text));
        })
    }

    pub fn i32s(self, key: &str, values: &[i32]) -> Self {
        self.key(key, ARRAY, |writer| {
            writer.field32(I32);
            writer.field64(values.len() as u64);
            writer.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        })
    }

    pub fn tensor(mut self, name: &str, sides: &[u64], kind: u32, data: Vec<u8>) -> Self {
        self.tensors.push(Tensor { name: name.to_owned(), sides: sides.to_vec(), kind, data, offset: None });
        self
    }

    pub fn write(&self) -> Writer {
        let mut out = Writer { bytes: b"GGUF".to_vec(), fields: Vec::new() };
        out.field32(self.version);
        out.field64(self.tensors.len() as u64);
        out.field64(self.keys.len() as u64);
        for (key, value) in &self.keys {
            out.string(key);
            let moved =
                value.fields.iter().map(|field| field.start + out.bytes.len()..field.end + out.bytes.len());
            out.fields.extend(moved.collect::<Vec<_>>());
            out.bytes.extend(&value.bytes);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            out.string(&tensor.name);
            out.field32(tensor.sides.len() as u32);
            tensor.sides.iter().for_each(|&side| out.field64(side));
            out.field32(tensor.kind);
            data.resize(data.len().next_multiple_of(self.alignment as usize), 0_u8);
            out.field64(tensor.offset.unwrap_or(data.len() as u64));
            data.extend(&tensor.data);
        }
        out.bytes.resize(out.bytes.len().next_multiple_of(self.alignment as usize), 0);
        out.bytes.extend(data);
        out
    }
}

/// The number of a type of elements, its elements and bytes per block.
pub const TYPES: [(u32, Dtype); 11] = [
    (0, Dtype::F32),
    (1, Dtype::F16),
    (2, Dtype::Q4_0),
    (3, Dtype::Q4_1),
    (6, Dtype::Q5_0),
    (7, Dtype::Q5_1),
    (8, Dtype::Q8_0),
    (12, Dtype::Q4_K),
    (13, Dtype::Q5_K),
    (14, Dtype::Q6_K),
    (30, Dtype::BF16),
];

/// A file with a value of each type, arrays within arrays and a tensor of each type, two rows of two blocks.
pub fn everything() -> File {
    let mut file = File::new().text("general.architecture", "llama").u32("general.alignment", 32);
    for (kind, width) in
        [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)]
    {
        let value = std::iter::once(1).chain(std::iter::repeat_n(0, width - 1));
        file = file.key(&format!("scalar.{kind}"), kind, |writer| writer.bytes.extend(value.clone()));
        file = file.key(&format!("array.{kind}"), ARRAY, |writer| {
            writer.field32(kind);
            writer.field64(3);
            (0..3).for_each(|_| writer.bytes.extend(value.clone()));
        });
    }
    file = file.texts("array.of.strings", &["é".to_owned(), String::new(), "ab".to_owned()]);
    file = file.key("array.of.arrays", ARRAY, |writer| {
        writer.field32(ARRAY);
        writer.field64(2);
        for _ in 0..2 {
            writer.field32(U8);
            writer.field64(2);
            writer.bytes.extend([7, 8]);
        }
    });
    for (kind, dtype) in TYPES {
        let (elements, bytes) = dtype.block().unwrap();
        let data = (0..4 * bytes).map(|at| (at * 31 % 256) as u8).collect();
        file = file.tensor(&dtype.to_string(), &[2 * elements as u64, 2], kind, data);
    }
    file
}

/// The 256 characters that stand for bytes in GPT-2: a printable byte for itself, the others from U+0100 up.
pub fn byte_characters() -> Vec<char> {
    let printable = |byte: &u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 0x100..;
    let character = |byte: u32| if printable(&byte) { byte } else { others.next().unwrap() };
    (0..256).map(character).map(|code| char::from_u32(code).unwrap()).collect()
}

/// A file with a tokenizer: single bytes, a few merges, a user-defined token, an end and unused tokens behind.
pub fn tokenizer(pre: &str) -> File {
    let mut tokens: Vec<String> = byte_characters().into_iter().map(String::from).collect();
    let merges = ["d e", "de f", "Ġ x", "1 2", "12 3", "Ċ Ċ"].map(str::to_owned);
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let mut types = vec![1; tokens.len()];
    for (token, kind) in [("<fim>", 4), ("<|end|>", 3), ("[PAD0]", 5), ("[PAD1]", 5)] {
        tokens.push(token.to_owned());
        types.push(kind);
    }
    File::new()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", pre)
        .texts("tokenizer.ggml.tokens", &tokens)
        .i32s("tokenizer.ggml.token_type", &types)
        .texts("tokenizer.ggml.merges", &merges)
        .u32("tokenizer.ggml.eos_token_id", 263)
}
