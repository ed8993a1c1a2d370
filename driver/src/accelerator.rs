//! One accelerator: open it, load a program, run images, read back what it did.

use crate::error::{CoreFault, DriverError};
use crate::link::Link;
use isa::program::{LayerPlan, Place, Plane, Planes, Program};
use isa::registers::{self, control, status};
use isa::{CoreConfig, Counters, LARGEST_WINDOW, Op, PAGE, layout::LOGIT_BYTES};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a run or a soft reset may take unless [`Accelerator::set_deadline`] says otherwise.
const DEADLINE: Duration = Duration::from_secs(2);
/// Time between two looks at `STATUS` while a soft reset drains the bus.
const RESET_POLL: Duration = Duration::from_micros(10);
/// The least time that a look at `STATUS` takes: ends a run that is interrupted without end on a link whose clock stands still.
const LOOK: Duration = Duration::from_micros(1);
/// What the highest byte of a logit holds before it is written: such a logit is far outside what networks give.
pub const UNWRITTEN: u8 = 0x80;
/// Bits of `INTERRUPT_ENABLE`: done and error.
const INTERRUPTS: u32 = 0b11;

/// The result of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    /// One a class.
    pub logits: Vec<i32>,
    /// The class with the largest logit, the first of equals.
    pub class: usize,
    /// What the core counted during this image.
    pub counters: Counters,
}

/// What the core counted in one layer of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerProfile {
    /// Name of the layer.
    pub name: String,
    /// Operation of the layer.
    pub op: Op,
    /// The counters of this layer.
    pub counters: Counters,
}

/// An accelerator behind a [`Link`].
pub struct Accelerator<L: Link> {
    link: L,
    core: CoreConfig,
    window_size: u32,
    deadline: Duration,
    program: Option<Program>,
}

impl<L: Link> Accelerator<L> {
    /// Finds the accelerator, reads its sizes and brings it into a known state: whatever ran is stopped.
    ///
    /// # Errors
    /// If no core answers, it speaks another version of the interface, its sizes or the memory window make no sense, or it cannot
    /// be reset.
    pub fn open(mut link: L) -> Result<Accelerator<L>, DriverError> {
        let found = link.read_register(registers::IDENTITY)?;
        if found != isa::IDENTITY {
            return Err(DriverError::NoAccelerator { found });
        }
        let found = link.read_register(registers::VERSION)?;
        if found >> 16 != isa::VERSION >> 16 {
            return Err(DriverError::Version { found });
        }
        let core = read_config(&mut link)?;
        let window_size = window_size(link.memory_base(), link.memory_size(), &core)?;
        let mut accelerator = Accelerator { link, core, window_size, deadline: DEADLINE, program: None };
        accelerator.reset()?;
        Ok(accelerator)
    }

    /// Like [`open`](Accelerator::open), and refuses a core that differs from `expected`, the content of its `mst_core.json`.
    ///
    /// # Errors
    /// Those of `open`, and [`DriverError::OtherCore`] with the first field that differs.
    pub fn open_expecting(link: L, expected: &CoreConfig) -> Result<Accelerator<L>, DriverError> {
        let accelerator = Accelerator::open(link)?;
        same_core("mst_core.json", expected, &accelerator.core)?;
        Ok(accelerator)
    }

    /// The core's sizes, as its registers have them.
    pub fn core(&self) -> &CoreConfig {
        &self.core
    }

    /// Bytes of the memory window that the core uses: what to compile programs for.
    pub fn window_size(&self) -> u64 {
        u64::from(self.window_size)
    }

    /// Sets how long a run or a soft reset may take, in the link's time. Two seconds unless set.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// The link, for what this type does not offer.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Gives the link back.
    pub fn into_link(self) -> L {
        self.link
    }

