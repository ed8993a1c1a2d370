# SQRL XCU1525. The hard block is Vivado's own IP and needs Vivado: no open flow has it.
set here [file dirname [file normalize [info script]]]
set part xcvu9p-fsgd2104-2L-e
set constraints $here/xcu1525.xdc

proc make_hard_block {} {
    create_ip -vendor xilinx.com -name pcie4_uscale_plus -module_name pcie_usp
    # As LitePCIe has it, but for the clock, which the core shares (256 bits at 125 MHz take what four lanes at 8 GT/s bring), BAR 0, which
    # is isa::pcie's, and the subsystem.
    set_property -dict [list \
        CONFIG.PL_LINK_CAP_MAX_LINK_WIDTH X4 \
        CONFIG.PL_LINK_CAP_MAX_LINK_SPEED 8.0_GT/s \
        CONFIG.axisten_if_width 256_bit \
        CONFIG.AXISTEN_IF_RC_STRADDLE false \
        CONFIG.axisten_freq 125 \
        CONFIG.axisten_if_enable_client_tag true \
        CONFIG.vendor_id 10EE \
        CONFIG.PF0_DEVICE_ID 7024 \
        CONFIG.PF0_SUBSYSTEM_VENDOR_ID 10EE \
        CONFIG.PF0_SUBSYSTEM_ID 4D53 \
        CONFIG.aspm_support No_ASPM \
        CONFIG.plltype QPLL0 \
        CONFIG.pf0_bar0_scale Kilobytes \
        CONFIG.pf0_bar0_size 128 \
        CONFIG.PF0_INTERRUPT_PIN NONE \
    ] [get_ips pcie_usp]
    synth_ip [get_ips pcie_usp]
}

source $here/../pcie_vivado.tcl
