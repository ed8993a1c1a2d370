//! Memory on the chip, behind an AXI4 port.

use std::rc::Rc;

use isa::{CoreConfig, PcieConfig, SocConfig};

use crate::rtl::{Builder, Expr, Memory, Module, RtlError, cat, index_width, lit, mux};

mod rules;

/// Words of the largest bank: an ECP5 block holds 16,384 bits of one column, so deeper ones gain nothing.
const LARGEST_BANK: u32 = 16_384;

/// The sizes of a memory on AXI4.
#[derive(Clone, Copy, Debug)]
pub struct Ram {
    /// Bits of a beat: 64 or 128.
    pub bus_bits: u32,
    /// Bits of an address.
    pub address_bits: u32,
    /// Bits of an ID.
    pub id_bits: u32,
    /// Address of the first byte: a multiple of the next power of two from `bytes` on.
    pub base: u64,
    /// Bytes, a multiple of 4096.
    pub bytes: u32,
}

impl Ram {
    /// Memory that takes the bursts of a core.
    fn of_core(core: &CoreConfig, id_bits: u32, base: u64, bytes: u32) -> Ram {
        Ram { bus_bits: core.bus_bits, address_bits: core.address_bits, id_bits, base, bytes }
    }
}

impl From<&SocConfig> for Ram {
    fn from(config: &SocConfig) -> Ram {
        Ram::of_core(&config.core, 1, isa::soc::MEMORY_BASE.into(), config.memory_bytes)
    }
}

impl From<&PcieConfig> for Ram {
    /// The core's IDs, and one bit that says whether the burst is the core's or a stream's.
    fn from(config: &PcieConfig) -> Ram {
        Ram::of_core(&config.core, 2, isa::pcie::MEMORY_BASE, config.memory_bytes)
    }
}

/// AXI4 subordinate with its memory in banks of block RAM, and a second port for single 32-bit words of the host.
///
/// INCR bursts of whole beats, one in each direction at a time; a beat a cycle, three cycles from a read's address to its first data.
/// Strobes count for each 32 bits: the lowest of four stands for all. A burst whose first beat is outside gets DECERR, as does
/// nothing else. The host goes first, for one cycle: `host_valid` until `host_done`. A word read while it is written is unspecified.
pub fn axi_ram(ram: &Ram) -> Result<Rc<Module>, RtlError> {
    let doc = format!(
        "Memory of {} bytes in block RAM: an AXI4 port for bursts of whole beats, and a port for 32-bit words.",
        ram.bytes
    );
    Module::build("axi_ram", &doc, |m: &mut Builder| {
        let sizes = sizes(ram);
        let host = host(m, &sizes);
        let read_side = read_side(m, ram, &host);
        let write_side = write_side(m, ram, &sizes, &host, &read_side);
        let stored_banks = stored_banks(m, &sizes, &read_side, &write_side);
        let answers = answers(m, &host, &read_side, &stored_banks);
        keeps_rules(m, ram, &host, &read_side, &write_side, &stored_banks, &answers);
        outputs(m, &read_side, &write_side, &answers);
    })
}

/// Sizes that several sections need.
struct Sizes {
    bus: u32,
    depth: u32,
    bits: u32,
    lanes: u32,
    lane_bits: u32,
}

fn sizes(ram: &Ram) -> Sizes {
    let bus = ram.bus_bits;
    let depth = ram.bytes / (bus / 8);
    let bits = index_width(depth);
    let lanes = bus / 32;
    let lane_bits = lanes.trailing_zeros();
    Sizes { bus, depth, bits, lanes, lane_bits }
}

/// The host's port.
struct Host {
    host_valid: Expr,
    host_write: Expr,
    host_address: Expr,
    host_wdata: Expr,
    host_word: Expr,
    host_lane: Expr,
}

fn host(m: &mut Builder, sizes: &Sizes) -> Host {
    m.comment("The host's port.");
    let host_valid = m.input_doc("host_valid", 1, "until host_done");
    let host_write = m.input("host_write", 1);
    let host_address = m.input_doc("host_address", sizes.bits + sizes.lane_bits, "word of 32 bits");
    let host_wdata = m.input("host_wdata", 32);
    let host_word = host_address.slice(sizes.lane_bits, sizes.bits);
    let host_lane = host_address.slice(0, sizes.lane_bits);
    Host { host_valid, host_write, host_address, host_wdata, host_word, host_lane }
}

