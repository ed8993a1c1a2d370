"""mst_core between a host and a memory: an AXI4-Lite master and an AXI4 RAM of cocotbext-axi."""

import json
import logging
from pathlib import Path

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam
from systemrdl import RDLCompiler

# Where the memory window lies on the bus: any multiple of 4096.
WINDOW = 0x10000


class Registers:
    """The registers that `mst_core.rdl` describes, by name, behind an AXI4-Lite master."""

    def __init__(self, rdl: Path, master: AxiLiteMaster):
        compiler = RDLCompiler()
        compiler.compile_file(str(rdl))
        self.nodes = {node.inst_name: node for node in compiler.elaborate().top.registers()}
        self.master = master

    async def read(self, name: str) -> int:
        return await self.master.read_dword(self.nodes[name].absolute_address)

    async def write(self, name: str, value: int) -> None:
        await self.master.write_dword(self.nodes[name].absolute_address, value)

    async def set(self, name: str, *fields: str) -> None:
        """Writes 1 to these fields of a register and 0 to all others."""
        await self.write(name, sum(1 << self.nodes[name].get_child_by_name(field).low for field in fields))

    async def field(self, register: str, name: str) -> int:
        """Reads one field of a register."""
        field = self.nodes[register].get_child_by_name(name)
        return await self.read(register) >> field.low & (1 << field.width) - 1


class Bench:
    """The core with clock, reset, host, and a memory that holds what `gen vectors` wrote."""

    def __init__(self, dut, rtl: Path, vectors: Path):
        self.dut = dut
        self.run = json.loads((vectors / "run.json").read_text())
        self.before = (vectors / "before.bin").read_bytes()
        self.after = (vectors / "after.bin").read_bytes()
        Clock(dut.clk, 10, unit="ns").start()
        for bus in ("s_axil", "m_axi"):
            logging.getLogger(f"cocotb.{dut._name}.{bus}").setLevel(logging.WARNING)
        host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=WINDOW + len(self.before))
        self.registers = Registers(rtl / "mst_core.rdl", host)

    async def start(self) -> None:
        """Resets the core, fills the memory, tells the core where it is."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        self.ram.write(WINDOW, self.before)
        await self.registers.write("MEMORY_BASE_LOW", WINDOW)
        await self.registers.write("MEMORY_SIZE", len(self.before))
        await self.registers.set("INTERRUPT_ENABLE", "DONE", "ERROR")

    async def infer(self, microseconds: int = 20_000) -> None:
        """Runs the descriptors and waits for the interrupt."""
        await self.registers.write("DESCRIPTOR_BASE", self.run["descriptor_base"])
        await self.registers.write("DESCRIPTOR_COUNT", self.run["descriptor_count"])
        await self.registers.set("CONTROL", "CLEAR_DONE", "CLEAR_COUNTERS")
        await self.registers.set("CONTROL", "START")
        await with_timeout(RisingEdge(self.dut.irq), microseconds, "us")

    def memory(self, offset: int, length: int) -> bytes:
        """Bytes of the memory window."""
        return self.ram.read(WINDOW + offset, length)

    def expected(self, output: dict) -> bytes:
        """What the reference says of an entry of the run's `outputs`."""
        return self.after[output["offset"] : output["offset"] + output["bytes"]]
