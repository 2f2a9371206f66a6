//! What is read from a model's file, for `compare.py` beside this file to compare with what others read from it.
//!
//!     read_files tensors MODEL               a line for each tensor: name, shape, CRC-32 of its f32, seconds
//!     read_files tokens MODEL < TEXTS        a line of token ids for each JSON string that comes, and their text
//!
//! `TEXTS` is a JSON string in each line.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use flate2::Crc;
use pspo::pretrained::tensors::{self, Gguf};
use pspo::pretrained::{Pretrained, gguf_tokenizer};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["tensors", model] => read_tensors(model),
        ["tokens", model] => read_tokens(model),
        _ => Err("usage: read_files tensors MODEL | read_files tokens MODEL < TEXTS".into()),
    }
}

fn read_tensors(model: &str) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let source = tensors::open(model)?;
    eprintln!("opened in {:?}", begun.elapsed());
    for name in source.names() {
        let begun = Instant::now();
        let values = source.read(name)?;
        let seconds = begun.elapsed().as_secs_f64();
        let mut crc = Crc::new();
        for chunk in values.chunks(1 << 14) {
            crc.update(&chunk.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        }
        let dtype = source.dtype(name).map(|dtype| dtype.to_string());
        println!("{}", json!([name, source.shape(name), dtype, crc.sum(), seconds]));
    }
    Ok(())
}

fn read_tokens(model: &str) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    // A GGUF file may have a tokenizer and no more.
    let tokenizer = if Path::new(model).is_dir() {
        Pretrained::open(model)?.tokenizer()?
    } else {
        gguf_tokenizer::tokenizer(&Gguf::open(model)?)?
    };
    eprintln!("made a tokenizer of {} tokens in {:?}", tokenizer.vocabulary(), begun.elapsed());
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let tokens = tokenizer.encode(&text)?;
        writeln!(out, "{}", json!([tokens, tokenizer.decode(&tokens)?]))?;
    }
    Ok(())
}