/// A read burst, or the host's read, on its way to the banks.
struct ReadSide {
    read_begin: Begin,
    r_ready: Expr,
    r_valid: Expr,
    step: Expr,
    host_read_waits: Expr,
    writing: Expr,
    host_turn: Expr,
    host_reads: Expr,
    burst_read: Expr,
    read: Burst,
    read_word: Expr,
    stage_burst: Expr,
    stage_host: Expr,
    stage_last: Expr,
    stage_id: Expr,
    stage_outside: Expr,
}

fn read_side(m: &mut Builder, ram: &Ram, host: &Host) -> ReadSide {
    m.comment(
        "Read: a burst's beats enter one a cycle; both stages stand still while the last one is not taken.",
    );
    let read_begin = Begin::inputs(m, "ar", ram);
    let r_ready = m.input("rready", 1);
    let r_valid = m.reg_reset("rvalid", 1, 0);
    let step = m.named("read_step", &(!&r_valid | &r_ready));
    let host_read_waits = m.reg_reset("host_read_waits", 1, 0);
    // Not while a write is on its way to the banks: it may be the host's own, to the same word.
    let writing = m.wire("writing", 1);
    // The address on its way to all banks is chosen by a register.
    let host_turn = m.reg_reset("host_turn", 1, 0);
    let host_reads = m.named("host_reads", &(&host_turn & !&writing & &step));
    m.set_if(&host_turn, &host_reads, &lit(0, 1));
    m.set(&host_turn, &(&host.host_valid & !&host.host_write & !&host_read_waits));
    let burst_read = m.wire("burst_read", 1);
    let read = read_begin.burst(m, &burst_read, ram);
    m.assign(&burst_read, &(&read.active & &step & !&host_turn));
    let read_word = m.named("read_word", &mux(&host_turn, &host.host_word, &read.word));
    let stage_burst = m.reg_reset("stage_burst", 1, 0);
    m.set_if(&stage_burst, &step, &burst_read);
    let stage_host = m.reg_reset("stage_host", 1, 0);
    m.set_if(&stage_host, &step, &host_reads);
    let mut staged = |name: &str, value: &Expr| m.sample(name, &step, value);
    let stage_last = staged("stage_last", &read.last);
    let stage_id = staged("stage_id", &read.id);
    let stage_outside = staged("stage_outside", &read.outside);
    ReadSide {
        read_begin,
        r_ready,
        r_valid,
        step,
        host_read_waits,
        writing,
        host_turn,
        host_reads,
        burst_read,
        read,
        read_word,
        stage_burst,
        stage_host,
        stage_last,
        stage_id,
        stage_outside,
    }
}

/// A write burst, or the host's word, on its way to the banks.
struct WriteSide {
    write_begin: Begin,
    w_data: Expr,
    b_ready: Expr,
    b_valid: Expr,
    host_writes: Expr,
    burst_write: Expr,
    write: Burst,
    w_ready: Expr,
    b_id: Expr,
    b_outside: Expr,
    strobe: Expr,
    enable: Expr,
    write_word: Expr,
    written_word: Expr,
    written: Expr,
}