    /// Stops whatever runs, waits until the bus has drained, clears errors and sets up the memory window. A loaded program stays.
    ///
    /// # Errors
    /// [`DriverError::ResetStuck`] if the core does not come to rest, [`DriverError::Gone`] if it no longer answers,
    /// [`DriverError::OtherCore`] if another one does.
    pub fn reset(&mut self) -> Result<(), DriverError> {
        self.still_there()?;
        same_core("the accelerator when it was opened", &self.core, &read_config(&mut self.link)?)?;
        self.link.write_register(registers::INTERRUPT_ENABLE, 0)?;
        self.link.write_register(registers::CONTROL, control::SOFT_RESET | control::CLEAR_DONE)?;
        let started = self.link.clock();
        let mut polled = Duration::ZERO;
        loop {
            let status = self.link.read_register(registers::STATUS)?;
            if status & (status::BUSY | status::RESETTING | status::ERROR) == 0 {
                break;
            }
            // A look over a serial line takes longer than the time between looks.
            let waited = polled.max(self.since(started));
            if waited >= self.deadline {
                self.still_there()?;
                return Err(DriverError::ResetStuck { waited, status });
            }
            // With interrupts disabled this only lets time pass.
            self.link.wait_interrupt(RESET_POLL)?;
            polled += RESET_POLL;
        }
        let base = self.link.memory_base();
        self.link.write_register(registers::MEMORY_BASE_LOW, base as u32)?;
        self.link.write_register(registers::MEMORY_BASE_HIGH, (base >> 32) as u32)?;
        self.link.write_register(registers::MEMORY_SIZE, self.window_size)?;
        self.link.write_register(registers::INTERRUPT_ENABLE, INTERRUPTS)?;
        self.still_there()
    }

    /// Writes a program into memory; it takes the place of the one before.
    ///
    /// # Errors
    /// [`DriverError::OtherCore`] if it was compiled for another core, [`DriverError::Window`] if it does not fit,
    /// [`DriverError::Gone`] if the accelerator no longer answers, [`DriverError::Memory`] if its memory does not hold what was
    /// written. Then no program is loaded.
    pub fn load(&mut self, program: &Program) -> Result<(), DriverError> {
        same_core(&format!("the program of network `{}`", program.network), &program.core, &self.core)?;
        if program.total_bytes > u64::from(self.window_size) {
            return Err(DriverError::Window {
                base: self.link.memory_base(),
                size: self.link.memory_size(),
                allowed: format!(
                    "the program of network `{}` needs {} bytes; compile it for this size or use a larger window",
                    program.network, program.total_bytes
                ),
            });
        }
        self.program = None;
        for segment in &program.image {
            self.link.write_memory(segment.offset, &segment.bytes)?;
        }
        // Writes to a device that is gone may go nowhere without an error.
        self.still_there()?;
        self.holds(program.descriptor_base.into(), first_word(program))?;
        self.program = Some(Program { image: Vec::new(), ..program.clone() });
        Ok(())
    }

    /// The loaded program, without the bytes that were written.
    ///
    /// # Errors
    /// [`DriverError::NotLoaded`].
    pub fn program(&self) -> Result<&Program, DriverError> {
        self.program.as_ref().ok_or(DriverError::NotLoaded)
    }

    /// Classifies one image: `height * width * channels` bytes, channel by channel and row by row.
    ///
    /// # Errors
    /// If no program is loaded, the image has the wrong size, the core stops, does not finish in time, or answers what it cannot:
    /// too few descriptors, an impossible logit, another identity, a memory without the program. After all but the first two, [`reset`](Accelerator::reset) makes it
    /// usable again. A core that computes wrong but possible logits is found by comparison with the reference only.
    pub fn infer(&mut self, image: &[u8]) -> Result<Inference, DriverError> {
        let counters = self.run_image(image)?;
        self.answer(counters)
    }

    /// Writes one image and runs the program on it, like [`infer`](Accelerator::infer), but reads no logits: for a program that has some of
    /// a network's layers, without the readout. What its layers read of others must be in memory.
    ///
    /// # Errors
    /// Those of [`infer`](Accelerator::infer), but for impossible logits.
    pub fn run_image(&mut self, image: &[u8]) -> Result<Counters, DriverError> {
        let program = self.program()?;
        let (place, count) = (program.first(), program.descriptors() as u32);
        self.write_image(&place, image)?;
        self.run(place.descriptor_base, count)
    }

    /// Reads the answer of a run that counted `counters`: the logits that it left in the first place.
    ///
    /// # Errors
    /// If no program is loaded, or what memory holds is no answer: an impossible logit, another identity, a memory without the program.
    pub fn answer(&mut self, counters: Counters) -> Result<Inference, DriverError> {
        let place = self.program()?.first();
        self.inference(&place, counters)
    }

    /// Classifies images one after the other.
    ///
    /// # Errors
    /// Those of [`infer`](Accelerator::infer), at the first image that fails.
    pub fn infer_batch<'a>(
        &mut self,
        images: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Inference>, DriverError> {
        images.into_iter().map(|image| self.infer(image)).collect()
    }

