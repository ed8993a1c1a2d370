//! The report's sections that show measured points: over time steps, masks and blocks, and the comparison table.

use super::REPORT_TIME_STEPS;
use super::chart::{Axis, Chart, Marks, Series};
use super::grids::{PAPER_RATIO, Place, Subject};
use super::page::{Columns, DataTable, Figure, Section, plain};
use crate::error::GenError;
use crate::screen::{grouped, percent, percent_or_dash};
use crate::sweep::point::{AS_CONVERTED, Row};
use crate::sweep::store::Store;
use isa::Schedule;

/// What a cell says where the network cannot run.
const NONE: &str = "–";
/// Neuron modes with the names they are shown by.
const MODES: [(&str, Schedule); 2] = [("two_phase", Schedule::AfterAll), ("if", Schedule::EachStep)];

fn cell(row: Option<&Row>, show: impl Fn(&Row) -> String) -> String {
    row.map_or_else(|| NONE.to_owned(), show)
}

fn each_image(row: &Row, sum: u64) -> String {
    grouped(sum / row.images.max(1) as u64)
}

/// An axis of accuracies that holds all of `values`.
fn accuracy_axis(values: impl Iterator<Item = f64>) -> Axis {
    let lowest = values.fold(100.0, f64::min);
    Axis::linear("accuracy in %", (lowest / 10.0).floor() * 10.0, 100.0)
}