fn write_side(m: &mut Builder, ram: &Ram, sizes: &Sizes, host: &Host, read_side: &ReadSide) -> WriteSide {
    m.comment("Write: beats and the host's words pass a register on their way to the banks.");
    let write_begin = Begin::inputs(m, "aw", ram);
    let w_valid = m.input("wvalid", 1);
    let w_data = m.input("wdata", sizes.bus);
    let w_strobe = m.input_doc("wstrb", sizes.bus / 8, "alike for each 32 bits");
    let w_last = m.input("wlast", 1);
    m.unused(&w_last);
    let b_ready = m.input("bready", 1);
    let b_valid = m.reg_reset("bvalid", 1, 0);
    let host_writes = m.named("host_writes", &(&host.host_valid & &host.host_write));
    let burst_write = m.wire("burst_write", 1);
    let write = write_begin.burst(m, &burst_write, ram);
    let w_ready = m.named("w_free", &(&write.active & !&host_writes & !&b_valid));
    m.assign(&burst_write, &(&w_ready & &w_valid));
    m.set_if(&b_valid, &(&burst_write & &write.last), &lit(1, 1));
    m.set_if(&b_valid, &b_ready, &lit(0, 1));
    let b_id = m.reg("bid", ram.id_bits);
    m.set_if(&b_id, &burst_write, &write.id);
    let b_outside = m.reg("write_outside", 1);
    m.set_if(&b_outside, &burst_write, &write.outside);
    let strobes: Vec<Expr> = (0..sizes.lanes).map(|lane| w_strobe.bit(4 * lane)).collect();
    for lane in 0..sizes.lanes {
        m.unused(&w_strobe.slice(4 * lane + 1, 3));
    }
    let strobe = cat(&strobes.iter().rev().cloned().collect::<Vec<_>>());
    let enables: Vec<Expr> = (0..sizes.lanes)
        .map(|lane| {
            let of_burst = &burst_write & !&write.outside & &strobes[lane as usize];
            (&host_writes & host.host_lane.eq_lit(lane.into())) | of_burst
        })
        .collect();
    let enable = m.reg_reset("write_enable", sizes.lanes, 0);
    m.set(&enable, &cat(&enables.iter().rev().cloned().collect::<Vec<_>>()));
    m.assign(&read_side.writing, &enable.any());
    let write_word = m.named("write_word", &mux(&host_writes, &host.host_word, &write.word));
    let within = index_width(banks(sizes.depth).iter().map(|bank| bank.words).max().unwrap_or(2));
    let written_word = m.delay("written_word", &write_word.slice(0, within));
    let written = m.delay("written_data", &mux(&host_writes, &host.host_wdata.repeat(sizes.lanes), &w_data));
    WriteSide {
        write_begin,
        w_data,
        b_ready,
        b_valid,
        host_writes,
        burst_write,
        write,
        w_ready,
        b_id,
        b_outside,
        strobe,
        enable,
        write_word,
        written_word,
        written,
    }
}

/// The banks, and what they give.
struct StoredBanks {
    stored: Vec<StoredBank>,
    data: Expr,
}

fn stored_banks(m: &mut Builder, sizes: &Sizes, read_side: &ReadSide, write_side: &WriteSide) -> StoredBanks {
    m.comment("Banks, the largest first.");
    let mut outputs: Vec<(Expr, Expr)> = Vec::new();
    let mut stored: Vec<StoredBank> = Vec::new();
    for (index, bank) in banks(sizes.depth).into_iter().enumerate() {
        let memory = m.memory(&format!("bank{index}"), sizes.bus, bank.words);
        let bank_bits = index_width(bank.words);
        let hit = |word: &Expr| match sizes.bits - bank_bits {
            0 => lit(1, 1),
            rest => word.slice(bank_bits, rest).eq_lit(u64::from(bank.first >> bank_bits)),
        };
        let written_here = m.delay(&format!("bank{index}_written"), &hit(&write_side.write_word));
        let enables = written_here.repeat(sizes.lanes) & &write_side.enable;
        m.write_lanes(&memory, &enables, &write_side.written_word.slice(0, bank_bits), &write_side.written);
        let read_here = m.reg(&format!("bank{index}_read"), 1);
        m.set_if(&read_here, &read_side.step, &hit(&read_side.read_word));
        let bank_data = m.read_sync(
            &format!("bank{index}_data"),
            &memory,
            &read_side.step,
            &read_side.read_word.slice(0, bank_bits),
        );
        outputs.push((read_here, bank_data));
        stored.push(StoredBank { memory, first: bank.first, bits: bank_bits, written: written_here });
    }
    let gated = outputs.iter().map(|(hit, value)| hit.repeat(sizes.bus) & value);
    let data = gated.reduce(|sum, next| sum | next).unwrap_or_else(|| lit(0, sizes.bus));
    let data = m.named("read_data", &data);
    StoredBanks { stored, data }
}

/// What is read, for the bus or for the host.
struct Answers {
    r_data: Expr,
    r_last: Expr,
    r_id: Expr,
    r_outside: Expr,
    host_read_done: Expr,
    host_rdata: Expr,
}

fn answers(m: &mut Builder, host: &Host, read_side: &ReadSide, stored_banks: &StoredBanks) -> Answers {
    m.set_if(&read_side.r_valid, &read_side.step, &read_side.stage_burst);
    let mut of_step = |name: &str, value: &Expr| m.sample(name, &read_side.step, value);
    let r_data = of_step("rdata", &stored_banks.data);
    let r_last = of_step("rlast", &read_side.stage_last);
    let r_id = of_step("rid", &read_side.stage_id);
    let r_outside = of_step("read_outside", &read_side.stage_outside);
    let host_read_done = m.delay_reset("host_read_done", &(&read_side.step & &read_side.stage_host));
    m.set_if(&read_side.host_read_waits, &host_read_done, &lit(0, 1));
    m.set_if(&read_side.host_read_waits, &read_side.host_reads, &lit(1, 1));

    let host_rdata = m.named("host_word_read", &r_data.slice_at(&host.host_lane, 32));
    Answers { r_data, r_last, r_id, r_outside, host_read_done, host_rdata }
}

