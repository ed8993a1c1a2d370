//! What the layers of many networks have among them: stimuli are worth something only if every feature comes up, together with others.
//!
//! Features are looked up in the network and in the program that it was compiled to, so that what a generator means to make does not count.

use isa::pass::START_BITS;
use isa::program::{LayerPlan, Program, Strip};
use isa::{CoreConfig, Pass, Schedule, Taps};
use model::Configured;
use model::network::{Layer, Neuron, Operation, Reset, Source, Term, Walk, Weights, Windows};
use std::collections::BTreeSet;
use std::fmt::{Display, Formatter};

/// One layer, with what it was compiled to.
struct Seen<'a> {
    network: &'a Configured,
    core: &'a CoreConfig,
    layer: &'a Layer,
    plan: &'a LayerPlan,
}

/// Something that a layer can have.
struct Feature {
    name: &'static str,
    /// How often a layer has it.
    of: fn(&Seen<'_>) -> bool,
}

macro_rules! features {
    ($($name:literal |$seen:ident| $of:expr;)*) => {
        const FEATURES: &[Feature] = &[$(Feature { name: $name, of: |$seen: &Seen<'_>| $of },)*];
    };
}

features! {
    "kernel 1" |s| s.any_axis(|axis| axis.kernel == 1);
    "kernel 2" |s| s.any_axis(|axis| axis.kernel == 2);
    "kernel 3" |s| s.any_axis(|axis| axis.kernel == 3);
    "kernel 4" |s| s.any_axis(|axis| axis.kernel == 4);
    "kernel 5" |s| s.any_axis(|axis| axis.kernel == 5);
    "kernel 6" |s| s.any_axis(|axis| axis.kernel == 6);
    "kernel 7" |s| s.any_axis(|axis| axis.kernel == 7);
    "stride 1 with a larger kernel" |s| s.any_axis(|axis| axis.stride == 1 && axis.kernel > 1);
    "stride 2" |s| s.any_axis(|axis| axis.stride == 2);
    "stride 3" |s| s.any_axis(|axis| axis.stride == 3);
    "stride 4" |s| s.any_axis(|axis| axis.stride == 4);
    "stride larger than the kernel" |s| s.any_axis(|axis| axis.stride > axis.kernel);
    "padding 1" |s| s.any_axis(|axis| axis.padding == 1);
    "padding 2" |s| s.any_axis(|axis| axis.padding == 2);
    "padding 3" |s| s.any_axis(|axis| axis.padding == 3);
    "padding of the kernel or more" |s| s.any_axis(|axis| axis.padding >= axis.kernel);
    "rows and columns sampled differently" |s| s.any_term(|term| s.plane(term) && term.taps.rows != term.taps.columns);
    "kernel larger than its source" |s| s.any_term(|term| s.wider_than_source(term));
    "a pass of which a token sees nothing" |s| s.blind_pass();
    "grid with an odd side" |s| s.layer.grid.rows % 2 == 1 && s.layer.grid.rows > 1 || s.layer.grid.columns % 2 == 1 && s.layer.grid.columns > 1;
    "1 term" |s| s.terms().len() == 1;
    "2 terms" |s| s.terms().len() == 2;
    "3 to 8 terms" |s| (3..=8).contains(&s.terms().len());
    "9 to 20 terms" |s| s.terms().len() >= 9;
    "dense and diagonal terms" |s| s.any_term(dense) && s.any_term(diagonal);
    "depthwise convolution" |s| s.any_term(|term| diagonal(term) && s.plane(term) && term.taps.count() > 1);
    "average pooling" |s| s.any_term(|term| diagonal(term) && pools(term.taps) && even(term.weights.data()));
    "max pooling" |s| s.hard() && s.layer.theta.iter().all(|&theta| theta == 1) && s.any_term(|term| diagonal(term) && term.taps.count() > 1);
    "shift 0" |s| s.any_term(|term| term.shift == 0);
    "shift 1" |s| s.any_term(|term| term.shift == 1);
    "shift 2" |s| s.any_term(|term| term.shift == 2);
    "shift 3" |s| s.any_term(|term| term.shift == 3);
    "shift 4" |s| s.any_term(|term| term.shift == 4);
    "shift 5" |s| s.any_term(|term| term.shift == 5);
    "shift 6" |s| s.any_term(|term| term.shift == 6);
    "shift 7" |s| s.any_term(|term| term.shift == 7);
    "terms of several sources" |s| s.distinct(|term| format!("{:?}", term.source)) > 1;
    "terms with several strides" |s| s.distinct(|term| format!("{:?}", (term.taps.rows.stride, term.taps.columns.stride))) > 1;
    "terms of grids of several sizes" |s| s.distinct(|term| format!("{:?}", s.grid(term))) > 1;
    "2 passes" |s| s.passes() == 2;
    "3 to 8 passes" |s| (3..=8).contains(&s.passes());
    "9 passes or more" |s| s.passes() >= 9;
    "a slice of channels" |s| s.plan.strips.iter().flat_map(|strip| &strip.passes).any(|pass| pass.diagonal == 0) && s.sliced();
    "16 segments in a pass" |s| s.plan.strips.iter().flat_map(|strip| &strip.passes).any(|pass| pass.segments == 16);
    "2 strips" |s| s.plan.strips.len() == 2;
    "3 strips or more" |s| s.plan.strips.len() >= 3;
    "strips, each step" |s| s.strips() && s.schedule() == Some(Schedule::EachStep);
    "strips, hard reset" |s| s.strips() && s.hard();
    "strips, two-phase, rotated slots" |s| s.strips() && s.schedule() == Some(Schedule::AfterAll) && s.rotates();
    "strips with a mask" |s| s.strips() && s.masked() && !s.layer.mask.shared;
    "strips with a shared mask" |s| s.strips() && s.masked() && s.layer.mask.shared;
    "strips of windows" |s| s.strips() && s.windows().is_some();
    "strips of shifted windows" |s| s.strips() && s.windows().is_some_and(|windows| windows.shift > 0);
    "windows in pieces" |s| s.pieces().is_some();
    "shifted windows in pieces" |s| s.pieces().is_some_and(|windows| windows.shift > 0);
    "windows in pieces, two-phase, rotated slots" |s| s.pieces().is_some() && s.schedule() == Some(Schedule::AfterAll) && s.rotates();
    "windows in pieces, with a mask" |s| s.pieces().is_some() && s.masked() && !s.layer.mask.shared;
    "strips of the image" |s| s.strips() && s.image();
    "several passes, no strips" |s| s.passes() > 1 && !s.strips() && s.layer.neuron.is_some();
    "several passes, several tiles" |s| s.passes() > 1 && s.plan.strips[0].descriptor.tiles > 1;
    "several passes, several chunks" |s| s.passes() > 1 && s.plan.strips[0].descriptor.chunks > 1;
    "windows without attention" |s| s.windows().is_some() && s.plan.plane.as_ref().is_none_or(|plane| plane.groups <= 1);
    "windows with taps" |s| s.windows().is_some() && s.any_term(|term| term.taps != Taps::TOKEN);
    "shifted windows" |s| s.windows().is_some_and(|windows| windows.shift > 0);
    "if" |s| s.schedule() == Some(Schedule::EachStep) && !s.hard();
    "two-phase" |s| s.schedule() == Some(Schedule::AfterAll);
    "hard reset" |s| s.hard();
    "if and two-phase in one network" |s| s.mixes_schedules();
    "masked linear layer" |s| s.masked() && !s.image() && s.linear();
    "masked image layer" |s| s.masked() && s.image();
    "masked scores" |s| s.masked() && matches!(s.layer.operation, Operation::Scores { .. });
    "masked context" |s| s.masked() && matches!(s.layer.operation, Operation::Context { .. });
    "shared mask, linear" |s| s.shares() && s.linear();
    "shared mask, each step" |s| s.shares() && s.schedule() == Some(Schedule::EachStep);
    "shared mask with the draws of another layer" |s| s.shares() && s.layer.mask.draws_of.is_some();
    "shared mask, scores" |s| s.shares() && matches!(s.layer.operation, Operation::Scores { .. });
    "shared mask, context" |s| s.shares() && matches!(s.layer.operation, Operation::Context { .. });
    "scores" |s| matches!(s.layer.operation, Operation::Scores { .. });
    "context" |s| matches!(s.layer.operation, Operation::Context { .. });
    "attention behind a convolution" |s| s.attention() && s.network.layers.iter().take_while(|layer| *layer != s.layer).any(convolves);
    "a convolution behind attention" |s| convolves(s.layer) && s.network.layers.iter().take_while(|layer| *layer != s.layer).any(attends);
    "keys, queries or values with taps" |s| s.grouped() && s.any_term(|term| term.taps != Taps::TOKEN);
    "time steps no multiple of 8" |s| !s.network.time_steps().is_multiple_of(8);
    "1 time step" |s| s.network.time_steps() == 1;
    "2 to 8 time steps" |s| (2..=8).contains(&s.network.time_steps());
    "9 to 16 time steps" |s| (9..=16).contains(&s.network.time_steps());
    "17 to 40 time steps" |s| (17..=40).contains(&s.network.time_steps());
    "41 to 64 time steps" |s| s.network.time_steps() > 40;
    "image" |s| s.image();
    "a border of the image that is not 0" |s| s.image() && s.network.border.iter().any(|&byte| byte != 0) && s.any_term(|term| term.taps.is_padded());
    "several terms of the image" |s| s.image() && s.terms().len() > 1;
    "a second layer that reads the image" |s| s.image() && !std::ptr::eq(s.layer, &s.network.layers[0]);
    "each channel of the image alone" |s| s.image() && s.any_term(diagonal);
    "a patch beyond the row buffer" |s| s.image() && s.plan.inputs.iter().any(|input| input.row_bytes > s.core.max_fan_in);
    "readout" |s| s.layer.neuron.is_none();
    "readout with taps" |s| s.layer.neuron.is_none() && s.any_term(|term| term.taps != Taps::TOKEN);
    "readout of several terms" |s| s.layer.neuron.is_none() && s.terms().len() > 1;
    "readout of several passes" |s| s.layer.neuron.is_none() && s.passes() > 1;
}

fn dense(term: &Term) -> bool {
    matches!(term.weights, Weights::Dense(_))
}

fn diagonal(term: &Term) -> bool {
    !dense(term)
}

fn pools(taps: Taps) -> bool {
    taps.count() > 1 && [taps.rows, taps.columns].iter().all(|axis| axis.kernel == axis.stride)
}

fn even(gains: &[i8]) -> bool {
    gains.windows(2).all(|pair| pair[0] == pair[1])
}

fn convolves(layer: &Layer) -> bool {
    let Operation::Linear { terms, .. } = &layer.operation else { return false };
    let of_plane = |term: &Term| term.source != Source::Image;
    terms.iter().any(|term| of_plane(term) && term.taps.count() > 1 && !pools(term.taps))
}

fn attends(layer: &Layer) -> bool {
    matches!(layer.operation, Operation::Scores { .. } | Operation::Context { .. })
}

impl Seen<'_> {
    fn terms(&self) -> &[Term] {
        match &self.layer.operation {
            Operation::Linear { terms, .. } => terms,
            Operation::Scores { .. } | Operation::Context { .. } => &[],
        }
    }

    fn linear(&self) -> bool {
        !self.terms().is_empty() && self.layer.neuron.is_some()
    }

    fn attention(&self) -> bool {
        attends(self.layer)
    }

    fn any_term(&self, of: impl Fn(&Term) -> bool) -> bool {
        self.terms().iter().any(of)
    }

    fn plane(&self, term: &Term) -> bool {
        term.source != Source::Image
    }

    /// Rows or columns of a term that reads a plane.
    fn any_axis(&self, of: impl Fn(isa::Axis) -> bool) -> bool {
        self.any_term(|term| self.plane(term) && (of(term.taps.rows) || of(term.taps.columns)))
    }

    fn grid(&self, term: &Term) -> isa::Grid {
        match term.source {
            Source::Image => self.network.image.grid(),
            Source::Plane(id) => self.network.layer(id).grid,
        }
    }

    fn wider_than_source(&self, term: &Term) -> bool {
        let grid = self.grid(term);
        self.plane(term) && (term.taps.rows.kernel > grid.rows || term.taps.columns.kernel > grid.columns)
    }

    /// Whether all segments of a pass lie outside the source for some token.
    fn blind_pass(&self) -> bool {
        let strips = self.plan.strips.iter();
        strips.filter(|strip| strip.descriptor.shift == 0).any(|Strip { descriptor: d, passes }| {
            let (rows, columns) = (d.blocks_y * d.inner_y, d.blocks_x * d.inner_x);
            let tokens = || (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x)));
            passes
                .iter()
                .any(|pass| tokens().any(|token| pass.table.iter().all(|tap| !inside(pass, tap, token))))
        })
    }

    fn distinct(&self, of: impl Fn(&Term) -> String) -> usize {
        self.terms().iter().map(of).collect::<BTreeSet<_>>().len()
    }

    fn passes(&self) -> usize {
        self.plan.strips[0].passes.len()
    }

    /// A dense pass that reads a part of its source's channels.
    fn sliced(&self) -> bool {
        let rows = self.terms().iter().filter(|term| self.plane(term) && dense(term));
        let channels = rows.map(|term| self.network.layer(plane_of(term)).channels);
        channels.max().is_some_and(|most| most > self.core.max_fan_in as usize)
    }

    fn strips(&self) -> bool {
        self.plan.strips.len() > 1
    }

    fn schedule(&self) -> Option<Schedule> {
        self.layer.schedule()
    }

    fn hard(&self) -> bool {
        self.layer.neuron.is_some_and(|Neuron { reset, .. }| reset == Reset::Zero)
    }

    fn rotates(&self) -> bool {
        !self.layer.rotate.is_multiple_of(self.network.time_steps())
    }

    fn masked(&self) -> bool {
        self.layer.mask.ratio > 0
    }

    fn shares(&self) -> bool {
        self.masked() && self.layer.mask.shared
    }

    fn image(&self) -> bool {
        self.layer.operation.reads_image()
    }

    fn windows(&self) -> Option<Windows> {
        match self.layer.walk {
            Walk::Windows(windows) if !self.attention() => Some(windows),
            _ => None,
        }
    }

    /// Windows of which no strip has a whole one.
    fn pieces(&self) -> Option<Windows> {
        let d = &self.plan.strips[0].descriptor;
        self.windows().filter(|windows| ((d.inner_y * d.inner_x) as usize) < windows.tokens())
    }

    /// Whether attention reads the plane head by head.
    fn grouped(&self) -> bool {
        self.linear() && self.plan.plane.as_ref().is_some_and(|plane| plane.groups > 1)
    }

    fn mixes_schedules(&self) -> bool {
        let of = |schedule| self.network.layers.iter().any(|layer| layer.schedule() == Some(schedule));
        of(Schedule::EachStep) && of(Schedule::AfterAll)
    }
}

/// Whether a token's tap lies in the source; see "Positions" in [`isa::pass`].
fn inside(pass: &Pass, tap: &isa::pass::Segment, (y, x): (u32, u32)) -> bool {
    let at = |start: u32, token: u32, step: u32, tap: u32, size: u32| {
        (start + token * step + tap) % (1 << START_BITS) < size
    };
    at(pass.start_y, y, pass.step_y, tap.dy, pass.rows)
        && at(pass.start_x, x, pass.step_x, tap.dx, pass.columns)
}

fn plane_of(term: &Term) -> model::LayerId {
    match term.source {
        Source::Plane(id) => id,
        Source::Image => unreachable!("the image is no plane"),
    }
}

/// How many layers have each feature.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Networks that were looked at.
    pub networks: u64,
    /// Layers of them all.
    pub layers: u64,
    counts: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage { networks: 0, layers: 0, counts: vec![0; FEATURES.len()] }
    }
}

impl Coverage {
    /// Counts what the layers of a network have on the core that it was compiled for.
    pub fn add(&mut self, network: &Configured, program: &Program) {
        self.networks += 1;
        for (layer, plan) in network.layers.iter().zip(&program.layers) {
            self.layers += 1;
            let seen = Seen { network, core: &program.core, layer, plan };
            for (count, feature) in self.counts.iter_mut().zip(FEATURES) {
                *count += u64::from((feature.of)(&seen));
            }
        }
    }

    /// Adds what another campaign counted.
    pub fn merge(&mut self, other: &Coverage) {
        self.networks += other.networks;
        self.layers += other.layers;
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// The features that fewer than `least` layers have.
    pub fn rare(&self, least: u64) -> Vec<&'static str> {
        let counted = FEATURES.iter().zip(&self.counts);
        counted.filter(|(_, count)| **count < least).map(|(feature, _)| feature.name).collect()
    }
}

impl Display for Coverage {
    /// Lines of a table.
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let counted = FEATURES.iter().zip(&self.counts);
        counted.into_iter().try_for_each(|(feature, count)| writeln!(f, "| {} | {count} |", feature.name))
    }
}
