"""What a system that instantiates mst_core relies on. Run by run.py, which says where Verilog and vectors are."""

import os
from pathlib import Path

import cocotb
from bench import WINDOW, Bench

RTL = Path(os.environ["MST_RTL"])
VECTORS = Path(os.environ["MST_VECTORS"])


@cocotb.test()
async def constants_are_those_of_the_register_description(dut):
    bench = Bench(dut, RTL, VECTORS)
    await bench.start()
    checked = 0
    for name, node in bench.registers.nodes.items():
        if not node.has_hw_writable and not node.has_sw_writable:
            value = sum(field.get_property("reset") << field.low for field in node.fields())
            assert await bench.registers.read(name) == value, name
            checked += 1
    assert checked == 6
    assert await bench.registers.read("IDENTITY") == int.from_bytes(b"MST1", "big")
    core = bench.run["core"]
    assert await bench.registers.field("CONFIG0", "LANES") == core["lanes"], "vectors of another core"


@cocotb.test()
async def layers_write_the_spikes_of_the_reference(dut):
    bench = Bench(dut, RTL, VECTORS)
    await bench.start()
    await bench.infer()
    assert await bench.registers.field("STATUS", "DONE"), f"error {await bench.registers.read('ERROR')}"
    assert await bench.registers.read("LAYERS_COMPLETED") == bench.run["descriptor_count"]
    for output in bench.run["outputs"]:
        found = bench.memory(output["offset"], output["bytes"])
        wrong = [i for i, (a, b) in enumerate(zip(found, bench.expected(output))) if a != b]
        assert not wrong, f"{output['layer']}: {len(wrong)} bytes differ, the first is byte {wrong[0]}"
    assert bench.memory(0, len(bench.after)) == bench.after, "a byte outside the outputs was written"
    planes = [output for output in bench.run["outputs"] if output["op"] != "readout"]
    spikes = sum(byte.bit_count() for plane in planes for byte in bench.expected(plane))
    assert await bench.registers.read("COUNT_SPIKES") == spikes
    cycles = await bench.registers.read("COUNT_BUSY")
    dut._log.info("%d layers, %d spikes, %d busy cycles", bench.run["descriptor_count"], spikes, cycles)


@cocotb.test()
async def a_bad_descriptor_is_refused_and_a_soft_reset_recovers(dut):
    bench = Bench(dut, RTL, VECTORS)
    await bench.start()
    first = WINDOW + bench.run["descriptor_base"]
    operation = bench.ram.read(first, 1)
    bench.ram.write(first, b"\x0f")
    await bench.infer()
    assert await bench.registers.field("STATUS", "ERROR")
    assert await bench.registers.field("ERROR", "CODE") == 1, "BadOp, see docs/isa.md"
    assert await bench.registers.read("ERROR_DESCRIPTOR") == 0
    bench.ram.write(first, operation)
    await bench.registers.set("CONTROL", "SOFT_RESET")
    while await bench.registers.field("STATUS", "RESETTING"):
        pass
    assert await bench.registers.read("STATUS") == 0
