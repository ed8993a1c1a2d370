//! `gen sweep`: networks over a grid of time steps, neurons, masks and seeds.

pub mod point;
pub mod store;

use crate::cli::{ImageArgs, SweepArgs};
use crate::error::GenError;
use crate::files;
use crate::inputs::{self, Count, Images};
use crate::screen::{
    Align, Format, Table, announce, bar, count, grouped, percent_or_dash, print, print_json,
};
use isa::Schedule;
use model::MaskRules;
use point::{AS_CONVERTED, NetworkFile, Point, Row, Settings};
use std::path::{Path, PathBuf};
use store::Store;

/// Measures what the file does not have yet, and shows all points of the grid.
pub fn sweep(args: &SweepArgs, format: Format) -> Result<(), GenError> {
    refuse_inputs("--out", &args.out, args.nets.iter().map(PathBuf::as_path), &args.source)?;
    let files = args.nets.iter().map(|path| NetworkFile::load(path)).collect::<Result<Vec<_>, _>>()?;
    let images = files
        .iter()
        .map(|file| Images::load(&args.source, Count::of(args.images, 1000), &file.network))
        .collect::<Result<Vec<_>, _>>()?;
    let settings = grid(args)?;
    let mut points = Vec::new();
    for (file, images) in files.iter().zip(&images) {
        for settings in &settings {
            let point = Point::new(file, settings.clone(), images)?;
            points.push((point, images));
        }
    }
    let mut store = Store::open(&args.out, &files.iter().collect::<Vec<_>>())?;
    announce("sweep", seconds(&points, &store));
    let measured = fill(&points, &mut store)?;
    let rows: Vec<&Row> = points.iter().filter_map(|(point, _)| store.find(&point.row)).collect();
    match format {
        Format::Json => print_json(&rows),
        Format::Text => print(&format!(
            "{}\n{} measured, {} known before; {}\n",
            table(&rows).text(),
            count(measured, "point"),
            grouped((rows.len().saturating_sub(measured)) as u64),
            args.out.display(),
        )),
    }
}

/// Refuses a file of points that is one of the networks, images or labels: an empty one would be taken for a new file of points.
pub fn refuse_inputs<'a>(
    option: &'static str,
    points: &Path,
    networks: impl Iterator<Item = &'a Path>,
    source: &ImageArgs,
) -> Result<(), GenError> {
    let networks: Vec<files::Input<'_>> = networks.map(|path| ("the network", path)).collect();
    files::refuse_inputs(option, points, &networks)?;
    inputs::refuse_images(option, points, source)
}

/// Seconds that the points take at most which the store does not have.
pub fn seconds(points: &[(Point<'_>, &Images)], store: &Store) -> f64 {
    let missing = points.iter().filter(|(point, _)| store.find(&point.row).is_none());
    missing.map(|(point, _)| point.seconds).sum()
}

/// Measures the points that the store does not have, in order. Returns how many that were.
pub fn fill(points: &[(Point<'_>, &Images)], store: &mut Store) -> Result<usize, GenError> {
    let mut measured = 0;
    let missing = |store: &Store, point: &Point<'_>| store.find(&point.row).is_none();
    let todo =
        points.iter().filter(|(point, _)| missing(store, point)).map(|(_, images)| images.count()).sum();
    let progress = bar("sweep", todo);
    for (point, images) in points {
        // Two settings can mean the same point.
        if missing(store, point) {
            store.add(point.run(images, &progress)?)?;
            measured += 1;
        }
    }
    progress.finish_and_clear();
    Ok(measured)
}

/// All combinations, time steps innermost.
fn grid(args: &SweepArgs) -> Result<Vec<Settings>, GenError> {
    let masks = args.mask.iter().map(|text| mask(text)).collect::<Result<Vec<_>, _>>()?;
    let masks = if masks.is_empty() { vec![None] } else { masks };
    let neurons = or_as_converted(args.neuron.iter().map(|&neuron| Schedule::from(neuron)));
    let seeds = or_as_converted(args.seed.iter().copied());
    let mut grid = Vec::new();
    for &neuron in &neurons {
        for mask in &masks {
            for &seed in &seeds {
                for &time_steps in &args.time_steps {
                    grid.push(Settings { time_steps, neuron, mask: mask.clone(), seed });
                }
            }
        }
    }
    Ok(grid)
}

/// What was asked for, or what the network has.
fn or_as_converted<T>(named: impl Iterator<Item = T>) -> Vec<Option<T>> {
    let named: Vec<Option<T>> = named.map(Some).collect();
    if named.is_empty() { vec![None] } else { named }
}

fn mask(text: &str) -> Result<Option<MaskRules>, GenError> {
    if text == AS_CONVERTED { Ok(None) } else { Ok(Some(text.parse()?)) }
}

fn table(rows: &[&Row]) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("network", left),
        ("neuron", left),
        ("T", right),
        ("mask", left),
        ("seed", right),
        ("accuracy", right),
        ("spikes/image", right),
        ("synaptic events/image", right),
        ("P in α·W", right),
    ]);
    for row in rows {
        let each = |sum: u64| grouped(sum / row.images.max(1) as u64);
        table.row(vec![
            row.network.clone(),
            row.neuron.clone(),
            row.time_steps.to_string(),
            row.mask.clone(),
            row.seed.to_string(),
            percent_or_dash(row.accuracy),
            each(row.spikes),
            each(row.synaptic_events),
            grouped(row.power as u64),
        ]);
    }
    table
}