fn keeps_rules(
    m: &mut Builder,
    ram: &Ram,
    host: &Host,
    read_side: &ReadSide,
    write_side: &WriteSide,
    stored_banks: &StoredBanks,
    answers: &Answers,
) {
    m.formal(|m| {
        let request = |begin: &Begin| rules::Request::of(begin, ram);
        rules::reads_are_answered(
            m,
            &request(&read_side.read_begin),
            &read_side.read,
            &rules::Pipeline {
                step: &read_side.step,
                enters: &read_side.burst_read,
                stage: [
                    &read_side.stage_burst,
                    &read_side.stage_last,
                    &read_side.stage_id,
                    &read_side.stage_outside,
                ],
                answer: [&read_side.r_valid, &answers.r_last, &answers.r_id, &answers.r_outside],
                data: &answers.r_data,
                ready: &read_side.r_ready,
            },
        );
        let answer = [&write_side.b_valid, &write_side.b_id, &write_side.b_outside, &write_side.b_ready];
        let beat = rules::writes_are_answered(
            m,
            &request(&write_side.write_begin),
            &write_side.write,
            &write_side.burst_write,
            answer,
        );
        rules::host_is_served_once(
            m,
            [&host.host_valid, &host.host_write],
            [&host.host_address, &host.host_wdata],
            [
                &read_side.host_turn,
                &read_side.host_reads,
                &read_side.host_read_waits,
                &read_side.stage_host,
                &answers.host_read_done,
            ],
            &read_side.stage_burst,
        );
        let Sizes { lanes, depth, .. } = sizes(ram);
        let watched = rules::Watched::pick(m, &host.host_address, lanes, depth);
        // Of the bank where the watched word lies.
        let of_bank = |value: &dyn Fn(&StoredBank, &Expr) -> Expr| {
            let gated = stored_banks.stored.iter().map(|bank| {
                let value = value(bank, &watched.word.slice(0, bank.bits));
                bank.has(&watched.word).repeat(value.width()) & value
            });
            gated.reduce(|sum, next| sum | next).unwrap_or_else(|| lit(0, 1))
        };
        let kept = of_bank(&|bank, word| m.read_async(&bank.memory, word));
        let reaches =
            of_bank(&|bank, word| &bank.written & write_side.written_word.slice(0, bank.bits).eq(word));
        rules::words_are_kept(
            m,
            &watched,
            &rules::Banks {
                kept,
                reaches: reaches & write_side.enable.at(&watched.lane),
                data: &write_side.written,
            },
            &rules::Writes {
                beat: &(&write_side.burst_write & write_side.strobe.at(&watched.lane)),
                beat_word: &beat.word,
                beat_outside: &beat.outside,
                beat_data: &write_side.w_data,
                under_way: &(&write_side.write.active | &write_side.b_valid),
                host: &write_side.host_writes,
                host_data: &host.host_wdata,
            },
            &rules::Reads {
                step: &read_side.step,
                beat: &(&read_side.burst_read & !&read_side.read.outside),
                beat_word: &read_side.read.word,
                host: &read_side.host_reads,
                stage: &(&read_side.stage_burst | &read_side.stage_host),
                stage_host: &read_side.stage_host,
                stage_data: &stored_banks.data,
                answer: [&read_side.r_valid, &answers.host_read_done],
                answer_data: &answers.r_data,
                host_data: &answers.host_rdata,
            },
            &host.host_address,
        );
    });
}

fn outputs(m: &mut Builder, read_side: &ReadSide, write_side: &WriteSide, answers: &Answers) {
    m.output("arready", &!&read_side.read.active);
    m.output("rvalid", &read_side.r_valid);
    m.output("rdata", &answers.r_data);
    m.output("rlast", &answers.r_last);
    m.output("rid", &answers.r_id);
    m.output_doc("rresp", &answers.r_outside.repeat(2), "OKAY or DECERR");
    m.output("awready", &!&write_side.write.active);
    m.output("wready", &write_side.w_ready);
    m.output("bvalid", &write_side.b_valid);
    m.output("bid", &write_side.b_id);
    m.output_doc("bresp", &write_side.b_outside.repeat(2), "OKAY or DECERR");
    m.output_doc(
        "host_done",
        &(&write_side.host_writes | &answers.host_read_done),
        "the word is taken, or there",
    );
    m.output_doc("host_rdata", &answers.host_rdata, "with host_done of a read");
}

