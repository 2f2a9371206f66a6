use pspo::data::numbers::ClipRange;

const CLIP: ClipRange = ClipRange::new(1.5);

fn main() {
    println!("{}", CLIP.get());
}