    /// Classifies images one after the other; while the core computes one, the next is written and the logits of the last are read, if the
    /// program has a second place for that ([`Program::add_second_place`]). The answers are those of [`infer`](Accelerator::infer).
    ///
    /// # Errors
    /// Those of [`infer`](Accelerator::infer) in [`DriverError::Image`], which names the first image that fails. All sizes are checked
    /// before anything runs; after any other error [`reset`](Accelerator::reset) makes the accelerator usable again.
    pub fn infer_stream<'a>(
        &mut self,
        images: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Inference>, DriverError> {
        let images: Vec<&[u8]> = images.into_iter().collect();
        let of = |index: usize| move |source| DriverError::Image { index, source: Box::new(source) };
        let program = self.program()?;
        for (index, image) in images.iter().enumerate() {
            program.takes(image).map_err(|error| of(index)(error.into()))?;
        }
        let (places, count) = (program.places(), program.descriptors() as u32);
        let [first, second] = places.as_slice() else {
            let one = |(index, image)| self.infer(image).map_err(of(index));
            return images.into_iter().enumerate().map(one).collect();
        };
        let place = |index: usize| if index.is_multiple_of(2) { first } else { second };
        let mut inferences = Vec::with_capacity(images.len());
        if let Some(image) = images.first() {
            self.write_image(first, image).map_err(of(0))?;
            self.start(first.descriptor_base, count).map_err(of(0))?;
        }
        for index in 0..images.len() {
            let next = index + 1;
            if let Some(image) = images.get(next) {
                self.write_image(place(next), image).map_err(of(next))?;
            }
            let counters = self.finish(count).map_err(of(index))?;
            if next < images.len() {
                self.start(place(next).descriptor_base, count).map_err(of(next))?;
            }
            inferences.push(self.inference(place(index), counters).map_err(of(index))?);
        }
        Ok(inferences)
    }

    /// Classifies one image and counts each layer, all its strips together: runs the first layer, the first two, and so on, and takes what each
    /// run counts beyond the one before. So what overlaps between layers counts once, and the cycles add up to those of a whole run.
    ///
    /// # Errors
    /// Those of [`infer`](Accelerator::infer).
    pub fn run_profiled(&mut self, image: &[u8]) -> Result<(Inference, Vec<LayerProfile>), DriverError> {
        let (counters, profile) = self.profile(image)?;
        Ok((self.answer(counters)?, profile))
    }

    /// Counts each layer as [`run_profiled`](Accelerator::run_profiled) does, and all of them together, but reads no logits.
    ///
    /// # Errors
    /// Those of [`run_image`](Accelerator::run_image).
    pub fn profile(&mut self, image: &[u8]) -> Result<(Counters, Vec<LayerProfile>), DriverError> {
        let place = self.program()?.first();
        self.write_image(&place, image)?;
        let layers: Vec<(String, Op, u32)> = self.program()?.layers.iter().map(profiled).collect();
        let mut before = Counters::default();
        let mut profile = Vec::with_capacity(layers.len());
        let mut count = 0;
        for (name, op, descriptors) in layers {
            count += descriptors;
            let total = self.run(place.descriptor_base, count)?;
            profile.push(LayerProfile { name, op, counters: total.beyond(&before) });
            before = total;
        }
        Ok((before, profile))
    }

    /// The counters since the last start of a run.
    ///
    /// # Errors
    /// What the link reports, and [`DriverError::Gone`].
    pub fn counters(&mut self) -> Result<Counters, DriverError> {
        let counters = Counters::read(|register| self.link.read_register(register))?;
        self.still_there()?;
        Ok(counters)
    }

    /// Reads back the spikes of layer `index` after a run, as they lie in memory.
    ///
    /// # Errors
    /// [`DriverError::NoPlane`] for the readout, for a layer that does not exist, and if the program shares memory between planes;
    /// [`DriverError::Gone`].
    pub fn read_plane(&mut self, index: usize) -> Result<Plane, DriverError> {
        let program = self.program()?;
        let refuse = |reason: String| DriverError::NoPlane { index, reason };
        if program.planes != Planes::Keep {
            return Err(refuse(
                "the program shares memory between planes; compile it with `Planes::Keep`".to_owned(),
            ));
        }
        let plan = program.layers.get(index).ok_or_else(|| {
            refuse(format!("network `{}` has layers 0..{}", program.network, program.layers.len()))
        })?;
        let layout = plan.plane.clone().ok_or_else(|| {
            refuse(format!("`{}` is the readout, which has logits and no spikes", plan.name))
        })?;
        let mut plane = Plane::new(layout, program.time_steps);
        self.link.read_memory(plane.layout.base.into(), &mut plane.bytes)?;
        self.still_there()?;
        // Such a bit would be a defect of the core; no reader of the plane would see it.
        match plane.beyond_the_last_step() {
            None => Ok(plane),
            Some((token, channel, step)) => Err(refuse(format!(
                "token {token}, channel {channel} spikes at time step {step} of {}",
                plane.time_steps
            ))),
        }
    }