/// The address channel of one direction.
struct Begin {
    direction: &'static str,
    valid: Expr,
    address: Expr,
    beats_less_one: Expr,
    id: Expr,
}

/// A burst under way.
struct Burst {
    /// Its address is taken.
    take: Expr,
    active: Expr,
    beats_left: Expr,
    word: Expr,
    last: Expr,
    id: Expr,
    outside: Expr,
}

/// A bank's memory, and whether the word on its way to the banks is one of its own.
struct StoredBank {
    memory: Memory,
    first: u32,
    bits: u32,
    written: Expr,
}

impl StoredBank {
    fn has(&self, word: &Expr) -> Expr {
        match word.width() - self.bits {
            0 => lit(1, 1),
            rest => word.slice(self.bits, rest).eq_lit(u64::from(self.first >> self.bits)),
        }
    }
}

impl Begin {
    fn inputs(m: &mut Builder, direction: &'static str, ram: &Ram) -> Begin {
        let mut input = |name: &str, width: u32| m.input(&format!("{direction}{name}"), width);
        Begin {
            valid: input("valid", 1),
            address: input("addr", ram.address_bits),
            beats_less_one: input("len", 8),
            id: input("id", ram.id_bits),
            direction,
        }
    }

    /// Takes an address when no burst is under way; `beat` moves on by one beat.
    fn burst(&self, m: &mut Builder, beat: &Expr, ram: &Ram) -> Burst {
        let byte_bits = (ram.bus_bits / 8).trailing_zeros();
        let depth = ram.bytes >> byte_bits;
        let bits = index_width(depth);
        let name = |what: &str| format!("{}_{what}", self.direction);
        let active = m.reg_reset(&name("active"), 1, 0);
        let left = m.reg(&name("beats_left"), 8);
        let last = m.named(&name("last"), &left.is_zero());
        let take = m.named(&name("take"), &(&self.valid & !&active));
        m.set_if(&active, &take, &lit(1, 1));
        m.set_if(&active, &(beat & &last), &lit(0, 1));
        m.set_if(&left, &take, &self.beats_less_one);
        m.set_if(&left, beat, &left.dec());
        let word = m.reg(&name("word"), bits);
        m.set_if(&word, &take, &self.address.slice(byte_bits, bits));
        m.set_if(&word, beat, &word.inc());
        let id = m.reg(&name("id_held"), ram.id_bits);
        m.set_if(&id, &take, &self.id);
        m.unused(&self.address.slice(0, byte_bits));
        let rest = self.address.width() - byte_bits - bits;
        let base = lit(ram.base >> (byte_bits + bits), rest);
        let inside = self.address.slice(byte_bits + bits, rest).eq(&base)
            & match depth.is_power_of_two() {
                true => lit(1, 1),
                false => self.address.slice(byte_bits, bits).lt_lit(depth.into()),
            };
        let outside = m.reg(&name("outside"), 1);
        m.set_if(&outside, &take, &!&inside);
        Burst { take, active, beats_left: left, word, last, id, outside }
    }
}

/// A part of the memory that is a power of two.
struct Bank {
    first: u32,
    words: u32,
}

/// Powers of two that add up to `depth`, the largest first: each begins at a multiple of its own size.
fn banks(depth: u32) -> Vec<Bank> {
    let mut banks = Vec::new();
    let mut first = 0;
    while first < depth {
        let left = depth - first;
        let words = (1 << left.ilog2()).min(LARGEST_BANK);
        banks.push(Bank { first, words });
        first += words;
    }
    banks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_cover_every_word_once_and_begin_at_multiples_of_their_size() {
        for depth in [256, 1024, 16_384, 19_456, 40_960, 4_352] {
            let mut next = 0;
            for bank in banks(depth) {
                assert_eq!(bank.first, next);
                assert!(bank.first.is_multiple_of(bank.words));
                next += bank.words;
            }
            assert_eq!(next, depth);
        }
    }
}
