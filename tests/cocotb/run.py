"""Builds the generated core with Verilator and runs the tests of test_mst_core.py on it.

    python run.py RTL VECTORS [BUILD]

RTL is what `gen verilog` wrote, VECTORS what `gen vectors` wrote for the same core; BUILD is a folder for the
simulation, which is kept. Verilator must be on PATH.
"""

import sys
from pathlib import Path

from cocotb_tools.runner import get_results, get_runner

HERE = Path(__file__).resolve().parent


def main() -> int:
    if not 3 <= len(sys.argv) <= 4:
        print(__doc__, file=sys.stderr)
        return 2
    rtl, vectors = (Path(argument).resolve() for argument in sys.argv[1:3])
    build = Path(sys.argv[3] if len(sys.argv) > 3 else "sim_build").resolve()
    files = (rtl / "mst_core.f").read_text().split()
    runner = get_runner("verilator")
    runner.build(
        sources=[rtl / name for name in files],
        hdl_toplevel="mst_core",
        build_dir=build,
        build_args=["-Wall", "-O3", "--x-assign", "fast"],
        timescale=("1ns", "1ps"),
    )
    results = runner.test(
        hdl_toplevel="mst_core",
        test_module="test_mst_core",
        test_dir=HERE,
        build_dir=build,
        results_xml=str(build / "results.xml"),
        extra_env={
            "MST_RTL": str(rtl),
            "MST_VECTORS": str(vectors),
            # cocotbext-axi still uses names that cocotb 2 is about to drop.
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
        },
    )
    tests, failed = get_results(results)
    print(f"{tests} tests, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
