//! Memories, in the templates that synthesis tools infer as RAM.

use std::rc::Rc;

use super::builder::{Builder, Item, Role};
use super::error::Fault;
use super::expr::{Expr, Kind};
use super::ops::{self, lit};

/// A memory of one module: `depth` words of `width` bits, one write port, any number of read ports.
#[derive(Debug, Clone)]
pub struct Memory {
    owner: u64,
    index: usize,
    name: Rc<str>,
    width: u32,
    depth: u32,
}

impl Memory {
    /// Bits of a word.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Number of words.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Bits of an address.
    pub fn address_width(&self) -> u32 {
        ops::index_width(self.depth)
    }
}

#[derive(Debug)]
pub(super) struct MemoryUse {
    pub name: Rc<str>,
    pub width: u32,
    pub depth: u32,
    pub write: Option<MemoryWrite>,
}

#[derive(Debug)]
pub(super) struct MemoryWrite {
    pub address: Expr,
    /// Enable and data of each lane, lowest first.
    pub lanes: Vec<(Expr, Expr)>,
}

impl Builder {
    /// A memory without initial content.
    pub fn memory(&mut self, name: &str, width: u32, depth: u32) -> Memory {
        let place = format!("memory `{name}`");
        self.claim_name(&place, name);
        for (what, found, least) in [("width", width, 1), ("depth", depth, 2)] {
            if found < least {
                let what = format!("{what} of `{name}`");
                let expected = format!("{least} or more");
                self.report(&place, Fault::BadSize { what, found: found.into(), expected });
            }
        }
        let index = self.memories.len();
        let name: Rc<str> = name.into();
        self.items.push(Item::Memory(index));
        self.memories.push(MemoryUse { name: Rc::clone(&name), width, depth, write: None });
        Memory { owner: self.id, index, name, width: width.max(1), depth }
    }

    /// The write port: `data` goes to `addr` at the end of a cycle with `enable`.
    pub fn write(&mut self, mem: &Memory, enable: &Expr, addr: &Expr, data: &Expr) {
        let place = format!("memory `{}`", mem.name);
        if self.accept_width(&place, "write enable", enable, 1) {
            self.write_lanes(mem, enable, addr, data);
        }
    }

    /// The write port of a memory whose words consist of as many equal lanes as the enable has bits.
    pub fn write_lanes(&mut self, mem: &Memory, enable_per_lane: &Expr, addr: &Expr, data: &Expr) {
        let place = format!("memory `{}`", mem.name);
        let fine = self.accept_memory(&place, mem)
            && self.accept(&place, enable_per_lane)
            && self.accept_width(&place, "write address", addr, mem.address_width())
            && self.accept_width(&place, "write data", data, mem.width);
        if !fine {
            return;
        }
        let lanes = enable_per_lane.width();
        if !mem.width.is_multiple_of(lanes) {
            let what = format!("number of lanes in `{}`", enable_per_lane.brief());
            let expected = format!("a divisor of {}", mem.width);
            return self.report(place, Fault::BadSize { what, found: lanes.into(), expected });
        }
        if self.memories[mem.index].write.is_some() {
            return self.report(place, Fault::DoublyDriven { signal: mem.name.to_string() });
        }
        let width = mem.width / lanes;
        let lanes =
            (0..lanes).map(|lane| (enable_per_lane.bit(lane), data.slice(lane * width, width))).collect();
        self.memories[mem.index].write = Some(MemoryWrite { address: addr.clone(), lanes });
        self.items.push(Item::MemoryWrite(mem.index));
    }

    /// A registered read: the word at `addr` in a cycle with `enable` appears one cycle later and stays until the
    /// next. While the same word is being written, what is read is unspecified.
    pub fn read_sync(&mut self, name: &str, mem: &Memory, enable: &Expr, addr: &Expr) -> Expr {
        let place = format!("memory `{}`", mem.name);
        let fine = self.accept_memory(&place, mem)
            && self.accept_width(&place, "read enable", enable, 1)
            && self.accept_width(&place, "read address", addr, mem.address_width());
        if !fine {
            return lit(0, mem.width);
        }
        let index = self.signals.len();
        self.items.extend([Item::Declare(index), Item::MemoryRead(index)]);
        let role = Role::MemoryOutput { memory: mem.index, enable: enable.clone(), address: addr.clone() };
        self.declare(name, mem.width, false, role)
    }

    /// An unregistered read, for small memories made of logic cells.
    pub fn read_async(&self, mem: &Memory, addr: &Expr) -> Expr {
        let poison = |fault| Expr::poison(mem.width, false, fault);
        if mem.owner != self.id {
            return poison(Fault::ForeignSignal { value: mem.name.to_string() });
        }
        if let Some(fault) = addr.fault() {
            return poison(fault.clone());
        }
        if addr.0.owner.is_some_and(|owner| owner != self.id) {
            return poison(Fault::ForeignSignal { value: addr.brief() });
        }
        if addr.width() != mem.address_width() {
            let role = format!("read address of `{}`", mem.name);
            let (value, found, expected) = (addr.brief(), addr.width(), mem.address_width());
            return poison(Fault::WrongWidth { role, value, found, expected });
        }
        // Even with a constant address the value belongs to this module.
        let kind = Kind::MemRead { memory: Rc::clone(&mem.name), address: addr.clone() };
        Expr::leaf(mem.width, false, Some(self.id), kind)
    }

    fn accept_memory(&mut self, place: &str, mem: &Memory) -> bool {
        if mem.owner != self.id {
            self.report(place, Fault::ForeignSignal { value: mem.name.to_string() });
        }
        mem.owner == self.id
    }
}