    fn write_image(&mut self, place: &Place, image: &[u8]) -> Result<(), DriverError> {
        for segment in self.program()?.inputs_at(place, image)? {
            self.link.write_memory(segment.offset, &segment.bytes)?;
        }
        // The highest byte of each logit, so that one that is not written is not taken for that of the image before.
        let top = place.logits.highest_bytes();
        self.link.write_memory(top.start.into(), &vec![UNWRITTEN; top.len()])?;
        Ok(())
    }

    /// The link's time since `started`; none if its clock was set back.
    fn since(&self, started: Duration) -> Duration {
        self.link.clock().saturating_sub(started)
    }

    /// Tells a core that says something odd from one that is gone: there, every register reads all ones or zeros.
    fn still_there(&mut self) -> Result<(), DriverError> {
        match self.link.read_register(registers::IDENTITY)? {
            isa::IDENTITY => Ok(()),
            found => Err(DriverError::Gone { found }),
        }
    }

    /// Checks that memory reads `expected` at byte `offset`.
    fn holds(&mut self, offset: u64, expected: u64) -> Result<(), DriverError> {
        let mut word = [0; 8];
        self.link.read_memory(offset, &mut word)?;
        let found = u64::from_le_bytes(word);
        if found == expected { Ok(()) } else { Err(DriverError::Memory { offset, expected, found }) }
    }

    /// Runs `count` descriptors from byte `base` on.
    fn run(&mut self, base: u32, count: u32) -> Result<Counters, DriverError> {
        self.start(base, count)?;
        self.finish(count)
    }

    fn start(&mut self, base: u32, count: u32) -> Result<(), DriverError> {
        self.link.write_register(registers::DESCRIPTOR_BASE, base)?;
        self.link.write_register(registers::DESCRIPTOR_COUNT, count)?;
        self.link.write_register(registers::CONTROL, control::CLEAR_DONE | control::CLEAR_COUNTERS)?;
        self.link.write_register(registers::CONTROL, control::START)?;
        Ok(())
    }

    /// Waits for the end of the run of `count` descriptors that was started.
    fn finish(&mut self, count: u32) -> Result<Counters, DriverError> {
        self.wait_until_done(count)?;
        let completed = self.link.read_register(registers::LAYERS_COMPLETED)?;
        if completed != count {
            self.still_there()?;
            let layer = self.layer_name(completed as usize);
            return Err(DriverError::Incomplete { completed, descriptors: count, layer });
        }
        let counters = Counters::read(|register| self.link.read_register(register))?;
        self.link.write_register(registers::CONTROL, control::CLEAR_DONE)?;
        Ok(counters)
    }

    /// Waits for the end of a run of `descriptors` descriptors. The registers decide: an interrupt may be late, lost or someone else's.
    fn wait_until_done(&mut self, descriptors: u32) -> Result<(), DriverError> {
        let started = self.link.clock();
        let mut looked = Duration::ZERO;
        let mut waited = Duration::ZERO;
        loop {
            let interrupted = self.link.wait_interrupt(self.deadline.saturating_sub(waited))?;
            let status = self.link.read_register(registers::STATUS)?;
            if status & status::ERROR != 0 {
                self.still_there()?;
                return Err(self.fault(status)?);
            }
            if status & (status::DONE | status::BUSY) == status::DONE {
                return Ok(());
            }
            looked += LOOK;
            waited = if interrupted { looked.max(self.since(started)) } else { self.deadline };
            if waited >= self.deadline {
                self.still_there()?;
                let completed = self.link.read_register(registers::LAYERS_COMPLETED)?;
                let layer = self.layer_name(completed as usize);
                return Err(DriverError::Deadline { waited, status, completed, descriptors, layer });
            }
        }
    }

    fn fault(&mut self, status: u32) -> Result<DriverError, DriverError> {
        let code = self.link.read_register(registers::ERROR)?;
        let descriptor = self.link.read_register(registers::ERROR_DESCRIPTOR)?;
        let address = self.link.read_register(registers::ERROR_ADDRESS)?;
        let layer = self.layer_name(descriptor as usize);
        Ok(DriverError::Core(Box::new(CoreFault { status, code, descriptor, layer, address })))
    }

    /// Name of the layer that a descriptor of the run belongs to.
    fn layer_name(&self, descriptor: usize) -> String {
        let program = self.program.as_ref();
        let layer = program.and_then(|program| program.layers.get(program.layer_of(descriptor)?));
        layer.map_or_else(|| format!("of descriptor {descriptor}"), |layer| layer.name.clone())
    }

