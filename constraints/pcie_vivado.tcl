# Vivado's part of a PCIe card: from a folder of `gen verilog --pcie`, in which litepcie_gen has run, to a bitstream.
# A board's vivado.tcl sets `part`, `constraints` and `make_hard_block`, then sources this. Run it in the folder:
#     vivado -mode batch -source .../constraints/BOARD/vivado.tcl

create_project -force -part $part mst_pcie vivado
set list [open mst_pcie.f]
foreach file [split [string trim [read $list]] "\n"] { read_verilog $file }
close $list
read_verilog build/gateware/litepcie_core.v
# What LitePCIe brings for the hard block of an UltraScale+.
foreach line [split [read [open build/gateware/litepcie_core.tcl]] "\n"] {
    if {[regexp {^read_verilog (\{.*/phy/.*\})} $line]} { eval $line }
}
# Its memory of an identifier.
add_files build/gateware/litepcie_core_mem.init
make_hard_block
read_xdc $constraints

synth_design -top mst_pcie -part $part
# Crossings between PCIe's clock and the FPGA's own, as LitePCIe marks them.
set_false_path -quiet -through [get_nets -quiet -hierarchical -filter {mr_ff == TRUE}]
set_false_path -quiet -to [get_pins -quiet -filter {REF_PIN_NAME == PRE} \
    -of_objects [get_cells -quiet -hierarchical -filter {ars_ff1 == TRUE || ars_ff2 == TRUE}]]
opt_design
place_design
phys_opt_design
route_design
report_timing_summary -file timing.rpt
report_utilization -hierarchical -file utilization.rpt
report_cdc -details -file crossings.rpt
if {[get_property SLACK [get_timing_paths]] < 0} { error "timing is not met: see timing.rpt" }
write_bitstream -force mst_pcie.bit
