//! Do masks notice that their random bits come from shift registers? Accuracy with the hardware's masks beside that with
//! independent draws, over the same seeds.
//!
//! `cargo run --release -p model --example mask_bits -- models/data/fashion-mnist models/fashion-mnist-mask75/net.mst …`
//! prints one Markdown row a network: mean and standard deviation over the seeds, on the test images.

use clap::Parser;
use images::Dataset;
use model::mask::{Lfsr, MaskBits};
use model::{Configured, Executor, ModelError, Network, RunOptions};
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    /// Folder of the test images.
    data: PathBuf,
    /// The networks, with the masks that they were trained with.
    #[arg(required = true)]
    networks: Vec<PathBuf>,
    /// Number of time steps.
    #[arg(long, default_value_t = 8)]
    time_steps: u32,
    /// Images: the first ones.
    #[arg(long, default_value_t = 10_000)]
    images: usize,
    /// Seeds: 1 to this.
    #[arg(long, default_value_t = 10)]
    seeds: u32,
}

/// SplitMix64, a generator of good independent draws (Steele, Lea and Flood, OOPSLA 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl MaskBits for SplitMix {
    fn new(seed: u32, layer: usize, channel: usize) -> SplitMix {
        // Neurons start at mixed values, so that none goes along the sequence of another.
        let mut by_layer = SplitMix(u64::from(seed) << 32 | layer as u64);
        SplitMix(SplitMix(by_layer.next() ^ channel as u64).next())
    }

    fn draw(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }
}

/// Share of the images that end in their class.
fn accuracy<M: MaskBits>(network: &Configured, data: &Dataset, images: usize) -> Result<f64, ModelError> {
    let pixels: Vec<&[u8]> = (0..images).map(|index| data.image(index)).collect();
    let classified = Executor::<M>::with_mask_bits(network).classify_batch(&pixels, |_| ())?;
    let labels = data.labels.iter().flatten();
    let correct = classified.iter().zip(labels).filter(|(c, label)| c.class() == **label as usize);
    Ok(correct.count() as f64 / images as f64)
}

/// `mean ± standard deviation`, in percent.
fn summary(shares: &[f64]) -> String {
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
    format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * (squares / (count - 1.0).max(1.0)).sqrt())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    println!("| network | shift registers | independent draws |\n|---|---|---|");
    for path in &args.networks {
        let network = Network::load(path)?;
        let data = Dataset::load(&args.data, &network)?;
        let images = args.images.min(data.len());
        let (mut registers, mut independent) = (Vec::new(), Vec::new());
        for seed in 1..=args.seeds {
            let options = RunOptions { seed: Some(seed), ..RunOptions::new(args.time_steps) };
            let configured = network.configure(&options)?;
            registers.push(accuracy::<Lfsr>(&configured, &data, images)?);
            independent.push(accuracy::<SplitMix>(&configured, &data, images)?);
        }
        println!("| {} | {} | {} |", network.name, summary(&registers), summary(&independent));
    }
    Ok(())
}
