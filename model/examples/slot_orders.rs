//! Tries slot orders for the sites of attention on held-out images: how the spikes of q, k, v and attention should be spread
//! over time, so that products of spike trains come out as products of activations.
//!
//! `cargo run --release -p model --example slot_orders -- models/fashion-mnist/net.mst /usr/share/datasets/fashion-mnist`
//! prints one Markdown row a setting: accuracy on the last 5,000 training images, which took no part in training, and how far that is
//! from the network as it is, with the standard error of that difference over the same images.

use clap::Parser;
use images::{Options, Part, Source};
use model::network::{Network, SlotOrder};
use model::{Executor, RunOptions};
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    /// The network.
    network: PathBuf,
    /// The training images with their labels, or (with `--test`) the test images: see docs/images.md.
    data: PathBuf,
    /// Number of time steps.
    #[arg(long, default_value_t = 8)]
    time_steps: u32,
    /// Images: the last ones of the training set, 5,000 at most.
    #[arg(long, default_value_t = 5000)]
    images: usize,
    /// Use the first test images instead, to report a choice that was made.
    #[arg(long)]
    test: bool,
    /// Only settings whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// An order and a rotation by token.
type Slots = (&'static str, SlotOrder, u32);

const SITES: [&str; 4] = ["q", "k", "v", "scores"];

fn orders(time_steps: u32) -> Vec<Slots> {
    let explicit = |slot: &dyn Fn(u32) -> u32| SlotOrder::Explicit((0..time_steps).map(slot).collect());
    let stride = |by: u32| explicit(&|k| k * by % time_steps);
    vec![
        ("identity, rotate 0", SlotOrder::Identity, 0),
        ("identity, rotate 1", SlotOrder::Identity, 1),
        ("identity, rotate 3", SlotOrder::Identity, 3),
        ("reversed, rotate 1", explicit(&|k| time_steps - 1 - k), 1),
        ("spread, rotate 0", SlotOrder::Spread, 0),
        ("spread, rotate 1", SlotOrder::Spread, 1),
        ("spread, rotate 3", SlotOrder::Spread, 3),
        ("spread, rotate 5", SlotOrder::Spread, 5),
        ("stride 3, rotate 1", stride(3), 1),
        ("stride 5, rotate 3", stride(5), 3),
        ("LFSR, rotate 1", SlotOrder::Explicit(lfsr_order(time_steps)), 1),
        ("LFSR, rotate 3", SlotOrder::Explicit(lfsr_order(time_steps)), 3),
    ]
}

/// Slots in the order in which a maximal 8-bit LFSR (x^8 + x^6 + x^5 + x^4 + 1) first visits them.
fn lfsr_order(time_steps: u32) -> Vec<u32> {
    let (mut state, mut order) = (1u32, Vec::new());
    while order.len() < time_steps as usize {
        let feedback = (state >> 7 ^ state >> 5 ^ state >> 4 ^ state >> 3) & 1;
        state = (state << 1 | feedback) & 0xff;
        let slot = state % time_steps;
        if !order.contains(&slot) {
            order.push(slot);
        }
    }
    order
}

fn set(network: &mut Network, site: &str, slots: &Slots) {
    let attends = |layer: &&mut model::network::Layer| layer.name.ends_with(&format!(".attn.{site}"));
    for layer in network.layers.iter_mut().filter(attends) {
        (layer.order, layer.rotate) = (slots.1.clone(), slots.2);
    }
}

/// Every setting by name: the network as it is, all layers alike, and each site changed alone.
fn settings(network: &Network, time_steps: u32) -> Vec<(String, Network)> {
    let mut settings = vec![("as it is".to_owned(), network.clone())];
    for slots in orders(time_steps) {
        let mut alike = network.clone();
        for layer in alike.layers.iter_mut().filter(|layer| layer.neuron.is_some()) {
            (layer.order, layer.rotate) = (slots.1.clone(), slots.2);
        }
        settings.push((format!("all layers: {}", slots.0), alike));
    }
    for site in SITES {
        for slots in orders(time_steps) {
            let mut changed = network.clone();
            set(&mut changed, site, &slots);
            settings.push((format!("{site}: {}", slots.0), changed));
        }
    }
    settings
}

/// Points by which the first is right more often, and the standard error of that: only images that one of the two gets wrong tell.
fn difference(right: &[bool], reference: &[bool]) -> (f64, f64) {
    let count =
        |a: bool, b: bool| right.iter().zip(reference).filter(|pair| *pair == (&a, &b)).count() as f64;
    let (won, lost, images) = (count(true, false), count(false, true), right.len() as f64);
    let mean = (won - lost) / images;
    (100.0 * mean, 100.0 * (((won + lost) / images - mean * mean) / images).sqrt())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let network = Network::load(&args.network)?;
    let part = if args.test { Part::Test } else { Part::HeldOut };
    let source = Source::open(&args.data, &network, &Options { part: Some(part), ..Options::default() })?;
    let count = args.images.min(source.len());
    let first = if args.test { 0 } else { source.len() - count };
    let data = source.read(first..first + count)?;
    let images = data.images();
    let labels = data.labels.as_deref().ok_or("the data set has no labels")?;
    println!(
        "| slots | accuracy of {count} | points more than as it is | spikes an image |\n|---|---|---|---|"
    );
    let mut as_it_is = None;
    for (name, network) in settings(&network, args.time_steps) {
        // The first one is what the others are compared with.
        if as_it_is.is_some() && !name.contains(&args.only) {
            continue;
        }
        let configured = network.configure(&RunOptions::new(args.time_steps))?;
        let classified = Executor::new(&configured).classify_batch(&images, |_| ())?;
        let right: Vec<bool> =
            classified.iter().zip(labels).map(|(image, &label)| image.class() == label as usize).collect();
        let correct = right.iter().filter(|right| **right).count();
        let (more, error) = difference(&right, as_it_is.get_or_insert_with(|| right.clone()));
        let spikes: u64 = classified.iter().flat_map(|image| &image.spikes).sum();
        println!(
            "| {name} | {:.2} % | {more:+.2} ± {error:.2} | {} |",
            100.0 * correct as f64 / count as f64,
            spikes / count as u64
        );
    }
    Ok(())
}