/// Accuracy against T in both neuron modes, beside the float network's.
pub fn time_steps(subjects: &[Subject<'_>], store: &Store) -> Result<Section, GenError> {
    let (mut figures, mut tables) = (Vec::new(), Vec::new());
    for subject in subjects {
        let row = |neuron, time_steps| subject.row(store, Some(neuron), time_steps, AS_CONVERTED);
        let mut series = Vec::new();
        for (name, neuron) in MODES {
            let mut points = Vec::new();
            for (place, &time_steps) in REPORT_TIME_STEPS.iter().enumerate() {
                points.extend(
                    row(neuron, time_steps)?
                        .and_then(|row| row.accuracy)
                        .map(|accuracy| (place as f64, 100.0 * accuracy)),
                );
            }
            series.push(Series { name: name.to_owned(), points });
        }
        let level =
            subject.float_accuracy.ok().map(|accuracy| ("float network".to_owned(), 100.0 * accuracy));
        let values = series.iter().flat_map(|series| &series.points).map(|(_, y)| *y);
        let chart = Chart {
            x: Axis::places("time steps T", &REPORT_TIME_STEPS),
            y: accuracy_axis(values.chain(level.iter().map(|(_, y)| *y))),
            series: &series,
            level,
            marks: Marks::Shapes,
        };
        figures
            .push(chart.figure(format!("{}: accuracy against the number of time steps.", subject.name()))?);
        let mut table = Vec::new();
        for time_steps in REPORT_TIME_STEPS {
            let rows = [row(Schedule::AfterAll, time_steps)?, row(Schedule::EachStep, time_steps)?];
            let accuracy = rows.map(|row| cell(row, |row| percent_or_dash(row.accuracy)));
            let spikes = rows.map(|row| cell(row, |row| each_image(row, row.spikes)));
            table.push([vec![time_steps.to_string()], accuracy.to_vec(), spikes.to_vec()].concat());
        }
        if let Ok(accuracy) = subject.float_accuracy {
            let none = || NONE.to_owned();
            table.push(vec!["float".to_owned(), percent(accuracy), percent(accuracy), none(), none()]);
        }
        tables.push(DataTable {
            caption: format!("{}: accuracy, and spikes an image, by time steps", subject.name()),
            head: ["T", "two_phase", "if", "spikes two_phase", "spikes if"].map(str::to_owned).to_vec(),
            rows: plain(table),
            columns: Columns::Natural,
        });
    }
    let text = "An if neuron fires in the step in which it reaches its threshold, as in the paper; a two_phase neuron first \
                integrates all steps and then fires, which leaves no unevenness error. A dash stands where a sum could leave \
                the 24-bit membrane.";
    let (id, title) = ("time-steps", "Accuracy against time steps");
    Ok(Section { id, title, text: vec![text.to_owned()], figures, tables })
}

/// One line of a figure of masks.
struct MaskLine {
    name: String,
    places: Vec<Place>,
}

/// Accuracy and spikes, as two figures and a table.
fn mask_figures(
    subject: &Subject<'_>,
    store: &Store,
    lines: &[MaskLine],
    axis: &'static str,
) -> Result<(Vec<Figure>, DataTable), GenError> {
    let row = |place: &Place| subject.row(store, None, subject.time_steps, &place.rules);
    let unmasked = subject.row(store, None, subject.time_steps, &subject.unmasked())?;
    let places = lines.first().map_or(&[][..], |line| &line.places);
    let ticks: Vec<(f64, String)> = places.iter().map(|place| (place.x, place.label.clone())).collect();
    let (mut accuracy, mut spikes) = (Vec::new(), Vec::new());
    let mut rows: Vec<Vec<String>> = ticks.iter().map(|(_, label)| vec![label.clone()]).collect();
    let mut head = vec![axis.to_owned()];
    for line in lines {
        let (mut accuracies, mut counts) = (Vec::new(), Vec::new());
        for (index, place) in line.places.iter().enumerate() {
            let row = row(place)?;
            let share = |row: &Row| unmasked.map_or(0.0, |all| row.spikes as f64 / all.spikes.max(1) as f64);
            accuracies.extend(row.and_then(|row| row.accuracy).map(|accuracy| (place.x, 100.0 * accuracy)));
            counts.extend(row.map(|row| (place.x, 100.0 * share(row))));
            rows[index].push(cell(row, |row| percent_or_dash(row.accuracy)));
            rows[index].push(cell(row, |row| percent(share(row))));
        }
        head.extend([line.name.clone(), format!("{} spikes", line.name)]);
        accuracy.push(Series { name: line.name.clone(), points: accuracies });
        spikes.push(Series { name: line.name.clone(), points: counts });
    }
    let values = |series: &[Series]| -> Vec<f64> {
        series.iter().flat_map(|series| &series.points).map(|(_, y)| *y).collect()
    };
    let lowest = values(&spikes).into_iter().fold(100.0, f64::min);
    let x = || Axis::at(axis, ticks.clone());
    let charts = [
        ("accuracy", accuracy_axis(values(&accuracy).into_iter()), &accuracy),
        (
            "transmitted spikes",
            Axis::linear("spikes in % of unmasked", (lowest / 10.0).floor() * 10.0, 100.0),
            &spikes,
        ),
    ];
    let figures = charts.into_iter().map(|(what, y, series)| {
        let chart = Chart { x: x(), y, series, level: None, marks: Marks::Shapes };
        chart.figure(format!("{}, T = {}: {what} against {axis}.", subject.name(), subject.time_steps))
    });
    let caption =
        format!("{}: accuracy and transmitted spikes (of those without masks) by {axis}", subject.name());
    let table = DataTable { caption, head, rows: plain(rows), columns: Columns::Natural };
    Ok((figures.collect::<Result<_, _>>()?, table))
}

/// Accuracy and spikes against the mask ratio of each label: the paper's Fig. 5.
pub fn masks(subjects: &[Subject<'_>], store: &Store) -> Result<Section, GenError> {
    let lines = |subject: &Subject<'_>| {
        let labels = subject.labels().into_iter().map(Some).chain([None]);
        let line = |label: Option<&str>| MaskLine {
            name: label.unwrap_or("all").to_owned(),
            places: subject.ratios(label),
        };
        labels.map(line).collect()
    };
    let text = "The layers of one label are masked wherever they are, the others transmit everything; “all” masks every label. A masked \
                spike is fired but not transmitted. Compare the paper's Fig. 5.";
    mask_section(subjects, store, ("masks", "Mask ratio of each label", "mask ratio"), text.to_owned(), lines)
}

/// Accuracy and spikes against the number of masked blocks: the paper's Fig. 6.
pub fn blocks(subjects: &[Subject<'_>], store: &Store) -> Result<Section, GenError> {
    let lines = |subject: &Subject<'_>| vec![MaskLine { name: "all".to_owned(), places: subject.blocks() }];
    let text = format!(
        "The first blocks are masked, all their labels at {PAPER_RATIO}; the others transmit everything. Compare the paper's \
         Fig. 6."
    );
    mask_section(subjects, store, ("blocks", "Number of masked blocks", "masked blocks"), text, lines)
}

fn mask_section(
    subjects: &[Subject<'_>],
    store: &Store,
    (id, title, axis): (&'static str, &'static str, &'static str),
    text: String,
    lines: impl Fn(&Subject<'_>) -> Vec<MaskLine>,
) -> Result<Section, GenError> {
    let (mut figures, mut tables) = (Vec::new(), Vec::new());
    let mut text = vec![text];
    for subject in subjects {
        if subject.labels().is_empty() {
            text.push(format!("No layer of {} has a label to mask it by.", subject.name()));
            continue;
        }
        let (shown, table) = mask_figures(subject, store, &lines(subject), axis)?;
        figures.extend(shown);
        tables.push(table);
    }
    Ok(Section { id, title, text, figures, tables })
}

/// Accuracy, spikes and power, unmasked against masked: the paper's Table 3.
pub fn comparison(subjects: &[Subject<'_>], store: &Store) -> Result<Section, GenError> {
    let head = ["", "accuracy", "spikes", "synaptic events", "P in α·W", "P saved"];
    let mut rows = Vec::new();
    // A network that was trained with masks fires more once they are off, so its own spikes are no yardstick.
    let first = &subjects[0];
    let yardstick = first.row(store, None, first.time_steps, &first.unmasked())?;
    for subject in subjects {
        let name = |place: &str| format!("{}, {place}", subject.name());
        if let Ok(accuracy) = subject.float_accuracy {
            let none = || NONE.to_owned();
            rows.push(vec![name("float"), percent(accuracy), none(), none(), none(), none()]);
        }
        for place in subject.comparison() {
            let row = subject.row(store, None, subject.time_steps, &place.rules)?;
            let saved = |row: &Row| {
                yardstick.map_or_else(
                    || NONE.to_owned(),
                    |all| percent(1.0 - row.power / all.power.max(f64::MIN_POSITIVE)),
                )
            };
            rows.push(vec![
                name(&place.label),
                cell(row, |row| percent_or_dash(row.accuracy)),
                cell(row, |row| each_image(row, row.spikes)),
                cell(row, |row| each_image(row, row.synaptic_events)),
                cell(row, |row| grouped(row.power as u64)),
                cell(row, saved),
            ]);
        }
    }
    let text = [
        "P is power as linear in the spikes, after Cao, Chen and Khosla (IJCV 2015), as the paper's Eq. 10 is understood here: the \
         spikes of a time step / 1 ms · α, for α joules a spike and steps of a millisecond, in units of α·W. Counted are the \
         transmitted spikes of the whole network, the mean over images and time steps, so P saved is the share of spikes saved: \
         against the first network without masks. Compare the paper's Table 3.",
        "Synaptic events are the additions that transmitted spikes drive: outputs under the taps of a linear layer, keys of a score, channels of a \
         head. The core merges them: “gen cosim --per-layer” has its cycles.",
    ];
    let table = DataTable {
        caption: "Accuracy, and spikes and synaptic events an image".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: plain(rows),
        columns: Columns::Natural,
    };
    let (id, title) = ("comparison", "Masked and unmasked");
    Ok(Section {
        id,
        title,
        text: text.map(str::to_owned).to_vec(),
        figures: Vec::new(),
        tables: vec![table],
    })
}
