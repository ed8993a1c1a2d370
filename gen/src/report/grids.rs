//! Which points a report needs, and their results.

use super::REPORT_TIME_STEPS;
use crate::error::GenError;
use crate::inputs::Images;
use crate::sweep::point::{AS_CONVERTED, NetworkFile, Point, Row, Settings, if_it_runs};
use crate::sweep::store::Store;
use isa::Schedule;
use model::mask_rules::{labels, maskable_blocks};
use model::{MaskRules, Network};

/// Mask ratios that are shown, beside 0.
const RATIOS: [f64; 4] = [0.25, 0.5, 0.75, 0.875];
/// The ratio of the paper's masks, and of masked blocks.
pub const PAPER_RATIO: f64 = 0.75;
/// Labels of the masks that the paper has in all blocks.
const ATTENTION: [&str; 3] = ["q", "k", "attn"];

/// A network with what belongs to it.
pub struct Subject<'a> {
    /// The network.
    pub file: &'a NetworkFile,
    /// The images that it runs on.
    pub images: &'a Images,
    /// T of everything that does not vary it.
    pub time_steps: u32,
    /// Share of the images that the float network that it was converted from gets right, or why there is none.
    pub float_accuracy: Result<f64, &'static str>,
}

/// A place of a figure or a row of a table, and what to measure for it.
pub struct Place {
    /// Where it is on the horizontal axis.
    pub x: f64,
    /// What stands there.
    pub label: String,
    /// Mask rules.
    pub rules: String,
}

impl Subject<'_> {
    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.file.network.name
    }

    /// A class by its name, or by its number if it has none.
    pub fn class(&self, class: usize) -> String {
        self.network().class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    pub fn network(&self) -> &Network {
        &self.file.network
    }

    /// Whether any layer carries a mask.
    pub fn is_masked(&self) -> bool {
        self.network().layers.iter().any(|layer| layer.mask.ratio > 0)
    }

    /// A point on the subject's images; `None` if the network cannot run that many time steps.
    pub fn point(
        &self,
        neuron: Option<Schedule>,
        time_steps: u32,
        mask: &str,
    ) -> Result<Option<Point<'_>>, GenError> {
        let mask = if mask == AS_CONVERTED { None } else { Some(mask.parse::<MaskRules>()?) };
        let settings = Settings { time_steps, neuron, mask, seed: None };
        if_it_runs(Point::new(self.file, settings, self.images))
    }

    /// The results of a point that was measured; `None` where [`Subject::point`] has none.
    pub fn row<'s>(
        &self,
        store: &'s Store,
        neuron: Option<Schedule>,
        time_steps: u32,
        mask: &str,
    ) -> Result<Option<&'s Row>, GenError> {
        Ok(self.point(neuron, time_steps, mask)?.and_then(|point| store.find(&point.row)))
    }

    /// The labels of this network's masks.
    pub fn labels(&self) -> Vec<&str> {
        labels(self.network())
    }

    /// The rules with which nothing is dropped: of all labels, and of the layers that have none.
    pub fn unmasked(&self) -> String {
        let masked =
            self.network().layers.iter().filter(|layer| layer.mask.ratio > 0 && layer.mask.label.is_none());
        std::iter::once("0".to_owned()).chain(masked.map(|layer| format!(",{}:0", layer.name))).collect()
    }

    /// Ratios from 0 up, of one label or of all, with no other mask.
    pub fn ratios(&self, label: Option<&str>) -> Vec<Place> {
        let unmasked = self.unmasked();
        let place = |ratio: f64| Place {
            x: ratio,
            label: ratio.to_string(),
            rules: match label {
                _ if ratio == 0.0 => unmasked.clone(),
                None if unmasked == "0" => ratio.to_string(),
                None => format!("{unmasked},{ratio}"),
                Some(label) => format!("{unmasked},{label}={ratio}"),
            },
        };
        std::iter::once(0.0).chain(RATIOS).map(place).collect()
    }

    /// The first 0, 1, ... blocks masked at the paper's ratio, all their labels.
    pub fn blocks(&self) -> Vec<Place> {
        let blocks = maskable_blocks(self.network());
        let place = |count: usize| {
            let masked = blocks[..count].iter().map(|block| format!(",{block}:{PAPER_RATIO}"));
            Place {
                x: count as f64,
                label: count.to_string(),
                rules: std::iter::once(self.unmasked()).chain(masked).collect(),
            }
        };
        (0..=blocks.len()).map(place).collect()
    }

    /// The masks of the comparison table: none, the paper's three of attention, all labels, and those that the network carries.
    pub fn comparison(&self) -> Vec<Place> {
        let labels = self.labels();
        let paper: String = ATTENTION.iter().map(|label| format!(",{label}={PAPER_RATIO}")).collect();
        let place = |label: &str, rules: String| Place { x: 0.0, label: label.to_owned(), rules };
        let unmasked = self.unmasked();
        let mut places = vec![place("no masks", unmasked.clone())];
        if ATTENTION.iter().all(|label| labels.contains(label)) {
            places.push(place("q, k and attention at 0.75", format!("{unmasked}{paper}")));
        }
        if !labels.is_empty() {
            let all = self.ratios(None).into_iter().find(|place| place.x == PAPER_RATIO);
            places.extend(all.map(|all| place("all labels at 0.75", all.rules)));
        }
        if self.is_masked() {
            places.push(place("as converted", AS_CONVERTED.to_owned()));
        }
        places
    }

    /// Everything that the report shows.
    pub fn points(&self) -> Result<Vec<Point<'_>>, GenError> {
        let mut points = Vec::new();
        for time_steps in REPORT_TIME_STEPS {
            for neuron in [Schedule::AfterAll, Schedule::EachStep] {
                points.extend(self.point(Some(neuron), time_steps, AS_CONVERTED)?);
            }
        }
        let labels = self.labels();
        let mut places = Vec::new();
        if !labels.is_empty() {
            let lines = labels.into_iter().map(Some).chain([None]);
            places.extend(lines.flat_map(|label| self.ratios(label)).chain(self.blocks()));
        }
        places.extend(self.comparison());
        for place in places {
            points.extend(self.point(None, self.time_steps, &place.rules)?);
        }
        Ok(points)
    }
}
