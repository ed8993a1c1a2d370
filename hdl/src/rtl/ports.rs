//! The ports of a module: what each carries, and the order in which the Verilog lists them.

use std::collections::{HashMap, HashSet};

use super::builder::{Builder, Role, Signal};

/// Whether a port brings a value in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortDirection {
    /// Driven from outside.
    Input,
    /// Driven by the module.
    Output,
}

impl PortDirection {
    /// `input` or `output`.
    pub fn verilog(self) -> &'static str {
        match self {
            PortDirection::Input => "input",
            PortDirection::Output => "output",
        }
    }
}

/// A port of a finished module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Whether it brings a value in or out.
    pub direction: PortDirection,
    /// Number of bits.
    pub width: u32,
    /// Whether it is read as two's complement.
    pub signed: bool,
    /// The clock at whose rising edges an input is read and an output changes: `clk`, or the signal inside that the module takes its
    /// clock from. None for a clock itself, for a port that belongs to no clock of the module, and in a module without registers.
    pub clock: Option<String>,
    /// What it carries, and when it is valid.
    pub doc: String,
}

/// A channel of a bus, whose ports stand together in the Verilog.
struct Channel {
    /// Its name in the header of the module.
    title: &'static str,
    /// Prefix of its signals' names.
    prefix: &'static str,
    /// What follows the prefix, and what such a port carries.
    signals: &'static [(&'static str, &'static str)],
}

const ADDRESS: &[(&str, &str)] = &[
    ("id", "transaction ID"),
    ("addr", "byte address of the first beat"),
    ("len", "beats less one"),
    ("size", "bytes of a beat, as a power of two"),
    ("burst", "burst type"),
    ("cache", "memory attributes"),
    ("prot", "protection attributes"),
    ("valid", "an address is offered, until it is taken"),
    ("ready", "the address is taken if one is offered"),
];

/// The channels of AXI4, AXI4-Lite (IHI 0022) and AXI4-Stream (IHI 0051), in the order of the documents.
const CHANNELS: [Channel; 6] = [
    Channel { title: "write address", prefix: "aw", signals: ADDRESS },
    Channel {
        title: "write data",
        prefix: "w",
        signals: &[
            ("data", "data of the beat"),
            ("strb", "which bytes of the beat are written"),
            ("last", "the beat is the last of its burst"),
            ("valid", "a beat is offered, until it is taken"),
            ("ready", "the beat is taken if one is offered"),
        ],
    },
    Channel {
        title: "write response",
        prefix: "b",
        signals: &[
            ("id", "transaction ID of the burst"),
            ("resp", "outcome of the write: OKAY, SLVERR or DECERR"),
            ("valid", "a response is offered, until it is taken"),
            ("ready", "the response is taken if one is offered"),
        ],
    },
    Channel { title: "read address", prefix: "ar", signals: ADDRESS },
    Channel {
        title: "read data",
        prefix: "r",
        signals: &[
            ("id", "transaction ID of the burst"),
            ("data", "data of the beat"),
            ("resp", "outcome of the read: OKAY, SLVERR or DECERR"),
            ("last", "the beat is the last of its burst"),
            ("valid", "a beat is offered, until it is taken"),
            ("ready", "the beat is taken if one is offered"),
        ],
    },
    Channel {
        title: "stream",
        prefix: "t",
        signals: &[
            ("data", "data of the transfer"),
            ("last", "the transfer is the last of its packet"),
            ("user", "the first transfer of its packet"),
            ("valid", "a transfer is offered, until it is taken"),
            ("ready", "the transfer is taken if one is offered"),
        ],
    },
];

/// A port's place in a channel of a bus.
struct Place<'a> {
    /// What the names of the bus's ports begin with: `m_axi_`, or nothing.
    bus: &'a str,
    channel: usize,
    signal: usize,
}