    /// Reads the answer from `place`.
    fn inference(&mut self, place: &Place, counters: Counters) -> Result<Inference, DriverError> {
        let layout = place.logits.clone();
        let plane = layout.plane_bytes as usize;
        let mut bytes = vec![UNWRITTEN; LOGIT_BYTES as usize * plane];
        self.link.read_memory(u64::from(layout.base), &mut bytes)?;
        // Only now is it known that what was read came from the memory, and from a device that is not gone.
        let program = self.program()?;
        let (begin, first) = (program.descriptor_base.into(), first_word(program));
        self.holds(begin, first)?;
        self.still_there()?;
        let logit = |class| i32::from_le_bytes([0, 1, 2, 3].map(|p| bytes[p * plane + class]));
        let logits: Vec<i32> = (0..layout.classes).map(logit).collect();
        for (class, (&found, range)) in logits.iter().zip(&self.program()?.logit_ranges).enumerate() {
            if !range.contains(&found.into()) {
                return Err(DriverError::Logit { class, found, low: *range.start(), high: *range.end() });
            }
        }
        let class = (0..logits.len()).rev().max_by_key(|&class| logits[class]).unwrap_or(0);
        Ok(Inference { logits, class, counters })
    }
}

/// What memory holds where a program begins: the first word of its first descriptor, whose time steps are never 0.
fn first_word(program: &Program) -> u64 {
    program.strips().next().map_or(0, |strip| strip.descriptor.to_words()[0])
}

/// Name, operation and number of descriptors of a layer.
fn profiled(layer: &LayerPlan) -> (String, Op, u32) {
    let code = layer.strips.first().map_or(0, |strip| strip.descriptor.op);
    let op = Op::ALL.get(code as usize).copied().unwrap_or(Op::Linear);
    (layer.name.clone(), op, layer.strips.len() as u32)
}

/// The core's sizes from its configuration registers.
fn read_config(link: &mut impl Link) -> Result<CoreConfig, DriverError> {
    let mut found = [0; 4];
    let offsets = [registers::CONFIG0, registers::CONFIG1, registers::CONFIG2, registers::CONFIG3];
    for (value, offset) in found.iter_mut().zip(offsets) {
        *value = link.read_register(offset)?;
    }
    let core = CoreConfig {
        lanes: found[0] & 0xffff,
        bus_bits: 8 * (found[0] >> 16 & 0xff),
        membrane_bits: found[0] >> 24,
        max_fan_in: found[1] & 0xffff,
        weight_rows: found[1] >> 16,
        bias_rows: found[2] & 0xffff,
        address_bits: found[2] >> 16 & 0xff,
        sum_rows: found[3] & 0xffff,
    };
    core.validate().map_err(|source| DriverError::Configuration { registers: found, source })?;
    Ok(core)
}

/// Checks the window; returns how many of its bytes the core is told of: whole pages, below 4 GiB.
fn window_size(base: u64, size: u64, core: &CoreConfig) -> Result<u32, DriverError> {
    let refuse = |allowed: String| Err(DriverError::Window { base, size, allowed });
    if !base.is_multiple_of(PAGE) || size < PAGE {
        return refuse(format!("it must start at a multiple of {PAGE} and have at least {PAGE} bytes"));
    }
    let usable = size.min(LARGEST_WINDOW) / PAGE * PAGE;
    let addresses = 1u128 << core.address_bits;
    if u128::from(base) + u128::from(usable) > addresses {
        return refuse(format!(
            "the core reaches {} address bits; place the window lower",
            core.address_bits
        ));
    }
    Ok(usable as u32)
}

fn same_core(what: &str, expected: &CoreConfig, found: &CoreConfig) -> Result<(), DriverError> {
    let fields = [
        ("lanes", expected.lanes, found.lanes),
        ("bus_bits", expected.bus_bits, found.bus_bits),
        ("address_bits", expected.address_bits, found.address_bits),
        ("membrane_bits", expected.membrane_bits, found.membrane_bits),
        ("max_fan_in", expected.max_fan_in, found.max_fan_in),
        ("weight_rows", expected.weight_rows, found.weight_rows),
        ("bias_rows", expected.bias_rows, found.bias_rows),
        ("sum_rows", expected.sum_rows, found.sum_rows),
    ];
    match fields.into_iter().find(|(_, expected, found)| expected != found) {
        Some((field, expected, found)) => {
            Err(DriverError::OtherCore { field, what: what.to_owned(), expected, found })
        }
        None => Ok(()),
    }
}
