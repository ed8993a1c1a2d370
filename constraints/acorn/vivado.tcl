# Acorn CLE-215+. The hard block is Vivado's own IP and needs Vivado: no open flow has it.
set here [file dirname [file normalize [info script]]]
set part xc7a200tfbg484-3
set constraints $here/acorn.xdc

proc make_hard_block {} {
    create_ip -vendor xilinx.com -name pcie_7x -module_name pcie_s7
    # As LitePCIe has it, but for BAR 0, which is isa::pcie's, and the subsystem that tells the card from others.
    set_property -dict [list \
        CONFIG.Bar0_Scale Kilobytes \
        CONFIG.Bar0_Size 128 \
        CONFIG.Buf_Opt_BMA true \
        CONFIG.Vendor_ID 10ee \
        CONFIG.Device_ID 7024 \
        CONFIG.Subsystem_Vendor_ID 10ee \
        CONFIG.Subsystem_ID 4d53 \
        CONFIG.Interface_Width 128_bit \
        CONFIG.Link_Speed 5.0_GT/s \
        CONFIG.Max_Payload_Size 512_bytes \
        CONFIG.Maximum_Link_Width X4 \
        CONFIG.PCIe_Blk_Locn X0Y0 \
        CONFIG.Ref_Clk_Freq 100_MHz \
        CONFIG.Trans_Buf_Pipeline None \
        CONFIG.Trgt_Link_Speed 4'h2 \
        CONFIG.User_Clk_Freq 125 \
        CONFIG.Legacy_Interrupt NONE \
        CONFIG.IntX_Generation false \
        CONFIG.MSI_64b false \
        CONFIG.Multiple_Message_Capable 1_vector \
    ] [get_ips pcie_s7]
    synth_ip [get_ips pcie_s7]
}

source $here/../pcie_vivado.tcl
