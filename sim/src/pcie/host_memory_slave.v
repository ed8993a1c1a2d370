// In the place of the card, for a measurement: LitePCIe's core with its AXI slave, through which logic reaches host memory, and a master
// that moves one range of it, burst after burst. Registers of the host, 32 bits each, all at any address of the card's:
//   write, bit 31 low:  address of the range
//   write, bit 31 high: starts; bit 30 writes, bits 23:8 bursts, bits 7:0 beats of a burst less one
//   read:               bit 31 while it runs; else the sum of all that was read, bits 30:0

`default_nettype none

module mst_pcie (
    input  wire       pcie_clk_p,
    input  wire       pcie_clk_n,
    input  wire       pcie_rst_n,
    input  wire [3:0] pcie_rx_p,
    input  wire [3:0] pcie_rx_n,
    output wire [3:0] pcie_tx_p,
    output wire [3:0] pcie_tx_n,
    output wire       busy,
    output wire       error
);

    wire         clk;
    wire         rst;
    wire         awvalid;
    wire         wvalid;
    wire [31:0]  wdata;
    wire         arvalid;
    wire         bready;
    wire         rready;
    wire         slave_arready;
    wire         slave_awready;
    wire         slave_wready;
    wire         slave_rvalid;
    wire         slave_bvalid;
    wire [127:0] slave_rdata;

    // Registers: an access at a time, answered in the cycle after it was taken.
    reg  b_due;
    reg  r_due;
    wire takes_write = awvalid & wvalid & ~b_due;
    wire takes_read = arvalid & ~r_due;

    // The master.
    reg  [31:0] range_address;
    reg  [31:0] next_address;
    reg  [15:0] bursts_left;
    reg  [15:0] answers_left;
    reg  [7:0]  length;
    reg         writing;
    reg         reading;
    reg  [8:0]  beats_left;
    reg  [27:0] word;
    reg  [30:0] sum;

    wire [31:0] burst_bytes = {20'd0, length, 4'd0} + 32'd16;
    wire        address_taken = (reading & slave_arready | writing & slave_awready) & |bursts_left;
    wire        beat_taken = writing & |beats_left & slave_wready;
    wire [30:0] lanes = slave_rdata[30:0] + slave_rdata[62:32] + slave_rdata[94:64] + slave_rdata[126:96];
    wire        answered = reading ? slave_rvalid & slave_rlast : slave_bvalid;
    wire        slave_rlast;

    assign busy = reading | writing;
    assign error = 1'b0;

    always @(posedge clk)
        if (rst) begin
            b_due <= 1'b0;
            r_due <= 1'b0;
            reading <= 1'b0;
            writing <= 1'b0;
            bursts_left <= 16'd0;
            answers_left <= 16'd0;
            beats_left <= 9'd0;
        end else begin
            b_due <= takes_write | b_due & ~bready;
            r_due <= takes_read | r_due & ~rready;
            if (takes_write & ~wdata[31])
                range_address <= wdata;
            if (takes_write & wdata[31]) begin
                writing <= wdata[30];
                reading <= ~wdata[30];
                bursts_left <= wdata[23:8];
                answers_left <= wdata[23:8];
                length <= wdata[7:0];
                next_address <= range_address;
                word <= 28'd0;
                sum <= 31'd0;
            end
            if (address_taken) begin
                bursts_left <= bursts_left - 16'd1;
                next_address <= next_address + burst_bytes;
            end
            if (address_taken & writing)
                beats_left <= {1'b0, length} + 9'd1;
            if (beat_taken) begin
                beats_left <= beats_left - 9'd1;
                word <= word + 28'd1;
            end
            if (reading & slave_rvalid)
                sum <= sum + lanes;
            if (busy & answered) begin
                answers_left <= answers_left - 16'd1;
                if (answers_left == 16'd1) begin
                    reading <= 1'b0;
                    writing <= 1'b0;
                end
            end
        end

    litepcie_core litepcie (
        .clk                     (clk),
        .rst                     (rst),
        .pcie_clk_p              (pcie_clk_p),
        .pcie_clk_n              (pcie_clk_n),
        .pcie_rst_n              (pcie_rst_n),
        .pcie_rx_p               (pcie_rx_p),
        .pcie_rx_n               (pcie_rx_n),
        .pcie_tx_p               (pcie_tx_p),
        .pcie_tx_n               (pcie_tx_n),
        .msi_irqs                (4'd0),
        .mmap_axi_lite_awvalid   (awvalid),
        .mmap_axi_lite_awready   (takes_write),
        .mmap_axi_lite_awaddr    (),
        .mmap_axi_lite_awprot    (),
        .mmap_axi_lite_wvalid    (wvalid),
        .mmap_axi_lite_wready    (takes_write),
        .mmap_axi_lite_wdata     (wdata),
        .mmap_axi_lite_wstrb     (),
        .mmap_axi_lite_bvalid    (b_due),
        .mmap_axi_lite_bready    (bready),
        .mmap_axi_lite_bresp     (2'd0),
        .mmap_axi_lite_arvalid   (arvalid),
        .mmap_axi_lite_arready   (takes_read),
        .mmap_axi_lite_araddr    (),
        .mmap_axi_lite_arprot    (),
        .mmap_axi_lite_rvalid    (r_due),
        .mmap_axi_lite_rready    (rready),
        .mmap_axi_lite_rdata     ({busy, busy ? 31'd0 : sum}),
        .mmap_axi_lite_rresp     (2'd0),
        .mmap_slave_axi_arvalid  (reading & |bursts_left),
        .mmap_slave_axi_arready  (slave_arready),
        .mmap_slave_axi_araddr   (next_address),
        .mmap_slave_axi_arlen    (length),
        .mmap_slave_axi_arsize   (3'd4),
        .mmap_slave_axi_arburst  (2'd1),
        .mmap_slave_axi_arcache  (4'd0),
        .mmap_slave_axi_arid     (1'b0),
        .mmap_slave_axi_arlock   (1'b0),
        .mmap_slave_axi_arprot   (3'd0),
        .mmap_slave_axi_arqos    (4'd0),
        .mmap_slave_axi_arregion (4'd0),
        .mmap_slave_axi_aruser   (1'b0),
        .mmap_slave_axi_rvalid   (slave_rvalid),
        .mmap_slave_axi_rready   (1'b1),
        .mmap_slave_axi_rdata    (slave_rdata),
        .mmap_slave_axi_rlast    (slave_rlast),
        .mmap_slave_axi_rid      (),
        .mmap_slave_axi_rresp    (),
        .mmap_slave_axi_ruser    (),
        .mmap_slave_axi_awvalid  (writing & |bursts_left),
        .mmap_slave_axi_awready  (slave_awready),
        .mmap_slave_axi_awaddr   (next_address),
        .mmap_slave_axi_awlen    (length),
        .mmap_slave_axi_awsize   (3'd4),
        .mmap_slave_axi_awburst  (2'd1),
        .mmap_slave_axi_awcache  (4'd0),
        .mmap_slave_axi_awid     (1'b0),
        .mmap_slave_axi_awlock   (1'b0),
        .mmap_slave_axi_awprot   (3'd0),
        .mmap_slave_axi_awqos    (4'd0),
        .mmap_slave_axi_awregion (4'd0),
        .mmap_slave_axi_awuser   (1'b0),
        .mmap_slave_axi_wvalid   (writing & |beats_left),
        .mmap_slave_axi_wready   (slave_wready),
        .mmap_slave_axi_wdata    ({4{4'd0, word}} + {32'd3, 32'd2, 32'd1, 32'd0}),
        .mmap_slave_axi_wstrb    (16'hffff),
        .mmap_slave_axi_wlast    (beats_left == 9'd1),
        .mmap_slave_axi_wuser    (1'b0),
        .mmap_slave_axi_bvalid   (slave_bvalid),
        .mmap_slave_axi_bready   (1'b1),
        .mmap_slave_axi_bid      (),
        .mmap_slave_axi_bresp    (),
        .mmap_slave_axi_buser    ()
    );

endmodule

`default_nettype wire
