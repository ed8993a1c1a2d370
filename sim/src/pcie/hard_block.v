// What surrounds LitePCIe on a 7-series FPGA, for simulation: the hard block with its transaction interface (PG054) led out to the ports
// of `pcie_sim`, where a root complex in Rust stands, and the primitives of clocks and resets. All clocks are one.

`default_nettype none

module pcie_sim (
    input  wire         clk,
    input  wire         user_reset,
    input  wire         link_up,
    input  wire         tx_ready,
    output wire         tx_valid,
    output wire         tx_last,
    output wire [127:0] tx_data,
    output wire [15:0]  tx_keep,
    output wire         rx_ready,
    input  wire         rx_valid,
    input  wire [127:0] rx_data,
    input  wire [21:0]  rx_user,
    output wire         interrupt_valid,
    input  wire         interrupt_ready,
    input  wire         msi_enable,
    input  wire [15:0]  command,
    input  wire [15:0]  device_control,
    input  wire [7:0]   bus_number,
    input  wire [4:0]   device_number,
    output wire         busy,
    output wire         error
);

    mst_pcie card (
        .pcie_clk_p (1'b0),
        .pcie_clk_n (1'b1),
        .pcie_rst_n (~user_reset),
        .pcie_rx_p  (4'd0),
        .pcie_rx_n  (4'd0),
        .pcie_tx_p  (),
        .pcie_tx_n  (),
        .busy       (busy),
        .error      (error)
    );

    assign tx_valid        = card.litepcie.pcie_s7.s_axis_tx_tvalid;
    assign tx_last         = card.litepcie.pcie_s7.s_axis_tx_tlast;
    assign tx_data         = card.litepcie.pcie_s7.s_axis_tx_tdata;
    assign tx_keep         = card.litepcie.pcie_s7.s_axis_tx_tkeep;
    assign rx_ready        = card.litepcie.pcie_s7.m_axis_rx_tready;
    assign interrupt_valid = card.litepcie.pcie_s7.cfg_interrupt;

endmodule

// The ports that LitePCIe connects to constants, or to nothing, are left out.
module pcie_s7 (
    input  wire         cfg_interrupt,
    input  wire         m_axis_rx_tready,
    input  wire [127:0] s_axis_tx_tdata,
    input  wire [15:0]  s_axis_tx_tkeep,
    input  wire         s_axis_tx_tlast,
    input  wire         s_axis_tx_tvalid,
    output wire         s_axis_tx_tready,
    output wire         m_axis_rx_tvalid,
    output wire [127:0] m_axis_rx_tdata,
    output wire [15:0]  m_axis_rx_tkeep,
    output wire [31:0]  m_axis_rx_tuser,
    output wire         cfg_interrupt_rdy,
    output wire         cfg_interrupt_msienable,
    output wire         cfg_interrupt_msixenable,
    output wire [15:0]  cfg_command,
    output wire [15:0]  cfg_dcommand,
    output wire [7:0]   cfg_bus_number,
    output wire [4:0]   cfg_device_number,
    output wire [2:0]   cfg_function_number,
    output wire         pipe_txoutclk_out,
    output wire [3:0]   pipe_pclk_sel_out,
    output wire [5:0]   pl_ltssm_state,
    output wire         pl_sel_lnk_rate,
    output wire [1:0]   pl_sel_lnk_width,
    output wire         user_clk_out,
    output wire         user_reset_out,
    output wire         user_lnk_up
);

    assign user_clk_out             = pcie_sim.clk;
    assign user_reset_out           = pcie_sim.user_reset;
    assign user_lnk_up              = pcie_sim.link_up;
    assign s_axis_tx_tready         = pcie_sim.tx_ready;
    assign m_axis_rx_tvalid         = pcie_sim.rx_valid;
    assign m_axis_rx_tdata          = pcie_sim.rx_data;
    assign m_axis_rx_tkeep          = 16'hffff;
    assign m_axis_rx_tuser          = {10'd0, pcie_sim.rx_user};
    assign cfg_interrupt_rdy        = pcie_sim.interrupt_ready;
    assign cfg_interrupt_msienable  = pcie_sim.msi_enable;
    assign cfg_interrupt_msixenable = 1'b0;
    assign cfg_command              = pcie_sim.command;
    assign cfg_dcommand             = pcie_sim.device_control;
    assign cfg_bus_number           = pcie_sim.bus_number;
    assign cfg_device_number        = pcie_sim.device_number;
    assign cfg_function_number      = 3'd0;
    assign pipe_txoutclk_out        = 1'b0;
    assign pipe_pclk_sel_out        = 4'd0;
    // L0, 5 Gb/s, four lanes.
    assign pl_ltssm_state           = 6'h16;
    assign pl_sel_lnk_rate          = 1'b1;
    assign pl_sel_lnk_width         = 2'd2;

endmodule

module IBUFDS_GTE2 (input wire CEB, input wire I, input wire IB, output wire O);
    assign O = I;
endmodule

module BUFG (input wire I, output wire O);
    assign O = I;
endmodule

module BUFGCTRL (
    input  wire CE0,
    input  wire CE1,
    input  wire I0,
    input  wire I1,
    input  wire S0,
    input  wire S1,
    output wire O
);
    assign O = 1'b0;
endmodule

// Only the hard block's own lanes run with what this makes.
module MMCME2_ADV #(
    parameter BANDWIDTH = "",
    parameter CLKFBOUT_MULT_F = 0,
    parameter CLKIN1_PERIOD = 0,
    parameter CLKOUT0_DIVIDE_F = 0,
    parameter CLKOUT0_PHASE = 0,
    parameter CLKOUT1_DIVIDE = 0,
    parameter CLKOUT1_PHASE = 0,
    parameter CLKOUT2_DIVIDE = 0,
    parameter CLKOUT2_PHASE = 0,
    parameter CLKOUT3_DIVIDE = 0,
    parameter CLKOUT3_PHASE = 0,
    parameter DIVCLK_DIVIDE = 0,
    parameter REF_JITTER1 = 0
) (
    input  wire CLKFBIN,
    input  wire CLKIN1,
    input  wire PWRDWN,
    input  wire RST,
    output wire CLKFBOUT,
    output wire CLKOUT0,
    output wire CLKOUT1,
    output wire CLKOUT2,
    output wire CLKOUT3,
    output wire LOCKED
);
    assign {CLKFBOUT, CLKOUT0, CLKOUT1, CLKOUT2, CLKOUT3} = 5'd0;
    assign LOCKED = 1'b1;
endmodule

module FDCE (input wire C, input wire CE, input wire CLR, input wire D, output reg Q);
    always @(posedge C or posedge CLR)
        if (CLR) Q <= 1'b0;
        else if (CE) Q <= D;
endmodule

module FDPE #(
    parameter INIT = 1'b1
) (
    input  wire C,
    input  wire CE,
    input  wire D,
    input  wire PRE,
    output reg  Q
);
    initial Q = INIT;
    always @(posedge C or posedge PRE)
        if (PRE) Q <= 1'b1;
        else if (CE) Q <= D;
endmodule

`default_nettype wire
