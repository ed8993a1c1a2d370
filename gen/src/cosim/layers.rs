//! What each layer cost.

use crate::screen::{Align, Table, grouped, percent, ratio};
use driver::Counters;
use serde::Serialize;

/// What a layer, or all layers of an operation, cost.
#[derive(Clone, Debug, Serialize)]
pub struct LayerCost {
    /// Name of the layer; empty in a total.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub layer: String,
    /// Operation.
    pub op: &'static str,
    /// Cycles that its spikes need on that many lanes.
    pub needed_cycles: u64,
    /// Events if every spike were walked step by step.
    pub step_events: u64,
    /// What the core counted while only this layer ran.
    #[serde(flatten)]
    pub counters: Counters,
}

impl LayerCost {
    /// Adds another one's cost.
    pub fn add(&mut self, other: &LayerCost) {
        self.needed_cycles += other.needed_cycles;
        self.step_events += other.step_events;
        self.counters += other.counters;
    }
}

/// Cycles without use, by cause: as the core's registers call them, without `COUNT_STALL_`, and null events.
pub fn stalls(counters: &Counters) -> Vec<(String, u64)> {
    let cause = |(counter, cycles): (&isa::Counter, u64)| match counter.signal().as_str() {
        "null_events" => Some(("null".to_owned(), cycles)),
        signal => Some((signal.strip_prefix("stall_")?.to_owned(), cycles)),
    };
    counters.values().filter_map(cause).collect()
}

/// What the busy cycles were spent on: parts of one whole. `other` are the few cycles a job in which nothing is counted. Threshold steps that
/// wait for the output path do so beside events, so they are no part.
pub fn spent(counters: &Counters) -> [(&'static str, u64); 8] {
    let mut parts = [
        ("events", counters.events),
        ("null events", counters.null_events),
        ("weights", counters.stall_weights),
        ("inputs", counters.stall_inputs),
        ("fire", counters.stall_fire),
        ("order", counters.stall_order),
        ("switch", counters.stall_switch),
        ("other", 0),
    ];
    let counted: u64 = parts.iter().map(|(_, cycles)| cycles).sum();
    parts[7].1 = counters.busy_cycles.saturating_sub(counted);
    parts
}

/// Sums of the layers with the same operation, in the order in which operations first appear.
pub fn totals(layers: &[LayerCost]) -> Vec<LayerCost> {
    let mut totals: Vec<LayerCost> = Vec::new();
    for layer in layers {
        match totals.iter_mut().find(|total| total.op == layer.op) {
            Some(total) => total.add(layer),
            None => totals.push(LayerCost { layer: String::new(), ..layer.clone() }),
        }
    }
    totals
}

/// Layers, then operations, then all.
pub fn text(layers: &[LayerCost], images: usize) -> String {
    let mut by_layer = table("layer");
    layers.iter().for_each(|cost| by_layer.row(row(&cost.layer, cost, images)));
    let mut by_op = table("operation");
    let totals = totals(layers);
    totals.iter().for_each(|cost| by_op.row(row("", cost, images)));
    if let Some((first, rest)) = totals.split_first() {
        let mut all = LayerCost { op: "all", ..first.clone() };
        rest.iter().for_each(|cost| all.add(cost));
        by_op.row(row("", &all, images));
    }
    format!("\nEach layer alone, cycles an image:\n{}\n{}", by_layer.text(), by_op.text())
}

fn table(first: &str) -> Table {
    let mut columns = vec![(first, Align::Left), ("op", Align::Left)];
    let numbers = ["events", "needed", "busy", "useful"];
    let causes = stalls(&Counters::default());
    let names = numbers.into_iter().chain(causes.iter().map(|(name, _)| name.as_str()));
    columns.extend(names.map(|name| (name, Align::Right)));
    if first == "operation" {
        columns.remove(0);
    }
    Table::new(&columns)
}

fn row(name: &str, cost: &LayerCost, images: usize) -> Vec<String> {
    let per_image = |cycles: u64| grouped(cycles / images as u64);
    let counters = &cost.counters;
    let mut cells = Vec::new();
    if !name.is_empty() {
        cells.push(name.to_owned());
    }
    cells.extend([
        cost.op.to_owned(),
        per_image(counters.events),
        per_image(cost.needed_cycles),
        per_image(counters.busy_cycles),
        percent(ratio(cost.needed_cycles, counters.busy_cycles)),
    ]);
    cells.extend(stalls(counters).into_iter().map(|(_, cycles)| per_image(cycles)));
    cells
}