impl<'a> Place<'a> {
    /// The place of the port called `name` among ports called `names`. What names an AXI channel is a VALID and a READY with the same
    /// beginning.
    fn find(name: &'a str, names: &HashSet<String>) -> Option<Place<'a>> {
        let mut candidates = CHANNELS.iter().enumerate().flat_map(|(channel, kind)| {
            kind.signals.iter().enumerate().filter_map(move |(signal, (suffix, _))| {
                let bus = name.strip_suffix(suffix)?.strip_suffix(kind.prefix)?;
                (bus.is_empty() || bus.ends_with('_')).then_some(Place { bus, channel, signal })
            })
        });
        candidates.find(|place| {
            let beginning = format!("{}{}", place.bus, CHANNELS[place.channel].prefix);
            ["valid", "ready"].iter().all(|end| names.contains(&format!("{beginning}{end}")))
        })
    }
}

/// The ports in the order of the Verilog: each bus where its first port is declared, channel by channel, a channel's ports in the order
/// of the documents; the others in the order of declaration. Beside each port the title of its channel.
fn ordered(ports: Vec<Port>) -> Vec<(Port, Option<&'static str>)> {
    let names = ports.iter().map(|port| port.name.clone()).collect();
    let mut first: HashMap<String, usize> = HashMap::new();
    let key = |(index, port): (usize, Port)| match Place::find(&port.name, &names) {
        None => ((index, 0, 0), port, None),
        Some(Place { bus, channel, signal }) => {
            let start = *first.entry(bus.to_owned()).or_insert(index);
            ((start, channel, signal), port, Some(CHANNELS[channel].title))
        }
    };
    let mut keyed: Vec<_> = ports.into_iter().enumerate().map(key).collect();
    keyed.sort_by_key(|(key, ..)| *key);
    keyed.into_iter().map(|(_, port, title)| (port, title)).collect()
}

impl Builder {
    /// States that a port belongs to no clock of the module: another device drives it or reads it when it likes.
    pub fn asynchronous(&mut self, port: &str) {
        self.asynchronous.push(port.to_owned());
    }

    /// The clock of a port that is not asynchronous.
    fn clock_of(&self, name: &str) -> Option<String> {
        let (uses, _) = self.implicit_ports();
        if !uses || self.asynchronous.iter().any(|port| port == name) {
            return None;
        }
        Some(self.own_clock.clone().unwrap_or_else(|| "clk".to_owned()))
    }

    /// Inputs and outputs in the order of declaration, without `clk` and `rst`. A port of an AXI channel that has no description gets
    /// that of the documents.
    pub(super) fn ports(&self) -> (Vec<Port>, Vec<Port>) {
        let inputs = self.signals.iter().filter(|signal| matches!(signal.role, Role::Input));
        let inputs = inputs.map(|signal| Port {
            name: signal.name.to_string(),
            direction: PortDirection::Input,
            width: signal.expr.width(),
            signed: signal.expr.is_signed(),
            clock: self.clock_of(&signal.name),
            doc: signal.doc.clone(),
        });
        let outputs = self.outputs.iter().map(|output| Port {
            name: output.name.to_string(),
            direction: PortDirection::Output,
            width: output.value.width(),
            signed: output.value.is_signed(),
            clock: self.clock_of(&output.name),
            doc: output.doc.clone(),
        });
        let (mut inputs, mut outputs): (Vec<Port>, Vec<Port>) = (inputs.collect(), outputs.collect());
        let names = inputs.iter().chain(&outputs).map(|port| port.name.clone()).collect();
        for port in inputs.iter_mut().chain(&mut outputs).filter(|port| port.doc.is_empty()) {
            if let Some(place) = Place::find(&port.name, &names) {
                port.doc = CHANNELS[place.channel].signals[place.signal].1.to_owned();
            }
        }
        (inputs, outputs)
    }

    /// The registers of proofs that the proofs of the module around this one may read.
    pub(super) fn proof_ports(&self) -> Vec<Port> {
        let signals = self.proof_outputs.iter().map(|index| &self.signals[*index]);
        let port = |signal: &Signal| Port {
            name: signal.name.to_string(),
            direction: PortDirection::Output,
            width: signal.expr.width(),
            signed: signal.expr.is_signed(),
            clock: self.clock_of(&signal.name),
            doc: "for proofs".to_owned(),
        };
        signals.map(port).collect()
    }

    /// All ports in the order of the Verilog: `clk`, `rst`, then the others. Beside each port of a bus the title of its channel.
    pub(super) fn header_ports(&self) -> Vec<(Port, Option<&'static str>)> {
        let (clock, reset) = self.clock_ports();
        let one = |name: &str, clock: Option<&str>, doc: &str| Port {
            name: name.to_owned(),
            direction: PortDirection::Input,
            width: 1,
            signed: false,
            clock: clock.map(str::to_owned),
            doc: doc.to_owned(),
        };
        let mut all = Vec::new();
        all.extend(clock.then(|| one("clk", None, "clock, rising edges")));
        all.extend(reset.then(|| one("rst", Some("clk"), "synchronous reset, active high")));
        let (inputs, outputs) = self.ports();
        all.extend(inputs);
        all.extend(outputs);
        ordered(all)
    }
}
